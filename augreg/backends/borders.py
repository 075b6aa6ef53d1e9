"""Images that go on beyond their border as a padded image does: edges repeated, mirrored or wrapped around."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from augreg.ops import Warp
from augreg.ops.op import PadMode

__all__ = ["FAR", "sampled", "taps", "warped"]

Array = NDArray[Any]
Positions = NDArray[np.floating[Any]]
FAR: Final = 2.0**40
"""Positions beyond are taken for this one."""
_ROWS: Final = 64


def warped(op: Warp, image: Array) -> Array:
    """The image through a warp whose mode is not constant; positions are computed as float64."""
    a, b, c, d, e, f, g, h = op.matrix
    out = np.empty((op.height, op.width, image.shape[2]), image.dtype)
    x = np.arange(op.width)[None] + 0.5
    for top in range(0, op.height, _ROWS):  # so that the positions fit into the cache
        y = np.arange(top, min(top + _ROWS, op.height))[:, None] + 0.5
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            below = g * x + h * y + 1.0
            ys, xs = (d * x + e * y + f) / below, (a * x + b * y + c) / below
        out[top : top + _ROWS] = sampled(image, ys, xs, op.interpolation, op.mode)
    return out


def sampled(image: Array, ys: Positions, xs: Positions, interpolation: str, mode: PadMode) -> Array:
    """The image at these positions, (0.5, 0.5) being the center of its first pixel; bicubic with a slope of -1."""
    ys, xs = (np.clip(np.nan_to_num(np.asarray(one, np.float64)), -FAR, FAR) for one in (ys, xs))
    height, width = image.shape[:2]
    if interpolation == "nearest":
        nearest: Array = image[_folded(np.floor(ys), height, mode), _folded(np.floor(xs), width, mode)]
        return nearest
    ys, xs = ys - 0.5, xs - 0.5
    top, left = np.floor(ys), np.floor(xs)
    down, across = (taps(ys - top, interpolation), taps(xs - left, interpolation))
    columns = [(weight[..., None], _folded(left + u, width, mode)) for u, weight in across]
    found = np.zeros((*ys.shape, image.shape[2]))
    for v, weight in down:
        row = _folded(top + v, height, mode)
        found += weight[..., None] * sum(part * image[row, column] for part, column in columns)
    if image.dtype == np.float32:
        return np.asarray(found, np.float32)
    return np.asarray(np.rint(np.clip(found, 0, 255)), np.uint8)


def taps(part: Any, interpolation: str) -> list[tuple[int, Any]]:
    """The pixels around a position, counted from the one before it, and their weights.

    `part`, the way from that one to the next, is an array or a tensor, and so are the weights.
    """
    rest = 1.0 - part
    if interpolation == "bilinear":
        return [(0, rest), (1, part)]
    return [
        (-1, -part * rest * rest),
        (0, 1.0 - part * part * (2.0 - part)),
        (1, 1.0 - rest * rest * (2.0 - rest)),
        (2, -rest * part * part),
    ]


def _folded(places: Positions, size: int, mode: PadMode) -> NDArray[np.intp]:
    """The rows or columns that are shown at these whole numbers."""
    if mode == "edge":
        edge: NDArray[np.intp] = np.clip(places, 0, size - 1).astype(np.intp)
        return edge
    if mode == "wrap":
        return np.mod(places, size).astype(np.intp)
    twice = 0 if mode == "reflect" else 1  # how often a mirror shows the edge again
    period = max(1, 2 * (size - 1 + twice))
    place = np.mod(places, period)
    other = period - twice - place
    mirrored: NDArray[np.intp] = np.minimum(place, other).astype(np.intp)
    return mirrored
