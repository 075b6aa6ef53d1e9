"""The paired bootstrap over images: how sure a difference between two predictions for the same images is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from augreg.expectation.auditing.metrics import equal_width_bins
from augreg.rng import MODEL, address_of

__all__ = ["Difference", "calibration_difference", "mean_difference", "resamples"]

_LEVEL = 0.95
_RESAMPLES = 1000
_BLOCK = 1 << 22  # numbers of a block of resamples: 32 MiB

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Difference:
    """A difference between two metrics, and the ends of its 95 % interval: percentiles of the bootstrap."""

    value: float
    low: float
    high: float

    @property
    def is_lower(self) -> bool:
        """Whether the whole interval is below 0."""
        return self.high < 0.0

    @property
    def is_higher(self) -> bool:
        """Whether the whole interval is above 0."""
        return self.low > 0.0

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return {"value": self.value, "low": self.low, "high": self.high}


def resamples(images: int, seed: int, name: str, first: int, last: int) -> NDArray[np.int64]:
    """How often each image is in each resample, from number `first` to `last` (not included): resamples x images.

    Resample k of (seed, name) is the same in every call.
    """
    counts = np.empty((last - first, images), np.int64)
    address = address_of(seed, f"bootstrap {name}", domain=MODEL)
    for row, number in enumerate(range(first, last)):
        chosen = (address.cursor(number).randoms(images) * images).astype(np.int64)
        counts[row] = np.bincount(chosen, minlength=images)
    return counts


def mean_difference(
    first: ArrayLike, second: ArrayLike, *, seed: int = 0, name: str = "", resamples: int = _RESAMPLES
) -> Difference:
    """The mean of `second` minus that of `first`; both have one value for each image."""
    differences = np.asarray(second, np.float64) - np.asarray(first, np.float64)
    return _difference(
        float(differences.mean()),
        len(differences),
        lambda counts: counts @ differences / len(differences),
        (seed, name, resamples),
    )


def calibration_difference(
    first: tuple[Floats, Floats],
    second: tuple[Floats, Floats],
    bins: int = 15,
    *,
    seed: int = 0,
    name: str = "",
    resamples: int = _RESAMPLES,
) -> Difference:
    """The expected calibration error (in bins of equal width) of `second` minus that of `first`.

    Each is the confidence of each image, and whether its prediction is right.
    """
    count = len(first[0])
    gaps = [_gaps(confidence, right, bins) for confidence, right in (first, second)]

    def error(counts: Floats, gap: Floats) -> Floats:
        return np.asarray(np.abs(counts @ gap).sum(1) / count)

    def both(counts: Floats) -> Floats:
        return error(counts, gaps[1]) - error(counts, gaps[0])

    return _difference(float(both(np.ones((1, count)))[0]), count, both, (seed, name, resamples))


def _gaps(confidence: Floats, right: Floats, bins: int) -> Floats:
    """Right (1 or 0) minus confidence, in the column of the image's bin: images x bins."""
    table = np.zeros((len(confidence), bins))
    table[np.arange(len(confidence)), equal_width_bins(confidence, bins)] = np.asarray(right) - confidence
    return table


def _difference(
    value: float, images: int, statistic: Callable[[Floats], Floats], drawn: tuple[int, str, int]
) -> Difference:
    seed, name, number = drawn
    block = max(1, _BLOCK // images)
    found = [
        statistic(resamples(images, seed, name, start, min(start + block, number)).astype(np.float64))
        for start in range(0, number, block)
    ]
    low, high = np.quantile(np.concatenate(found), ((1 - _LEVEL) / 2, (1 + _LEVEL) / 2))
    return Difference(value, float(low), float(high))
