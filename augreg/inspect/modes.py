"""Running a model without leaving a trace: its modes, and torch's generators, as they were."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import nn

from augreg.nn.modes import modes_kept

__all__ = ["evaluating", "restoring_buffers"]


@contextlib.contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """The model in eval mode; each module's own mode, and torch's generator, are put back."""
    with torch.random.fork_rng(devices=_devices(model)), modes_kept(model):
        model.eval()
        yield


@contextlib.contextmanager
def restoring_buffers(model: nn.Module) -> Iterator[None]:
    """The model as it is; the values of its buffers (running statistics), and torch's generator, are put back."""
    kept = [(buffer, buffer.detach().clone()) for buffer in model.buffers()]
    with torch.random.fork_rng(devices=_devices(model)), torch.no_grad():
        try:
            yield
        finally:
            for buffer, value in kept:
                buffer.copy_(value)


def _devices(model: nn.Module) -> list[int]:
    """The CUDA devices that the model lies on."""
    return sorted({p.device.index or 0 for p in model.parameters() if p.device.type == "cuda"})
