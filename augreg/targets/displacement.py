"""Inverting a displacement field: the field says where each pixel is read, and points move the other way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from augreg.backends import Backend
from augreg.backends.displacement import sources
from augreg.ops import Filter, Remap

__all__ = ["invert_displacement"]

Points = NDArray[np.float64]

_STEPS: Final = 60
_STRIDE: Final = 0.5  # a full step would overshoot where the field stretches the image to twice its size
_NEAR: Final = 0.01


def invert_displacement(op: Remap, size: tuple[int, int], engine: Backend) -> Callable[[Points], Points]:
    """A function that moves points to where the remapped image shows them.

    It is exact to a hundredth of a pixel wherever the field does not fold: it starts at each point and steps against
    the error of the position that is read there. The displacement at the edge is continued outside, so a point that
    no pixel shows ends up outside the image.
    """
    height, width = size
    ys, xs = sources(op, height, width, engine.kernels[Filter])
    shifts = np.stack(
        (xs - np.arange(width)[None] - 0.5, ys - np.arange(height)[:, None] - 0.5), axis=-1, dtype=np.float64
    )

    def invert(points: Points) -> Points:
        place, best = points.copy(), points.copy()
        least = np.full(len(points), np.inf)
        for _ in range(_STEPS):
            error = place + _between(shifts, place) - points
            distance = np.hypot(error[:, 0], error[:, 1])
            better = distance < least
            best[better], least[better] = place[better], distance[better]
            if (least < _NEAR).all():
                break
            place = place - _STRIDE * error
        return best

    return invert


def _between(shifts: NDArray[np.float64], places: Points) -> Points:
    """The shifts at positions between pixel centers, bilinear; constant beyond the outermost centers."""
    height, width = shifts.shape[:2]
    x = np.clip(places[:, 0] - 0.5, 0.0, width - 1.0)
    y = np.clip(places[:, 1] - 0.5, 0.0, height - 1.0)
    left, top = x.astype(np.intp), y.astype(np.intp)
    right, below = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
    part_x, part_y = (x - left)[:, None], (y - top)[:, None]
    upper = shifts[top, left] * (1.0 - part_x) + shifts[top, right] * part_x
    lower = shifts[below, left] * (1.0 - part_x) + shifts[below, right] * part_x
    found: Points = upper * (1.0 - part_y) + lower * part_y
    return found
