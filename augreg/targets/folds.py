"""Folds: the places where a folded image shows a point, searched among all cells of a displacement field.

A cell has the centers of four neighboring pixels as its corners; within it, the position that is read is bilinear.
One more ring of wide cells around the image continues the displacement of the edge. Together the cells cover the
plane, so every point is read in at least one of them.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["shown_at"]

Points = NDArray[np.float64]
Places = NDArray[np.intp]

_BLOCK: Final = 16  # cells along the side of a block; blocks that do not read near a point are skipped as a whole
_AT_ONCE: Final = 1 << 12  # pairs of a point and a block, 20 MB
_LOOSE: Final = 1e-9  # of a cell: a point on the edge between two is in both


def shown_at(shifts: NDArray[np.float64], points: Points) -> Points:
    """Where an image shows points that pixels read at their own place plus `shifts` (height x width x 2).

    Of several places it is the nearest inside the image, or else the nearest.
    """
    height, width = shifts.shape[:2]
    reach = float(np.abs(shifts).max()) + float(np.abs(points).max(initial=0.0)) + max(height, width) + 1.0
    xs = np.concatenate(([-reach], np.arange(width) + 0.5, [width + reach]))
    ys = np.concatenate(([-reach], np.arange(height) + 0.5, [height + reach]))
    nodes = np.pad(shifts, ((1, 1), (1, 1), (0, 0)), mode="edge")
    nodes[..., 0] += xs
    nodes[..., 1] += ys[:, None]
    owners, places = [np.zeros(0, np.intp)], [np.zeros((0, 2))]
    for owner, top, left in _blocks(nodes, points):
        number, row, column = _cells(nodes, points[owner], top, left)
        pair, across, down = _solved(_corners(nodes, row, column), points[owner[number]])
        row, column = row[pair], column[pair]
        x = xs[column] + across * (xs[column + 1] - xs[column])
        y = ys[row] + down * (ys[row + 1] - ys[row])
        owners.append(owner[number[pair]])
        places.append(np.stack((x, y), axis=1))
    return _best(points, np.concatenate(owners), np.concatenate(places), (height, width))


def _best(points: Points, owners: Places, places: Points, size: tuple[int, int]) -> Points:
    """For each point the nearest of its places, those inside the image first."""
    outside = ((places < 0.0) | (places > (size[1], size[0]))).any(axis=1)
    distance = np.hypot(*(places - points[owners]).T)
    order = np.lexsort((distance, outside, owners))
    known, first = np.unique(owners[order], return_index=True)
    found = np.full_like(points, -float(max(size)))  # none: not in the image
    found[known] = places[order][first]
    return found


def _blocks(nodes: Points, points: Points) -> list[tuple[Places, Places, Places]]:
    """The blocks that may read a point, as portions of (numbers of points, first rows, first columns)."""
    low, high = nodes, nodes
    for axis in (0, 1):
        ahead = tuple(slice(1, None) if one == axis else slice(None) for one in (0, 1))
        behind = tuple(slice(-1) if one == axis else slice(None) for one in (0, 1))
        starts = np.arange(0, nodes.shape[axis] - 1, _BLOCK)
        low = np.minimum.reduceat(np.minimum(low[ahead], low[behind]), starts, axis=axis)
        high = np.maximum.reduceat(np.maximum(high[ahead], high[behind]), starts, axis=axis)
    columns = low.shape[1]
    low, high = low.reshape(-1, 2), high.reshape(-1, 2)
    pairs = []
    for number, point in enumerate(points):
        near = np.flatnonzero(((low <= point) & (high >= point)).all(axis=1))
        pairs.append(np.stack((np.full(len(near), number), near // columns * _BLOCK, near % columns * _BLOCK)))
    every = np.concatenate(pairs, axis=1)
    return [tuple(every[:, start : start + _AT_ONCE]) for start in range(0, every.shape[1], _AT_ONCE)]


def _cells(nodes: Points, points: Points, top: Places, left: Places) -> tuple[Places, Places, Places]:
    """The cells of a block for each point that may read it: (numbers of points, rows, columns)."""
    rows = np.minimum(top[:, None] + np.arange(_BLOCK + 1), nodes.shape[0] - 1)
    columns = np.minimum(left[:, None] + np.arange(_BLOCK + 1), nodes.shape[1] - 1)
    block = nodes[rows[:, :, None], columns[:, None, :]]
    corners = (block[:, :-1, :-1], block[:, :-1, 1:], block[:, 1:, :-1], block[:, 1:, 1:])
    low, high = np.minimum.reduce(corners), np.maximum.reduce(corners)
    point = points[:, None, None]
    number, row, column = np.nonzero(((low <= point) & (high >= point)).all(axis=-1))
    row, column = row + top[number], column + left[number]
    real = (row < nodes.shape[0] - 1) & (column < nodes.shape[1] - 1)  # the last blocks are filled up
    return number[real], row[real], column[real]


def _corners(nodes: Points, row: Places, column: Places) -> tuple[Points, Points, Points, Points]:
    """What is read at the first corner of each cell, its change along x, along y, and along both."""
    first, right = nodes[row, column], nodes[row, column + 1]
    below, last = nodes[row + 1, column], nodes[row + 1, column + 1]
    return first, right - first, below - first, first - right - below + last


def _solved(cells: tuple[Points, Points, Points, Points], points: Points) -> tuple[Places, Points, Points]:
    """The parts of a cell, 0 to 1 along x and y, at which it reads its point: (numbers of cells, parts, parts).

    With the part v along y, the point lies on the line from `first + v along_y` in the direction of
    `along_x + v both`: a quadratic equation for v.
    """
    first, along_x, along_y, both = cells
    off = points - first
    square, linear, rest = -_cross(along_y, both), _cross(off, both) - _cross(along_y, along_x), _cross(off, along_x)
    root = np.sqrt(np.maximum(linear * linear - 4.0 * square * rest, 0.0))
    real = linear * linear - 4.0 * square * rest >= -1e-12 * linear * linear
    stable = -0.5 * (linear + np.copysign(root, linear))
    found = []
    for above, under in ((stable, square), (rest, stable)):
        down = np.divide(above, under, out=np.full(len(off), np.nan), where=real & (under != 0.0))
        direction, offset = along_x + down[:, None] * both, off - down[:, None] * along_y
        wide = np.abs(direction[:, 0]) >= np.abs(direction[:, 1])
        above, under = np.where(wide, offset.T[0], offset.T[1]), np.where(wide, direction.T[0], direction.T[1])
        across = np.divide(above, under, out=np.full(len(off), np.nan), where=under != 0.0)
        with np.errstate(invalid="ignore"):
            inside = (np.abs(across - 0.5) <= 0.5 + _LOOSE) & (np.abs(down - 0.5) <= 0.5 + _LOOSE)
        pair = np.flatnonzero(inside)
        found.append((pair, across[pair], down[pair]))
    pairs, acrosses, downs = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return pairs, acrosses, downs


def _cross(one: Points, other: Points) -> Points:
    product: Points = one[:, 0] * other[:, 1] - one[:, 1] * other[:, 0]
    return product
