"""The losses that a model has which knows nothing: with zero outputs, and with the best constant outputs.

For cross-entropy over C classes zero outputs give log C, and the best constant gives the entropy of the frequencies
of the labels. For binary cross-entropy these are log 2 and the mean entropy of the targets, for the squared error
they are the mean square and the variance of the targets.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from augreg.recipe.losses import dense_targets, problem_of

__all__ = ["Baselines", "baselines", "constant_outputs"]


class Baselines(NamedTuple):
    """The expected losses of zero outputs and of the best constant outputs."""

    zero: float
    constant: float


def baselines(outputs: Tensor, targets: Any) -> Baselines:
    """What the default loss is for zero and for the best constant outputs; in nats for classes."""
    problem = problem_of(outputs, targets)
    dense = dense_targets(targets, outputs)
    if problem == "classes":
        frequencies = _frequencies(dense, outputs.shape[1])
        return Baselines(float(torch.tensor(float(outputs.shape[1])).log()), float(_entropy(frequencies).sum()))
    numbers = dense.double().reshape(len(dense), -1)
    if problem == "binary":
        mean = numbers.mean(0)
        return Baselines(float(torch.tensor(2.0).log()), float((_entropy(mean) + _entropy(1 - mean)).mean()))
    return Baselines(float(numbers.square().mean()), float(numbers.var(0, correction=0).mean()))


def constant_outputs(outputs: Tensor, targets: Any) -> Tensor:
    """The best constant outputs for the default loss, in the shape of the outputs."""
    problem = problem_of(outputs, targets)
    dense = dense_targets(targets, outputs)
    if problem == "classes":
        values = _frequencies(dense, outputs.shape[1]).clamp(min=1e-12).log()
        return values.to(outputs.dtype).reshape(1, -1, *[1] * (outputs.ndim - 2)).expand(outputs.shape)
    mean = dense.double().reshape(len(dense), -1).mean(0).reshape(1, *outputs.shape[1:])
    if problem == "binary":
        mean = mean.clamp(1e-12, 1 - 1e-12).logit()
    return mean.to(outputs.dtype).expand(outputs.shape)


def _frequencies(targets: Tensor, classes: int) -> Tensor:
    if targets.is_floating_point():
        return targets.double().movedim(1, -1).reshape(-1, classes).mean(0)
    known = targets[targets >= 0].long()
    return torch.bincount(known.flatten(), minlength=classes).double() / max(1, known.numel())


def _entropy(probabilities: Tensor) -> Tensor:
    return -torch.special.xlogy(probabilities, probabilities)
