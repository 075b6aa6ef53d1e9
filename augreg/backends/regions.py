"""Regions of an image: polygons and disks as maps of classes, and what each class of pixels becomes.

These are made on the host, for all backends. An op that works by regions becomes maps of classes; each class has a
table for bytes, and a factor and an addition for floats. So many overlapping disks take one pass over the pixels.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from augreg.backends import intensity
from augreg.ops import Flare, FlareCircle, Fog, Polygon, Shade
from augreg.rng import field

__all__ = ["Classes", "covered", "polygon_mask", "regions"]

Map = NDArray[np.int64]
Floats = NDArray[np.float64]


class Classes(NamedTuple):
    """The class of each pixel, height x width, and what its classes become.

    `tables` are classes x channels x 256 bytes, with one channel if all are alike; `factor` and `addition`, classes x
    channels, are for floats from 0 to 1.
    """

    of: Map
    tables: NDArray[np.uint8]
    factor: NDArray[np.float32]
    addition: NDArray[np.float32]


def regions(op: Shade | Fog | Flare, height: int, width: int, channels: int, white: float) -> list[Classes]:
    """The maps of classes that an op applies one after the other; a `Shade` of lightness has none."""
    if isinstance(op, Shade):
        return [_shaded(op, union(op.polygons, height, width).astype(np.int64))]
    if isinstance(op, Fog):
        layers = covered(*_of_fog(op, height, width), height, width)
        return [_blended(layers, [(op.opacity, np.ones(1))] * int(layers.max(initial=0)))]
    return _of_flare(op, height, width, channels, white)


def _shaded(op: Shade, inside: Map) -> Classes:
    ramp = np.arange(256.0)
    tables = np.stack([ramp, np.clip(ramp * op.factor, 0, 255)]).astype(np.uint8)
    factor = np.array([[1.0], [op.factor]], np.float32)
    return Classes(inside, tables[:, None], factor, np.zeros_like(factor))


def union(polygons: Sequence[Polygon], height: int, width: int) -> NDArray[np.bool_]:
    """Where any of the polygons is; everywhere if there are none."""
    if not polygons:
        return np.ones((height, width), bool)
    masks = [polygon_mask(polygon, height, width) for polygon in polygons]
    return functools.reduce(np.logical_or, masks)


def polygon_mask(polygon: Polygon, height: int, width: int) -> NDArray[np.bool_]:
    """The pixels within a polygon, by the crossings to the left of each, and those on its outline."""
    x, y = np.array(polygon, np.int64).T
    next_x, next_y = np.roll(x, -1), np.roll(y, -1)
    rows = np.arange(height)[:, None]
    crosses = (y <= rows) != (next_y <= rows)
    slope = (next_x - x) / np.where(next_y == y, 1, next_y - y)
    at = np.clip(np.ceil(x + (rows - y) * slope), 0, width).astype(np.int64)
    places = (rows * (width + 1) + at)[crosses]
    counts = np.bincount(places, minlength=height * (width + 1)).reshape(height, width + 1)
    mask: NDArray[np.bool_] = (counts.cumsum(axis=1)[:, :width] & 1).astype(bool)
    for ends in zip(x, y, next_x, next_y, strict=True):
        _outline(mask, *map(int, ends))
    return mask


def _outline(mask: NDArray[np.bool_], x: int, y: int, to_x: int, to_y: int) -> None:
    """Set the pixels nearest to a line, one for each step along its longer axis."""
    steps = max(abs(to_x - x), abs(to_y - y), 1)
    along = np.arange(steps + 1)
    ys = np.floor(y + along * (to_y - y) / steps + 0.5).astype(np.int64)
    xs = np.floor(x + along * (to_x - x) / steps + 0.5).astype(np.int64)
    seen = (ys >= 0) & (ys < mask.shape[0]) & (xs >= 0) & (xs < mask.shape[1])
    mask[ys[seen], xs[seen]] = True


def covered(x: Map, y: Map, radius: Map, height: int, width: int) -> Map:
    """How many of the disks each pixel is in: those within the radius of its center."""
    starts, ends = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for one in np.unique(radius).tolist():
        chosen = radius == one
        # only rows that some of the disks have within the image: a disk may be much larger
        down = np.arange(max(-one, -int(y[chosen].max())), min(one, height - 1 - int(y[chosen].min())) + 1)
        reach = np.sqrt(one * one - down * down).astype(np.int64)
        rows = y[chosen][:, None] + down
        center = x[chosen][:, None]
        first, last = np.clip(center - reach, 0, width), np.clip(center + reach + 1, 0, width)
        seen = (rows >= 0) & (rows < height)
        start = rows * (width + 1)
        starts.append((start + first)[seen])
        ends.append((start + last)[seen])
    size = height * (width + 1)
    changes = np.bincount(np.concatenate(starts), minlength=size) - np.bincount(np.concatenate(ends), minlength=size)
    found: Map = changes.reshape(height, width + 1)[:, :width].cumsum(axis=1)
    return found


def _of_fog(op: Fog, height: int, width: int) -> tuple[Map, Map, Map]:
    """The centers (x, y) and the radii of the disks."""
    side = max(1, int(width // 3 * op.intensity))
    middle_x, middle_y = (width - 1) // 2, (height - 1) // 2
    box_width, box_height = width, height
    boxes = []
    for _ in range(10):
        if box_width <= side or box_height <= side:
            break
        count = int(box_width * box_height / (side * side) * op.intensity * 10)
        boxes.append((count, box_width // 2, box_height // 2))
        box_width, box_height = int(box_width * 0.9), int(box_height * 0.9)
    counts = [count for count, *_ in boxes]
    units = field("uniform", op.key, (sum(counts), 3)).astype(np.float64)
    reach = np.repeat(np.array([box[1:] for box in boxes], np.int64).reshape(-1, 2), counts, axis=0)
    found = np.floor(units[:, :2] * (2 * reach + 1)).astype(np.int64) - reach
    largest = max(2, int(min(height, width) * 0.1 * op.intensity))
    least = max(1, largest // 2)
    radius = least + np.floor(units[:, 2] * (largest - least)).astype(np.int64)
    return middle_x + found[:, 0], middle_y + found[:, 1], radius


Blend = tuple[float, Any]
"""An opacity, and a color from 0 to 1: one number, or one for each channel."""


def _applied(
    blends: Sequence[Blend], table: Floats, factor: Floats, addition: Floats
) -> tuple[Floats, Floats, Floats]:
    """The table of a class, channels x 256, and its factor and addition, after blends with colors."""
    for opacity, color in blends:
        table = np.rint(table * (1 - opacity) + np.asarray(color)[:, None] * (255 * opacity))
        factor, addition = factor * (1 - opacity), addition * (1 - opacity) + color * opacity
    return table, factor, addition


def _classes(of: Map, each: Sequence[tuple[Floats, Floats, Floats]]) -> Classes:
    tables, factors, additions = zip(*each, strict=True)
    as_bytes = np.stack(tables).astype(np.uint8)
    return Classes(of, as_bytes, np.stack(factors).astype(np.float32), np.stack(additions).astype(np.float32))


def _nothing(channels: int) -> tuple[Floats, Floats, Floats]:
    """The table, the factor and the addition of a class that stays as it is."""
    return np.tile(np.arange(256.0), (channels, 1)), np.ones(channels), np.zeros(channels)


def _blended(of: Map, blends: Sequence[Blend]) -> Classes:
    """Pixels of the class n after the first n blends."""
    each = [_nothing(len(blends[0][1]) if blends else 1)]
    for blend in blends:
        each.append(_applied([blend], *each[-1]))
    return _classes(of, each)


def _of_flare(op: Flare, height: int, width: int, channels: int, white: float) -> list[Classes]:
    """Circles by which of them a pixel is in; the glow by how many of its disks, the largest of which are last."""
    colors = [intensity.per_channel(circle[4], channels, "fill") / white for circle in op.circles]
    of, subsets = _overlaps(op.circles, height, width)
    each = []
    for subset in subsets:
        last = [max((one for one in subset if one <= number), default=None) for number in range(len(op.circles))]
        steps = zip(op.circles, last, strict=True)
        each.append(_applied([(circle[3], colors[one]) for circle, one in steps if one is not None],
                             *_nothing(channels)))  # fmt: skip
    found = [_classes(of, each)]
    count = op.radius // 10
    if count:
        radius = np.linspace(1, op.radius, count).astype(np.int64)
        opacity = np.linspace(0.0, op.strength, count)[::-1] ** 3
        x, y = (np.full(count, place) for place in op.center)
        fill = intensity.per_channel(op.fill, channels, "fill") / white
        blends = [(float(one), fill) for one in opacity]
        classes = [_applied(blends[count - number :], *_nothing(channels)) for number in range(count + 1)]
        found.append(_classes(covered(x, y, radius, height, width), classes))
    return found


def _overlaps(circles: Sequence[FlareCircle], height: int, width: int) -> tuple[Map, list[tuple[int, ...]]]:
    """A class for each set of circles that some pixel is in, and these sets."""
    of = np.zeros((height, width), np.int64)
    subsets: list[tuple[int, ...]] = [()]
    for number, (x, y, radius, *_) in enumerate(circles):
        inside = covered(np.array([x]), np.array([y]), np.array([radius]), height, width)
        of += len(subsets) * inside
        subsets += [(*subset, number) for subset in subsets]
        used = np.flatnonzero(np.bincount(of.ravel(), minlength=len(subsets)))
        renamed = np.zeros(len(subsets), np.int64)
        renamed[used] = np.arange(len(used))
        of, subsets = renamed[of], [subsets[one] for one in used.tolist()]
    return of, subsets
