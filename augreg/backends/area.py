"""Resizing as OpenCV does it by its INTER_AREA and INTER_LANCZOS4: weights for pixels of each side.

By `area`, a pixel of the result is the mean of the area of the image that it covers, which is INTER_AREA where both
sides shrink or both grow. By `lanczos4`, it is the weighted mean of the eight pixels around its center.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from augreg.backends import plain
from augreg.ops import Enlarge, Resize

__all__ = ["NEARLY", "WEIGHTS", "weighted"]

Pixels = NDArray[np.intp]
Weights = NDArray[np.float64]

NEARLY = 1e-9
"""Added before bytes are rounded half up, so that a rounding error decides no tie."""


def _edges(first: ArrayLike, wanted: int, whole: ArrayLike, side: int) -> Weights:
    """Where the pixels from `first` on begin and end, of a side of `side` pixels that is scaled to `whole`.

    `first` and `whole` may be arrays with a number for each image.
    """
    places = np.asarray(first, np.float64)[..., None] + np.arange(wanted + 1)
    return places * side / np.asarray(whole, np.float64)[..., None]


def _covered(first: ArrayLike, wanted: int, whole: ArrayLike, side: int) -> tuple[Pixels, Weights]:
    """The pixels that each of `wanted` pixels covers, and their weights; both taps x .. x wanted."""
    edges = _edges(first, wanted, whole, side)
    low, high = edges[..., :-1], edges[..., 1:]
    start = np.floor(low)
    taps = max(1, int((np.ceil(high) - start).max(initial=1)))
    pixels = start + np.arange(taps).reshape(-1, *(1,) * start.ndim)
    weights = np.clip(np.minimum(high, pixels + 1) - np.maximum(low, pixels), 0.0, None)
    return np.minimum(pixels, side - 1).astype(np.intp), weights / weights.sum(axis=0)


def _around(first: ArrayLike, wanted: int, whole: ArrayLike, side: int) -> tuple[Pixels, Weights]:
    """The eight pixels around the center of each of `wanted` pixels, and their weights; the border is repeated."""
    edges = _edges(first, wanted, whole, side)
    center = (edges[..., :-1] + edges[..., 1:]) / 2.0 - 0.5
    pixels = np.floor(center) + np.arange(-3, 5).reshape(-1, *(1,) * center.ndim)
    off = center - pixels
    weights = np.sinc(off) * np.sinc(off / 4.0)
    return np.clip(pixels, 0, side - 1).astype(np.intp), weights / weights.sum(axis=0)


WEIGHTS = {"area": _covered, "lanczos4": _around}
"""The pixels and their weights, by the interpolation."""


def weighted(op: Resize | Enlarge, image: NDArray[Any]) -> NDArray[Any]:
    """A resize by one of these interpolations, or a part of one."""
    whole, first = (op.whole, (op.top, op.left)) if isinstance(op, Enlarge) else ((op.height, op.width), (0, 0))
    found: NDArray[Any] = image
    for axis in (0, 1):
        size = (op.height, op.width)[axis]
        pixels, weights = WEIGHTS[op.interpolation](first[axis], size, whole[axis], image.shape[axis])
        shape = (-1, 1, 1) if axis == 0 else (-1, 1)
        found = sum(
            np.take(found, pixel, axis) * weight.reshape(shape) for pixel, weight in zip(pixels, weights, strict=True)
        )
    if image.dtype == np.uint8:
        found = np.clip(np.floor(found + (0.5 + NEARLY)), 0.0, 255.0)
    out = plain.like(image, op.height, op.width)
    out[...] = found
    return out
