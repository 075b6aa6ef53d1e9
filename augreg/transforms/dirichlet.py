"""Dirichlet and beta variates, computed from the random numbers of a cursor."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from augreg.rng import Cursor

__all__ = ["dirichlet"]


_SMALLEST: Final = 1e-300  # logarithms of smaller gamma variates are no numbers; one weight is 1 long before


def dirichlet(rng: Cursor, alpha: float, count: int) -> tuple[float, ...]:
    """A sample of the symmetric Dirichlet(alpha): `count` weights that sum to 1.

    With two weights, each is Beta(alpha, alpha).
    """
    alpha = max(alpha, _SMALLEST)
    logs = [_log_gamma_variate(rng, alpha) for _ in range(count)]
    largest = max(logs)  # subtracted because gamma variates of a small alpha underflow
    weights = [math.exp(log - largest) for log in logs]
    total = math.fsum(weights)
    return tuple(weight / total for weight in weights)


def _log_gamma_variate(rng: Cursor, shape: float) -> float:
    """The logarithm of a gamma variate: an exponential one for shape 1, else by Marsaglia and Tsang 2000."""
    if shape == 1.0:
        return math.log(-math.log1p(-rng.random()) or 1e-300)
    if shape < 1.0:
        return _log_gamma_variate(rng, shape + 1.0) + math.log(1.0 - rng.random()) / shape
    d = shape - 1.0 / 3.0
    while True:
        x = rng.normal()
        v = (1.0 + x / math.sqrt(9.0 * d)) ** 3
        if v > 0.0 and math.log(1.0 - rng.random()) < 0.5 * x * x + d * (1.0 - v + math.log(v)):
            return math.log(d * v)
