"""Does the model return probabilities to a loss that takes logits? Then softmax is applied twice."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from augreg.recipe.losses import class_axis, dense_targets, takes_probabilities
from augreg.recipe.result import Cause
from augreg.recipe.training import Training

__all__ = ["DOUBLE_SOFTMAX", "is_double_softmax"]

DOUBLE_SOFTMAX = Cause(
    "double softmax",
    "the outputs of the model are probabilities, and the loss takes logits, so it normalizes them again",
    "remove the softmax or sigmoid at the end of the model: the loss has its own",
)


def is_double_softmax(training: Training, inputs: Any, outputs: Tensor, targets: Any) -> bool:
    """Whether outputs are probabilities although the loss of the task takes logits."""
    problem = training.problem(outputs)
    if problem not in ("classes", "binary") or not _inside(outputs):
        return False
    sums = outputs.sum(class_axis(outputs, dense_targets(targets, outputs)))
    sum_to_one = problem == "classes" and bool(((sums - 1).abs() < 1e-3).all())
    if not sum_to_one and not _stay_inside(training, inputs, outputs):
        return False
    if problem == "classes" and float(training.loss(outputs, targets)) < 0:
        return False  # a loss of log-probabilities, which does not normalize
    return not takes_probabilities(training.loss, outputs, targets, problem)


def _inside(outputs: Tensor) -> bool:
    return bool(((outputs >= 0) & (outputs <= 1)).all())


def _stay_inside(training: Training, inputs: Any, outputs: Tensor) -> bool:
    """Whether outputs change, but stay in [0, 1], for inputs that are a thousand times as large: no logits do."""
    if not isinstance(inputs, Tensor) or not inputs.is_floating_point() or bool((outputs * (1 - outputs) == 0).any()):
        return False
    larger = training.outputs(1000 * inputs)
    return not bool((larger == outputs).all()) and _inside(larger)
