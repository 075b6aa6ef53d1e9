"""The mean of the softmax of a normal vector, by quasi-random samples."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.quasirandom import SobolEngine

__all__ = ["Probabilities", "mean_softmax", "root"]

_REPEATS = 8
"""Independent scramblings of the Sobol points, whose spread is the error."""
_MOST = 1 << 22
"""Numbers computed at a time."""


class Probabilities(NamedTuple):
    """Mean class probabilities, and the standard error of the integration."""

    mean: Tensor
    error: Tensor


def mean_softmax(mean: Tensor, variance: Tensor, covariance: Tensor | None, samples: int, seed: int) -> Probabilities:
    """The mean of the softmax over dimension 1 of a normal tensor, batch x classes x ..; see `Moments`."""
    if mean.dim() < 2:
        raise ValueError(f"the outputs must be batch x classes x .., got the shape {list(mean.shape)}")
    if samples < _REPEATS:
        raise ValueError(f"samples must be at least {_REPEATS}, got {samples}")
    if not variance.any():
        return Probabilities(mean.softmax(1), torch.zeros_like(mean))
    units = mean[0].numel()
    factor = None if covariance is None else root(covariance)
    deviation = variance.clamp(min=0.0).sqrt().flatten(1)
    estimates = []
    for repeat in range(_REPEATS):
        points = _normal_points(samples // _REPEATS, units, seed * _REPEATS + repeat).to(mean)
        total = torch.zeros_like(mean)
        size = max(1, _MOST // max(1, mean.numel()))
        for part in points.split(size):
            change = part.unsqueeze(0) * deviation.unsqueeze(1) if factor is None else part @ factor.transpose(1, 2)
            logits = mean.unsqueeze(1) + change.unflatten(2, mean.shape[1:])
            total += logits.softmax(2).sum(1)
        estimates.append(total / len(points))
    stacked = torch.stack(estimates)
    return Probabilities(stacked.mean(0), stacked.std(0) / math.sqrt(_REPEATS))


def root(covariance: Tensor) -> Tensor:
    """A matrix F with F F^T = C, for a covariance that may be singular."""
    values, vectors = torch.linalg.eigh(covariance)
    return vectors * values.clamp(min=0.0).sqrt().unsqueeze(-2)


def _normal_points(count: int, units: int, seed: int) -> Tensor:
    """Quasi-random normal vectors, count x units."""
    if units <= SobolEngine.MAXDIM:
        uniform = SobolEngine(units, scramble=True, seed=seed).draw(count, dtype=torch.float64)
    else:
        uniform = torch.rand(count, units, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    edge = torch.finfo(torch.float64).eps
    return torch.special.ndtri(uniform.clamp(edge, 1 - edge))
