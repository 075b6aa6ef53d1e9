"""Markers: small squares in an image that show where a transform moves pixels.

A transform is applied, with one key, to a plain image and to the same image with a marker. The marker was moved to
where the results differ, regardless of changes of pixel values and of how borders are filled.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from augreg.ops import Op, Remap
from augreg.testing.running import Array

__all__ = [
    "MARKERS",
    "SIDE",
    "SIZE",
    "Trace",
    "box",
    "cuts_apart",
    "difference",
    "figure",
    "inside",
    "marked",
    "smoothed",
    "trace",
]

SIZE = (40, 56)
SIDE = 7
MARKERS = ((11, 20), (22, 29))
"""Top and left of each, on opposite sides of the center, so that a radial blur moves them in opposite directions."""
_BACKGROUND, _FOREGROUND = 60, 200
_FAINT = 6.0  # of 255; smaller differences may be rounding


class Trace(NamedTuple):
    """Where a marker is visible: its center of mass (x, y) and its edges (x1, y1, x2, y2), in pixels.

    `side` is the square root of its area; `whole` is whether it touches no border, `single` whether it is in one
    piece.
    """

    center: Array
    edges: Array
    side: float
    whole: bool
    single: bool


def inside(number: int) -> tuple[slice, slice]:
    """The rows and the columns of a marker."""
    top, left = MARKERS[number]
    return slice(top, top + SIDE), slice(left, left + SIDE)


def box(number: int) -> Array:
    """The edges x1, y1, x2, y2 of a marker."""
    top, left = MARKERS[number]
    return np.array([left, top, left + SIDE, top + SIDE], float)


def cuts_apart(ops: Iterable[Op]) -> bool:
    """Whether an op shows parts of a figure apart from each other: its corners are not those of one figure then."""
    return any(isinstance(op, Remap) and op.field == "tiles" for op in ops)


def marked(number: int | None, channels: int, dtype: str) -> Array:
    """A plain image, with a marker if a number is given."""
    image = np.full((*SIZE, channels), _BACKGROUND, np.uint8)
    if number is not None:
        image[inside(number)] = _FOREGROUND
    return image if dtype == "uint8" else (image / np.float32(255)).astype(np.float32)


def difference(plain: Any, shown: Any) -> Array:
    """The change of each pixel value, on the 0..255 scale."""
    white = 1.0 if plain.dtype == np.uint8 else 255.0
    change: Array = (shown.astype(float) - plain.astype(float)) * white
    return change


def smoothed(change: Array) -> Array:
    """A difference smoothed to remove noise, less the change that all pixels share."""
    border = SIDE // 2
    padded = np.pad(change - np.median(change, axis=(0, 1)), ((border, border), (border, border), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (SIDE, SIDE), axis=(0, 1))
    return np.asarray(windows.mean(axis=(-1, -2)))


def figure(change: Array) -> Array:
    """The absolute difference if at least half its maximum, else 0, so that blur does not enlarge a marker."""
    size: Array = np.abs(change).max(axis=2)
    return np.where(size > max(size.max() / 2, _FAINT), size, 0.0)


def trace(weights: Array) -> Trace | None:
    """The trace of a marker that is visible where the weights are above 0; None if it is not visible."""
    ys, xs = np.nonzero(weights)
    if not len(ys):
        return None
    mass = weights[ys, xs]
    center = np.array([(xs * mass).sum(), (ys * mass).sum()]) / mass.sum() + 0.5
    edges = np.array([xs.min(), ys.min(), xs.max() + 1.0, ys.max() + 1.0])
    height, width = weights.shape
    whole = edges[0] > 0 and edges[1] > 0 and edges[2] < width and edges[3] < height
    side = float(np.sqrt(len(ys)))
    reach = max(edges[2] - edges[0], edges[3] - edges[1])
    return Trace(center, edges, side, bool(whole), bool(reach <= 2.5 * side + 2.0))
