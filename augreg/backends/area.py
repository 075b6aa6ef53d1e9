"""Resizing by `area`: a pixel of the result is the mean of the area of the image that it covers.

This is OpenCV's INTER_AREA where both sides shrink or both grow. Where it takes a pixel whole, partly or not at all,
its weight is the length that is covered.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from augreg.backends import plain
from augreg.ops import Enlarge, Resize

__all__ = ["NEARLY", "averaged", "covered"]

NEARLY = 1e-9
"""Added before bytes are rounded half up, so that a rounding error decides no tie."""


def covered(
    first: ArrayLike, wanted: int, whole: ArrayLike, side: int
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """The pixels that each of `wanted` pixels covers, and their weights; both taps x .. x wanted.

    The pixels are those from `first` on, of a side of `side` pixels that is scaled to `whole`. `first` and `whole`
    may be arrays with a number for each image.
    """
    places = np.asarray(first, np.float64)[..., None] + np.arange(wanted + 1)
    edges = places * side / np.asarray(whole, np.float64)[..., None]
    low, high = edges[..., :-1], edges[..., 1:]
    start = np.floor(low)
    taps = max(1, int((np.ceil(high) - start).max(initial=1)))
    pixels = start + np.arange(taps).reshape(-1, *(1,) * start.ndim)
    weights = np.clip(np.minimum(high, pixels + 1) - np.maximum(low, pixels), 0.0, None)
    return np.minimum(pixels, side - 1).astype(np.intp), weights / weights.sum(axis=0)


def averaged(op: Resize | Enlarge, image: NDArray[Any]) -> NDArray[Any]:
    """A resize by `area`, or a part of one."""
    whole, first = (op.whole, (op.top, op.left)) if isinstance(op, Enlarge) else ((op.height, op.width), (0, 0))
    found: NDArray[Any] = image
    for axis in (0, 1):
        pixels, weights = covered(first[axis], (op.height, op.width)[axis], whole[axis], image.shape[axis])
        shape = (-1, 1, 1) if axis == 0 else (-1, 1)
        found = sum(
            np.take(found, pixel, axis) * weight.reshape(shape) for pixel, weight in zip(pixels, weights, strict=True)
        )
    if image.dtype == np.uint8:
        found = np.floor(found + (0.5 + NEARLY))
    out = plain.like(image, op.height, op.width)
    out[...] = found
    return out
