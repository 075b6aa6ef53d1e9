"""Which problem a task is (classes, labels of 0 and 1, or numbers), its default loss and its default metric."""

from __future__ import annotations

from typing import Any, Literal

import torch
import torch.nn.functional as F  # noqa: N812 - as everybody calls it
from torch import Tensor

__all__ = ["Problem", "default_loss", "dense_targets", "problem_of", "score"]

Problem = Literal["classes", "binary", "regression"]
"""Classes exclude one another; binary targets are 0 or 1 for each output; a regression has any numbers."""


def dense_targets(targets: Any, outputs: Tensor) -> Tensor:
    """The targets as a tensor; soft labels as probabilities."""
    if hasattr(targets, "dense"):
        targets = targets.dense(outputs.shape[1])
    return torch.as_tensor(targets).to(outputs.device)


def problem_of(outputs: Tensor, targets: Any) -> Problem:
    """The problem that outputs and targets of these shapes and values belong to."""
    dense = dense_targets(targets, outputs)
    if not dense.is_floating_point() and dense.ndim == outputs.ndim - 1:
        return "classes"
    if hasattr(targets, "dense"):
        return "classes"
    if dense.shape == outputs.shape and outputs.ndim >= 2 and outputs.shape[1] > 1 and _sums_to_one(dense):
        return "classes"
    if bool(((dense == 0) | (dense == 1)).all()):
        return "binary"
    return "regression"


def default_loss(outputs: Tensor, targets: Any) -> Tensor:
    """The mean loss of a batch, by the problem: cross-entropy, binary cross-entropy, or squared error."""
    problem = problem_of(outputs, targets)
    dense = dense_targets(targets, outputs)
    if problem == "classes":
        return F.cross_entropy(outputs.float(), dense if dense.is_floating_point() else dense.long())
    dense = dense.to(outputs.dtype).reshape(outputs.shape)
    return F.binary_cross_entropy_with_logits(outputs, dense) if problem == "binary" else F.mse_loss(outputs, dense)


def score(outputs: Tensor, targets: Any) -> Tensor:
    """The default metric, one number per sample, higher is better.

    For classes and binary targets it is the fraction that is right, for a regression minus the squared error.
    """
    problem = problem_of(outputs, targets)
    dense = dense_targets(targets, outputs)
    if problem == "classes":
        dense = dense.argmax(1) if dense.is_floating_point() else dense
        right = outputs.argmax(1) == dense
        return right.flatten(1).float().mean(1) if right.ndim > 1 else right.float()
    dense = dense.to(outputs.dtype).reshape(outputs.shape)
    values = ((outputs > 0) == (dense > 0.5)).float() if problem == "binary" else -(outputs - dense).square()
    return values.flatten(1).mean(1) if values.ndim > 1 else values


def _sums_to_one(values: Tensor) -> bool:
    sums = values.sum(1)
    return bool(((sums - 1).abs() < 1e-3).all()) and bool((values >= 0).all())
