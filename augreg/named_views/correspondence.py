"""Where the points of views are: their maps as 3x3 matrices, and the parts of the image that they show.

Points are (x, y) in pixels from the top left, with pixel centers at +0.5.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from augreg.errors import ImageError
from augreg.execution.plan import Plan
from augreg.execution.run import step_of
from augreg.ops import FunctionCall, Op, Remap

__all__ = ["Overlap", "Polygon", "corners", "homography", "outline", "overlap"]

Matrix = NDArray[np.float64]
Size = tuple[int, int]
Polygon = tuple[tuple[float, float], ...]
"""The corners (x, y) of a convex figure, in order; none for an empty one."""

_ZERO: Final = 1e-12
_NOTHING: Final = 1e-9
"""Pixels, or square pixels, which rounding may leave."""


class Overlap(NamedTuple):
    """The part of the image that two views both show.

    `region` has its corners (x, y) in pixels of the image, clockwise as it is displayed, and `area` its size in
    pixels; `first` and `second` are the fractions that it is of what each view shows.
    """

    region: Polygon
    area: float
    first: float
    second: float


class _Leg(NamedTuple):
    """An op that moves pixels, and the size before it."""

    op: Op
    size: Size


def _legs(plan: Plan) -> Iterator[_Leg]:
    size: Size = plan.scene.size
    for op in plan.ops:
        if op.moves_pixels(*size):
            yield _Leg(op, size)
        after = op.size_after(*size)
        if after is None:
            break
        size = after


def _matrices(plan: Plan, name: str, legs: Iterable[_Leg]) -> Iterator[tuple[Matrix, Size]]:
    """The map from the image before the first leg to the result of each, and the size of that result.

    It is not scaled: the third coordinate of what is in front of the horizon is positive. Raises ImageError.
    """
    total = np.eye(3)
    for op, size in legs:
        step, after, matrix = step_of(plan.entries, op), op.size_after(*size), op.point_map(*size)
        if after is None:
            raise ImageError(f"{name}: {step} leaves an image of unknown size, so what comes after it is not known")
        if isinstance(op, FunctionCall) and (op.geometry or after != size):
            raise ImageError(f"{name}: {step} moves pixels by a function of its own, so there is no homography")
        if matrix is None:
            what = (
                "bends the image" if isinstance(op, Remap) else "mixes moved images, or folds the image into a line"
            )
            raise ImageError(f"{name}: {step} {what}, so there is no homography")
        total = np.reshape(matrix, (3, 3)) @ total
        yield total, after


def homography(first: Plan, second: Plan, names: tuple[str, str]) -> Matrix:
    """The map from points of the result of one plan to those of another plan of the same image, as a 3x3 matrix.

    The last number is 1; where the origin goes to infinity, it is 0 and the largest is 1. What both plans begin with
    does not matter, even if it bends the image. Raises ImageError where there is no such map.
    """
    legs = list(_legs(first)), list(_legs(second))
    shared = sum(1 for _ in itertools.takewhile(_are_equal, zip(*legs, strict=False)))
    start = [np.eye(3)]
    to_first = [*start, *(matrix for matrix, _ in _matrices(first, names[0], legs[0][shared:]))][-1]
    to_second = [*start, *(matrix for matrix, _ in _matrices(second, names[1], legs[1][shared:]))][-1]
    a, b, c = to_first.T
    back = np.array([np.cross(b, c), np.cross(c, a), np.cross(a, b)])  # the inverse times the determinant
    found = to_second @ back
    last, largest = float(found[2, 2]), float(np.abs(found).max())
    return np.asarray(found / (last if abs(last) > _ZERO * largest else largest))


def _are_equal(legs: tuple[_Leg, _Leg]) -> bool:
    """Whether the ops of two legs do the same."""
    try:
        return bool(legs[0].op == legs[1].op)
    except ValueError:  # arrays among the arguments of a function
        return False


def outline(plan: Plan, name: str, within: Polygon | None = None) -> Polygon:
    """What the result of a plan shows of the image, or of a figure within it, as a convex figure in the image.

    Borders and fill show nothing, and of what an image repeats beyond its border the image itself counts. What one op
    has cut off does not come back. Raises ImageError where there is no homography.
    """
    height, width = plan.scene.size
    whole = (0.0, 0.0), (float(width), 0.0), (float(width), float(height)), (0.0, float(height))
    figure: Polygon = whole if within is None else within
    for matrix, (rows, columns) in _matrices(plan, name, _legs(plan)):
        x, y, depth = matrix
        for line in (x, columns * depth - x, y, rows * depth - y):  # each is positive inside
            figure = _clipped(figure, line.tolist())
    return figure if _area(figure) > _NOTHING else ()


def _clipped(figure: Polygon, line: Sequence[float]) -> Polygon:
    """The part of a convex figure where a x + b y + c >= 0."""
    a, b, c = line
    values = [a * x + b * y + c for x, y in figure]
    found: list[tuple[float, float]] = []
    for place, (point, value) in enumerate(zip(figure, values, strict=True)):
        before, value_before = figure[place - 1], values[place - 1]
        if (value >= 0.0) != (value_before >= 0.0):
            part = value_before / (value_before - value)
            found.append((before[0] + part * (point[0] - before[0]), before[1] + part * (point[1] - before[1])))
        if value >= 0.0:
            found.append(point)
    return tuple(found) if len(found) > 2 else ()


def corners(figure: Polygon) -> Polygon:
    """The corners of a figure without points on its sides, which clipping along one line twice leaves."""
    found = list(figure)
    place = 0
    while len(found) > 2 and place < len(found):
        (x0, y0), (x, y), (x1, y1) = found[place - 1], found[place], found[(place + 1) % len(found)]
        side = math.hypot(x1 - x0, y1 - y0)
        if abs((x - x0) * (y1 - y0) - (y - y0) * (x1 - x0)) <= _NOTHING * max(side, _NOTHING):
            del found[place]
            place = max(place - 1, 0)
        else:
            place += 1
    return tuple(found)


def _area(figure: Polygon) -> float:
    """The area of a convex figure whose corners go clockwise, as the image is displayed."""
    if not figure:
        return 0.0
    left, top = figure[0]  # near the figure, products lose no digits
    moved = [(x - left, y - top) for x, y in figure]
    return abs(math.fsum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in itertools.pairwise(moved))) / 2.0


def overlap(first: Plan, second: Plan, names: tuple[str, str]) -> Overlap:
    """What two plans of one image both show of it. Raises ImageError where there is no homography."""
    one, other = outline(first, names[0]), outline(second, names[1])
    region = outline(second, names[1], within=one)
    shared = _area(region)
    fractions = [min(1.0, shared / whole) if (whole := _area(each)) else 0.0 for each in (one, other)]
    return Overlap(corners(region), shared, *fractions)
