"""Dirichlet and beta variates, computed from the random numbers of a cursor."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

from augreg import lazy

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from augreg.rng import Cursor

    _Floats = NDArray[np.float64]
else:
    np = lazy.module("numpy")

__all__ = ["Pairs", "dirichlet", "dirichlet_pairs"]


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


class Pairs(NamedTuple):
    """Some pairs of Dirichlet weights, with the floats in [0, 1) that are drawn after each of them."""

    first: _Floats
    second: _Floats
    further: _Floats
    """One row for each pair."""


def dirichlet_pairs(rng: Cursor, alpha: float, count: int, further: int = 0) -> Pairs:
    """`dirichlet(rng, alpha, 2)` and then `further` calls of `rng.random()`, `count` times: the same to the bit.

    All are computed at once. Logarithms, exponentials, cosines and powers are those of `math`, since NumPy's may
    differ in the last bit.
    """
    alpha = max(alpha, _SMALLEST)
    if alpha == 1.0:
        units = rng.randoms(count * (2 + further)).reshape(count, 2 + further)
        exponential = -_mapped(math.log1p, (-units[:, :2]).ravel().tolist())
        exponential[exponential == 0.0] = 1e-300
        logs, units = _mapped(math.log, exponential.tolist()).reshape(count, 2), units[:, 2:]
    elif alpha + 1.0 == 1.0:
        rows = [(*dirichlet(rng, alpha, 2), *rng.randoms(further).tolist()) for _ in range(count)]
        table = np.array(rows).reshape(count, 2 + further)
        return Pairs(table[:, 0], table[:, 1], table[:, 2:])
    else:
        logs, units = _log_gamma_pairs(rng, alpha, count, further)
    difference = logs[:, 0] - logs[:, 1]
    smaller = _mapped(math.exp, (-np.abs(difference)).tolist())
    total = 1.0 + smaller
    first = np.where(difference >= 0.0, 1.0, smaller) / total
    second = np.where(difference >= 0.0, smaller, 1.0) / total
    return Pairs(first, second, units)


def _log_gamma_pairs(rng: Cursor, shape: float, count: int, further: int) -> tuple[_Floats, _Floats]:
    """The logarithms of two gamma variates, count x 2, and the floats that are drawn after each two.

    How many words a variate takes depends on how often it is refused. So first it is decided for every word of the
    stream whether a variate would be refused that began there; then the words are found at which variates begin.
    """
    from augreg.rng import as_units

    boosted = shape < 1.0
    d = shape + 1.0 - 1.0 / 3.0 if boosted else shape - 1.0 / 3.0
    scale = math.sqrt(9.0 * d)
    size = count * (9 + further) + 32
    while True:
        units = as_units(rng.ahead(size))
        found = _begun(_refused(units, d, scale), count, 3 + boosted, further)
        if found is not None:
            break
        size *= 2
    starts, after = found
    rng.skip(after[-1] + further if after else 0)
    begin = np.array(starts, np.int64)
    radius = np.sqrt(-2.0 * _mapped(math.log, (1.0 - units[begin]).tolist()))
    x = radius * _mapped(math.cos, (2.0 * math.pi * units[begin + 1]).tolist())
    v = np.array([base**3 for base in (1.0 + x / scale).tolist()])
    logs = _mapped(math.log, (d * v).tolist())
    if boosted:
        logs = logs + _mapped(math.log, (1.0 - units[begin + 3]).tolist()) / shape
    return logs.reshape(count, 2), units[np.array(after, np.int64)[:, None] + np.arange(further)]


def _refused(units: _Floats, d: float, scale: float) -> list[int]:
    """For each word the number of words that a variate that begins there takes to be refused; 0 if it is not."""
    radius = np.sqrt(-2.0 * np.log(1.0 - units[:-2]))
    x = radius * np.cos(2.0 * math.pi * units[1:-1])
    base = 1.0 + x / scale
    v = np.maximum(base, 1e-9) ** 3
    margin = 0.5 * x * x + d * (1.0 - v + np.log(v)) - np.log(1.0 - units[2:])
    refused = np.where(base <= 0.0, 2, np.where(margin <= 0.0, 3, 0))
    for i in np.flatnonzero((np.abs(base) < 1e-8) | (np.abs(margin) < 1e-8)).tolist():  # too close for NumPy's
        first, second, third = units[i : i + 3].tolist()
        y = math.sqrt(-2.0 * math.log(1.0 - first)) * math.cos(2.0 * math.pi * second)
        w = (1.0 + y / scale) ** 3
        taken = w > 0.0 and math.log(1.0 - third) < 0.5 * y * y + d * (1.0 - w + math.log(w))
        refused[i] = 0 if taken else 3 if w > 0.0 else 2
    refusals: list[int] = refused.tolist()
    return refusals


def _begun(refused: list[int], count: int, words: int, further: int) -> tuple[list[int], list[int]] | None:
    """The words at which two variates for each pair begin, and those after each two; None if there are too few."""
    starts: list[int] = []
    after: list[int] = []
    at, last = 0, len(refused) - words - further
    for _ in range(count):
        for _ in range(2):
            while at <= last and refused[at]:
                at += refused[at]
            if at > last:
                return None
            starts.append(at)
            at += words
        after.append(at)
        at += further
    return starts, after


def _mapped(function: Callable[[float], float], values: list[float]) -> _Floats:
    return np.array(list(map(function, values)), np.float64)
