"""The losses of a model that has learned nothing: with zero outputs, and with the best constant outputs.

For cross-entropy over C classes zero outputs give log C, and the best constant gives the entropy of the frequencies
of the labels. For binary cross-entropy these are log 2 and the mean entropy of the targets, for the squared error
they are the mean square and the variance of the targets. For a loss of the task's own both are found with this loss.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from augreg.recipe.losses import Problem, class_axis, dense_targets, takes_probabilities

__all__ = ["Baselines", "baselines", "constant_outputs", "lowest_loss", "own_baselines"]

Loss = Callable[[Tensor, Any], Tensor]

_SEARCH = 100  # iterations of L-BFGS


class Baselines(NamedTuple):
    """The expected losses of zero outputs and of the best constant outputs; NaN if they are not known."""

    zero: float
    constant: float


def baselines(outputs: Tensor, targets: Any, problem: Problem) -> Baselines:
    """What the default loss is for zero and for the best constant outputs; in nats for classes."""
    dense = dense_targets(targets, outputs)
    if problem == "classes":
        frequencies = _frequencies(dense, outputs)
        return Baselines(math.log(len(frequencies)), float(_entropy(frequencies).sum()))
    numbers = dense.double().reshape(len(dense), -1)
    if problem == "binary":
        mean = numbers.mean(0)
        return Baselines(math.log(2), float((_entropy(mean) + _entropy(1 - mean)).mean()))
    return Baselines(float(numbers.square().mean()), float(numbers.var(0, correction=0).mean()))


def own_baselines(loss: Loss, outputs: Tensor, targets: Any, problem: Problem) -> Baselines:
    """What a loss of the task's own is for outputs that are equal for all classes, and for the best constant outputs.

    NaN for a loss that such outputs have no number in.
    """
    zero, best = torch.zeros_like(outputs), constant_outputs(outputs, targets, problem)
    if problem == "classes":
        zero = zero - math.log(outputs.shape[class_axis(outputs, dense_targets(targets, outputs))])
    if takes_probabilities(loss, outputs, targets, problem):
        zero, best = (zero.exp(), best.exp()) if problem == "classes" else (zero.sigmoid(), best.sigmoid())
        return Baselines(_number(loss, zero, targets), _number(loss, best, targets))
    found = _number(loss, best, targets)
    shifted = _number(loss, best + 1, targets)
    if problem != "classes" or abs(shifted - found) < 1e-3 * abs(found):  # it normalizes: no log-probabilities
        found = lowest_loss(loss, best[:1], outputs.shape, targets)
    return Baselines(_number(loss, zero, targets), found)


def constant_outputs(outputs: Tensor, targets: Any, problem: Problem) -> Tensor:
    """The best constant outputs for the default loss, in the shape of the outputs."""
    dense = dense_targets(targets, outputs)
    if problem == "classes":
        values = _frequencies(dense, outputs).clamp(min=1e-12).log().to(outputs.dtype)
        shape = [1] * outputs.ndim
        shape[class_axis(outputs, dense)] = -1
        return values.reshape(shape).expand(outputs.shape)
    if problem == "other":
        return torch.zeros_like(outputs)
    mean = dense.double().reshape(len(dense), -1).mean(0).reshape(1, *outputs.shape[1:])
    if problem == "binary":
        mean = mean.clamp(1e-12, 1 - 1e-12).logit()
    return mean.to(outputs.dtype).expand(outputs.shape)


def lowest_loss(loss: Loss, first: Tensor, shape: Any, targets: Any) -> float:
    """The lowest loss over outputs that are free, from these `first` ones on, which are expanded to a shape.

    One row gives that of the best constant outputs, a row per sample that of a model that knows the targets.
    It is infinite if no number was found.
    """
    free = first.detach().clone().requires_grad_()
    optimizer = torch.optim.LBFGS([free], max_iter=_SEARCH, line_search_fn="strong_wolfe")
    seen = [math.inf]

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = loss(free.expand(shape), targets)
        seen.append(float(value.detach()))
        value.backward()
        return value

    try:
        with torch.enable_grad():
            optimizer.step(closure)
    except Exception:  # of a loss without gradients, or one that refuses such outputs
        seen.append(_number(loss, first.expand(shape), targets))
    return min(value for value in seen if not math.isnan(value))


def _number(loss: Loss, outputs: Tensor, targets: Any) -> float:
    """The loss of these outputs; NaN if it refuses them."""
    try:
        return float(loss(outputs, targets))
    except Exception:
        return math.nan


def _frequencies(targets: Tensor, outputs: Tensor) -> Tensor:
    """How frequent each class is, without targets that are no class, such as -100."""
    axis = class_axis(outputs, targets)
    classes = outputs.shape[axis]
    if targets.is_floating_point():
        return targets.double().movedim(axis, -1).reshape(-1, classes).mean(0)
    known = targets[(targets >= 0) & (targets < classes)].long()
    return torch.bincount(known.flatten(), minlength=classes).double() / max(1, known.numel())


def _entropy(probabilities: Tensor) -> Tensor:
    return -torch.special.xlogy(probabilities, probabilities)
