"""Oriented boxes of several views, as corners n x 4 x 2 in the frame: how far they overlap, and their mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from augreg.targets.conventions import Targets
from augreg.views.restoring.routes import Points

__all__ = ["mean_corners", "overlaps"]

_Corner = tuple[float, float]

_SHIFTS: Final = np.array([[0, 1, 2, 3], [1, 2, 3, 0], [2, 3, 0, 1], [3, 0, 1, 2]])
_ORDERS: Final = np.concatenate((_SHIFTS, _SHIFTS[:, ::-1]))
_BY_HALF: Final = _SHIFTS[::2]


def overlaps(boxes: Points, box: Points) -> NDArray[np.float64]:
    """The intersection over union of each of n boxes and one, given by their corners: n x 4 x 2 and 4 x 2."""
    found = np.zeros(len(boxes))
    low, high = boxes.min(axis=1, initial=np.inf), boxes.max(axis=1, initial=-np.inf)
    for place in np.flatnonzero((low < box.max(axis=0)).all(axis=1) & (high > box.min(axis=0)).all(axis=1)):
        common = _common_area(boxes[place], box)
        union = abs(_area(_listed(boxes[place]))) + abs(_area(_listed(box))) - common
        found[place] = common / union if union > 0.0 else 0.0
    return found


def mean_corners(boxes: Points, weights: Sequence[float] | NDArray[np.float64] | None, targets: Targets) -> Points:
    """The weighted mean of boxes that are one object, n x 4 x 2, in the order of the corners of the first: 4 x 2.

    Boxes that are the same when turned are turned first: five numbers without a heading by quarters, with a heading
    by half, and then the heading is that of most of the weight. Of eight numbers any corner may be the first.
    """
    parts = np.ones(len(boxes)) if weights is None else np.asarray(weights, np.float64)
    parts = parts / parts.sum()
    if targets.boxes == "xyxyxyxy":
        return np.asarray(np.tensordot(parts, _aligned(boxes, _ORDERS)[0], axes=1))
    clockwise = np.where([[[_area(_listed(box)) < 0.0]] for box in boxes], boxes[:, ::-1], boxes)
    orders = _BY_HALF if targets.heading else _SHIFTS
    corners, order = _aligned(clockwise, orders)
    across, down = corners[:, 1] - corners[:, 0], corners[:, 3] - corners[:, 0]
    width, height = (np.hypot(side[:, 0], side[:, 1]) for side in (across, down))
    direction = parts @ (across / np.maximum(width, 1e-12)[:, None])
    direction = direction / max(np.hypot(*direction), 1e-12)
    if targets.heading and parts[order == 1].sum() > parts[order == 0].sum():
        direction = -direction
    x = direction * (parts @ width) / 2
    y = np.array((-direction[1], direction[0])) * (parts @ height) / 2
    center = parts @ corners.mean(axis=1)
    return np.stack((center - x - y, center + x - y, center + x + y, center - x + y))


def _aligned(boxes: Points, orders: NDArray[np.intp]) -> tuple[Points, NDArray[np.intp]]:
    """The boxes with their corners in the order in which they are nearest to those of the first, and which it is."""
    each = boxes[:, orders]
    best = ((each - boxes[0]) ** 2).sum(axis=(2, 3)).argmin(axis=1)
    return each[np.arange(len(boxes)), best], best


def _common_area(one: Points, other: Points) -> float:
    """The area of the intersection of two quadrangles."""
    whole = _listed(one)
    return sum(abs(_area(_within(whole, part))) for part in _convex_parts(_listed(other)))


def _listed(corners: Points) -> list[_Corner]:
    """Corners as plain numbers, which are faster for a few."""
    return [(x, y) for x, y in corners.tolist()]


def _area(corners: Sequence[_Corner]) -> float:
    """The area of a polygon, below 0 where its corners are in the counterclockwise order of the displayed image."""
    total = 0.0
    for place, (x, y) in enumerate(corners):
        before_x, before_y = corners[place - 1]
        total += before_x * y - x * before_y
    return total / 2.0


def _convex_parts(corners: list[_Corner]) -> list[list[_Corner]]:
    """A quadrangle as convex polygons whose area is not below 0: itself, or two triangles."""
    if _area(corners) < 0.0:
        corners = corners[::-1]
    for place in range(4):
        if _side(corners[place - 1], corners[place], corners[(place + 1) % 4]) < 0.0:  # the corner that points inward
            a, b, c, d = (corners[(place + step) % 4] for step in range(4))
            return [[a, b, c], [a, c, d]]
    return [corners]


def _within(polygon: list[_Corner], convex: list[_Corner]) -> list[_Corner]:
    """The part of a polygon inside a convex one (Sutherland and Hodgman)."""
    for place, end in enumerate(convex):
        start = convex[place - 1]
        sides = [_side(start, end, corner) for corner in polygon]
        kept: list[_Corner] = []
        for number, corner in enumerate(polygon):
            before, side = sides[number - 1], sides[number]
            if (before < 0.0) != (side < 0.0):
                share = before / (before - side)
                x, y = polygon[number - 1]
                kept.append((x + share * (corner[0] - x), y + share * (corner[1] - y)))
            if side >= 0.0:
                kept.append(corner)
        polygon = kept
    return polygon


def _side(start: _Corner, end: _Corner, corner: _Corner) -> float:
    """Above 0 where a corner lies to the right of a line, as the image is displayed."""
    return (end[0] - start[0]) * (corner[1] - start[1]) - (end[1] - start[1]) * (corner[0] - start[0])
