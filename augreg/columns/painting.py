"""`sample_columns` of painted boxes and pixels, whose `sample` decides by the numbers that it draws and by the size.

The formulas, their order, and the order of the draws are those of `sample`, since the numbers have to be equal.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from augreg import ops
from augreg.columns.boxes import placed
from augreg.columns.cursors import Cursors, Integers, Rows, Some, exactly, rounded
from augreg.columns.ragged import Ragged
from augreg.columns.records import Scenes
from augreg.ops.erasing import MOST_CELLS

if TYPE_CHECKING:
    from augreg.ops import Op

__all__ = ["cutout", "grid_holes", "grid_mask", "holes", "pixel_dropout", "random_erasing"]

_TRIES: Final = 10
# they take an array for each image's own number as they take the number
_Paint: Final[Any] = ops.Paint
_DropPixels: Final[Any] = ops.DropPixels


def cutout(transform: Any, rng: Cursors, scene: Scenes) -> tuple[Op, ...]:
    """Squares, none of which is wholly outside of its image."""
    if isinstance(transform.size, int):
        half: Any = transform.size // 2
    else:
        half = np.maximum(2, rounded(transform.size * np.minimum(scene.height, scene.width))) // 2
    painted = []
    for _ in range(transform.holes):
        y, x = rng.integers(scene.height), rng.integers(scene.width)
        top, bottom = np.maximum(0, y - half), np.minimum(scene.height, y + half)
        left, right = np.maximum(0, x - half), np.minimum(scene.width, x + half)
        painted.append(_painted((top, left, bottom - top, right - left), scene.pixel_values(transform.fill)))
    return tuple(painted)


def grid_mask(transform: Any, rng: Cursors, scene: Scenes) -> tuple[Some, ...]:
    """The squares at each row and column of the grids, for the images that have one there."""
    short, long = np.minimum(*scene.size), np.maximum(*scene.size)
    unit = np.maximum(np.maximum(2, rounded(rng.uniform(*transform.unit) * short)), -(-long // 32))
    side = np.minimum(unit - 1, rounded(unit * (1.0 - transform.ratio)))
    first_y, first_x = -rng.integers(unit), -rng.integers(unit)
    fill = scene.pixel_values(transform.fill)
    painted = []
    for row in range(int(np.max((scene.height - first_y) // unit, initial=-1)) + 1):
        y = first_y + row * unit
        top, bottom = np.maximum(0, y), np.minimum(scene.height, y + side)
        for column in range(int(np.max((scene.width - first_x) // unit, initial=-1)) + 1):
            x = first_x + column * unit
            left, right = np.maximum(0, x), np.minimum(scene.width, x + side)
            rows = np.flatnonzero((bottom > top) & (right > left))
            box = top[rows], left[rows], (bottom - top)[rows], (right - left)[rows]
            if len(rows):
                painted.append(Some(rows, _painted(box, fill)))
    return tuple(painted)


def grid_holes(transform: Any, rng: Cursors, scene: Scenes) -> tuple[Some, ...]:
    """The boxes at each row and column of cells, for the images that have such a cell."""
    everyone = np.arange(len(scene))
    numbers = Ragged(rng, 16)
    unit = None
    if transform.unit is not None:
        low, high = transform.unit
        unit = low + numbers.integers(high - low + 1, everyone)
    ends = [_ends_of_cells(transform, numbers, whole, axis, unit) for axis, whole in enumerate(scene.size)]
    down, right = (np.full(len(scene), place) for place in transform.shift)
    if transform.offset == "all":
        least = [np.where(end[1:] > end[:-1], np.diff(end, axis=0), 1 << 40).min(axis=0) for end in ends]
        down, right = (numbers.integers(side - _hole(side, transform.ratio) + 1, everyone) for side in least)
    painted = []
    for y, below in zip(ends[0], ends[0][1:], strict=False):
        for x, beside in zip(ends[1], ends[1][1:], strict=False):
            rows = np.flatnonzero((below > y) & (beside > x))
            cell = below[rows] - y[rows], beside[rows] - x[rows]
            h, w = (_hole(side, transform.ratio) for side in cell)
            if transform.offset == "each":
                places = [numbers.integers(side - own + 1, rows) for side, own in zip(cell, (h, w), strict=True)]
            else:
                places = [down[rows], right[rows]]
            top = np.minimum(y[rows] + places[0], scene.height[rows] - h)
            left = np.minimum(x[rows] + places[1], scene.width[rows] - w)
            kept = np.flatnonzero((h > 0) & (w > 0))
            if len(kept):
                box = top[kept], left[kept], h[kept], w[kept]
                painted.append(Some(rows[kept], _erased(transform, numbers, rows[kept], scene, box)))
    return tuple(painted)


def _ends_of_cells(transform: Any, numbers: Ragged, whole: Integers, axis: int, unit: Any) -> Integers:
    """Where cells end along an axis, from 0 on: a row for each, in which images without such a cell have the last."""
    if transform.cells is not None:
        count = np.full(len(whole), transform.cells[axis])
    else:
        count = whole // np.maximum(2, whole // 10 if unit is None else unit)
    count = np.maximum(1, np.minimum(np.minimum(count, whole), MOST_CELLS))
    most = int(count.max())
    words = np.full((most, len(whole)), np.iinfo(np.uint64).max, np.uint64)
    uneven = whole % count > 0
    for number in range(most):
        rows = np.flatnonzero(uneven & (count > number))
        words[number, rows] = numbers.bits(rows)
    order = words.argsort(axis=0, kind="stable").argsort(axis=0)
    sides = np.where(np.arange(most)[:, None] < count, whole // count + (order < whole % count), 0)
    return np.concatenate([np.zeros((1, len(whole)), np.int64), sides.cumsum(axis=0)])


def _hole(cell: Integers, ratio: float) -> Integers:
    """The side of the hole in a cell of this side."""
    found: Integers = np.minimum(np.maximum((cell * ratio).astype(np.int64), 1), cell - 1)
    return found


def random_erasing(transform: Any, rng: Cursors, scene: Scenes) -> tuple[Some, ...]:
    """Boxes from the first of ten tries that is smaller than the image; those of one try are one op."""
    log_ratio = math.log(transform.ratio[0]), math.log(transform.ratio[1])
    rows: Rows = np.arange(len(scene))
    painted = []
    for _ in range(_TRIES):
        area = scene.height * scene.width * rng.uniform(*transform.area)
        aspect = exactly(math.exp, rng.uniform(*log_ratio))
        h, w = rounded(np.sqrt(area * aspect)), rounded(np.sqrt(area / aspect))
        fits = (w > 0) & (w < scene.width) & (h > 0) & (h < scene.height)
        found, others = np.flatnonzero(fits), np.flatnonzero(~fits)
        rng.ready(2)
        if len(found):
            cursors, inside = rng.taken(found), scene.taken(found)
            box = placed(cursors, inside, h[found], w[found])
            numbers = Ragged(cursors, _words_of_a_box(transform.mode, scene))
            painted.append(Some(rows[found], _erased(transform, numbers, np.arange(len(found)), scene, box)))
        rng, scene, rows = rng.taken(others), scene.taken(others), rows[others]
        if not len(rows):
            break
    return tuple(painted)


def holes(transform: Any, rng: Cursors, scene: Scenes) -> tuple[Some, ...]:
    """Boxes for the images that have so many; one without pixels uses no word for its color."""
    low, high = transform.count
    numbers = Ragged(rng, 1 + high * (4 + _words_of_a_box(transform.mode, scene)))
    counts = low + numbers.integers(high - low + 1, np.arange(len(scene)))
    painted = []
    for number in range(high):
        rows = np.flatnonzero(counts > number)
        inside = scene.height[rows], scene.width[rows]
        h, w = (
            _side(transform, numbers, rows, ends, whole)
            for ends, whole in zip((transform.height, transform.width), inside, strict=True)
        )
        top, left = (numbers.integers(whole - own + 1, rows) for whole, own in zip(inside, (h, w), strict=True))
        kept = np.flatnonzero((h > 0) & (w > 0))
        if len(kept):
            box = top[kept], left[kept], h[kept], w[kept]
            painted.append(Some(rows[kept], _erased(transform, numbers, rows[kept], scene, box)))
    return tuple(painted)


def _side(transform: Any, numbers: Ragged, rows: Rows, ends: tuple[float, float], whole: Integers) -> Integers:
    """The heights or widths of holes in images with these sides."""
    if not transform.pixels:
        return (whole * numbers.uniform(ends, rows)).astype(np.int64)
    low, high = (np.minimum(int(end), whole) for end in ends)
    found: Integers = low + numbers.integers(high - low + 1, rows)
    return found


def pixel_dropout(transform: Any, rng: Cursors, scene: Scenes) -> Op:
    """The same fraction of the pixels of each image."""
    numbers = Ragged(rng, 1 + _words_of_a_box(transform.mode, scene))
    everyone = np.arange(len(scene))
    key, fill = numbers.bits(everyone), scene.pixel_values(transform.fill)
    if transform.mode == "random":
        fill = _random_color(numbers, everyone, scene, scene.colors)
    label = ops.drop_pixels(scene.common, transform.fraction, 0).label
    op: Op = _DropPixels(transform.fraction, key, fill, transform.per_channel, label=label)
    return op


def _words_of_a_box(mode: str, scene: Scenes) -> int:
    """How many words `_erased` uses."""
    if mode == "random":
        return scene.channels * (2 if scene.normalized else 1)
    return 1 if mode == "pixel" else 0


def _erased(transform: Any, numbers: Ragged, rows: Rows, scene: Scenes, box: tuple[Integers, ...]) -> Op:
    if transform.mode == "pixel":
        label = ("noise {2}x{3} at ({0}, {1})".format, *box)
        kind = "normal" if scene.normalized else "uniform"
        noisy: Op = _Paint(*box, noise=kind, key=numbers.bits(rows), label=label)
        return noisy
    if transform.mode == "const":
        return _painted(box, scene.pixel_values(transform.fill))
    return _painted(box, _random_color(numbers, rows, scene, scene.channels))


def _random_color(numbers: Ragged, rows: Rows, scene: Scenes, channels: int) -> tuple[Any, ...]:
    if scene.normalized:
        return tuple([numbers.normal(0.0, 1.0, rows) for _ in range(channels)])
    return tuple([numbers.integers(256, rows) / (255.0 / scene.white) for _ in range(channels)])


def _painted(box: tuple[Integers, ...], values: tuple[Any, ...]) -> Op:
    """Paint boxes within the images with these pixel values."""
    op: Op = _Paint(*box, values, label=("box {2}x{3} at ({0}, {1})".format, *box))
    return op
