"""Step 1: is the loss of the new model that of an untrained model?

It is measured with weight decay, penalties, dropout and augmentation off, and compared with the loss of zero outputs
(log C for C classes) and with that of the best constant outputs (the entropy of the frequencies of the labels). The
comparison has two sides: a loss below the entropy is a leak of the labels, or a model that was trained already.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from augreg.recipe.batches import Batch, size_of, sliced, training_batches
from augreg.recipe.losses import Problem, class_axis, dense_targets
from augreg.recipe.probes.baselines import Baselines, baselines, constant_outputs, own_baselines
from augreg.recipe.probes.double_softmax import DOUBLE_SOFTMAX, is_double_softmax
from augreg.recipe.probes.first_inputs import FirstInputs
from augreg.recipe.result import Cause, Result, Verdict
from augreg.recipe.state import kept
from augreg.recipe.task import Task
from augreg.recipe.training import Training, start

__all__ = ["initial_loss"]

_ABOVE = 1.25  # times the loss of zero outputs: more is too high
_BELOW = 0.8  # times the loss of the best constant: less is too low
_SCALE = 6.0  # root mean square of the inputs of the first layer: more is not normalized
_SMALL = 0.1  # standard deviation of targets: less is not normalized, if outputs are of the usual size
_SUM = 0.1  # how far the ratio of losses may be from the ratio of sizes, for a sum


def initial_loss(task: Task, *, samples: int = 512) -> Result:
    """Compare the loss of a new model, on so many training samples, with what it should be.

    Also reports outputs that are probabilities already, inputs that are not normalized, and a loss that is a sum over
    the batch. The task, generators and loaders are as before at the end.
    """
    with kept(task), torch.no_grad():
        training = start(task, noise=False)
        batch = training.moved(training_batches(task, clean=True).few(samples))
        with training.noise_off(batch):
            return _judged(_measured(training, batch))


@dataclass(frozen=True)
class _Measured:
    loss: float
    expected: Baselines
    known: Baselines | None  # of the default loss, if outputs and targets fit it
    problem: Problem
    classes: int
    samples: int
    without_bias: float
    spread: float
    double: bool
    summed: float | None
    scale: float
    target_spread: float
    without_weights: float  # the loss with the entries of the weights in another order


def _measured(training: Training, batch: Batch) -> _Measured:
    targets = batch[1]
    inputs_seen = FirstInputs(training.model)
    with inputs_seen:
        outputs = training.outputs(batch[0])
    problem, dense = training.problem(outputs), dense_targets(targets, outputs)
    loss = float(training.batch_loss(batch))
    known = None if problem == "other" else baselines(outputs, targets, problem)
    expected = known or Baselines(math.nan, math.nan)
    if training.task.loss is not None:
        expected = own_baselines(training.loss, outputs, targets, problem)
    elif training.own_loss and not _same(loss, float(training.loss(outputs, targets))):
        expected = Baselines(math.nan, math.nan)  # a loss inside of the module, which cannot be called alone
    return _Measured(
        loss=loss,
        expected=expected,
        known=known,
        problem=problem,
        classes=outputs.shape[class_axis(outputs, dense)] if outputs.ndim > 1 else 1,
        samples=size_of(batch),
        without_bias=_without_bias(training, outputs, targets),
        spread=float(outputs.float().std(0).mean()) if len(outputs) > 1 else 0.0,
        double=not math.isnan(expected.zero) and is_double_softmax(training, batch[0], outputs, targets),
        summed=_growth(training, batch),
        scale=inputs_seen.scale,
        target_spread=float(dense.double().std(0).mean()) if len(dense) > 1 else 0.0,
        without_weights=_without_weights(training, batch) if loss < _accepted(expected, problem)[0] else math.nan,
    )


def _same(one: float, other: float) -> bool:
    return abs(one - other) <= 1e-3 * abs(other)


def _without_bias(training: Training, outputs: Tensor, targets: Any) -> float:
    """The loss of the outputs without their mean; NaN if the loss refuses such outputs, as one of probabilities."""
    centered = outputs - outputs.mean(0, keepdim=True)
    problem = training.problem(outputs)
    if problem == "regression":
        centered = centered + constant_outputs(outputs, targets, problem)
    try:
        return float(training.loss(centered, targets))
    except Exception:
        return math.nan


def _without_weights(training: Training, batch: Batch) -> float:
    """The loss with the entries of each parameter in a random order: what training put into the weights is gone."""
    generator = torch.Generator().manual_seed(0)
    parameters = list(training.model.parameters())
    values = [each.detach().clone() for each in parameters]
    try:
        for each, value in zip(parameters, values, strict=True):
            order = torch.randperm(each.numel(), generator=generator).to(each.device)
            each.copy_(value.flatten()[order].reshape(each.shape))
        return float(training.batch_loss(batch))
    finally:
        for each, value in zip(parameters, values, strict=True):
            each.copy_(value)


def _growth(training: Training, batch: Batch) -> float | None:
    """The loss of the batch over the mean loss of its halves: 1 for a mean, 2 for a sum. None for a single sample."""
    half = size_of(batch) // 2
    if half < 1:
        return None
    parts = [float(training.batch_loss(sliced(batch, *ends))) for ends in ((0, half), (half, 2 * half))]
    whole, mean = float(training.batch_loss(sliced(batch, 0, 2 * half))), sum(parts) / 2
    return whole / mean if mean else None


def _judged(seen: _Measured) -> Result:
    low, high = _accepted(seen.expected, seen.problem)
    causes = _causes(seen, low, high)
    verdict: Verdict = "pass"
    if not math.isfinite(seen.loss):
        summary, verdict = f"the loss of the new model is {seen.loss}", "fail"
    elif seen.loss > high:
        summary, verdict = f"the loss {seen.loss:.3f} is above that of an untrained model", "fail"
    elif seen.loss < low:
        summary, verdict = f"the loss {seen.loss:.3f} is below what an untrained model can have", "fail"
    elif math.isinf(high):
        summary = f"the loss {seen.loss:.3f} cannot be judged: outputs without knowledge have no such loss"
    else:
        summary = f"the loss {seen.loss:.3f} is that of an untrained model"
    if causes and verdict == "pass":
        certain = any(cause.name in ("double softmax", "summed loss") for cause in causes)
        verdict, summary = "fail" if certain else "warning", f"{summary}, but: {causes[0].name}"
    if [cause.name for cause in causes] in (["trained weights"], ["targets not normalized"]):
        verdict = "warning"
    return Result(
        "initial loss",
        verdict,
        summary,
        _evidence(seen, low, high),
        causes,
        causes[0].remedy if causes else "go on: overfit a few samples" if verdict == "pass" else _LOOK,
    )


def _accepted(expected: Baselines, problem: Problem) -> tuple[float, float]:
    """The range of losses that a new model may have; infinite if nothing is known about the loss."""
    if not all(map(math.isfinite, expected)):
        return -math.inf, math.inf
    least, most = min(expected), max(expected)
    above = 2 if problem in ("regression", "other") else _ABOVE
    return least - (1 - _BELOW) * abs(least), most + (above - 1) * abs(most)


_LOOK = "look at the outputs of the new model, and at the loss for zero outputs"


def _evidence(seen: _Measured, low: float, high: float) -> dict[str, Any]:
    found = {"loss": seen.loss}
    if seen.known is not None:
        zero, constant = _NAMES[seen.problem]
        found |= {zero.format(seen.classes): seen.known.zero, constant: seen.known.constant}
    if seen.expected != seen.known:
        found |= {"loss of zero outputs": seen.expected.zero, "loss of constant outputs": seen.expected.constant}
    return {
        **found,
        "accepted": [low, high],
        "loss without the mean output": seen.without_bias,
        "standard deviation of the outputs": seen.spread,
        "root mean square of the inputs": seen.scale,
        "samples": seen.samples,
    }


_NAMES = {
    "classes": ("log {}", "entropy of the labels"),
    "binary": ("log 2", "entropy of the labels"),
    "regression": ("mean square of the targets", "variance of the targets"),
}


def _causes(seen: _Measured, low: float, high: float) -> tuple[Cause, ...]:
    found = []
    if seen.double:
        found.append(DOUBLE_SOFTMAX)
    if seen.summed is not None and abs(seen.summed - 2) < _SUM:
        found.append(
            Cause(
                "summed loss",
                f"the loss of a batch is {seen.summed:.2f} times that of its halves: it is the sum over the samples",
                "use the mean (reduction='mean'): with a sum, the rate depends on the size of the batch",
            )
        )
    if seen.scale > _SCALE:
        found.append(
            Cause(
                "inputs not normalized",
                f"the root mean square of the inputs of the first layer is {seen.scale:.3g}",
                "subtract the mean of the training images and divide by their standard deviation: step `normalize`",
            )
        )
    if seen.loss > high and not found:
        found.append(_too_high(seen, high))
    if seen.loss < low and not found:
        found.append(_too_low(seen, low))
    return tuple(found)


def _too_low(seen: _Measured, low: float) -> Cause:
    if seen.problem == "classes" and seen.loss < 0:
        return Cause(
            "missing logarithm",
            "the loss is negative: it takes log-probabilities, and the outputs are probabilities or logits",
            "end the model with log_softmax, or give logits to cross-entropy",
        )
    if not seen.without_weights < low:
        return Cause(
            "trained weights",
            f"the loss is {seen.without_weights:.3f} once the entries of weights change places: they know the labels",
            "go on if the model was trained before on purpose; otherwise look for weights that were loaded",
        )
    return Cause(
        "leak",
        "a new model cannot know the labels: they may be among its inputs",
        "look for the labels in the inputs",
    )


def _too_high(seen: _Measured, high: float) -> Cause:
    if seen.without_bias <= high or seen.without_bias - high < 0.1 * (seen.loss - high):
        return Cause(
            "bias of the head",
            f"without the mean of the outputs the loss is {seen.without_bias:.3f}: the same error for all samples",
            "initialize the bias of the last layer with zeros, or the logs of the frequencies of the classes; for a "
            "regression with the mean of the targets",
        )
    if seen.problem == "regression" and 0 < seen.target_spread < _SMALL and seen.spread < 1:
        return Cause(
            "targets not normalized",
            f"the outputs of the new model differ between samples by {seen.spread:.3g}, the targets by "
            f"{seen.target_spread:.3g}",
            "subtract the mean of the targets and divide by their standard deviation",
        )
    return Cause(
        "large outputs",
        f"the outputs of the new model differ between samples by a standard deviation of {seen.spread:.3g}",
        "make the initial weights of the last layer smaller, or normalize what it gets",
    )
