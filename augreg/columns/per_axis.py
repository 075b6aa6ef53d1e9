"""`sample_columns` of affine maps and borders with a range of its own for each axis or side.

The formulas and the order of the draws are those of `sample`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from augreg import ops
from augreg.columns.cursors import Cursors, Floats, Integers, Some, exactly
from augreg.columns.records import Scenes

if TYPE_CHECKING:
    from augreg.ops import Op

__all__ = ["affine_per_axis", "crop_edges", "move_edges"]

# they take an array for each image's own number as they take the number
_crop: Final[Any] = ops.crop
_pad: Final[Any] = ops.pad
_resize: Final[Any] = ops.resize
_Warp: Final[Any] = ops.Warp


def affine_per_axis(transform: Any, rng: Cursors, scene: Scenes) -> Op:
    """A warp for each image."""
    angle = exactly(math.radians, rng.uniform(*transform.degrees))
    down = _distance(transform, rng, transform.translate_y, scene.height)
    right = _distance(transform, rng, transform.translate_x, scene.width)
    zoom_y = _factor(transform, rng, transform.scale_y)
    zoom_x = zoom_y if transform.scale_x is None else _factor(transform, rng, transform.scale_x)
    slant_x = exactly(math.tan, exactly(math.radians, rng.uniform(*transform.shear_x)))
    slant_y = exactly(math.tan, exactly(math.radians, rng.uniform(*transform.shear_y)))
    cos, sin = exactly(math.cos, angle), exactly(math.sin, angle)
    a, b = zoom_x * (cos - slant_x * sin), zoom_y * (sin + slant_x * cos)
    d, e = zoom_x * (slant_y * cos - sin), zoom_y * (slant_y * sin + cos)
    det = a * e - b * d
    singular = np.abs(det) < 1e-9 * zoom_y * zoom_x
    a, b, d, e, det = (
        np.where(singular, only, value)
        for only, value in zip((1.0, 0.0, 0.0, 1.0, 1.0), (a, b, d, e, det), strict=True)
    )
    height, width = scene.height, scene.width
    if transform.fit:
        down = right = np.zeros(len(scene))
        height = _side(np.abs(d) * scene.width + np.abs(e) * scene.height)
        width = _side(np.abs(a) * scene.width + np.abs(b) * scene.height)
    a, b, d, e = e / det, -b / det, -d / det, a / det
    x, y = scene.width / 2.0, scene.height / 2.0
    to_x, to_y = width / 2.0 + right, height / 2.0 + down
    matrix = (a, b, x - a * to_x - b * to_y, d, e, y - d * to_x - e * to_y, 0.0, 0.0)
    shown = "affine {:.1f}° x{:.2f}, y{:.2f} move ({:.0f}, {:.0f})".format
    label = shown, exactly(math.degrees, angle), zoom_x, zoom_y, right, down
    values = scene.pixel_values(transform.fill)
    op: Op = _Warp(matrix, height, width, transform.interpolation, values, transform.mode, label=label)
    return op


def _side(length: Floats) -> Integers:
    """A length rounded up, up to a rounding error."""
    side: Integers = np.maximum(1, np.ceil(length - 1e-6).astype(np.int64))
    return side


def _distance(transform: Any, rng: Cursors, limits: tuple[float, float], side: Integers) -> Floats:
    if transform.unit == "pixels":
        return _whole(rng, limits)
    distance = rng.uniform(*limits) * side
    return distance if transform.unit == "fraction" else np.trunc(distance) + 0.0


def _factor(transform: Any, rng: Cursors, limits: tuple[float, float]) -> Floats:
    low, high = limits
    if not (transform.balanced and low < 1.0 < high):
        return rng.uniform(low, high)
    below = rng.bernoulli(0.5)
    return rng.uniform(np.where(below, low, 1.0), np.where(below, 1.0, high))


def move_edges(transform: Any, rng: Cursors, scene: Scenes) -> tuple[Some, ...]:
    """A crop, a border and a resize, each for the images that need it."""
    height, width = scene.size
    limits = (transform.top, transform.bottom, transform.left, transform.right)
    sides = (height, height, width, width)
    if transform.together:
        numbers = [_number(transform, rng, transform.top)] * 4
    else:
        numbers = [_number(transform, rng, each) for each in limits]
    scaled = transform.unit == "fraction"
    edges = [
        (number * side if scaled else number).astype(np.int64) for number, side in zip(numbers, sides, strict=True)
    ]
    cut_top, cut_left = (np.minimum(np.maximum(0, -edges[n]), sides[n] - 1) for n in (0, 2))
    cut_bottom = np.minimum(np.maximum(0, -edges[1]), height - 1 - cut_top)
    cut_right = np.minimum(np.maximum(0, -edges[3]), width - 1 - cut_left)
    cut = np.stack([cut_top, cut_left, height - cut_top - cut_bottom, width - cut_left - cut_right])
    cropped = np.flatnonzero((cut_top > 0) | (cut_bottom > 0) | (cut_left > 0) | (cut_right > 0))
    widths = np.maximum(0, np.stack(edges))
    padded = np.flatnonzero(widths.any(axis=0))
    found = [Some(cropped, _crop(*cut[:, cropped])), Some(padded, _padded(transform, scene, widths[:, padded]))]
    if transform.keep_size:
        changed = np.union1d(cropped, padded)
        sizes = height[changed], width[changed]
        found.append(Some(changed, _resize(*sizes, transform.interpolation, transform.antialias)))
    return tuple(found)


def _padded(transform: Any, scene: Scenes, widths: Integers) -> Op:
    op: Op = _pad(scene, *widths, transform.fill, transform.mode)
    return op


def _number(transform: Any, rng: Cursors, limits: tuple[float, float]) -> Floats:
    return rng.uniform(*limits) if transform.unit == "fraction" else _whole(rng, limits)


def _whole(rng: Cursors, limits: tuple[float, float]) -> Floats:
    """A whole number for each image, both ends included."""
    low, high = map(int, limits)
    return (low + rng.integers(high - low + 1)).astype(np.float64)


def crop_edges(transform: Any, rng: Cursors, scene: Scenes) -> Op:
    """A crop of each image."""
    left, right = _ends(rng, transform.left, transform.right, scene.width)
    top, bottom = _ends(rng, transform.top, transform.bottom, scene.height)
    op: Op = _crop(top, left, bottom - top, right - left)
    return op


def _ends(rng: Cursors, before: float, behind: float, side: Integers) -> tuple[Integers, Integers]:
    start = np.minimum(side - 1, rng.integers((before * side).astype(np.int64) + 1))
    least = np.maximum(start + 1, ((1 - behind) * side).astype(np.int64))
    return start, least + rng.integers(side - least + 1)
