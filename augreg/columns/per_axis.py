"""`sample_columns` of affine maps with a range of its own for each axis.

The formulas and the order of the draws are those of `sample`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from augreg import ops
from augreg.columns.cursors import Cursors, Floats, Integers, exactly
from augreg.columns.records import Scenes

if TYPE_CHECKING:
    from augreg.ops import Op

__all__ = ["affine_per_axis"]

# it takes an array for each image's own number as it takes the number
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
        low, high = map(int, limits)
        return (low + rng.integers(high - low + 1)).astype(np.float64)
    distance = rng.uniform(*limits) * side
    return distance if transform.unit == "fraction" else np.trunc(distance) + 0.0


def _factor(transform: Any, rng: Cursors, limits: tuple[float, float]) -> Floats:
    low, high = limits
    if not (transform.balanced and low < 1.0 < high):
        return rng.uniform(low, high)
    below = rng.bernoulli(0.5)
    return rng.uniform(np.where(below, low, 1.0), np.where(below, 1.0, high))
