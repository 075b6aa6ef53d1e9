"""Inverting a displacement field: the field says where each pixel is read, and points move the other way.

Newton's method finds nearly all points. Where the field folds it may not arrive; these points are searched among all
cells of the field (`folds`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from augreg.backends import Backend, tiles
from augreg.backends.displacement import sources
from augreg.ops import Filter, Remap
from augreg.targets.folds import shown_at

__all__ = ["invert_displacement", "source_of"]

Points = NDArray[np.float64]

_STEPS: Final = 30
_STRIDE: Final = 0.5  # where the field stretches or folds, a full step overshoots
_STEEP: Final = 0.25  # a unit of area at the source that shrinks to less is too close to a fold for Newton's method
_FARTHEST: Final = 8.0  # pixels of one step: further away the slope says nothing
_NEAR: Final = 1e-4


def source_of(op: Remap, size: tuple[int, int], engine: Backend) -> Callable[[Points], Points]:
    """A function from points of the remapped image to where it reads them, the inverse of `invert_displacement`."""
    if op.field == "tiles":
        return lambda points: tiles.moved(op, size, points, back=True)
    shifts = _shifts(op, size, engine)
    return lambda points: points + _between(shifts, points)[0]


def invert_displacement(op: Remap, size: tuple[int, int], engine: Backend) -> Callable[[Points], Points]:
    """A function that moves points to where the remapped image shows them.

    It is exact to a ten-thousandth of a pixel. Where the field folds, several places show a point, and it is one of
    them. The displacement at the edge is continued outside, so a point that no pixel shows ends up outside the image.
    """
    if op.field == "tiles":
        return lambda points: tiles.moved(op, size, points)
    shifts = _shifts(op, size, engine)

    def invert(points: Points) -> Points:
        found = points.copy()
        rest = np.arange(len(points))
        for _ in range(_STEPS):
            place = found[rest]
            shift, slope_x, slope_y = _between(shifts, place)
            error = place + shift - points[rest]
            far = np.hypot(error[:, 0], error[:, 1]) >= _NEAR
            if not far.any():
                return found
            rest = rest[far]
            found[rest] = place[far] - _step(error[far], slope_x[far], slope_y[far])
        found[rest] = shown_at(shifts, points[rest])
        return found

    return invert


def _shifts(op: Remap, size: tuple[int, int], engine: Backend) -> NDArray[np.float64]:
    """Where each pixel is read, less its own place: height x width x 2, along x and y."""
    height, width = size
    ys, xs = sources(op, height, width, engine.kernels[Filter])
    return np.stack(
        (xs - np.arange(width)[None] - 0.5, ys - np.arange(height)[:, None] - 0.5), axis=-1, dtype=np.float64
    )


def _step(error: Points, slope_x: Points, slope_y: Points) -> Points:
    """The step from a place towards one without error; the slopes are those of the shift along x and y."""
    a, b, c, d = 1.0 + slope_x[:, 0], slope_y[:, 0], slope_x[:, 1], 1.0 + slope_y[:, 1]
    area = a * d - b * c
    steep = area < _STEEP
    area = np.where(steep, 1.0, area)
    x, y = error.T
    newton = np.stack(((d * x - b * y) / area, (a * y - c * x) / area), axis=1)
    step: Points = np.where(steep[:, None], _STRIDE * error, newton)
    return step * np.minimum(1.0, _FARTHEST / np.maximum(np.hypot(step[:, 0], step[:, 1]), 1e-9))[:, None]


def _between(shifts: NDArray[np.float64], places: Points) -> tuple[Points, Points, Points]:
    """The shifts at positions between pixel centers, bilinear, and their slopes along x and y.

    Beyond the outermost centers they are constant.
    """
    height, width = shifts.shape[:2]
    within = (places >= 0.5) & (places <= (width - 0.5, height - 0.5))
    x, y = np.clip(places[:, 0] - 0.5, 0.0, width - 1.0), np.clip(places[:, 1] - 0.5, 0.0, height - 1.0)
    left, top = x.astype(np.intp), y.astype(np.intp)
    right, below = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
    part_x, part_y = (x - left)[:, None], (y - top)[:, None]
    flat = shifts.reshape(-1, 2)
    first = flat.take(top * width + left, axis=0)
    slope_first = flat.take(top * width + right, axis=0) - first
    second = flat.take(below * width + left, axis=0)
    slope_second = flat.take(below * width + right, axis=0) - second
    upper, lower = first + slope_first * part_x, second + slope_second * part_x
    along_x = (slope_first + (slope_second - slope_first) * part_y) * within[:, :1]
    along_y = (lower - upper) * within[:, 1:]
    return upper + (lower - upper) * part_y, along_x, along_y
