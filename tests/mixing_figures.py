"""What mixed images show of the figures of a batch, found by tracing points back through the blends one by one.

It draws figures as points and knows nothing of boxes, cells or polygons; no code of the package but the records.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from augreg.batch.blends import Blend, Mix, Paste

__all__ = ["Layer", "forward", "layers", "lines", "point_in_polygon"]

Points = np.ndarray


class Layer(NamedTuple):
    """Points of a mixed image that show an image of the batch in one place."""

    source: int
    points: Points
    """Where they are in that image, n x 2."""
    index: np.ndarray
    """Their numbers."""
    weight: float
    hops: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]
    """The boxes that they were cut from and pasted over."""

    @property
    def place(self) -> tuple[float, ...]:
        """Where its image is: its corners."""
        ends = forward(self, np.array([(0.0, 0.0), (1.0, 1.0)]))
        return tuple(round(float(end), 7) for end in ends.ravel())

    @property
    def scaled(self) -> bool:
        return any(source_box[2:] != box[2:] for source_box, box in self.hops)


def layers(
    blends: Sequence[Blend], image: int, points: Points, index: np.ndarray | None = None, snap: bool = False
) -> list[Layer]:
    """What an image shows at these points (x, y). With `snap`, pieces are scaled by the nearest pixel."""
    index = np.arange(len(points)) if index is None else index
    if not len(index):
        return []
    if not blends:
        return [Layer(image, points, index, 1.0, ())]
    *before, last = blends
    if isinstance(last, Mix):
        found: list[Layer] = []
        parts = ((image, last.weights[image]), (last.partners[image], 1.0 - last.weights[image]))
        if last.partners[image] == image:
            parts = ((image, 1.0),)
        for other, weight in parts:
            for layer in layers(before, other, points, index, snap) if weight > 0 else ():
                layer = layer._replace(weight=layer.weight * weight)
                for k, known in enumerate(found):
                    if known[0] == layer[0] and known.place == layer.place and _same(known.index, layer.index):
                        found[k] = known._replace(weight=layer.weight + known.weight)
                        break
                else:
                    found.append(layer)
        return _united(found)
    assert isinstance(last, Paste)
    x, y = points.T
    left = np.ones(len(points), bool)
    pieces = []
    for patch in reversed([patch for patch in last.patches if patch.into == image]):
        top, start, height, width = patch.box
        inside = left & (x >= start) & (x < start + width) & (y >= top) & (y < top + height)
        left &= ~inside
        low, scale = np.array((start, top)), np.array((patch.source_box[3] / width, patch.source_box[2] / height))
        there = (points[inside] - low) * scale
        if snap:
            there = np.floor(there) + 0.5
        there += np.array((patch.source_box[1], patch.source_box[0]))
        hop = (patch.source_box, patch.box)
        pieces.append(
            [
                layer._replace(hops=(*layer.hops, hop))
                for layer in layers(before, patch.source, there, index[inside], snap)
            ]
        )
    found = layers(before, image, points[left], index[left], snap)
    return _united([*found, *(layer for piece in reversed(pieces) for layer in piece)])


def lines(
    blends: Sequence[Blend], image: int, figures: Sequence[Sequence[Points]], size: tuple[int, int]
) -> list[Points]:
    """The x, and the y, of all lines between which each point of a mixed image shows the same upright figures."""
    ends = size[::-1]
    found = [np.array([0.0, ends[k], *(c for one in figures[image] for c in one[:, k])]) for k in (0, 1)]
    *before, last = blends or (None,)
    sources: list[tuple[int, tuple[Any, Any] | None]] = [(image, None)] if last is not None else []
    if isinstance(last, Mix):
        sources.append((last.partners[image], None))
    elif isinstance(last, Paste):
        sources += [(patch.source, (patch.source_box, patch.box)) for patch in last.patches if patch.into == image]
    for source, hop in sources:
        for k, there in enumerate(lines(before, source, figures, size)):
            if hop is not None:
                (start, length), (to, long) = ((box[1 - k], box[3 - k]) for box in hop)
                there = there[(there >= start) & (there <= start + length)]
                there = np.concatenate([(there - start) * (long / length) + to, [to, to + long]])
            found[k] = np.concatenate([found[k], there])
    found = [np.unique(one) for one in found]
    return [one[np.concatenate([[True], np.diff(one) > 1e-9])] for one in found]


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    return len(one) == len(other) and bool((np.sort(one) == np.sort(other)).all())


def _united(found: Sequence[Layer]) -> list[Layer]:
    """Parts of an image in the same place that do not overlap are one, if their weight is."""
    united: list[Layer] = []
    for layer in found:
        for k, known in enumerate(united):
            alike = known.source == layer.source and known.place == layer.place and known.weight == layer.weight
            if alike and not np.intersect1d(known.index, layer.index).size:
                points, index = (np.concatenate(pair) for pair in zip(known[1:3], layer[1:3], strict=True))
                united[k] = known._replace(points=points, index=index)
                break
        else:
            united.append(layer)
    return united


def forward(layer: Layer, points: Points) -> Points:
    """Where points of a layer's image are in the mixed one."""
    for (top, left, height, width), (to_top, to_left, tall, wide) in layer.hops:
        points = (points - (left, top)) * (wide / width, tall / height) + (to_left, to_top)
    return points


def point_in_polygon(points: Points, polygon: Points) -> np.ndarray:
    """Whether points lie in a polygon, by the number of edges to the right of each."""
    x, y = points.T
    inside = np.zeros(len(points), bool)
    for (x0, y0), (x1, y1) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        if y0 != y1:
            inside ^= ((y0 > y) != (y1 > y)) & (x < x0 + (y - y0) / (y1 - y0) * (x1 - x0))
    return inside
