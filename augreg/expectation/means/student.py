"""Quantiles of Student's t distribution, for intervals around means of few observations."""

from __future__ import annotations

import functools
import math
from statistics import NormalDist

__all__ = ["student_quantile"]

_AS_NORMAL = 2000  # degrees of freedom from which the expansion is exact to eight digits


@functools.lru_cache(maxsize=1024)
def student_quantile(level: float, freedom: int) -> float:
    """The t with P(|T| < t) = level for this many degrees of freedom: 12.706 for 0.95 and 1.

    Raises ValueError unless 0 < level < 1 and there is at least one degree of freedom.
    """
    if not 0.0 < level < 1.0:
        raise ValueError(f"a level is between 0 and 1, such as 0.95, got {level!r}")
    if freedom < 1:
        raise ValueError(f"at least one degree of freedom is needed, got {freedom}")
    if freedom >= _AS_NORMAL:
        z = NormalDist().inv_cdf(0.5 + level / 2)
        return z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
    low, high = 0.0, 1.0
    while _within(high, freedom) < level:
        high *= 2
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if _within(middle, freedom) < level else (low, middle)
    return (low + high) / 2


def _within(t: float, freedom: int) -> float:
    """P(|T| < t) as a finite sum, Abramowitz and Stegun 26.7.3 and 26.7.4."""
    angle = math.atan(t / math.sqrt(freedom))
    cosine, sine = math.cos(angle), math.sin(angle)
    odd = freedom % 2
    term = cosine if odd else 1.0
    total = 0.0
    for number in range(1 + odd, freedom, 2):
        total += term
        term *= cosine * cosine * number / (number + 1)
    return 2 / math.pi * (angle + sine * total) if odd else sine * total
