"""Objectives for the tests of the search: a formula in place of a training run, and small tasks."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from recipe_tasks import digits, mlp, table

from augreg.recipe import Task
from augreg.recipe.search import Range
from augreg.recipe.search.objective import Outcome, Stop

PLANE = {"x": Range(-1.0, 1.0), "y": Range(1e-3, 1e1, log=True)}


def hill(parameters: Mapping[str, Any]) -> float:
    """1 at x = 0.5, y = 0.1, and less around it."""
    return 1 - (parameters["x"] - 0.5) ** 2 - 0.1 * math.log10(parameters["y"] / 0.1) ** 2


class Formula:
    """An objective that gets nearer to the value of a formula with each epoch."""

    name = "height"

    def __init__(
        self,
        formula: Callable[[Mapping[str, Any]], float] = hill,
        epochs: int = 3,
        maximize: bool = True,
        seconds: float = 0.0,
    ) -> None:
        self.formula = formula
        self.epochs = epochs
        self.maximize = maximize
        self.seconds = seconds

    def identity(self) -> str:
        return "formula"

    def about(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        return {"seeds": {"task": 0}, "fingerprint": "", "spec": None}

    def run(self, parameters: Mapping[str, Any], folder: Path | None, stop: Stop) -> Outcome:
        end = self.formula(parameters)
        values: list[float] = []
        for epoch in range(1, self.epochs + 1):
            time.sleep(self.seconds)
            values.append(end * epoch / self.epochs)
            if stop(values) is not None:
                return Outcome("pruned", values[-1], tuple(values))
        return Outcome("complete", end, tuple(values))


def iris(**changes: Any) -> Task:
    """A small task without a spec."""
    return Task(partial(mlp, 4, 3), *table("iris"), batch_size=28, learning_rate=1e-2).replace(**changes)


def images(**changes: Any) -> Task:
    """A small task with images of bytes, and a spec with dropout."""
    (train, labels), (other, others) = digits()
    pairs = ((train[:60], labels[:60]), (other[:40], others[:40]))
    data = [(list((each * 30 + 80).clamp(0, 255).byte()), names.tolist()) for each, names in pairs]
    spec = {
        "image": [{"normalize": {"mean": [0.3], "std": [0.24]}}],
        "model": [{"dropout": {"at": "1", "p": 0.1}}],
        "classes": 10,
    }
    return Task(mlp, *data, spec=spec).replace(**changes)


def with_spec(**changes: Any) -> Task:
    """A task with a spec that has numbers of all sections."""
    spec = {
        "image": [{"rand_augment": {"m": 9, "dialect": "timm"}}, {"cutout": {"size": 0.25, "p": 0.5}}],
        "batch": [{"mixup": {"alpha": 0.2}}],
        "model": [{"dropout": {"at": "1", "p": 0.2}}],
        "loss": [{"label_smoothing": 0.1}],
        "classes": 3,
    }
    return iris(spec=spec, **changes)
