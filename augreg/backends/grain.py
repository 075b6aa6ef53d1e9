"""Noise of the lightness of pixels, whose hue and saturation stay."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from augreg.backends import planar
from augreg.backends.hsv import turned
from augreg.backends.weather import lightness, relit

__all__ = ["grained", "most_counts", "spread", "thresholds"]

Floats = NDArray[np.float32]


def spread(image: NDArray[Any]) -> float:
    """The standard deviation of the lightness over an image, on the 0..1 scale."""
    found = [lightness(planar.split(image[rows])) for rows in planar.parts(image)]
    return float(np.concatenate(found).std(dtype=np.float64))


def most_counts(mean: float) -> int:
    """A count that a Poisson variable of this mean exceeds once in far more than 10^16 draws."""
    return math.ceil(mean + 9.0 * math.sqrt(mean)) + 30


def thresholds(mean: float) -> NDArray[np.float64]:
    """Numbers t such that Poisson's count is how many of them a standard normal number exceeds.

    They are where the normal distribution has the cumulative probabilities of Poisson's of this mean.
    """
    if mean <= 0.0:
        return np.array([np.inf])
    log = math.log(mean)
    found, total = [], 0.0
    for count in range(most_counts(mean)):
        total += math.exp(count * log - mean - math.lgamma(count + 1.0))
        found.append(NormalDist().inv_cdf(total) if 0.0 < total < 1.0 else -math.inf if total <= 0.0 else math.inf)
    return np.array(found)


def grained(pixels: NDArray[Any], normal: Floats, counted: NDArray[np.float64], gain: float, hue: float) -> Floats:
    """Pixels, one a row, as floats from 0 to 1 with noise from two normal numbers each.

    Each count, by the first number, adds `gain` of what is missing to white; `hue` is the deviation of its shift.
    """
    channels = planar.split(pixels)
    if hue and len(channels) == 3:
        channels = list(turned(np.float32(hue) * normal[:, 1], channels))
    before = lightness(channels)
    after = np.searchsorted(counted, normal[:, 0].astype(np.float64)).astype(np.float32)
    after *= np.float32(gain)
    after *= np.float32(1) - before
    after += before
    return np.stack(list(relit(channels, before, np.clip(after, 0, 1, out=after))), axis=1)
