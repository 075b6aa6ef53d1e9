"""Step 2: can the model memorize a few samples, with every noise off?

If it cannot, something is broken, and probes find out what: gradients, the optimizer, the rate. Some faults let it
learn a few samples all the same (labels that do not belong to their images, a frozen layer): the probes run anyway.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from augreg.recipe.batches import Batch, size_of, training_batches
from augreg.recipe.charts import Chart
from augreg.recipe.measured import Means
from augreg.recipe.probes.baselines import constant_outputs, lowest_loss
from augreg.recipe.probes.double_softmax import DOUBLE_SOFTMAX, is_double_softmax
from augreg.recipe.probes.gradients import NO_ZERO_GRAD, GradientWatch, Untrained, accumulates, gradient_causes
from augreg.recipe.probes.label_agreement import label_causes
from augreg.recipe.result import Cause, Result, Verdict
from augreg.recipe.state import kept
from augreg.recipe.task import Task
from augreg.recipe.training import Training, start

__all__ = ["overfit"]

_FACTORS = (0.1, 10.0, 0.01, 100.0, 1e-4, 1e4)
_FALLS = 0.05  # of the loss, from a quarter of the iterations to the next
_MOST = 10  # times the budget, while the loss falls
_NEAR = 0.01  # of what can be learned, above the lowest loss
_EVERY = 10  # iterations between two looks at the samples
_CERTAIN = ("missing zero_grad", "detached gradients", "double softmax")


def overfit(task: Task, *, samples: int = 16, iterations: int = 300, labels: int = 1000) -> Result:
    """Train on a few samples, as one batch, until all are right; for a regression, until R² is 0.99.

    While the loss still falls, it goes on after so many `iterations`, up to ten times as long.
    Augmentation, mixing, dropout, stochastic depth, label smoothing, penalties and weight decay are off. So many
    samples, `labels`, are used to find out whether labels belong to their images. The task, generators and loaders
    are as before at the end.
    """
    with kept(task):
        batch = training_batches(task, clean=True).few(samples)
        first = _attempt(task, batch, iterations)
        causes = list(gradient_causes(first.untrained, first.error))
        if not first.error and _accumulates(task, batch):
            causes.insert(0, NO_ZERO_GRAD)
        if first.double_softmax:
            causes.insert(0, DOUBLE_SOFTMAX)
        if not first.learned and not causes:
            causes += _causes_of_rate(task, batch, iterations, first)
        evidence = first.evidence()
        of_labels = label_causes(task, labels, evidence)
        if of_labels and [cause.name for cause in causes] == ["model or loss"]:
            causes = []  # labels of no sense are hard to learn
        causes += of_labels
        return _judged(first, tuple(causes), evidence)


@dataclass
class _Attempt:
    samples: int
    rate: float
    losses: list[float] = field(default_factory=list)
    right: list[float] = field(default_factory=list)
    learned: bool = False
    iterations: int = 0
    error: str = ""
    still_drawing: tuple[str, ...] = ()
    untrained: Untrained | None = None
    double_softmax: bool = False
    name: str = "accuracy"
    lowest: float = 0.0  # loss that any outputs have
    enough: float = -math.inf  # a loss that is as good as the lowest

    def evidence(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            "samples": self.samples,
            "iterations": self.iterations,
            "rate": self.rate,
            "first loss": self.losses[0] if self.losses else math.nan,
            "last loss": self.losses[-1] if self.losses else math.nan,
            self.name: self.right[-1] if self.right else math.nan,
        }
        if self.error:
            found["error"] = self.error
        if self.still_drawing:
            found["draws all the same"] = list(self.still_drawing)
        if self.untrained is not None and self.untrained.unused:
            found["parameters that did not run"] = list(self.untrained.unused)
        return found


def _attempt(task: Task, batch: Batch, iterations: int, rate: float | None = None) -> _Attempt:
    """One run on the samples, at another rate if it is given; at the task's own it goes on while the loss falls."""
    patient = rate is None
    training = start(task if rate is None else task.replace(learning_rate=rate), noise=False)
    batch = training.moved(batch)
    attempt = _Attempt(size_of(batch), float(training.optimizer.param_groups[0]["lr"]))
    with (
        training.noise_off(batch) as still,
        GradientWatch(training) as watch,
    ):
        attempt.still_drawing = still
        with torch.no_grad():
            outputs = training.outputs(batch[0])
            attempt.double_softmax = is_double_softmax(training, batch[0], outputs, batch[1])
            attempt.lowest, attempt.enough = _lowest(training, outputs, batch[1])
        try:
            _learn(training, batch, iterations, attempt)
            while patient and not attempt.learned and attempt.iterations < _MOST * iterations:
                if not _still_falls(attempt.losses, attempt.lowest):
                    break
                _learn(training, batch, iterations, attempt)
        except RuntimeError as error:
            attempt.error = str(error).splitlines()[0]
        attempt.untrained = watch.untrained()
    return attempt


