"""`sample_columns` of shadows and flares, of which images have different numbers, and of fog, blurred by size."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from augreg import ops
from augreg.columns.cursors import Cursors, Integers, Rows, Some, exactly
from augreg.columns.records import Scenes
from augreg.ops.weather import mean_opacity

if TYPE_CHECKING:
    from augreg.ops import Op

__all__ = ["fog", "rain", "shadow", "sun_flare"]

# they take an array for each image's own number as they take the number
_shade: Final[Any] = ops.shade
_fog: Final[Any] = ops.fog
_flare: Final[Any] = ops.flare
_rain: Final[Any] = ops.rain


def shadow(transform: Any, rng: Cursors, scene: Scenes) -> tuple[Some, ...]:
    """The first shadow of all images that have one, then the second, or those of as many shadows together."""
    left, top, right, bottom = transform.area
    (x, width), (y, height) = _pixels(left, right, scene.width), _pixels(top, bottom, scene.height)
    low, high = transform.count
    counts = low + rng.integers(high - low + 1)
    drawn = []
    for _ in range(int(counts.max())):  # each image has its own words; it is no matter who draws too many
        polygon = tuple([(x + rng.integers(width), y + rng.integers(height)) for _ in range(transform.corners)])
        drawn.append((polygon, 1.0 - rng.uniform(*transform.darkness)))
    found = []
    if transform.overlap == "each":
        for number, (polygon, factor) in enumerate(drawn):
            rows = np.flatnonzero(counts > number)
            found.append(Some(rows, _shade(factor[rows], (_taken(polygon, rows),), transform.of)))
        return tuple(found)
    for count in [count for count in np.unique(counts).tolist() if count]:
        rows = np.flatnonzero(counts == count)
        polygons = tuple([_taken(polygon, rows) for polygon, _ in drawn[:count]])
        found.append(Some(rows, _shade(drawn[0][1][rows], polygons, transform.of)))
    return tuple(found)


def _taken(polygon: Any, rows: Rows) -> Any:
    return tuple([(x[rows], y[rows]) for x, y in polygon])


def _pixels(low: float, high: float, whole: Integers) -> tuple[Integers, Integers]:
    first = np.minimum((low * whole).astype(np.int64), whole - 1)
    return first, np.maximum(1, (high * whole).astype(np.int64) - first)


def fog(transform: Any, rng: Cursors, scene: Scenes) -> tuple[Op | Some, ...]:
    """The disks, and then one blur for each size of its kernel."""
    intensity = rng.uniform(*transform.intensity)
    disks: Op = _fog(intensity, transform.opacity * intensity, rng.bits())
    sides = np.maximum(3, np.minimum(scene.height, scene.width) // 30) | 1
    kernels = [(np.flatnonzero(sides == side), side) for side in np.unique(sides).tolist()]
    return disks, *[Some(rows, ops.windowed_blur(0.0, side, of_colors=True)) for rows, side in kernels]


def sun_flare(transform: Any, rng: Cursors, scene: Scenes) -> tuple[Some, ...]:
    """Those of as many circles together."""
    left, top, right, bottom = transform.area
    turn = exactly(math.radians, rng.uniform(*transform.angle))
    x = (scene.width * rng.uniform(left, right)).astype(np.int64)
    y = (scene.height * rng.uniform(top, bottom)).astype(np.int64)
    diagonal = np.array([math.hypot(*size) for size in zip(scene.height.tolist(), scene.width.tolist(), strict=True)])
    step = np.maximum(1, (diagonal * 0.01).astype(np.int64))
    fill = tuple([min(max(value, 0.0), 255.0) for value in transform.fill])
    largest, darker = np.maximum(2, (scene.height * 0.01).astype(np.int64)), int(max(fill) * 0.2)
    fill = fill * scene.colors if len(fill) == 1 else fill
    low, high = transform.circles
    counts = low + rng.integers(high - low + 1)
    across, down = exactly(math.cos, turn), exactly(math.sin, turn)
    drawn = []
    for _ in range(int(counts.max())):
        opacity = rng.uniform(0.05, 0.2)
        along = step * rng.integers(-(-scene.width // step)) - x
        radius = (1 + rng.integers(largest)) ** 3
        color = [
            least + rng.integers(int(value) - least + 1) for value in fill for least in [max(int(value) - darker, 0)]
        ]
        place = (x + along * across).astype(np.int64), (y + along * down).astype(np.int64)
        drawn.append((*place, radius, opacity, tuple([one / (255.0 / scene.white) for one in color])))
    found = []
    for count in np.unique(counts).tolist():
        rows = np.flatnonzero(counts == count)
        circles: Any = tuple([_circle(circle, rows) for circle in drawn[:count]])
        strength = transform.strength
        if strength is None:
            strength = np.minimum(5.0 * mean_opacity(circles), 1.0)
        center, glow = (x[rows], y[rows]), scene.pixel_values(fill)
        found.append(Some(rows, _flare(center, transform.radius, glow, circles, strength)))
    return tuple(found)


def _circle(circle: tuple[Any, ...], rows: Rows) -> tuple[Any, ...]:
    *numbers, color = circle
    return *[number[rows] for number in numbers], tuple([one[rows] for one in color])


def rain(transform: Any, rng: Cursors, scene: Scenes) -> Op:
    """Drops whose number and length are by the size of each image."""
    length = transform.length
    if length is None:
        length = np.maximum(1, scene.height // 8)
    slant = np.floor(rng.uniform(*transform.slant)).astype(np.int64)
    drops = (scene.height * transform.density).astype(np.int64), slant, length
    found: Op = _rain(scene, drops, transform.blur, transform.brightness, rng.bits(), transform.fill)
    return found
