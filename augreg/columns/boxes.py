"""`sample_columns` of crops and painted boxes, whose `sample` decides by the numbers that it draws and by the size.

Where `sample` branches, these select images; where it tries again, they go on with those that need another try. The
formulas, their order, and the order of the draws are those of `sample`, since the numbers have to be equal.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from augreg import ops
from augreg.columns.cursors import Cursors, Integers, Rows, Some, exactly
from augreg.columns.records import Scenes

if TYPE_CHECKING:
    from augreg.ops import Op

__all__ = ["cutout", "random_crop", "random_erasing", "random_resized_crop"]

_TRIES: Final = 10
# they take an array for each image's own number as they take the number
_crop: Final[Any] = ops.crop
_pad: Final[Any] = ops.pad
_Paint: Final[Any] = ops.Paint


def _rounded(values: Any) -> Integers:
    """Half to even, as `round` does."""
    rounded: Integers = np.rint(values).astype(np.int64)
    return rounded


def random_resized_crop(transform: Any, rng: Cursors, scene: Scenes) -> tuple[Op, ...]:
    """A box for each image, from the first of ten tries that fits, else the largest central one within `ratio`."""
    log_ratio = math.log(transform.ratio[0]), math.log(transform.ratio[1])
    boxes = np.empty((4, len(scene)), np.int64)
    rows: Rows = np.arange(len(scene))
    for _ in range(_TRIES):
        area = scene.height * scene.width * rng.uniform(*transform.scale)
        aspect = exactly(math.exp, rng.uniform(*log_ratio))
        w, h = _rounded(np.sqrt(area * aspect)), _rounded(np.sqrt(area / aspect))
        fits = (w > 0) & (w <= scene.width) & (h > 0) & (h <= scene.height)
        found, others = np.flatnonzero(fits), np.flatnonzero(~fits)
        rng.ready(2)
        boxes[:, rows[found]] = _placed(rng.taken(found), scene.taken(found), h[found], w[found])
        rng, scene, rows = rng.taken(others), scene.taken(others), rows[others]
        if not len(rows):
            break
    else:
        boxes[:, rows] = _central(scene, transform.ratio)
    height, width = transform.size
    return _crop(*boxes), ops.resize(height, width, transform.interpolation, transform.antialias)


def _placed(rng: Cursors, scene: Scenes, height: Integers, width: Integers) -> tuple[Integers, ...]:
    """The box of this size at a position drawn uniformly: top, left, height, width."""
    top = rng.integers(scene.height - height + 1)
    return top, rng.integers(scene.width - width + 1), height, width


def _central(scene: Scenes, ratio: tuple[float, float]) -> tuple[Integers, ...]:
    """The largest central box with an aspect ratio (width / height) within `ratio`."""
    h, w = scene.height, scene.width
    narrow, wide = w < h * ratio[0], w > h * ratio[1]
    height = np.where(narrow, np.minimum(h, np.maximum(1, _rounded(w / ratio[0]))), h)
    width = np.where(wide, np.minimum(w, np.maximum(1, _rounded(h * ratio[1]))), w)
    return (h - height) // 2, (w - width) // 2, height, width


def random_crop(transform: Any, rng: Cursors, scene: Scenes) -> tuple[Op | Some, ...]:
    """Borders for the images that need any, then a crop for each."""
    height, width = transform.size
    top, bottom, left, right = transform.padding
    missing_y = np.maximum(0, height - (scene.height + top + bottom))
    missing_x = np.maximum(0, width - (scene.width + left + right))
    widths = np.stack([
        top + missing_y // 2,
        bottom + missing_y - missing_y // 2,
        left + missing_x // 2,
        right + missing_x - missing_x // 2,
    ])  # fmt: skip
    y = rng.integers(scene.height + widths[0] + widths[1] - height + 1)
    x = rng.integers(scene.width + widths[2] + widths[3] - width + 1)
    padded = np.flatnonzero(widths.any(axis=0))
    border = _pad(scene, *widths[:, padded], transform.fill, transform.mode)
    return Some(padded, border), _crop(y, x, height, width)


def cutout(transform: Any, rng: Cursors, scene: Scenes) -> tuple[Op, ...]:
    """Squares, none of which is wholly outside of its image."""
    if isinstance(transform.size, int):
        half: Any = transform.size // 2
    else:
        half = np.maximum(2, _rounded(transform.size * np.minimum(scene.height, scene.width))) // 2
    painted = []
    for _ in range(transform.holes):
        y, x = rng.integers(scene.height), rng.integers(scene.width)
        top, bottom = np.maximum(0, y - half), np.minimum(scene.height, y + half)
        left, right = np.maximum(0, x - half), np.minimum(scene.width, x + half)
        painted.append(_painted((top, left, bottom - top, right - left), scene.pixel_values(transform.fill)))
    return tuple(painted)


def random_erasing(transform: Any, rng: Cursors, scene: Scenes) -> tuple[Some, ...]:
    """Boxes from the first of ten tries that is smaller than the image; those of one try are one op."""
    log_ratio = math.log(transform.ratio[0]), math.log(transform.ratio[1])
    rows: Rows = np.arange(len(scene))
    painted = []
    for _ in range(_TRIES):
        area = scene.height * scene.width * rng.uniform(*transform.area)
        aspect = exactly(math.exp, rng.uniform(*log_ratio))
        h, w = _rounded(np.sqrt(area * aspect)), _rounded(np.sqrt(area / aspect))
        fits = (w > 0) & (w < scene.width) & (h > 0) & (h < scene.height)
        found, others = np.flatnonzero(fits), np.flatnonzero(~fits)
        rng.ready(2)
        if len(found):
            cursors, inside = rng.taken(found), scene.taken(found)
            box = _placed(cursors, inside, h[found], w[found])
            painted.append(Some(rows[found], _erased(transform, cursors, inside, box)))
        rng, scene, rows = rng.taken(others), scene.taken(others), rows[others]
        if not len(rows):
            break
    return tuple(painted)


def _erased(transform: Any, rng: Cursors, scene: Scenes, box: tuple[Integers, ...]) -> Op:
    if transform.mode == "pixel":
        label = ("noise {2}x{3} at ({0}, {1})".format, *box)
        noisy: Op = _Paint(*box, noise="normal" if scene.normalized else "uniform", key=rng.bits(), label=label)
        return noisy
    if transform.mode == "const":
        return _painted(box, scene.pixel_values(transform.fill))
    if scene.normalized:
        return _painted(box, tuple(rng.normal() for _ in range(scene.channels)))
    return _painted(box, tuple(rng.integers(256) / (255.0 / scene.white) for _ in range(scene.channels)))


def _painted(box: tuple[Integers, ...], values: tuple[Any, ...]) -> Op:
    """Paint boxes within the images with these pixel values."""
    op: Op = _Paint(*box, values, label=("box {2}x{3} at ({0}, {1})".format, *box))
    return op
