"""Step 6: what do the curves of training and validation say?

Training is measured as validation is, in evaluation mode and without augmentation: the loss during training, with its
noise and with weights of the whole epoch, is no number to compare with.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from augreg.recipe.charts import Chart
from augreg.recipe.fitting import Run, fit
from augreg.recipe.probes.validation_checks import validation_causes
from augreg.recipe.result import Cause, Result, Verdict
from augreg.recipe.state import kept
from augreg.recipe.task import Task

__all__ = ["State", "curves", "judge_curves"]

State = Literal[
    "diverged",
    "too early",
    "no progress",
    "spikes",
    "validation loss rising",
    "overfitting",
    "still rising",
    "underfitting",
    "good",
]
"""What the curves look like; the first that holds."""

_GAP = 0.1
_AGREE = 0.05  # of the validation loss
_FALLS = 0.05  # of the loss at the start: less is no progress
_UPDATES = 100  # after fewer, no progress says nothing
_RISES = 0.15  # of the lowest validation loss
_IMPROVES = 0.1  # of the loss at the end, by which it still falls
_LITTLE = 0.01  # of the loss at the start: a smaller fall at the end is no reason to go on
_GOOD = 0.95  # of the training metric: less, without a gap, is underfitting


def curves(task: Task, epochs: int = 5, *, run: Run | None = None, **options: Any) -> Result:
    """Train for so many epochs, or take a run of `fit`, and judge its curves; and examine the validation data.

    `options` are those of `fit`, such as `folder`. The task, generators and loaders are as before at the end.
    """
    with kept(task):
        causes = validation_causes(task)
        run = fit(task, epochs, **options) if run is None else run
    return judge_curves(run, causes)


def judge_curves(run: Run, causes: Sequence[Cause] = ()) -> Result:
    """The result for a run, with causes that are known already. `evidence["state"]` says what the curves look like.

    Overfitting is a gap of more than 0.1, and more than two standard errors, between the metrics of training and
    validation, whose losses also differ by 5 %; or a validation loss that rises by 15 % of its lowest value while
    that of training falls.
    """
    seen = _Seen(run)
    state, summary, own = _state(seen)
    found = (*causes, *([own] if own is not None else []))
    verdict: Verdict = "pass" if not found else "warning"
    if causes or state in ("diverged", "no progress"):
        verdict = "fail"
    if causes:
        summary = f"{causes[0].name}; apart from that, {summary}"
    return Result("curves", verdict, summary, seen.evidence(state), found, _action(state, found), _charts(run))


@dataclass(frozen=True)
class _Seen:
    """Numbers that verdicts depend on."""

    run: Run

    def line(self, name: str) -> list[float]:
        return self.run.history.get(name, [])

    @property
    def gap(self) -> float:
        return self.run.last("train metric") - self.run.last("validation metric")

    @property
    def error(self) -> float:
        """The standard error of the validation metric; without one in the run, that of a fraction."""
        error = self.run.last("validation metric error")
        if math.isfinite(error):
            return error
        value, count = self.run.last("validation metric"), self.run.validation_samples
        return math.sqrt(value * (1 - value) / count) if count and 0 <= value <= 1 else 0.0

    @property
    def gap_error(self) -> float:
        """The standard error of the gap: the samples of both sides are others."""
        error = self.run.last("train metric error")
        return math.hypot(self.error, error) if math.isfinite(error) else self.error

    @property
    def losses_agree(self) -> bool:
        """Whether the loss of validation is hardly above that of training: then a gap of metrics is chance."""
        training, validation = self.run.last("train loss"), self.run.last("validation loss")
        return validation - training < _AGREE * abs(validation)

    @property
    def fall(self) -> float:
        """How far the training loss has fallen, as a fraction of the loss at the start."""
        before = self.run.start.get("train loss", math.nan)
        return (before - min(self.line("train loss"), default=math.nan)) / abs(before) if before else math.nan

    @property
    def rise(self) -> float:
        """How far the validation loss is above its lowest value, as a fraction of it, while training still falls."""
        validation, training = self.line("validation loss"), self.line("train loss")
        if len(validation) < 3:
            return 0.0
        best = int(np.argmin(validation))
        if len(validation) - best < 3 or training[-1] >= training[best]:
            return 0.0
        return validation[-1] / validation[best] - 1 if validation[best] > 0 else 0.0

    @property
    def spikes(self) -> int:
        """How many losses rise far above those around them, and above those of all batches at the start."""
        losses = np.asarray(self.run.losses)
        if len(losses) < 30:
            return 0
        width = 15
        padded = np.pad(losses, width, mode="edge")
        windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * width + 1)
        middle = np.median(windows, 1)
        spread = 1.4826 * np.median(np.abs(windows - middle[:, None]), 1)
        before = self.run.start.get("train loss", math.inf)
        limit = np.maximum(middle + 8 * spread, 1.5 * self.run.start.get("train largest loss", before))
        return int((losses > limit).sum())

    def change(self, name: str) -> float:
        """How far a line has risen over the last third of the epochs, and at least three, by a straight line."""
        last = self.line(name)[-max(3, len(self.line(name)) // 3) :]
        if len(last) < 2:
            return 0.0
        return float(np.polyfit(range(len(last)), last, 1)[0]) * (len(last) - 1)

    @property
    def improves(self) -> bool:
        """Whether, at the end, the metric still rises or the loss still falls clearly, in validation if there is."""
        side = "validation" if self.line("validation metric") else "train"
        fall, before = -self.change(f"{side} loss"), abs(self.run.start.get(f"{side} loss", 0.0))
        falls = fall > max(_IMPROVES * abs(self.run.last(f"{side} loss")), _LITTLE * before)
        return falls or self.change(f"{side} metric") > max(0.01, self.error)

    def evidence(self, state: State) -> dict[str, Any]:
        run = self.run
        names = ("train loss", "train metric", "validation loss", "validation metric")
        found: dict[str, Any] = {"state": state, "epochs": run.epochs}
        found |= {name: run.last(name) for name in names if run.history.get(name)}
        if run.history.get("validation metric"):
            found |= {"gap": self.gap, "standard error of the gap": self.gap_error}
        return found


def _state(seen: _Seen) -> tuple[State, str, Cause | None]:
    """The first state that holds, a sentence about it, and a cause if it is a problem."""
    run, validation = seen.run, bool(seen.line("validation metric"))
    if run.stopped and run.stopped != "stopped":
        cause = Cause("diverged", run.stopped, "lower the rate; look for logs and divisions of zero")
        return "diverged", f"training diverged: {run.stopped}", cause
    if not seen.fall >= _FALLS and len(run.losses) < _UPDATES:
        return "too early", f"{len(run.losses)} updates are too few to judge", None
    if not seen.fall >= _FALLS:
        cause = Cause(
            "no progress",
            f"the training loss fell by {seen.fall:.1%} of what it was",
            "go back to the initial loss, a few samples and the rate",
        )
        return "no progress", "the training loss does not fall", cause
    if seen.spikes:
        cause = Cause("spikes", f"{seen.spikes} losses are far above those around them", _SPIKES)
        return "spikes", "the loss has spikes", cause
    if validation and seen.rise > _RISES:
        cause = Cause(
            "overfitting",
            f"the validation loss is {seen.rise:.0%} above its lowest, while the training loss falls",
            "stop at the lowest, or regularize more, or use more data",
        )
        return "validation loss rising", "the validation loss rises while the training loss falls", cause
    if validation and seen.gap > max(_GAP, 2 * seen.gap_error) and not seen.losses_agree:
        cause = Cause(
            "overfitting",
            f"the metric is {seen.gap:.3f} higher in training than in validation",
            "augment and regularize more, or use more data",
        )
        return "overfitting", "training is far better than validation", cause
    if seen.improves:
        return "still rising", "the metric is still rising, or the loss still falling", None
    if run.last("train metric") < _GOOD:
        return "underfitting", "training and validation are equally far from perfect", None
    return "good", "training and validation agree, and both are good", None


_SPIKES = "lower the rate, warm it up, or clip gradients; look at the batches of the spikes"

_ACTIONS: dict[State, str] = {
    "too early": "train longer",
    "still rising": "train longer",
    "underfitting": "train longer, use a bigger model or regularize less, unless the labels are noisy",
    "good": "go back to the search for small gains, or stop here",
}


def _action(state: State, causes: Sequence[Cause]) -> str:
    return causes[0].remedy if causes else _ACTIONS[state]


def _charts(run: Run) -> tuple[Chart, ...]:
    charts = []
    for name in ("loss", "metric"):
        lines = {side: run.history.get(f"{side} {name}", []) for side in ("train", "validation")}
        lines = {side: [run.start.get(f"{side} {name}", math.nan), *line] for side, line in lines.items() if line}
        if lines:
            x = tuple(map(float, range(len(next(iter(lines.values()))))))
            shown = {side: tuple(y if math.isfinite(y) else None for y in line) for side, line in lines.items()}
            charts.append(Chart(x, shown, "epoch", name))
    return tuple(charts)
