"""Keeps what a step of the recipe must leave as it was: generators, and the epochs of loaders."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from augreg.expectation.noise.kept_state import generators_kept
from augreg.recipe.batches import generators_of, parts_of
from augreg.recipe.task import Task
from augreg.training.rng_state import hashed_seed

__all__ = ["kept", "seed_everything"]


@contextlib.contextmanager
def kept(task: Task) -> Iterator[None]:
    """A context after which all global generators, and those of the loaders of a task, are as before.

    It holds after an exception, too. Models and optimizers need nothing: runs have their own.
    """
    loaders = [data for data in (task.train, task.validation, task.clean) if data is not None]
    generators = [(each, each.get_state()) for loader in loaders for each in generators_of(loader)]
    parts = [part for loader in loaders for part in parts_of(loader)]
    numbers = [(vars(part), _numbers(part)) for part in parts if hasattr(part, "__dict__")]
    shared: list[Any] = [getattr(part, "_epoch", None) for part in parts]
    cells = [each._cell for each in shared if hasattr(each, "_cell")]
    epochs = [list(cell) for cell in cells]  # of datasets of augreg.data, which workers share
    deterministic = torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark
    try:
        with generators_kept():
            yield
    finally:
        for generator, state in generators:
            generator.set_state(state)
        for attributes, values in numbers:
            attributes.update(values)
        for cell, epoch in zip(cells, epochs, strict=True):
            cell[:] = epoch
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = deterministic


def seed_everything(*numbers: int) -> None:
    """Seed the generators of Python, NumPy and torch by a hash of these numbers."""
    seed = hashed_seed(*numbers)
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002
    torch.manual_seed(seed)


def _numbers(part: Any) -> dict[str, Any]:
    """The attributes that are numbers or None: epochs, and what else samplers and datasets count."""
    return {name: value for name, value in vars(part).items() if value is None or isinstance(value, int | float)}
