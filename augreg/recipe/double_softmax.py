"""Does the model return probabilities to a loss that takes logits? Then softmax is applied twice."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from augreg.recipe.losses import Problem, dense_targets, problem_of
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
    problem = problem_of(outputs, targets)
    if problem == "regression" or not _are_probabilities(outputs, problem):
        return False
    if problem == "binary" and not _stay_inside(training, inputs, outputs):
        return False
    return not _takes_probabilities(training, outputs, targets, problem)


def _are_probabilities(outputs: Tensor, problem: Problem) -> bool:
    """Whether outputs are in [0, 1], and for classes sum to one."""
    inside = bool(((outputs >= 0) & (outputs <= 1)).all())
    if problem == "classes":
        return inside and outputs.shape[1] > 1 and bool(((outputs.sum(1) - 1).abs() < 1e-3).all())
    return inside


def _stay_inside(training: Training, inputs: Any, outputs: Tensor) -> bool:
    """Whether outputs change, but stay in [0, 1], for inputs that are a thousand times as large: no logits do."""
    if not isinstance(inputs, Tensor) or not inputs.is_floating_point():
        return False
    larger = training.outputs(1000 * inputs)
    return not torch.equal(larger, outputs) and _are_probabilities(larger, "binary")


def _takes_probabilities(training: Training, outputs: Tensor, targets: Any, problem: Problem) -> bool:
    """Whether the loss of the task is about zero for the right probabilities, and so is not one of logits."""
    dense = dense_targets(targets, outputs)
    if problem == "classes" and not dense.is_floating_point():
        right = torch.nn.functional.one_hot(dense.long().clamp(min=0), outputs.shape[1]).movedim(-1, 1)
    elif problem == "binary":
        right = dense.reshape(outputs.shape)
    else:
        return False
    try:
        return float(training.loss(right.to(outputs.dtype).clamp(1e-6, 1 - 1e-6), targets)) < 0.05
    except Exception:
        return False
