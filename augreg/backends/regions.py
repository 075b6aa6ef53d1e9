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
        return [_layers(covered(*_of_fog(op, height, width), height, width), op.opacity)]
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
    mask = np.zeros((height, width), bool)
    (left, right), (top, bottom) = (
        (max(0, int(each.min())), min(side, int(each.max()) + 1)) for each, side in ((x, width), (y, height))
    )
    if left >= right or top >= bottom:
        return mask
    rows = np.arange(top, bottom)[:, None]
    crosses = (y <= rows) != (next_y <= rows)
    slope = (next_x - x) / np.where(next_y == y, 1, next_y - y)
    at = np.clip(np.ceil(x + (rows - y) * slope), left, right).astype(np.int64) - left
    across = right - left + 1
    places = ((rows - top) * across + at)[crosses]
    counts = np.bincount(places, minlength=len(rows) * across).reshape(-1, across)[:, :-1]
    mask[top:bottom, left:right] = np.bitwise_xor.accumulate((counts & 1).astype(bool), axis=1)
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


class _Blends:
    """What each class becomes by blends with colors: tables, classes x channels x 256, and factors and additions."""

    def __init__(self, channels: int) -> None:
        self.tables: Floats = np.tile(np.arange(256.0), (1, channels, 1))
        self.factor: Floats = np.ones((1, channels))
        self.addition: Floats = np.zeros((1, channels))

    def taken(self, classes: Map) -> None:
        """Go on with these classes, in this order; one may be there several times."""
        self.tables, self.factor, self.addition = (
            each[classes] for each in (self.tables, self.factor, self.addition)
        )

    def blend(self, opacity: float, color: Floats, classes: Any = np.s_[:]) -> None:
        """Blend some classes with a color from 0 to 1, or with one each, after what they have become."""
        color = np.atleast_2d(color)
        self.tables[classes] = np.rint(self.tables[classes] * (1 - opacity) + color[..., None] * (255 * opacity))
        self.factor[classes] *= 1 - opacity
        self.addition[classes] = self.addition[classes] * (1 - opacity) + color * opacity

    def classes(self, of: Map) -> Classes:
        return Classes(
            of, self.tables.astype(np.uint8), self.factor.astype(np.float32), self.addition.astype(np.float32)
        )


def _layers(layers: Map, opacity: float) -> Classes:
    """Pixels after as many blends with white as they have layers."""
    most = int(layers.max(initial=0))
    found = _Blends(1)
    found.taken(np.zeros(most + 1, np.int64))
    for number in range(1, most + 1):
        found.blend(opacity, np.ones(1), np.s_[number:])
    return found.classes(layers)


def _of_flare(op: Flare, height: int, width: int, channels: int, white: float) -> list[Classes]:
    found = [_circles(op.circles, height, width, channels, white)]
    count = op.radius // 10
    if count:
        radius = np.linspace(1, op.radius, count).astype(np.int64)
        opacity = np.linspace(0.0, op.strength, count)[::-1] ** 3
        x, y = (np.full(count, place) for place in op.center)
        fill = intensity.per_channel(op.fill, channels, "fill") / white
        glow = _Blends(channels)
        glow.taken(np.zeros(count + 1, np.int64))
        for number, one in enumerate(opacity.tolist()):  # pixels of the class n are in the largest n disks
            glow.blend(one, fill, np.s_[count - number :])
        found.append(glow.classes(covered(x, y, radius, height, width)))
    return found


def _circles(circles: Sequence[FlareCircle], height: int, width: int, channels: int, white: float) -> Classes:
    """A class for each set of circles that some pixel is in."""
    of: Map = np.zeros((height, width), np.int64)
    last: Map = np.array([-1])  # which circle a class shows on the copy
    colors = np.empty((len(circles), channels))
    found = _Blends(channels)
    for number, (x, y, radius, opacity, fill) in enumerate(circles):
        colors[number] = intensity.per_channel(fill, channels, "fill") / white
        rows, columns = (slice(max(0, place - radius), max(0, place + radius + 1)) for place in (y, x))
        part = of[rows, columns]
        if part.size:
            down = np.arange(height)[rows, None] - y
            inside = (np.arange(width)[columns] - x) ** 2 + down * down <= radius * radius
            before = np.flatnonzero(np.bincount(part[inside], minlength=len(last)))
            renamed = np.zeros(len(last), np.int64)
            renamed[before] = len(last) + np.arange(len(before))
            part[inside] = renamed[part[inside]]
            found.taken(np.concatenate([np.arange(len(last)), before]))
            last = np.concatenate([last, np.full(len(before), number)])
        painted = np.flatnonzero(last >= 0)
        found.blend(opacity, colors[last[painted]], painted)
    return found.classes(of)
