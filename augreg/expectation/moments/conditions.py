"""Conditioning on noise that scales a whole image: a forward pass for each value, with that noise held.

A branch that is dropped as a whole (stochastic depth) leaves a distribution of few, far apart values, which is not
normal, and a layer norm behind it cancels much of it. With its random number held at a value, nothing of it is left.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

__all__ = ["Condition", "Groups", "ImageFactor", "ImageFactors", "combined", "groups_of", "two_values"]


@dataclass(frozen=True)
class ImageFactor:
    """A random number that a whole image is multiplied by: `values` with their `chances`."""

    values: tuple[float, float]
    chances: tuple[float, float]

    @property
    def mean(self) -> float:
        """The expected value."""
        return sum(chance * value for chance, value in zip(self.chances, self.values, strict=True))

    @property
    def variance(self) -> float:
        """Around the mean."""
        return math.prod(self.chances) * (self.values[0] - self.values[1]) ** 2


def two_values(mean: float, second: float, third: float) -> ImageFactor:
    """Two values with this mean and these moments around it, by Gauss's quadrature.

    For a number that has two values, such as that of stochastic depth, they are these. With s^2 the second moment and
    g = third / s^3 they lie at mean + s z, where z^2 - g z - 1 = 0.
    """
    deviation = math.sqrt(second)
    skew = third / deviation**3
    above, below = (skew + math.sqrt(skew**2 + 4)) / 2, (skew - math.sqrt(skew**2 + 4)) / 2
    chance = -below / (above - below)
    return ImageFactor((mean + deviation * below, mean + deviation * above), (1 - chance, chance))


@dataclass
class ImageFactors:
    """The factors of whole images that a forward pass met, in order, and the values at which some are held.

    Others are held at their mean.
    """

    held: dict[int, float] = field(default_factory=dict)
    met: list[ImageFactor] = field(default_factory=list)

    def next_value(self, factor: ImageFactor) -> float:
        """The value of the factor that is met now."""
        self.met.append(factor)
        return self.held.get(len(self.met) - 1, factor.mean)


@dataclass(frozen=True)
class Condition:
    """The moments of the outputs while noise is held, and their weight in an average. It may be negative."""

    weight: float
    mean: Tensor
    variance: Tensor
    covariance: Tensor | None


Groups = list[list[tuple[float, Condition]]]
"""Conditions with their probabilities, which sum to one in each group; groups are independent of one another."""


def groups_of(
    factors: Sequence[ImageFactor], most: int, center: Condition, run: Callable[[dict[int, float]], Condition]
) -> tuple[Groups, list[Condition], str]:
    """The conditions under which a model is run, in independent groups and with their weights, and what was done.

    All combinations of the values of the factors, if there are at most `most` of them. Otherwise each factor takes
    its values while the others are at their mean (`center`), which is right up to what two factors do together: the
    reduction to one dimension of Rahman and Xu 2004, Probabilistic Engineering Mechanics 19. If that takes more than
    `most` passes, factors with a small variance stay at their mean.
    """
    if 2 ** len(factors) <= most:
        group = []
        for choice in itertools.product((0, 1), repeat=len(factors)):
            chance = math.prod(factor.chances[k] for factor, k in zip(factors, choice, strict=True))
            found = run({number: factors[number].values[k] for number, k in enumerate(choice)})
            group.append((chance, found))
        how = f"{len(group)} forward passes: all values of {len(factors)} numbers that scale whole images"
        return [group], [_weighted(found, chance) for chance, found in group], how
    varied = sorted(range(len(factors)), key=lambda number: -factors[number].variance)[: (most - 1) // 2]
    groups = [
        [
            (chance, run({number: value}))
            for value, chance in zip(factors[number].values, factors[number].chances, strict=True)
        ]
        for number in sorted(varied)
    ]
    weights = [_weighted(found, chance) for group in groups for chance, found in group]
    rest = len(factors) - len(varied)
    how = f"{2 * len(varied) + 1} forward passes: {len(varied)} numbers that scale whole images, one at a time"
    if rest:
        how += f"; {rest} stay at their mean, as in weight scaling: conditions={2 * len(factors) + 1} varies all"
    return groups, [_weighted(center, 1.0 - len(groups)), *weights], how


def _weighted(condition: Condition, weight: float) -> Condition:
    return Condition(weight, condition.mean, condition.variance, condition.covariance)


def combined(groups: Groups, conditions: Sequence[Condition], with_covariance: bool) -> Condition:
    """The moments over all conditions: the mean of the means; the mean variance, plus the variance of the means."""
    mean = _average(conditions, lambda each: each.mean)
    variance = _average(conditions, lambda each: each.variance).clamp(min=0.0)
    covariance = _average(conditions, _covariance) if with_covariance else None
    for group in groups:
        middle = _average([_weighted(found, chance) for chance, found in group], lambda each: each.mean)
        for chance, found in group:
            change = found.mean - middle
            variance = variance + chance * change.square()
            if covariance is not None:
                flat = change.flatten(1)
                covariance = covariance + chance * flat.unsqueeze(1) * flat.unsqueeze(2)
    if covariance is not None:
        covariance.diagonal(dim1=1, dim2=2).copy_(variance.flatten(1))
    return Condition(1.0, mean, variance, covariance)


def _average(conditions: Sequence[Condition], value: Callable[[Condition], Tensor]) -> Tensor:
    return torch.stack([condition.weight * value(condition) for condition in conditions]).sum(0)


def _covariance(condition: Condition) -> Tensor:
    """That of independent units, if none was kept."""
    return torch.diag_embed(condition.variance.flatten(1)) if condition.covariance is None else condition.covariance
