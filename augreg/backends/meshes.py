"""Displacement fields of cameras, bands and moved nodes: shifts of rows and columns, both height x width.

Positions are (y, x) from the top left, and pixel centers are at +0.5.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from augreg.ops import Remap
from augreg.rng import field

__all__ = ["bands", "camera", "nodes", "windowed"]

Floats = NDArray[np.float32]
Shifts = tuple[Floats, Floats]
Numbers = NDArray[np.float64]

_ROWS: Final = 32  # rows of a field that are computed at once
_ON_NODE: Final = 1e-8  # added to squared distances, so that a node has a finite weight


def camera(op: Remap, height: int, width: int) -> Shifts:
    """Radial distortion of what is shown beside its place: see `ops.camera`."""
    k, down, right = op.numbers
    y, x = np.arange(height)[:, None] + 0.5 - height / 2.0, np.arange(width)[None] + 0.5 - width / 2.0
    if op.field == "camera":
        square = y * y / (height * height) + x * x / (width * width)
        stretch = k * square * (1.0 + square)
        return (y * stretch + down).astype(np.float32), (x * stretch + right).astype(np.float32)
    y, x = y - down, x - right
    stretch = k * (y * y + x * x) / ((height * height + width * width) / 4.0)
    return (y * stretch).astype(np.float32), (x * stretch).astype(np.float32)


def bands(op: Remap, height: int, width: int) -> Shifts:
    """Rows and columns, each moved as a whole."""
    low, high = op.numbers[1:3]
    count, end, overlap = int(op.numbers[0]), int(op.numbers[3]), bool(op.numbers[4])
    factors = 1.0 + low + (high - low) * field("uniform", op.key, (2, count + 1)).astype(np.float64)
    shifts = np.empty((2, height, width), np.float32)
    shifts[0] = _stretched(height, factors[0], end, overlap)[:, None]
    shifts[1] = _stretched(width, factors[1], end, overlap)
    return shifts[0], shifts[1]


def _stretched(size: int, factors: Numbers, end: int, overlap: bool) -> Numbers:
    """The shift of each pixel along a side whose bands read these factors times their widths.

    With `overlap`, the center of a band's last pixel is where that of the next band's first one is.
    """
    count = min(len(factors) - 1, size)
    widths = np.full(count + 1, size // count, np.float64)
    widths[-1] = size - count * (size // count)
    read = widths * factors[: count + 1]
    if end == 0 and read.sum() > 0.0:
        read *= size / read.sum()
    elif end == 2 and widths[-1] > 0.0:
        read[-1] = size - read[:-1].sum()
    elif end == 1 and overlap and widths[-1] > 0.0:
        read[-1] = widths[0] * factors[count]
    given, shown = (np.concatenate(([0.0], np.cumsum(each))) for each in (read, widths))
    places = np.arange(size) + 0.5
    band = np.minimum(np.searchsorted(shown, places, side="right") - 1, count)
    if overlap:
        slopes = read / np.maximum(widths - 1.0, 1.0)
        found: Numbers = given[band] + 0.5 + (places - 0.5 - shown[band]) * slopes[band] - places
    else:
        slopes = read / np.maximum(widths, 1.0)
        found = given[band] + (places - shown[band]) * slopes[band] - places
    return found


def nodes(op: Remap, height: int, width: int) -> Shifts:
    """The nodes of a grid, moved, but not beyond the centers of the outermost pixels.

    By distance they reach from the center of the first pixel to that of the last, and by triangles a pixel further,
    as they do in albumentations.
    """
    rows, columns, scale = int(op.numbers[0]), int(op.numbers[1]), op.numbers[2]
    shorter = min(height, width)
    sides = ((height, width), (shorter, shorter), (1.0, 1.0))[int(op.numbers[3])]
    by_distance = bool(op.numbers[4])
    lines = tuple([
        0.5 + np.linspace(0.0, size - by_distance, count) for size, count in ((height, rows), (width, columns))
    ])  # fmt: skip
    moves = field("normal", op.key, (2, rows, columns)).astype(np.float64) * scale
    places = np.empty((2, rows, columns))
    places[0] = np.clip(lines[0][:, None] + moves[0] * sides[0], 0.5, height - 0.5)
    places[1] = np.clip(lines[1] + moves[1] * sides[1], 0.5, width - 0.5)
    read = _by_distance(places, lines, height, width) if by_distance else _in_triangles(places, height, width)
    read[0] -= np.arange(height, dtype=np.float32)[:, None] + np.float32(0.5)
    read[1] -= np.arange(width, dtype=np.float32) + np.float32(0.5)
    return read[0], read[1]


def _in_triangles(places: Numbers, height: int, width: int) -> Floats:
    """What pixels read: each cell between nodes is two triangles, within which the map is affine."""
    (first, down), (before, across) = (
        _cells(size, count) for size, count in zip((height, width), places.shape[1:], strict=True)
    )
    read = np.empty((2, height, width), np.float32)
    for row in range(places.shape[1] - 1):
        for column in range(places.shape[2] - 1):
            v, u = down[first == row][:, None], across[before == column]
            above = u + v <= 1.0
            for axis in range(2):
                (a, b), (c, d) = places[axis, row : row + 2, column : column + 2]
                upper, lower = a + u * (b - a) + v * (c - a), d + (1.0 - u) * (c - d) + (1.0 - v) * (b - d)
                read[axis][np.ix_(first == row, before == column)] = np.where(above, upper, lower)
    return read


def _cells(size: int, count: int) -> tuple[NDArray[np.intp], Numbers]:
    """For each pixel along a side: the node before it, of so many, and how far it is to the next, from 0 to 1."""
    place: Numbers = np.arange(size, dtype=np.float64) * ((count - 1) / size)
    first = place.astype(np.intp)
    part: Numbers = place - first
    return first, part


def _by_distance(places: Numbers, lines: tuple[Numbers, ...], height: int, width: int) -> Floats:
    """What pixels read: the mean of the places of all nodes, weighted by their inverse squared distances."""
    read = np.empty((2, height, width), np.float32)
    across = (np.arange(width) + 0.5 - lines[1][:, None]) ** 2
    for top in range(0, height, _ROWS):
        ys = np.arange(top, min(top + _ROWS, height)) + 0.5
        down = (ys - lines[0][:, None]) ** 2
        total: Any = 0.0
        sums: Any = [0.0, 0.0]
        for row, column in np.ndindex(*places.shape[1:]):
            weight = 1.0 / (down[row][:, None] + across[column] + _ON_NODE)
            total = total + weight
            sums = [part + weight * places[axis, row, column] for axis, part in enumerate(sums)]
        for axis in range(2):
            read[axis, top : top + _ROWS] = sums[axis] / total
    return read


def windowed(sigma: float, reach: int, noise: Floats, edges: Literal["symmetric", "edge"]) -> Floats:
    """Noise smoothed by a Gaussian that is cut off at `reach` pixels; its edges are mirrored or repeated."""
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    weights /= weights.sum()
    for axis in range(2):
        around = [(0, 0), (0, 0), (0, 0)]
        around[axis] = (reach, reach)
        padded = np.pad(noise, around, mode=edges)
        size = noise.shape[axis]
        total, scaled = np.zeros((2, *noise.shape))
        for place, weight in enumerate(weights):
            part = padded[place : place + size] if axis == 0 else padded[:, place : place + size]
            total += np.multiply(part, weight, out=scaled)
        noise = total.astype(np.float32)
    return noise
