"""Oriented boxes: rectangles at any angle, as five numbers or as the eight of their corners.

Within augreg they are four corners (x, y) in pixels, in the order around the box: the first two end its first side,
whose length is the width and whose direction is the angle. An angle turns the x axis towards the y axis, which is
clockwise as the image is displayed.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from augreg.errors import ImageError
from augreg.targets import rows
from augreg.targets.conventions import NEAR, Targets

__all__ = ["COLUMNS", "around", "corners_of", "extent", "numbers_of", "on_the_border", "paired", "sides"]

Points = NDArray[np.float64]
Counts = NDArray[np.intp]
Size = tuple[int, int]

COLUMNS: Final = {"cxcywhr": 5, "xyxyxyxy": 8}
"""The formats of oriented boxes, and how many numbers each has."""

_WHOLE_TURN: Final = {"radians": 2.0 * np.pi, "degrees": 360.0}
_TINY: Final = 1e-12


def paired(value: Any) -> tuple[Any, bool]:
    """Corners that are given as n x 4 x 2, as n x 8, and whether they were."""
    if hasattr(value, "ndim"):
        three = value.ndim == 3 and tuple(value.shape[1:]) == (4, 2)
        return (value.reshape(-1, 8) if three else value), three
    if not isinstance(value, list | tuple) or not len(value):
        return value, False
    if not all(rows.count(box) == 4 and all(rows.count(corner) == 2 for corner in box) for box in value):
        return value, False
    return [[number for corner in box for number in corner] for box in value], True


def corners_of(numbers: Points, key: str, targets: Targets) -> Points:
    """The corners of oriented boxes in pixels, n x 5 or n x 8: n x 4 x 2. Raises ImageError."""
    if targets.boxes == "xyxyxyxy":
        return _checked(numbers, key)
    unit, clockwise = _angle(targets)
    turn = _WHOLE_TURN[unit]
    far = np.flatnonzero(np.abs(numbers[:, 4]) > 1.01 * turn)
    if len(far):
        row = int(far[0])
        other = "; these may be degrees, `angle: degrees`" if unit == "radians" else ""
        raise ImageError(
            f"{key}[{row}]: the angle {numbers[row, 4]:g} is more than a whole turn, {turn:g}, and the spec says "
            f"{unit}{other}"
        )
    empty = np.flatnonzero((numbers[:, 2:4] <= 0.0).any(axis=1))
    if len(empty):
        row = int(empty[0])
        raise ImageError(
            f"{key}[{row}]: {numbers[row].tolist()} has no area: expected center x, center y, width, height, angle "
            "of a box that is wider and higher than 0; leave it out"
        )
    angles = numbers[:, 4] * (2.0 * np.pi / turn) * clockwise
    across = np.stack((np.cos(angles), np.sin(angles)), axis=1)
    return _rectangles(numbers[:, :2], across, _turned(across), numbers[:, 2:4])


def numbers_of(corners: Points, targets: Targets, size: Size) -> Points:
    """Oriented boxes as a spec declares them, of their corners in pixels; n x 5 is of rectangles."""
    if targets.boxes == "xyxyxyxy":
        flat = corners.reshape(-1, 8)
        return flat / ((size[1], size[0]) * 4) if targets.normalized else flat
    unit, clockwise = _angle(targets)
    first = corners[:, 1] - corners[:, 0]
    angles = np.arctan2(first[:, 1], first[:, 0]) * clockwise
    if not targets.heading:  # turned by half it is the same box
        angles = np.where(angles >= np.pi / 2, angles - np.pi, np.where(angles < -np.pi / 2, angles + np.pi, angles))
    angles = angles * (_WHOLE_TURN[unit] / (2.0 * np.pi))
    return np.concatenate((corners.mean(axis=1), sides(corners), angles[:, None]), axis=1)


def on_the_border(corners: Points, size: Size) -> Points:
    """The corners, with those on the border of an image of this size that rounding put next to it."""
    ends = np.array((size[1], size[0]), np.float64)
    near = (corners >= -NEAR) & (corners <= ends + NEAR)
    return np.where(near, np.clip(corners, 0.0, ends), corners)


def extent(numbers: Points) -> Points:
    """Width and height of boxes in either format: n x 2."""
    return numbers[:, 2:4] if numbers.shape[1] == COLUMNS["cxcywhr"] else sides(numbers.reshape(-1, 4, 2))


def sides(corners: Points) -> Points:
    """Width and height of boxes, the mean of both sides each: n x 2."""
    return np.stack([np.hypot(one[:, 0], one[:, 1]) for one in _middle_lines(corners)], axis=1)


def around(points: Points, counts: Counts, corners: Points) -> Points:
    """The rectangle around each polygon with `counts` points, in the direction of its box: n x 4 x 2.

    The direction is that of the longer sides of the box: around a parallelogram this is the smallest rectangle. The
    corners keep their order, so the first is nearest to the first of the box.
    """
    if not len(corners):
        return corners
    across, down = _axes(corners)
    starts = np.cumsum(counts) - counts
    spans = []
    for axis in (across, down):
        along = (points * np.repeat(axis, counts, axis=0)).sum(axis=1)
        spans.append((np.minimum.reduceat(along, starts), np.maximum.reduceat(along, starts)))
    (left, right), (top, bottom) = spans
    center = across * ((left + right) / 2)[:, None] + down * ((top + bottom) / 2)[:, None]
    return _rectangles(center, across, down, np.stack((right - left, bottom - top), axis=1))


def _angle(targets: Targets) -> tuple[str, float]:
    """The unit of the angle, and 1 where it grows clockwise, or -1."""
    unit, _, way = (targets.angle or "radians").partition("_")
    return unit, -1.0 if way else 1.0


def _checked(numbers: Points, key: str) -> Points:
    """The corners of eight numbers. Raises ImageError for those that enclose no area, or are in no order."""
    corners = numbers.reshape(-1, 4, 2)
    along = np.roll(corners, -1, axis=1) - corners
    after = np.roll(along, -1, axis=1)
    turns = along[..., 0] * after[..., 1] - along[..., 1] * after[..., 0]
    crossed = ((turns > 0).sum(axis=1) == 2) & ((turns < 0).sum(axis=1) == 2)
    one, other = corners[:, 2] - corners[:, 0], corners[:, 3] - corners[:, 1]
    flat = np.abs(one[:, 0] * other[:, 1] - one[:, 1] * other[:, 0]) <= _TINY
    for bad, what in ((crossed, "has edges that cross"), (flat, "has no area")):
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            raise ImageError(
                f"{key}[{row}]: {numbers[row].tolist()} {what}: expected the four corners x1, y1, .. x4, y4 in the "
                "order around the box"
            )
    return corners


def _middle_lines(corners: Points) -> tuple[Points, Points]:
    """The vectors from the middle of each box's left side to that of its right one, and from top to bottom."""
    first, second, third, fourth = np.moveaxis(corners, 1, 0)
    return (second + third - first - fourth) / 2, (third + fourth - first - second) / 2


def _axes(corners: Points) -> tuple[Points, Points]:
    """The directions of width and height of boxes, at a right angle to each other: those of the longer sides."""
    across, down = _middle_lines(corners)
    width, height = (np.hypot(one[:, 0], one[:, 1])[:, None] for one in (across, down))
    side = np.where(across[:, :1] * down[:, 1:] - across[:, 1:] * down[:, :1] < 0.0, -1.0, 1.0)  # -1: mirrored
    across, down = across / np.maximum(width, _TINY), down / np.maximum(height, _TINY)
    wide = width >= height
    return np.where(wide, across, -side * _turned(down)), np.where(wide, side * _turned(across), down)


def _turned(vectors: Points) -> Points:
    """Turned by a quarter, from x to y."""
    return np.stack((-vectors[:, 1], vectors[:, 0]), axis=1)


def _rectangles(center: Points, across: Points, down: Points, extent: Points) -> Points:
    """The corners of rectangles: n x 4 x 2."""
    x, y = across * (extent[:, :1] / 2), down * (extent[:, 1:] / 2)
    return np.stack((center - x - y, center + x - y, center + x + y, center - x + y), axis=1)
