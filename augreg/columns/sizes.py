"""`sample_columns` of steps that resize: to a size that each image has by its own size.

The formulas are those of `sample`. Sides are rounded half to even, as `round` does.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from augreg import ops
from augreg.columns.cursors import Cursors, Integers, exactly, rounded
from augreg.columns.ragged import Ragged
from augreg.columns.records import Scenes

if TYPE_CHECKING:
    from augreg.ops import Op

__all__ = [
    "downscale",
    "letterbox",
    "longest_max_size",
    "random_scale",
    "random_shorter",
    "resize",
    "resize_keep_ratio",
    "resize_within",
]

# they take an array for each image's own number as they take the number
_pad: Final[Any] = ops.pad
_resize: Final[Any] = ops.resize


def _sided(scene: Scenes, short: Any, long: Any) -> tuple[Integers, Integers]:
    """The height and width of images whose shorter side gets this length, and the longer one that."""
    upright = scene.height > scene.width
    return np.where(upright, long, short), np.where(upright, short, long)


def _sides(scene: Scenes) -> tuple[Integers, Integers]:
    """The shorter and the longer side."""
    return np.minimum(scene.height, scene.width), np.maximum(scene.height, scene.width)


def resize(transform: Any, rng: Cursors, scene: Scenes) -> Op:
    """To `size`, or the shorter side to `shorter`."""
    if transform.size is not None:
        size: Any = transform.size
    else:
        short, long = _sides(scene)
        longer = (transform.shorter * long / short).astype(np.int64)
        if transform.rounding == "nearest":
            longer = rounded(long * (transform.shorter / short))
        size = _sided(scene, transform.shorter, longer)
    op: Op = _resize(*size, transform.interpolation, transform.antialias)
    return op


def resize_within(transform: Any, rng: Cursors, scene: Scenes) -> Op:
    """The shorter side to `shorter`, or less."""
    short, long = _sides(scene)
    new_short, new_long = short, long
    if transform.shorter is not None:
        new_short, new_long = transform.shorter, (transform.shorter * long / short).astype(np.int64)
    within = new_long <= transform.longer if transform.shorter is not None else np.zeros(len(scene), np.bool_)
    new_short = np.where(within, new_short, (transform.longer * new_short / new_long).astype(np.int64))
    new_long = np.where(within, new_long, transform.longer)
    size = _sided(scene, np.maximum(1, new_short), new_long)
    op: Op = _resize(*size, transform.interpolation, transform.antialias)
    return op


def _fitted(scene: Scenes, height: int, width: int) -> tuple[Integers, Integers]:
    """The largest size with the aspect ratio of each image that fits into (height, width); a side is at least 1."""
    high = height * scene.width <= width * scene.height
    down = np.minimum(height, np.maximum(1, rounded(scene.height * width / scene.width)))
    across = np.minimum(width, np.maximum(1, rounded(scene.width * height / scene.height)))
    return np.where(high, height, down), np.where(high, across, width)


def longest_max_size(transform: Any, rng: Cursors, scene: Scenes) -> Op:
    """The longer side to `longer`."""
    size = _fitted(scene, transform.longer, transform.longer)
    op: Op = _resize(*size, transform.interpolation, transform.antialias)
    return op


def letterbox(transform: Any, rng: Cursors, scene: Scenes) -> tuple[Op, ...]:
    """Into `size`, and the rest padded."""
    height, width = transform.size
    down, across = _fitted(scene, height, width)
    missing_y, missing_x = height - down, width - across
    top, left = missing_y // 2, missing_x // 2
    fitted = _resize(down, across, transform.interpolation, transform.antialias)
    return fitted, _pad(scene, top, missing_y - top, left, missing_x - left, transform.fill)


def resize_keep_ratio(transform: Any, rng: Cursors, scene: Scenes) -> Op:
    """To cover `size` or to fit into it, by chance larger or with another aspect ratio."""
    numbers, everyone = Ragged(rng, 4), np.arange(len(scene))
    y, x = np.ones(len(scene)), np.ones(len(scene))
    if transform.scale != (1.0, 1.0):
        rows = numbers.bernoulli(transform.scale_p, everyone)
        y[rows] = x[rows] = 1.0 / np.sqrt(numbers.uniform(transform.scale, rows))
    if transform.ratio != (1.0, 1.0):
        rows = numbers.bernoulli(transform.ratio_p, everyone)
        log_ratio = math.log(transform.ratio[0]), math.log(transform.ratio[1])
        root = np.sqrt(exactly(math.exp, numbers.uniform(log_ratio, rows)))
        y[rows], x[rows] = y[rows] / root, x[rows] * root
    down, across = scene.height / transform.size[0], scene.width / transform.size[1]
    longest = transform.longest
    divisor = np.maximum(down, across) * longest + np.minimum(down, across) * (1.0 - longest)
    height = np.maximum(1, rounded(scene.height * y / divisor))
    width = np.maximum(1, rounded(scene.width * x / divisor))
    op: Op = _resize(height, width, transform.interpolation, transform.antialias)
    return op


def random_scale(transform: Any, rng: Cursors, scene: Scenes) -> Op:
    """Both sides by one factor."""
    factor = rng.uniform(*transform.scale)
    if transform.fit is not None:
        factor = np.minimum(transform.fit[0] / scene.height, transform.fit[1] / scene.width) * factor
    size = [np.maximum(1, (side * factor).astype(np.int64)) for side in scene.size]
    op: Op = _resize(*size, transform.interpolation, transform.antialias)
    return op


def random_shorter(transform: Any, rng: Cursors, scene: Scenes) -> Op:
    """The shorter side to a length that is drawn."""
    low, high = transform.shorter
    shorter = low + rng.integers(high - low + 1)
    short, long = _sides(scene)
    size = _sided(scene, shorter, (shorter * long / short).astype(np.int64))
    op: Op = _resize(*size, transform.interpolation, transform.antialias)
    return op


def downscale(transform: Any, rng: Cursors, scene: Scenes) -> tuple[Op, ...]:
    """To a smaller size, and back."""
    scale = rng.uniform(*transform.scale)
    small = np.maximum(1, rounded(scene.height * scale)), np.maximum(1, rounded(scene.width * scale))
    shrunk = _resize(*small, transform.shrink, transform.antialias)
    return shrunk, _resize(scene.height, scene.width, transform.interpolation, antialias=False)
