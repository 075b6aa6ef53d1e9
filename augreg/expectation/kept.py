"""Keeps the state of a model, and of all random generators, across runs of the model."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from augreg.attachment.attach import attachments
from augreg.attachment.runs import PATIENCE
from augreg.nn.modes import modes_kept
from augreg.training.rng_state import seeded_sources

__all__ = ["kept"]


@contextlib.contextmanager
def kept(model: nn.Module) -> Iterator[None]:
    """A context after which a model and all generators are as before, also after an exception.

    It keeps the modes, the buffers, `requires_grad` and `grad` of the parameters; the calls of seeded layers and
    attached regularizers, and how often these ran; and the global generators of Python, NumPy and torch, on the CPU
    and on all devices that are in use. Weights are not copied; gradients are not either: a gradient that is
    accumulated in place stays changed.
    """
    undo = [_generators(), _attached(model), _seeded(model), _parameters(model), _buffers(model)]
    try:
        with modes_kept(model):
            yield
    finally:
        for restore in undo:
            restore()


def _generators() -> Callable[[], None]:
    python, numpy, cpu = random.getstate(), np.random.get_state(), torch.get_rng_state()
    devices = [(backend, device, backend.get_rng_state(device)) for backend, device in _devices()]

    def restore() -> None:
        random.setstate(python)
        np.random.set_state(numpy)
        torch.set_rng_state(cpu)
        for backend, device, state in devices:
            backend.set_rng_state(state, device)

    return restore


def _devices() -> list[tuple[Any, Any]]:
    """The backends of the accelerators that are in use, with the numbers of their devices."""
    found: list[tuple[Any, Any]] = []
    for backend in (torch.cuda, torch.xpu):
        if backend.is_available() and backend.is_initialized():
            found += [(backend, index) for index in range(backend.device_count())]
    return found


def _attached(model: nn.Module) -> Callable[[], None]:
    """Keeps how often attached layers ran, and lets no warning of layers without effect begin or end."""
    values: list[tuple[Any, str, Any]] = []
    for attached in attachments(model):
        for _, site in attached._sites:
            for action in site.actions:
                holders = [action.runs, getattr(action, "hook", None), getattr(action, "forward", None)]
                names = ("calls", "left", "whole")
                values += [
                    (each, name, getattr(each, name)) for each in holders for name in names if hasattr(each, name)
                ]
        if attached._watch is not None:
            values.append((attached._watch, "passes", attached._watch.passes))
            attached._watch.passes = PATIENCE + 1  # from here on it says nothing

    return lambda: _set(values)


def _seeded(model: nn.Module) -> Callable[[], None]:
    """Keeps the call numbers of seeded layers; their tensors are replaced at each call, never written to."""
    sources = seeded_sources(model).values()
    values = [(source, name, getattr(source, name)) for source in sources for name in ("calls", "tickets")]
    return lambda: _set(values)


def _parameters(model: nn.Module) -> Callable[[], None]:
    values = [(each, each.requires_grad, each.grad) for each in model.parameters()]

    def restore() -> None:
        for parameter, requires_grad, gradient in values:
            if parameter.requires_grad is not requires_grad:
                parameter.requires_grad_(requires_grad)
            if parameter.grad is not gradient:
                parameter.grad = gradient

    return restore


def _buffers(model: nn.Module) -> Callable[[], None]:
    owners = [(module, dict(module._buffers)) for module in model.modules() if module._buffers]
    values = {
        id(each): (each, each.detach().clone()) for _, own in owners for each in own.values() if each is not None
    }

    def restore() -> None:
        for module, own in owners:
            for name, buffer in own.items():
                if module._buffers.get(name) is not buffer:
                    module._buffers[name] = buffer
        for buffer, value in values.values():
            _write(buffer, value)

    return restore


def _write(buffer: Tensor, value: Tensor) -> None:
    with torch.inference_mode(buffer.is_inference()), torch.no_grad():
        buffer.copy_(value)


def _set(values: list[tuple[Any, str, Any]]) -> None:
    for owner, name, value in values:
        setattr(owner, name, value)
