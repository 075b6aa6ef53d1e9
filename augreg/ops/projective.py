"""Projective maps of the plane, as the eight numbers (a, b, c, d, e, f, g, h) with a ninth that is 1.

(x, y) -> ((a x + b y + c) / (g x + h y + 1), (d x + e y + f) / (g x + h y + 1))
"""

from __future__ import annotations

import math
from collections.abc import Sequence

__all__ = [
    "FLAT",
    "IDENTITY",
    "NEAREST",
    "Map",
    "adjugate",
    "inverse",
    "product",
    "rearrangement",
    "rotation",
    "squeezed",
    "through_points",
    "turn",
    "turned_about",
]

Points = tuple[tuple[float, float], ...]

Map = tuple[float, ...]
"""All nine numbers of a map, where the ninth need not be 1."""

NEAREST = 0.1
"""The least depth of the nearest corner of a perspective, as a part of that of the farthest one."""
FLAT = 1e-12
"""A map whose determinant is smaller folds the plane into a line."""

IDENTITY: Map = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


def rotation(degrees: float, x: float, y: float) -> tuple[float, float, float, float, float, float]:
    """The affine part of a rotation about (x, y): maps each point of the rotated image to its source.

    Sine and cosine are rounded to 15 digits, as in Pillow, so that multiples of 90 degrees are exact.
    """
    return turned_about(*turn(degrees), x, y)


def turn(degrees: float) -> tuple[float, float]:
    """The cosine and the sine of a rotation."""
    radians = -math.radians(degrees)
    return round(math.cos(radians), 15), round(math.sin(radians), 15)


def turned_about(cos: float, sin: float, x: float, y: float) -> tuple[float, float, float, float, float, float]:
    """The rotation about (x, y) with this cosine and sine."""
    return cos, sin, -x * cos - y * sin + x, -sin, cos, x * sin - y * cos + y


def squeezed(
    cos: float, sin: float, size: tuple[float, float], rotated: tuple[float, float], sides: str
) -> tuple[float, float, float, float, float, float]:
    """The rotation about the center with this cosine and sine, scaled from `rotated` to `size`, (width, height) both.

    `sides` says how those of `rotated` are rounded; see `safe_rotate`.
    """
    width, height = size
    wide, high = rotated
    before = after = 0.0
    if sides == "floor":
        wide, high, after = wide // 1.0, high // 1.0, 0.5
    elif sides == "ceil":
        wide, high, before, after = -(-wide // 1.0), -(-high // 1.0), 0.5, 0.5
    across, down = wide / width, high / height
    a, b, d, e = cos * across, sin * down, -sin * across, cos * down
    x, y = width / 2.0 + after, height / 2.0 + after
    return a, b, width / 2.0 + before - a * x - b * y, d, e, height / 2.0 + before - d * x - e * y


def product(m: Sequence[float], n: Sequence[float]) -> tuple[float, ...] | None:
    """The map that applies `n` and then `m`; None when it sends the origin to infinity."""
    a, b = (*m, 1.0), (*n, 1.0)
    c = [sum(a[3 * row + k] * b[3 * k + column] for k in range(3)) for row in range(3) for column in range(3)]
    return tuple(value / c[8] for value in c[:8]) if abs(c[8]) > 1e-12 else None


def inverse(m: Sequence[float]) -> tuple[float, ...] | None:
    """The inverse map, as nine numbers; None when the map folds the plane into a line.

    The ninth number is not scaled to 1: it may be 0, and its sign says which side of the horizon is in front. A point
    that is in front of the horizon for the map itself has a positive denominator here.
    """
    back, det = adjugate(m)
    return tuple(value / det for value in back) if abs(det) >= FLAT else None


def adjugate(m: Sequence[float]) -> tuple[tuple[float, ...], float]:
    """The inverse map times the determinant, as nine numbers, and the determinant."""
    a, b, c, d, e, f, g, h = m
    det = a * (e - f * h) - b * (d - f * g) + c * (d * h - e * g)
    back = (
        e - f * h, c * h - b, b * f - c * e,
        f * g - d, a - c * g, c * d - a * f,
        d * h - e * g, b * g - a * h, a * e - b * d,
    )  # fmt: skip
    return back, det


def rearrangement(top: float, left: float, size: tuple[int, int], transpose: bool, flip_y: bool, flip_x: bool) -> Map:
    """The map of a `Move`: start at (left, top), transpose, then reverse rows and columns of the final `size`."""
    x, y = (1.0, 0.0, -left), (0.0, 1.0, -top)
    if transpose:
        x, y = y, x
    if flip_x:
        x = -x[0], -x[1], size[1] - x[2]
    if flip_y:
        y = -y[0], -y[1], size[0] - y[2]
    return (*x, *y, 0.0, 0.0, 1.0)


def through_points(source: Points, target: Points) -> tuple[float, ...]:
    """The map that sends four source points to four target points: an 8x8 system, by elimination.

    Raises ValueError when three of the points lie on one line.
    """
    rows: list[list[float]] = []
    for (x, y), (u, v) in zip(source, target, strict=True):
        rows.append([x, y, 1.0, 0.0, 0.0, 0.0, -u * x, -u * y, u])
        rows.append([0.0, 0.0, 0.0, x, y, 1.0, -v * x, -v * y, v])
    for column in range(8):
        pivot = max(range(column, 8), key=lambda row: abs(rows[row][column]))
        if abs(rows[pivot][column]) < 1e-12:
            raise ValueError("three of the four corners lie on one line")
        rows[column], rows[pivot] = rows[pivot], rows[column]
        head = rows[column]
        head[:] = [value / head[column] for value in head]
        for row in rows:
            if row is not head and row[column]:
                scale = row[column]
                row[:] = [value - scale * lead for value, lead in zip(row, head, strict=True)]
    return tuple(row[8] for row in rows)
