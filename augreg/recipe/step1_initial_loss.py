"""Step 1: is the loss of the new model that of a model which knows nothing?

It is measured with weight decay, penalties, dropout and augmentation off, and compared with the loss of zero outputs
(log C for C classes) and with that of the best constant outputs (the entropy of the frequencies of the labels). The
comparison has two sides: a loss below the entropy is a leak of the labels, or a model that was trained already.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from augreg.recipe.baselines import Baselines, baselines, constant_outputs
from augreg.recipe.batches import Batch, size_of, sliced, training_batches
from augreg.recipe.double_softmax import DOUBLE_SOFTMAX, is_double_softmax
from augreg.recipe.losses import Problem, problem_of
from augreg.recipe.noise_off import noise_off
from augreg.recipe.result import Cause, Result, Verdict
from augreg.recipe.state import kept
from augreg.recipe.task import Task
from augreg.recipe.training import Training, start

__all__ = ["initial_loss"]

_ABOVE = 1.25  # times the loss of zero outputs: more is too high
_BELOW = 0.8  # times the loss of the best constant: less is too low
_SCALE = 6.0  # root mean square of the inputs of the first layer: more is not normalized
_SUM = 0.1  # how far the ratio of losses may be from the ratio of sizes, for a sum


def initial_loss(task: Task, *, samples: int = 512) -> Result:
    """Compare the loss of a new model, on so many training samples, with what it should be.

    Also reports outputs that are probabilities already, inputs that are not normalized, and a loss that is a sum over
    the batch. The task, generators and loaders are as before at the end.
    """
    with kept(task), torch.no_grad():
        training = start(task, noise=False)
        batch = training.moved(training_batches(task, clean=True).few(samples))
        with noise_off(training.model, lambda: training.outputs(batch[0])):
            return _judged(_measured(training, batch))


@dataclass(frozen=True)
class _Measured:
    loss: float
    expected: Baselines
    problem: Problem
    classes: int
    samples: int
    without_bias: float
    spread: float
    double: bool
    summed: float | None
    scale: float


def _measured(training: Training, batch: Batch) -> _Measured:
    model, targets = training.model, batch[1]
    inputs_seen = _FirstInputs(model)
    with inputs_seen:
        outputs = training.outputs(batch[0])
    problem = problem_of(outputs, targets)
    centered = outputs - outputs.mean(0, keepdim=True)
    if problem == "regression":
        centered = centered + constant_outputs(outputs, targets)
    return _Measured(
        loss=float(training.batch_loss(batch)),
        expected=baselines(outputs, targets),
        problem=problem,
        classes=outputs.shape[1] if outputs.ndim > 1 else 1,
        samples=size_of(batch),
        without_bias=float(training.loss(centered, targets)),
        spread=float(outputs.float().std(0).mean()) if len(outputs) > 1 else 0.0,
        double=is_double_softmax(training, batch[0], outputs, targets),
        summed=_growth(training, batch),
        scale=inputs_seen.scale,
    )


class _FirstInputs:
    """Records the root mean square of the inputs of the first layer that has a weight matrix or filters."""

    def __init__(self, model: nn.Module) -> None:
        self.layers = [each for each in model.modules() if _multiplies(each)]
        self.scale = 0.0
        self._seen = False

    def __enter__(self) -> None:
        self.handles = [each.register_forward_pre_hook(self._note) for each in self.layers]

    def __exit__(self, *error: object) -> None:
        for handle in self.handles:
            handle.remove()

    def _note(self, layer: nn.Module, inputs: tuple[Any, ...]) -> None:
        if not self._seen and inputs and isinstance(inputs[0], Tensor) and inputs[0].is_floating_point():
            self._seen = True
            self.scale = float(inputs[0].float().square().mean().sqrt())


def _multiplies(layer: nn.Module) -> bool:
    weight = getattr(layer, "weight", None)
    return isinstance(weight, Tensor) and weight.ndim >= 2 and not isinstance(layer, nn.Embedding | nn.EmbeddingBag)


def _growth(training: Training, batch: Batch) -> float | None:
    """The loss of the batch over the mean loss of its halves: 1 for a mean, 2 for a sum. None for a single sample."""
    half = size_of(batch) // 2
    if half < 1:
        return None
    parts = [float(training.batch_loss(sliced(batch, *ends))) for ends in ((0, half), (half, 2 * half))]
    whole, mean = float(training.batch_loss(sliced(batch, 0, 2 * half))), sum(parts) / 2
    return whole / mean if mean else None


def _judged(seen: _Measured) -> Result:
    low, high = _BELOW * min(seen.expected), _ABOVE * max(seen.expected)
    if seen.problem == "regression":
        high = 2 * max(seen.expected.zero, seen.expected.constant)
    causes = _causes(seen, low, high)
    verdict: Verdict = "pass"
    if not math.isfinite(seen.loss):
        summary, verdict = f"the loss of the new model is {seen.loss}", "fail"
    elif seen.loss > high:
        summary, verdict = f"the loss {seen.loss:.3f} is above what a model that knows nothing has", "fail"
    elif seen.loss < low:
        summary, verdict = f"the loss {seen.loss:.3f} is below what a model that knows nothing can have", "fail"
    else:
        summary = f"the loss {seen.loss:.3f} is that of a model that knows nothing"
    if causes and verdict == "pass":
        certain = any(cause.name in ("double softmax", "summed loss") for cause in causes)
        verdict, summary = "fail" if certain else "warning", f"{summary}, but: {causes[0].name}"
    return Result(
        "initial loss",
        verdict,
        summary,
        _evidence(seen, low, high),
        causes,
        causes[0].remedy if causes else "go on: overfit a few samples" if verdict == "pass" else _LOOK,
    )


_LOOK = "look at the outputs of the new model, and at the loss for zero outputs"


def _evidence(seen: _Measured, low: float, high: float) -> dict[str, Any]:
    zero, constant = _NAMES[seen.problem]
    zero = zero.format(seen.classes)
    return {
        "loss": seen.loss,
        zero: seen.expected.zero,
        constant: seen.expected.constant,
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
        found.append(
            Cause(
                "leak",
                "a new model cannot know the labels: they may be among its inputs, or its weights are trained",
                "look for the labels in the inputs, and for weights that were loaded, unless that is meant",
            )
        )
    return tuple(found)


def _too_high(seen: _Measured, high: float) -> Cause:
    if seen.without_bias <= high or seen.without_bias - high < 0.1 * (seen.loss - high):
        return Cause(
            "bias of the head",
            f"without the mean of the outputs the loss is {seen.without_bias:.3f}: the same error for all samples",
            "initialize the bias of the last layer with zeros, or the logs of the frequencies of the classes; for a "
            "regression with the mean of the targets",
        )
    return Cause(
        "large outputs",
        f"the outputs of the new model differ between samples by a standard deviation of {seen.spread:.3g}",
        "make the initial weights of the last layer smaller, or normalize what it gets",
    )
