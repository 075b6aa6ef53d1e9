"""Polygons: many at once, as the points of all one after the other and the number of points of each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from augreg.backends.tiles import Tile
from augreg.targets.conventions import NEAR

__all__ = [
    "bridged",
    "clipped",
    "edge_points",
    "in_cells",
    "in_tiles",
    "measured",
    "split",
    "total_area",
    "within",
    "without",
]

Points = NDArray[np.float64]
Size = tuple[int, int]


def edge_points(corners: Points, counts: NDArray[np.intp]) -> tuple[Points, NDArray[np.intp]]:
    """Points along the edges of polygons with `counts` corners each, and the numbers of points.

    They are about two pixels apart, or more for very long edges.
    """
    starts = np.cumsum(counts) - counts
    along = corners[_following(counts)] - corners
    lengths = np.hypot(along[:, 0], along[:, 1])
    apart = np.maximum(2.0, np.add.reduceat(lengths, starts) / 256)
    parts = np.maximum(np.ceil(lengths / np.repeat(apart, counts)), 1.0).astype(np.intp)
    edge = np.repeat(np.arange(len(corners)), parts)
    step = np.arange(len(edge)) - (np.cumsum(parts) - parts)[edge]
    return corners[edge] + along[edge] * (step / parts[edge])[:, None], np.add.reduceat(parts, starts)


def _following(counts: NDArray[np.intp]) -> NDArray[np.intp]:
    """For every corner of polygons with `counts` corners each, the place of the next one."""
    ends = np.cumsum(counts)
    following = np.arange(1, len(counts) and int(ends[-1]) + 1)
    there = counts > 0
    following[ends[there] - 1] = (ends - counts)[there]
    return following


def split(points: Points, counts: NDArray[np.intp]) -> list[Points]:
    """The points of each polygon."""
    ends = np.cumsum(counts).tolist()
    return [points[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def clipped(points: Points, counts: NDArray[np.intp], size: Size) -> tuple[Points, NDArray[np.intp]]:
    """The parts of polygons inside an image of this size: clipped at one border after the other (Sutherland and
    Hodgman). A polygon of which nothing is left has no points.
    """
    ends = size[1], size[0]
    for axis in (0, 1):
        for border, sign in ((0.0, 1.0), (float(ends[axis]), -1.0)):
            points, counts = _cut(points, counts, axis, border, sign)
    return np.clip(points, 0.0, ends), counts  # rounding errors of the crossings


def within(polygon: Points, low: Points, high: Points) -> Points:
    """The part of a polygon in a rectangle between two corners (x, y)."""
    if (polygon.min(axis=0) >= low).all() and (polygon.max(axis=0) <= high).all():
        return polygon
    if (polygon.max(axis=0) <= low).any() or (polygon.min(axis=0) >= high).any():
        return polygon[:0]
    count = np.array([len(polygon)])
    for axis in (0, 1):
        for border, sign in ((float(low[axis]), 1.0), (float(high[axis]), -1.0)):
            polygon, count = _cut(polygon, count, axis, border, sign)
    found: Points = np.clip(polygon, low, high)
    return found


def in_cells(polygon: Points, cells: Points) -> list[Points]:
    """The parts of a polygon in rectangles, n x 4: x1, y1, x2, y2, without slivers."""
    parts = (within(polygon, cell[:2], cell[2:]) for cell in cells)
    return [part for part in parts if len(part) and np.ptp(part, axis=0).min() > NEAR]


def in_tiles(polygon: Points, cut: Sequence[Tile]) -> list[Points]:
    """The parts of a polygon in each tile, where these go."""
    found = []
    for tile in cut:
        low = np.array([tile.left, tile.top], np.float64)
        part = within(polygon, low, low + np.array([tile.width, tile.height]))
        if len(part) and np.ptp(part, axis=0).min() > 0.0:
            found.append(part + np.array([tile.right, tile.down]))
    return found


def bridged(pieces: list[Points]) -> Points:
    """Pieces as one polygon, with bridges of no width from the first point of the first to that of each other."""
    first = pieces[0][:1]
    closed = [part for piece in pieces[1:] for part in (first, piece, piece[:1])]
    return np.concatenate([pieces[0], *closed])


def without(polygon: Points, low: tuple[float, float], high: tuple[float, float]) -> list[Points]:
    """What is left of a polygon outside of a rectangle between two corners (x, y): up to four pieces."""
    if (polygon.max(axis=0) <= low).any() or (polygon.min(axis=0) >= high).any():
        return [polygon]
    pieces, count = [], np.array([len(polygon)])
    for axis in (0, 1):
        for border, sign in ((low[axis], -1.0), (high[axis], 1.0)):
            pieces.append(_cut(polygon, count, axis, border, sign)[0])
            polygon, count = _cut(polygon, count, axis, border, -sign)
    return [piece for piece in pieces if len(piece)]


def _cut(
    points: Points, counts: NDArray[np.intp], axis: int, border: float, sign: float
) -> tuple[Points, NDArray[np.intp]]:
    """The parts of polygons on one side of a border: beyond it along the axis if the sign is 1, else before it."""
    depth = sign * (points[:, axis] - border)
    inside = depth >= 0.0
    if inside.all():
        return points, counts
    following = _following(counts)
    after = depth[following]
    crosses = inside != inside[following]
    part = np.divide(depth, depth - after, out=np.zeros_like(depth), where=crosses)[:, None]
    crossings = points + part * (points[following] - points)
    crossings[:, axis] = border
    chosen = np.stack((inside, crosses), axis=1)
    found: Points = np.stack((points, crossings), axis=1)[chosen]
    ends = np.concatenate(((0,), chosen.sum(axis=1).cumsum()))[np.concatenate(((0,), np.cumsum(counts)))]
    return found, np.diff(ends)


def measured(points: Points, counts: NDArray[np.intp]) -> tuple[Points, Points, Points]:
    """The smallest x and y, the largest, and the area, of polygons with `counts` points each."""
    starts = np.cumsum(counts) - counts
    following = _following(counts)
    x, y = (points - np.repeat(points[starts], counts, axis=0)).T
    areas = np.abs(np.add.reduceat(x * y[following] - y * x[following], starts)) / 2
    return np.minimum.reduceat(points, starts), np.maximum.reduceat(points, starts), areas


def total_area(polygons: Sequence[Points]) -> float:
    """The area of several polygons that do not overlap; some may have no points."""
    there = [polygon for polygon in polygons if len(polygon)]
    if not there:
        return 0.0
    return float(measured(np.concatenate(there), np.array([len(polygon) for polygon in there]))[2].sum())
