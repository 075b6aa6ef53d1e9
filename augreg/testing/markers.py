"""Markers: small figures in an image, by which one sees where a transform takes pixels.

The same draw is done to a plain image and to the image with one marker: where the results differ, the marker
went, whatever was done to levels and however a border is filled.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from augreg.testing.attempts import Array

__all__ = ["MARKERS", "SIDE", "SIZE", "Trace", "box", "difference", "figure", "inside", "marked", "smoothed", "trace"]

SIZE = (40, 56)
SIDE = 7
MARKERS = ((11, 20), (22, 29))
"""Top and left of each, on opposite sides of the center: a blur that runs away from it takes them opposite ways."""
_GROUND, _FIGURE = 60, 200
_FAINT = 6.0  # levels; what differs by less cannot be told from rounding


class Trace(NamedTuple):
    """Where a marker shows: the (x, y) of its center of mass, and of its first and last edges, in pixels.

    `side` is the root of its area; `whole` says that it touches no border; `single` that it shows once, in one piece.
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


def marked(number: int | None, channels: int, dtype: str) -> Array:
    """A plain image, with the marker of this number, if any."""
    image = np.full((*SIZE, channels), _GROUND, np.uint8)
    if number is not None:
        image[inside(number)] = _FIGURE
    return image if dtype == "uint8" else (image / np.float32(255)).astype(np.float32)


def difference(plain: Any, shown: Any) -> Array:
    """What the marker does to the levels of each pixel."""
    white = 1.0 if plain.dtype == np.uint8 else 255.0
    change: Array = (shown.astype(float) - plain.astype(float)) * white
    return change


def smoothed(change: Array) -> Array:
    """A difference without the noise that is in it, and without what is done to all pixels alike."""
    border = SIDE // 2
    padded = np.pad(change - np.median(change, axis=(0, 1)), ((border, border), (border, border), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (SIDE, SIDE), axis=(0, 1))
    return np.asarray(windows.mean(axis=(-1, -2)))


def figure(change: Array) -> Array:
    """How large a difference is, where it is at least half of the most, else 0: a blur leaves a figure its size."""
    off: Array = np.abs(change).max(axis=2)
    return np.where(off > max(off.max() / 2, _FAINT), off, 0.0)


def trace(weights: Array) -> Trace | None:
    """What can be said of a figure that shows where these are above 0; None where it shows nowhere."""
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