def _learn(training: Training, batch: Batch, iterations: int, attempt: _Attempt) -> None:
    start = attempt.iterations
    for iteration in range(start + 1, start + iterations + 1):
        loss = training.update(batch)
        attempt.losses.append(loss)
        attempt.iterations = iteration
        if not math.isfinite(loss):
            return
        if iteration % _EVERY == 0 or iteration == start + iterations:
            right, attempt.name = _right(training, batch)
            attempt.right.append(right)
            attempt.learned = right >= (1.0 if attempt.name == "accuracy" else 0.99) or loss <= attempt.enough
            if attempt.learned:
                return


def _still_falls(losses: list[float], lowest: float) -> bool:
    """Whether the mean loss of the last quarter is clearly nearer to the lowest than that of the quarter before."""
    quarter = len(losses) // 4
    if quarter < 1 or not math.isfinite(losses[-1]):
        return False
    last, before = sum(losses[-quarter:]) / quarter, sum(losses[-2 * quarter : -quarter]) / quarter
    return last - lowest < (1 - _FALLS) * (before - lowest)


def _lowest(training: Training, outputs: Tensor, targets: Any) -> tuple[float, float]:
    """The lowest loss of a few samples, and a loss at which numbers are learned, for a loss of the task's own."""
    problem = training.problem(outputs)
    if training.task.loss is None or problem not in ("regression", "other"):
        return 0.0, -math.inf
    first = constant_outputs(outputs, targets, problem)
    constant = lowest_loss(training.loss, first[:1], outputs.shape, targets)
    lowest = lowest_loss(training.loss, first, outputs.shape, targets)
    known = math.isfinite(constant) and math.isfinite(lowest)
    return (lowest, lowest + _NEAR * (constant - lowest)) if known else (0.0, -math.inf)


@torch.no_grad()
def _right(training: Training, batch: Batch) -> tuple[float, str]:
    """The fraction of the samples that is right, or R², in the current mode of the model; and its name."""
    outputs = training.outputs(batch[0])
    problem = training.problem(outputs)
    if problem == "other":
        return math.nan, "R²"
    means = Means()
    numbers = batch[1] if problem == "regression" else None
    means.add(0.0, training.score(outputs, batch[1]), size_of(batch), numbers)
    return means.measured()["metric"], "R²" if problem == "regression" else "accuracy"


def _accumulates(task: Task, batch: Batch) -> bool:
    training = start(task, noise=False)
    batch = training.moved(batch)
    with training.noise_off(batch):
        return accumulates(training, batch)


def _causes_of_rate(task: Task, batch: Batch, iterations: int, first: _Attempt) -> list[Cause]:
    """Whether the samples are learned at another rate."""
    for factor in _FACTORS:
        if not _attempt(task, batch, iterations, first.rate * factor).learned:
            continue
        much = "high" if factor < 1 else "low"
        return [
            Cause(
                f"rate too {much}",
                f"at {first.rate * factor:.3g} the samples are learned, at {first.rate:.3g} they are not",
                f"use a {'lower' if factor < 1 else 'higher'} rate: the next step finds one",
            )
        ]
    return [
        Cause(
            "model or loss",
            "gradients reach all parameters, and no rate between 1e-4 and 1e4 times the task's helps",
            "use a bigger model, and look whether the loss is that of the outputs and the labels you mean",
        )
    ]


def _judged(first: _Attempt, causes: tuple[Cause, ...], evidence: dict[str, Any]) -> Result:
    verdict: Verdict = "pass"
    if first.learned:
        summary = f"{first.samples} samples were learned in {first.iterations} iterations"
        if causes:
            certain = causes[0].name in _CERTAIN
            verdict, summary = "fail" if certain else "warning", f"{summary}, but: {causes[0].name}"
    else:
        verdict = "fail"
        summary = f"{first.samples} samples were not learned in {first.iterations} iterations"
    action = causes[0].remedy if causes else "go on: find the learning rate"
    line = tuple(first.losses)
    chart = Chart(tuple(map(float, range(1, len(line) + 1))), {"loss": _finite(line)}, "iteration", "loss")
    return Result("overfit", verdict, summary, evidence, causes, action, (chart,) if line else ())


def _finite(values: tuple[float, ...]) -> tuple[float | None, ...]:
    return tuple(value if math.isfinite(value) else None for value in values)
