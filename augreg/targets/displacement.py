"""Landing: where points go under a field that says, the other way round, where each pixel is read."""

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
_STRIDE: Final = 0.5  # a whole step would overshoot where the field stretches an image to its double
_NEAR: Final = 0.01


def invert_displacement(op: Remap, size: tuple[int, int], engine: Backend) -> Callable[[Points], Points]:
    """A function from points to where they show, to a hundredth of a pixel wherever the field does not fold.

    It walks from each point against the error of what is read there. A point that nothing shows lands outside of
    the image, as the displacement at the edge is taken to go on beyond it.
    """
    height, width = size
    ys, xs = sources(op, height, width, engine.kernels[Filter])
    shifts = np.stack(
        (xs - np.arange(width)[None] - 0.5, ys - np.arange(height)[:, None] - 0.5), axis=-1, dtype=np.float64
    )

    def land(points: Points) -> Points:
        place, best = points.copy(), points.copy()
        least = np.full(len(points), np.inf)
        for _ in range(_STEPS):
            away = place + _between(shifts, place) - points
            far = np.hypot(away[:, 0], away[:, 1])
            better = far < least
            best[better], least[better] = place[better], far[better]
            if (least < _NEAR).all():
                break
            place = place - _STRIDE * away
        return best

    return land


def _between(shifts: NDArray[np.float64], places: Points) -> Points:
    """The shifts at places between pixel centers, bilinear; beyond the outermost centers as there."""
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
