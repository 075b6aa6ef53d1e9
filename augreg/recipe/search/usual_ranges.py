"""The space for a task whose user gives none: rate, weight decay, and the usual numbers of the steps in its spec."""

from __future__ import annotations

import re
from typing import Any

from augreg.recipe.result import Result
from augreg.recipe.search.paths import known_values, refusal, space_of
from augreg.recipe.search.space import Range, Space, parameter
from augreg.recipe.state import kept
from augreg.recipe.task import Task
from augreg.recipe.training import start

__all__ = ["default_space"]

_RATES = 30.0  # times the rate of the task, and as much below it
_BELOW, _ABOVE = 10.0, 2.0  # the best rate of 100 iterations is rather high for a longer run
_DECAY = "log [1e-5, 0.1]"
_OF_STEPS = {
    "dropout.p": [0.0, 0.5],
    "spatial_dropout.p": [0.0, 0.5],
    "drop_block.p": [0.0, 0.3],
    "stochastic_depth.p": [0.0, 0.5],
    "mixup.alpha": "log [0.05, 1]",
    "cutmix.alpha": "log [0.1, 2]",
    "label_smoothing.smoothing": [0.0, 0.2],
    "rand_augment.m": [3, 15],
    "cutout.size": [0.1, 0.5],
}
"""Usual ranges of arguments, by step and argument."""
_STEP = re.compile(r"(?:image|batch|model|loss)\[\d+\]\.(\w+\.\w+)")


def default_space(task: Task, rate: Result | None = None) -> Space:
    """The rate, weight decay, and of the spec the usual ranges of dropout, mixing, label smoothing and magnitudes.

    `rate` is the result of `learning_rate`: rates go from a tenth of the lowest that was good to twice the highest.
    Without it they are within a factor of 30 of the task's own.
    """
    if rate is not None and rate.ok:
        low, high = rate.evidence["range"][0] / _BELOW, rate.evidence["range"][1] * _ABOVE
    else:
        own = _own_rate(task)
        low, high = own / _RATES, own * _RATES
    found: dict[str, Any] = {"learning_rate": {"low": float(f"{low:.3g}"), "high": float(f"{high:.3g}"), "log": True}}
    found["weight_decay"] = _DECAY
    for path, value in known_values(task).items():
        step = _STEP.fullmatch(path)
        if step and step[1] in _OF_STEPS and isinstance(value, int | float):
            written = _OF_STEPS[step[1]]
            ends = parameter(written)
            if isinstance(ends, Range) and not any(refusal(task, path, end) for end in (ends.low, ends.high)):
                found[path] = written
    return space_of(task, found)


def _own_rate(task: Task) -> float:
    with kept(task):
        return float(start(task).optimizer.param_groups[0]["lr"]) or 1e-3
