"""Whether a patch helped: runs with and without it, in pairs of the same seed, and the mean difference."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from augreg.expectation.means.student import student_quantile
from augreg.recipe.fitting import Run, fit
from augreg.recipe.patches.patch import Patch
from augreg.recipe.task import Task

__all__ = ["Effect", "measure_patch"]

Answer = Literal["helped", "hurt", "no difference seen"]


@dataclass(frozen=True)
class Effect:
    """What a patch did to the validation metric, for each seed: `before` without and `after` with it.

    The validation losses are in `losses_before` and `losses_after`. Both are NaN for a run that diverged, whose seed
    does not count for the difference. `samples` is the number of validation samples.
    """

    before: tuple[float, ...]
    after: tuple[float, ...]
    losses_before: tuple[float, ...] = ()
    losses_after: tuple[float, ...] = ()
    epochs: int = 0
    epochs_after: int = 0
    samples: int = 0

    @property
    def differences(self) -> tuple[float, ...]:
        """The rise of the metric for each seed without a run that diverged."""
        found = np.subtract(self.after, self.before)
        return tuple(found[np.isfinite(found)].tolist())

    @property
    def difference(self) -> float:
        """The mean rise of the metric: above 0 the patch is better. NaN if no seed is left."""
        return float(np.mean(self.differences)) if self.differences else math.nan

    @property
    def standard_error(self) -> float:
        """The standard error of the difference, from the spread over the seeds; NaN for a single one.

        The spread is at least what one validation sample changes: a few seeds are often equal by chance.
        """
        if len(self.differences) < 2:
            return math.nan
        spread = max(float(np.std(self.differences, ddof=1)), 1 / self.samples if self.samples else 0.0)
        return spread / math.sqrt(len(self.differences))

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the difference, by Student's t; infinite for a single seed."""
        if len(self.differences) < 2:
            return -math.inf, math.inf
        half = student_quantile(0.95, len(self.differences) - 1) * self.standard_error
        return self.difference - half, self.difference + half

    @property
    def answer(self) -> Answer:
        """`helped` or `hurt` if the interval is on one side of 0, or if fewer or more runs diverged."""
        more = int(np.isnan(self.after).sum() - np.isnan(self.before).sum())
        if more:
            return "hurt" if more > 0 else "helped"
        low, high = self.interval
        if low > 0:
            return "helped"
        return "hurt" if high < 0 else "no difference seen"

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            **dataclasses.asdict(self),
            "difference": self.difference,
            "standard error": self.standard_error,
            "interval": list(self.interval),
            "answer": self.answer,
        }

    def __str__(self) -> str:
        low, high = self.interval
        without, patched = (sum(map(math.isnan, side)) for side in (self.before, self.after))
        if without or patched:
            return f"{self.answer}: of {len(self.before)} runs, {without} diverged without, {patched} with the patch"
        return (
            f"{self.answer}: the validation metric is {np.mean(self.before):.4f} without and "
            f"{np.mean(self.after):.4f} with the patch, {self.difference:+.4f} (95 % interval {low:+.4f} to "
            f"{high:+.4f}, {len(self.before)} seed{'s' * (len(self.before) != 1)})"
        )


def measure_patch(
    task: Task,
    patch: Patch,
    epochs: int,
    *,
    seeds: int | Sequence[int] = 3,
    folder: str | Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Effect:
    """Train with and without the patch, for each seed, and compare the validation metrics of the last epochs.

    `seeds` is a number of seeds, from the task's own on, or a list of them. With `folder`, a measurement that was
    killed goes on where it was. `progress(done, total)` is called after each run. The task, generators and loaders
    are as before at the end. Raises ValueError if there is no validation data.
    """
    if task.validation is None:
        raise ValueError("validation: a patch is measured on validation data, and the task has none")
    numbers = list(range(task.seed, task.seed + seeds)) if isinstance(seeds, int) else list(seeds)
    if not numbers:
        raise ValueError("seeds: expected at least one")
    patched, longer = patch.apply_to(task), patch.epochs_of(epochs)
    found: dict[str, list[Run]] = {"before": [], "after": []}
    for seed in numbers:
        for side, each, count in (("before", task, epochs), ("after", patched, longer)):
            place = None if folder is None else Path(folder) / f"{side}-{seed}"
            run = fit(each, count, seed=seed, folder=place)
            run.model = None
            found[side].append(run)
            if progress is not None:
                progress(sum(map(len, found.values())), 2 * len(numbers))
    return Effect(
        before=_last(found["before"], "metric"),
        after=_last(found["after"], "metric"),
        losses_before=_last(found["before"], "loss"),
        losses_after=_last(found["after"], "loss"),
        epochs=epochs,
        epochs_after=longer,
        samples=found["before"][0].validation_samples,
    )


def _last(runs: Sequence[Run], name: str) -> tuple[float, ...]:
    return tuple(run.last(f"validation {name}") if run.finished else math.nan for run in runs)
