"""`sample_columns` of crops and borders, whose `sample` decides by the numbers that it draws and by the size.

Where `sample` branches, these select images; where it tries again, they go on with those that need another try. The
formulas, their order, and the order of the draws are those of `sample`, since the numbers have to be equal.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from augreg import ops
from augreg.columns.cursors import Cursors, Integers, Rows, Some, exactly, rounded
from augreg.columns.records import Scenes

if TYPE_CHECKING:
    from augreg.ops import Op

__all__ = [
    "center_crop",
    "crop_around_boxes",
    "crop_border",
    "crop_box",
    "crop_or_pad",
    "pad_to",
    "placed",
    "random_crop",
    "random_resized_crop",
    "random_sized_crop",
    "safe_crop",
    "zoom_out",
]

_TRIES: Final = 10
# they take an array for each image's own number as they take the number
_crop: Final[Any] = ops.crop
_pad: Final[Any] = ops.pad


def random_resized_crop(transform: Any, rng: Cursors, scene: Scenes) -> tuple[Op, ...]:
    """A box for each image, and its size after that."""
    height, width = transform.size
    resize = ops.resize(height, width, transform.interpolation, transform.antialias)
    return _crop(*_random_boxes(transform, rng, scene)), resize


def _random_boxes(transform: Any, rng: Cursors, scene: Scenes) -> Integers:
    """Boxes from the first of ten tries that fits, else the largest central one within `ratio`."""
    log_ratio = math.log(transform.ratio[0]), math.log(transform.ratio[1])
    boxes = np.empty((4, len(scene)), np.int64)
    rows: Rows = np.arange(len(scene))
    for _ in range(_TRIES):
        area = scene.height * scene.width * rng.uniform(*transform.scale)
        aspect = exactly(math.exp, rng.uniform(*log_ratio))
        w, h = rounded(np.sqrt(area * aspect)), rounded(np.sqrt(area / aspect))
        fits = (w > 0) & (w <= scene.width) & (h > 0) & (h <= scene.height)
        found, others = np.flatnonzero(fits), np.flatnonzero(~fits)
        rng.ready(2)
        boxes[:, rows[found]] = placed(rng.taken(found), scene.taken(found), h[found], w[found])
        rng, scene, rows = rng.taken(others), scene.taken(others), rows[others]
        if not len(rows):
            break
    else:
        boxes[:, rows] = _central(scene, transform.ratio)
    return boxes


def placed(rng: Cursors, scene: Scenes, height: Integers, width: Integers) -> tuple[Integers, ...]:
    """The box of this size at a position drawn uniformly: top, left, height, width."""
    top = rng.integers(scene.height - height + 1)
    return top, rng.integers(scene.width - width + 1), height, width


def _central(scene: Scenes, ratio: tuple[float, float]) -> tuple[Integers, ...]:
    """The largest central box with an aspect ratio (width / height) within `ratio`."""
    h, w = scene.height, scene.width
    narrow, wide = w < h * ratio[0], w > h * ratio[1]
    height = np.where(narrow, np.minimum(h, np.maximum(1, rounded(w / ratio[0]))), h)
    width = np.where(wide, np.minimum(w, np.maximum(1, rounded(h * ratio[1]))), w)
    return (h - height) // 2, (w - width) // 2, height, width


def random_crop(transform: Any, rng: Cursors, scene: Scenes) -> tuple[Op | Some, ...]:
    """Borders for the images that need any, then a crop for each."""
    height, width = transform.size
    widths = _missing(scene, transform.size, transform.padding)
    y = rng.integers(scene.height + widths[0] + widths[1] - height + 1)
    x = rng.integers(scene.width + widths[2] + widths[3] - width + 1)
    return _padded(scene, widths, transform.fill, transform.mode), _crop(y, x, height, width)


def _missing(scene: Scenes, size: tuple[int, int], padding: tuple[int, int, int, int]) -> Integers:
    """Borders of `padding` and, evenly, of what is missing to `size`: top, bottom, left and right of each image."""
    top, bottom, left, right = padding
    missing_y = np.maximum(0, size[0] - (scene.height + top + bottom))
    missing_x = np.maximum(0, size[1] - (scene.width + left + right))
    return np.stack([
        top + missing_y // 2,
        bottom + missing_y - missing_y // 2,
        left + missing_x // 2,
        right + missing_x - missing_x // 2,
    ])  # fmt: skip


def _padded(scene: Scenes, widths: Integers, fill: Any, mode: str) -> Some:
    """Borders of these widths for the images that have any."""
    padded = np.flatnonzero(widths.any(axis=0))
    return Some(padded, _pad(scene, *widths[:, padded], fill, mode))


def center_crop(transform: Any, rng: Cursors, scene: Scenes) -> tuple[Op | Some, ...]:
    """Borders for the images that need any, then the central crop of each."""
    return _centered(scene, transform.size, transform.fill, "constant", transform.rounding)


def _centered(
    scene: Scenes, size: tuple[int, int], fill: Any, mode: str, rounding: str = "nearest"
) -> tuple[Op | Some, ...]:
    height, width = size
    widths = _missing(scene, size, (0, 0, 0, 0))
    margins = scene.height + widths[0] + widths[1] - height, scene.width + widths[2] + widths[3] - width
    top, left = (margin // 2 if rounding == "down" else rounded(margin / 2) for margin in margins)
    return _padded(scene, widths, fill, mode), _crop(top, left, height, width)


def crop_or_pad(transform: Any, rng: Cursors, scene: Scenes) -> tuple[Op | Some, ...]:
    """A central or random position along each axis."""
    if transform.position == "center":
        return _centered(scene, transform.size, transform.fill, transform.mode)
    height, width = transform.size
    missing_y, missing_x = height - scene.height, width - scene.width
    y, x = rng.integers(np.abs(missing_y) + 1), rng.integers(np.abs(missing_x) + 1)
    above, left = np.where(missing_y > 0, y, 0), np.where(missing_x > 0, x, 0)
    widths = np.stack([above, np.maximum(0, missing_y) - above, left, np.maximum(0, missing_x) - left])
    crop = _crop(np.where(missing_y > 0, 0, y), np.where(missing_x > 0, 0, x), height, width)
    return _padded(scene, widths, transform.fill, transform.mode), crop


def pad_to(transform: Any, rng: Cursors, scene: Scenes) -> Some:
    """Borders for the images that need any, at a random position or a fixed one."""
    y, x = (
        -(-np.maximum(side, least) // divisor) * divisor - side
        for side, least, divisor in zip(scene.size, transform.size, transform.divisor, strict=True)
    )
    above, left = y // 2, x // 2
    if transform.position == "random":
        above, left = (np.minimum(most, rng.uniform(0.0, most + 1.0).astype(np.int64)) for most in (y, x))
    elif transform.position != "center":
        above = y if transform.position.startswith("bottom") else 0 * y
        left = x if transform.position.endswith("right") else 0 * x
    return _padded(scene, np.stack([above, y - above, left, x - left]), transform.fill, transform.mode)


def zoom_out(transform: Any, rng: Cursors, scene: Scenes) -> Some:
    """A canvas around each image, at a random place."""
    factor = rng.uniform(*transform.scale)
    y, x = ((side * factor).astype(np.int64) - side for side in scene.size)
    above, left = ((most * rng.uniform(0.0, 1.0)).astype(np.int64) for most in (y, x))
    return _padded(scene, np.stack([above, y - above, left, x - left]), transform.fill, "constant")


def crop_box(transform: Any, rng: Cursors, scene: Scenes) -> tuple[Op | Some, ...]:
    """The same box of each image, which is padded where it ends before the box."""
    (height, width), top, left = transform.size, transform.top, transform.left
    below, right = np.maximum(0, top + height - scene.height), np.maximum(0, left + width - scene.width)
    widths = np.stack([0 * below, below, 0 * right, right])
    return _padded(scene, widths, transform.fill, "constant"), ops.crop(top, left, height, width)


def crop_border(transform: Any, rng: Cursors, scene: Scenes) -> Op:
    """The middle of each image."""
    top, left = (np.minimum(transform.pixels, (side - 1) // 2) for side in scene.size)
    op: Op = _crop(top, left, scene.height - 2 * top, scene.width - 2 * left)
    return op


def safe_crop(transform: Any, rng: Cursors, scene: Scenes) -> tuple[Op, ...]:
    """A crop around the boxes of each image that has any, and a random one for the others."""
    if scene.boxes is None:
        return random_resized_crop(transform, rng, scene)
    some, unions = scene.boxes.unions()
    others = np.setdiff1d(np.arange(len(scene)), some)
    crops = np.empty((4, len(scene)), np.int64)
    crops[:, some] = _around(transform, rng.taken(some), scene.height[some], scene.width[some], unions)
    crops[:, others] = _random_boxes(transform, rng.taken(others), scene.taken(others))
    height, width = transform.size
    return _crop(*crops), ops.resize(height, width, transform.interpolation, transform.antialias)


def _around(
    transform: Any, rng: Cursors, height: Integers, width: Integers, unions: Integers
) -> tuple[Integers, ...]:
    """Crops that contain the box x0, y0, x1, y1 of each image."""
    x0, y0, x1, y1 = unions
    min_w, min_h = x1 - x0, y1 - y0
    narrow, wide = np.minimum(transform.ratio[0], width / min_h), np.maximum(transform.ratio[1], min_w / height)
    smallest = np.maximum(min_w, min_h * narrow) * np.maximum(min_h, min_w / wide)
    largest = np.minimum(width, height * wide) * np.minimum(height, width / narrow)
    low, high = (np.maximum(smallest, np.minimum(largest, fraction * height * width)) for fraction in transform.scale)
    area = rng.uniform(low, high)
    narrow = np.maximum(np.maximum(narrow, min_w * min_w / area), area / (height * height))
    wide = np.maximum(narrow, np.minimum(np.minimum(wide, width * width / area), area / (min_h * min_h)))
    aspect = exactly(math.exp, rng.uniform(exactly(math.log, narrow), exactly(math.log, wide)))
    w = np.maximum(min_w, np.minimum(width, rounded(np.sqrt(area * aspect))))
    h = np.maximum(min_h, np.minimum(height, rounded(np.sqrt(area / aspect))))
    return _containing(rng, y0, y1, h, height), _containing(rng, x0, x1, w, width), h, w


def _containing(rng: Cursors, start: Integers, stop: Integers, length: Integers, size: Integers) -> Integers:
    """The start of an interval of this length that contains start..stop and is inside 0..size, drawn uniformly."""
    first, last = np.maximum(0, stop - length), np.minimum(start, size - length)
    found: Integers = first + rng.integers(last - first + 1)
    return found


def random_sized_crop(transform: Any, rng: Cursors, scene: Scenes) -> tuple[Op, ...]:
    """A box of a random height for each image, and its size after that."""
    low, high = transform.height
    drawn = low + rng.integers(high - low + 1)
    h = np.minimum(scene.height, drawn)
    w = np.minimum(scene.width, np.maximum(1, (drawn * transform.ratio).astype(np.int64)))
    height, width = transform.size
    resize = ops.resize(height, width, transform.interpolation, transform.antialias)
    return _crop(*placed(rng, scene, h, w)), resize


def crop_around_boxes(transform: Any, rng: Cursors, scene: Scenes) -> tuple[Op, ...]:
    """Edges between those of each image and its boxes, or the middle pixel of an image without boxes."""
    y, x = scene.height // 2, scene.width // 2
    inner = np.stack([x, y, x + 1, y + 1])
    known = np.zeros(len(scene), np.bool_)
    if scene.boxes is not None:
        some, unions = scene.boxes.unions(transform.erosion, transform.erode == "boxes")
        inner[:, some] = unions
        known[some] = transform.erode == "boxes" or transform.erosion < 1.0
    left, top, right, bottom = inner
    shrinks = ~known if transform.without_boxes == "shrink" else np.zeros(len(scene), np.bool_)
    least = np.maximum(1, (scene.height * (1.0 - transform.erosion)).astype(np.int64))
    first = rng.integers(np.where(shrinks, scene.height - least, left) + 1)
    height = np.where(shrinks, least + first, scene.height)
    width = np.maximum(1, height * scene.width // scene.height)
    above = rng.integers(np.where(shrinks, scene.height - height, top) + 1)
    third = rng.integers(np.where(shrinks, scene.width - width, scene.width - right) + 1)
    below = np.where(shrinks, above + height, bottom + rng.integers(scene.height - bottom + 1))
    before, after = np.where(shrinks, third, first), np.where(shrinks, third + width, right + third)
    return _crop(above, before, below - above, after - before), *transform.expect(scene, 1.0)
