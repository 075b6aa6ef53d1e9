"""Runs a model without changing it: restores modes, buffers, and torch's generators."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import nn

from augreg.nn.modes import modes_kept

__all__ = ["evaluating", "restoring_buffers"]


@contextlib.contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put the model in eval mode; restore each module's mode, and torch's generators, at the end."""
    with torch.random.fork_rng(devices=_devices(model)), modes_kept(model):
        model.eval()
        yield


@contextlib.contextmanager
def restoring_buffers(model: nn.Module) -> Iterator[None]:
    """Keep all modes, record no gradients; restore buffers (running statistics) and torch's generators."""
    kept = [(buffer, buffer.detach().clone()) for buffer in model.buffers()]
    with torch.random.fork_rng(devices=_devices(model)), torch.no_grad():
        try:
            yield
        finally:
            for buffer, value in kept:
                buffer.copy_(value)


def _devices(model: nn.Module) -> list[int]:
    """The CUDA devices of the model."""
    return sorted({p.device.index or 0 for p in model.parameters() if p.device.type == "cuda"})
