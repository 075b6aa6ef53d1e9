"""Keeps what a step of the recipe must leave as it was: generators, and the epochs and generators of loaders."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from augreg.recipe.task import Task
from augreg.training.rng_state import hashed_seed

__all__ = ["kept", "seed_everything"]


@contextlib.contextmanager
def kept(task: Task) -> Iterator[None]:
    """A context after which all global generators, and those of the loaders of a task, are as before.

    It holds after an exception, too. Models and optimizers need nothing: runs have their own.
    """
    accelerators = [torch.cuda] if torch.cuda.is_available() and torch.cuda.is_initialized() else []
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002 - other code draws from it
    devices = [backend.get_rng_state_all() for backend in accelerators]
    loaders = [(owner, owner.get_state()) for owner in _generators(task)]
    epochs = [(owner, name, getattr(owner, name)) for owner, name in _epochs(task)]
    deterministic = torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002
        torch.set_rng_state(states[2])
        for backend, state in zip(accelerators, devices, strict=True):
            backend.set_rng_state_all(state)
        for generator, state in loaders:
            generator.set_state(state)
        for owner, name, value in epochs:
            if getattr(owner, name) != value:
                owner.set_epoch(value) if callable(getattr(owner, "set_epoch", None)) and value is not None else None
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = deterministic


def seed_everything(*numbers: int) -> None:
    """Seed the generators of Python, NumPy and torch by a hash of these numbers."""
    seed = hashed_seed(*numbers)
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002
    torch.manual_seed(seed)


def _loaders(task: Task) -> list[Any]:
    return [data for data in (task.train, task.validation, task.clean) if data is not None]


def _generators(task: Task) -> list[torch.Generator]:
    found: dict[int, torch.Generator] = {}
    for loader in _loaders(task):
        for owner in (loader, getattr(loader, "sampler", None), getattr(loader, "dataset", None)):
            generator = getattr(owner, "generator", None)
            if isinstance(generator, torch.Generator):
                found[id(generator)] = generator
    return list(found.values())


def _epochs(task: Task) -> list[tuple[Any, str]]:
    owners: dict[int, Any] = {}
    for loader in _loaders(task):
        for owner in (loader, getattr(loader, "sampler", None), getattr(loader, "dataset", None)):
            if callable(getattr(owner, "set_epoch", None)) and hasattr(owner, "epoch"):
                owners[id(owner)] = owner
    return [(owner, "epoch") for owner in owners.values()]
