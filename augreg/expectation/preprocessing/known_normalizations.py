"""Normalizations as linear maps of channels: those that are common, and the one that fits given images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from augreg.ops import Normalize
from augreg.steps.fields import MEANS, STDS

__all__ = ["LinearMap", "fitted", "known_maps", "map_of"]

_Values = NDArray[np.float64]


class LinearMap(NamedTuple):
    """scale * value + offset for each channel, of values on the 0..1 scale; and its name in words."""

    scale: _Values
    offset: _Values
    name: str

    def applied(self, values: _Values) -> _Values:
        """The channels x height x width values after it."""
        count = values.shape[0]
        scale, offset = (np.broadcast_to(one, count) if len(one) == 1 else one[:count] for one in self[:2])
        return values * scale[:, None, None] + offset[:, None, None]


def map_of(normalize: Normalize | None, white: float) -> LinearMap:
    """The map of a pipeline's normalization; without one, an image keeps its values from 0 to `white`."""
    if normalize is None:
        return LinearMap(np.array([white]), np.zeros(1), f"none, values from 0 to {white:g}")
    return _normalizing(normalize.mean, normalize.std, "")


def known_maps(own: Normalize | None) -> Iterator[LinearMap]:
    """The maps that preparations often have by mistake: none, other ranges, and the statistics of other data sets."""
    yield LinearMap(np.ones(1), np.zeros(1), "none, values from 0 to 1")
    yield LinearMap(np.array([255.0]), np.zeros(1), "none, values from 0 to 255")
    if own is not None:
        for factor, words in ((255.0, "on values from 0 to 255"), (1 / 255.0, "on values from 0 to 1/255")):
            once = _normalizing(own.mean, own.std, f"the same numbers, {words}")
            yield once._replace(scale=once.scale * factor)
        swapped = _normalizing(own.mean[::-1], own.std[::-1], "the numbers of the channels in reversed order")
        yield swapped
    for name in MEANS:
        statistics = ", ".join(f"{value:.4g}" for value in MEANS[name])
        yield _normalizing(MEANS[name], STDS[name], f"that of {name} (mean {statistics})")


def fitted(inputs: Sequence[_Values], results: Sequence[_Values]) -> LinearMap:
    """The map of each channel that fits best, by least squares over all images (channels x height x width)."""
    x, y = (np.concatenate([one.reshape(one.shape[0], -1) for one in images], 1) for images in (inputs, results))
    x_mean, y_mean = x.mean(1), y.mean(1)
    variance = x.var(1)
    covariance = (x * y).mean(1) - x_mean * y_mean
    scale = np.divide(covariance, variance, out=np.zeros_like(variance), where=variance > 1e-12)
    offset = y_mean - scale * x_mean
    means, stds = ("", "")
    if (np.abs(scale) > 1e-9).all():
        means, stds = (", ".join(f"{value:.3g}" for value in values) for values in (-offset / scale, 1.0 / scale))
    return LinearMap(scale, offset, f"about mean {means} and std {stds}" if means else "constant values")


def _normalizing(mean: Sequence[float], std: Sequence[float], name: str) -> LinearMap:
    count = max(len(mean), len(std))
    means, stds = (np.broadcast_to(np.asarray(values, np.float64), count) for values in (mean, std))
    return LinearMap(1.0 / stds, -means / stds, name)
