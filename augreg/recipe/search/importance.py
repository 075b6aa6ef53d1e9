"""How much each parameter matters: what a parabola over it explains of the ranks of the trials.

Ranks, because one trial that diverged must not count more than all others; a parabola, because the best rate lies
between others. What as many random numbers would explain is taken off (the adjusted coefficient of determination).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from augreg.recipe.search.space import Choice, Parameter, Space
from augreg.recipe.search.trial import Trial

__all__ = ["importance"]


def importance(space: Space, trials: Sequence[Trial], maximize: bool) -> dict[str, float]:
    """The fraction of the variance of the ranks that each parameter explains alone, from 0 to 1.

    A trial that failed is the worst. Trials that are too few for a parabola give 0.
    """
    done = [trial for trial in trials if trial.done and all(path in trial.parameters for path in space)]
    ranks = _ranks([_order(trial, maximize) for trial in done])
    return {path: _explained(_columns(each, path, done), ranks) for path, each in space.items()}


def _order(trial: Trial, maximize: bool) -> tuple[float, float]:
    """What trials are ordered by, the worst first: the value, and between equal ones the validation loss."""
    if trial.value is None:
        return -math.inf, 0.0
    losses = trial.history.get("validation loss") or [0.0]
    return trial.value if maximize else -trial.value, -losses[-1]


def _ranks(keys: Sequence[tuple[float, float]]) -> NDArray[np.float64]:
    """The places in order; equal ones have the mean of theirs."""
    order = sorted(keys)
    return np.array([order.index(key) + (order.count(key) - 1) / 2 for key in keys], dtype=np.float64)


def _columns(each: Parameter, path: str, trials: Sequence[Trial]) -> NDArray[np.float64]:
    """What the ranks are fitted by, apart from a constant."""
    values: list[Any] = [trial.parameters[path] for trial in trials]
    if isinstance(each, Choice):
        return np.array([[value == other for other in each.values[1:]] for value in values], dtype=np.float64)
    units = np.array([each.unit(value) for value in values])
    return np.stack([units, units**2], 1) if len(units) else np.zeros((0, 2))


def _explained(columns: NDArray[np.float64], ranks: NDArray[np.float64]) -> float:
    count, total = len(ranks), float(((ranks - ranks.mean()) ** 2).sum()) if len(ranks) else 0.0
    terms = int(np.linalg.matrix_rank(columns - columns.mean(0))) if count else 0
    if not terms or count - terms - 1 < 1 or not total:
        return 0.0
    design = np.column_stack([np.ones(count), columns])
    fitted = design @ np.linalg.lstsq(design, ranks, rcond=None)[0]
    unexplained = float(((ranks - fitted) ** 2).sum()) / total
    return max(0.0, 1 - unexplained * (count - 1) / (count - terms - 1))
