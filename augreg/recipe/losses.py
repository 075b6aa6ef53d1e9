"""Which problem a task is (classes, labels of 0 and 1, or numbers), its default loss and its default metric."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch
import torch.nn.functional as F  # noqa: N812 - as everybody calls it
from torch import Tensor

__all__ = ["Problem", "class_axis", "default_loss", "dense_targets", "problem_of", "score", "takes_probabilities"]

Problem = Literal["classes", "binary", "regression", "other"]
"""Classes exclude one another; binary targets are 0 or 1 for each output; a regression has any numbers.

`other`: the outputs are not as many as the targets, such as quantiles; only a loss of the task's own fits.
"""


def dense_targets(targets: Any, outputs: Tensor) -> Tensor:
    """The targets as a tensor; soft labels as probabilities."""
    if hasattr(targets, "dense"):
        targets = targets.dense(outputs.shape[1])
    return torch.as_tensor(targets).to(outputs.device)


def class_axis(outputs: Tensor, dense: Tensor) -> int:
    """The axis of the classes: 1, or the last one if only then the others are those of the targets, as for tokens."""
    last = outputs.ndim > 2 and not dense.is_floating_point() and outputs.shape[2:] != dense.shape[1:]
    return outputs.ndim - 1 if last and outputs.shape[1:-1] == dense.shape[1:] else 1


def problem_of(outputs: Tensor, targets: Any) -> Problem:
    """The problem that outputs of this shape and these targets belong to; the number of samples may differ.

    A few targets mislead: numbers may all be 0 or 1, and of several labels each sample may have one.
    """
    dense = dense_targets(targets, outputs)
    if hasattr(targets, "dense"):
        return "classes"
    if not dense.is_floating_point() and dense.ndim == outputs.ndim - 1 and outputs.shape[1] > 1:
        return "classes"
    same = dense.shape[1:] == outputs.shape[1:]
    if same and dense.is_floating_point() and outputs.ndim >= 2 and outputs.shape[1] > 1 and _sums_to_one(dense):
        return "classes"
    if dense[:1].numel() != outputs[:1].numel():
        return "other"
    return "binary" if bool(((dense == 0) | (dense == 1)).all()) else "regression"


def default_loss(outputs: Tensor, targets: Any, problem: Problem) -> Tensor:
    """The mean loss of a batch, by the problem: cross-entropy, binary cross-entropy, or squared error."""
    dense = dense_targets(targets, outputs)
    if problem == "classes":
        scores = outputs.movedim(class_axis(outputs, dense), 1)
        scores = scores if scores.dtype == torch.float64 else scores.float()
        return F.cross_entropy(scores, dense.to(scores.dtype) if dense.is_floating_point() else dense.long())
    dense = _as_outputs(dense, outputs, "loss")
    return F.binary_cross_entropy_with_logits(outputs, dense) if problem == "binary" else F.mse_loss(outputs, dense)


def score(outputs: Tensor, targets: Any, problem: Problem, threshold: float = 0.0) -> Tensor:
    """The default metric, one number per sample, higher is better.

    For classes and binary targets it is the fraction that is right, for a regression minus the squared error. Targets
    that are no class, such as -100, are left out, and so are samples without any other. Binary outputs are 1 above
    the threshold.
    """
    dense = dense_targets(targets, outputs)
    if problem == "classes":
        axis = class_axis(outputs, dense)
        dense = dense.argmax(axis) if dense.is_floating_point() else dense
        known = ((dense >= 0) & (dense < outputs.shape[axis])).flatten(1 if dense.ndim > 1 else 0)
        right = (outputs.argmax(axis) == dense).reshape(known.shape) & known
        if known.ndim == 1:
            return right[known].float()
        some = known.any(1)
        return right[some].sum(1) / known[some].sum(1)
    dense = _as_outputs(dense, outputs, "metric")
    right = ((outputs > threshold) == (dense > 0.5)).float()
    values = right if problem == "binary" else -(outputs - dense).square()
    return values.flatten(1).mean(1) if values.ndim > 1 else values


def takes_probabilities(
    loss: Callable[[Tensor, Any], Tensor], outputs: Tensor, targets: Any, problem: Problem
) -> bool:
    """Whether a loss is about zero for the right probabilities, and so is not one of logits."""
    dense = dense_targets(targets, outputs)
    if problem == "classes" and not dense.is_floating_point():
        axis = class_axis(outputs, dense)
        right = F.one_hot(dense.long().clamp(0, outputs.shape[axis] - 1), outputs.shape[axis]).movedim(-1, axis)
    elif problem == "binary":
        right = dense.reshape(outputs.shape)
    else:
        return False
    try:
        return abs(float(loss(right.to(outputs.dtype).clamp(1e-6, 1 - 1e-6), targets))) < 0.05
    except Exception:
        return False


def _as_outputs(dense: Tensor, outputs: Tensor, what: str) -> Tensor:
    """The targets in the shape and the type of the outputs."""
    if dense.numel() != outputs.numel():
        raise ValueError(
            f"{what}: the outputs have the shape {list(outputs.shape)} and the targets {list(dense.shape)}, which "
            f"the default {what} cannot compare: give the task a {what} of your own"
        )
    return dense.to(outputs.dtype).reshape(outputs.shape)


def _sums_to_one(values: Tensor) -> bool:
    return bool(((values.sum(1) - 1).abs() < 1e-3).all()) and bool((values >= 0).all())
