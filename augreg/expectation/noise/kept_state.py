"""Keeps the state of a model, and of all global random generators, while the model runs."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import nn

from augreg.attachment.attach import attachments
from augreg.attachment.runs import PATIENCE
from augreg.nn.modes import modes_kept
from augreg.training.rng_state import seeded_sources

__all__ = ["generators_kept", "global_generators", "kept"]


@contextlib.contextmanager
def kept(model: nn.Module) -> Iterator[None]:
    """A context after which a model and all global generators are as before, also after an exception.

    It keeps the modes, the buffers, and `grad` and `requires_grad` of the parameters; the call numbers of seeded
    layers, and how often attached regularizers ran; and the generators of Python, NumPy (`numpy.random.seed`) and
    torch, on the CPU and on all devices in use. Inside, `grad` of each parameter is None. Weights are not copied.
    """
    with (
        generators_kept(),
        _attached_kept(model),
        _attributes_kept([(source, name) for source in _sources(model) for name in ("calls", "tickets")]),
        _gradients_kept(model),
        _buffers_kept(model),
        modes_kept(model),
    ):
        yield


def global_generators() -> dict[str, Any]:
    """The states of the generators of Python, NumPy and torch, by name; those of all devices in use."""
    states: dict[str, Any] = {
        "random": random.getstate(),
        "numpy.random": np.random.get_state(legacy=True),  # noqa: NPY002 - what other code draws from
        "torch": torch.get_rng_state(),
    }
    for backend, index in _devices():
        states[f"{backend.__name__} {index}"] = backend.get_rng_state(index)
    return states


@contextlib.contextmanager
def generators_kept() -> Iterator[None]:
    """A context after which the generators of Python, NumPy and torch are as before, on all devices in use."""
    states = global_generators()
    devices = {f"{backend.__name__} {index}": (backend, index) for backend, index in _devices()}
    try:
        yield
    finally:
        random.setstate(states["random"])
        np.random.set_state(states["numpy.random"])  # noqa: NPY002
        torch.set_rng_state(states["torch"])
        for name, (backend, index) in devices.items():
            backend.set_rng_state(states[name], index)


def _devices() -> list[tuple[Any, int]]:
    """The backends of the accelerators in use, with the number of each of their devices."""
    found: list[tuple[Any, int]] = []
    for backend in (torch.cuda, torch.xpu):
        if backend.is_available() and backend.is_initialized():
            found += [(backend, index) for index in range(backend.device_count())]
    return found


def _sources(model: nn.Module) -> list[Any]:
    return [*seeded_sources(model).values()]


@contextlib.contextmanager
def _attached_kept(model: nn.Module) -> Iterator[None]:
    """Keeps what attached layers count and note; the watch for layers without effect counts no passes inside."""
    attributes: list[tuple[Any, str]] = []
    watches = []
    for attached in attachments(model):
        for _, site in attached._sites:
            for target, _ in site.targets:
                attributes += [(layer, "training") for layer in _modules(target)]
            for action in site.actions:
                attributes += [(action.runs, "calls"), (getattr(action, "hook", None), "left")]
        if attached._watch is not None:
            watches.append(attached._watch)
    attributes = [(owner, name) for owner, name in attributes if hasattr(owner, name)]
    with _attributes_kept([*attributes, *((watch, "passes") for watch in watches)]):
        for watch in watches:
            watch.passes = PATIENCE + 1  # a number at which it neither warns nor ends
        yield


def _modules(target: Any) -> Iterator[nn.Module]:
    return target.modules() if isinstance(target, nn.Module) else iter(())


@contextlib.contextmanager
def _gradients_kept(model: nn.Module) -> Iterator[None]:
    values = [(each, each.requires_grad, each.grad) for each in model.parameters()]
    try:
        for parameter, _, gradient in values:
            if gradient is not None:
                parameter.grad = None  # a backward inside would add to it in place
        yield
    finally:
        for parameter, requires_grad, gradient in values:
            if parameter.requires_grad is not requires_grad:
                parameter.requires_grad_(requires_grad)
            parameter.grad = gradient


@contextlib.contextmanager
def _buffers_kept(model: nn.Module) -> Iterator[None]:
    owners = [(module, dict(module._buffers)) for module in model.modules() if module._buffers]
    buffers = {id(each): each for _, own in owners for each in own.values() if each is not None}
    # batch norm writes its statistics without a change of their version, so a copy alone shows what has changed
    values = [(buffer, buffer.detach().clone()) for buffer in buffers.values()]
    try:
        yield
    finally:
        for module, own in owners:
            for name, buffer in own.items():
                module._buffers[name] = buffer
        for buffer, value in values:
            buffer.data.copy_(value)  # as `data`, since autograd may have saved the buffer


@contextlib.contextmanager
def _attributes_kept(attributes: list[tuple[Any, str]]) -> Iterator[None]:
    values = [(owner, name, getattr(owner, name)) for owner, name in attributes]
    try:
        yield
    finally:
        for owner, name, value in values:
            setattr(owner, name, value)
