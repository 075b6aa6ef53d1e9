"""Tiles that are exchanged: where each one goes, and what every pixel then reads."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from augreg.images import buffers
from augreg.ops import Remap
from augreg.rng import field

__all__ = ["Tile", "exchanged", "moved", "shifts", "tiles"]

Points = NDArray[np.float64]
Places = NDArray[np.intp]


class Tile(NamedTuple):
    """A tile of the image: its top left corner, its size, and how far down and to the right it goes."""

    top: int
    left: int
    height: int
    width: int
    down: int
    right: int


def tiles(op: Remap, height: int, width: int) -> list[Tile]:
    """The tiles of an image of this size, row by row. Those of a size are exchanged, in a random order."""
    rows, columns = min(int(op.numbers[0]), height), min(int(op.numbers[1]), width)
    noise = field("uniform", op.key, (rows + columns + rows * columns,))
    even = bool(op.numbers[2])
    tops, lefts = _cuts(height, noise[:rows], even), _cuts(width, noise[rows : rows + columns], even)
    order = noise[rows + columns :].argsort(kind="stable")
    corners = [(top, left) for top in tops[:-1].tolist() for left in lefts[:-1].tolist()]
    sides = [(high, wide) for high in np.diff(tops).tolist() for wide in np.diff(lefts).tolist()]
    of_size: dict[Any, list[int]] = {}
    for number, size in enumerate(sides):
        of_size.setdefault(size, []).append(number)
    waiting = {size: iter(numbers) for size, numbers in of_size.items()}
    found: list[Tile | None] = [None] * len(sides)
    for number in order.tolist():  # the next place of its size is that of the tile
        top, left = corners[number]
        there, (high, wide) = corners[next(waiting[sides[number]])], sides[number]
        found[number] = Tile(top, left, high, wide, there[0] - top, there[1] - left)
    return [tile for tile in found if tile is not None]


def _cuts(size: int, noise: NDArray[np.float32], even: bool) -> Places:
    """The edges of parts of a side, as many as there is noise; those with a pixel more are spread or anywhere."""
    count = len(noise)
    if even:
        return np.arange(count + 1) * size // count
    lengths = np.full(count, size // count)
    lengths[noise.argsort(kind="stable")[: size % count]] += 1
    return np.concatenate(([0], np.cumsum(lengths))).astype(np.intp)


def shifts(op: Remap, height: int, width: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What pixels read: shifts of rows and columns, both height x width."""
    found = np.empty((2, height, width), np.float32)
    for top, left, high, wide, down, right in tiles(op, height, width):
        there = np.s_[:, top + down : top + down + high, left + right : left + right + wide]
        found[there] = np.array([-down, -right], np.float32).reshape(2, 1, 1)
    return found[0], found[1]


def exchanged(op: Remap, image: NDArray[Any]) -> NDArray[Any]:
    """The image with its tiles in their new places."""
    out = buffers.empty(image.shape, image.dtype)
    for top, left, high, wide, down, right in tiles(op, *image.shape[:2]):
        there = np.s_[top + down : top + down + high, left + right : left + right + wide]
        out[there] = image[top : top + high, left : left + wide]
    return out


def moved(op: Remap, size: tuple[int, int], points: Points, back: bool = False) -> Points:
    """Points (x, y) where their tiles go, or with `back` where they come from; those outside the image stay there."""
    found = points.copy()
    for top, left, high, wide, down, right in tiles(op, *size):
        low = np.array([left + right, top + down] if back else [left, top], np.float64)
        ends = low + np.array([wide, high])
        last = ends == (size[1], size[0])  # the border of the image belongs to it
        inside = ((points >= low) & ((points < ends) | (last & (points == ends)))).all(axis=1)
        found[inside] = points[inside] + np.array([-right, -down] if back else [right, down])
    return found
