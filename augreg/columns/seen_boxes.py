"""The boxes of the samples of a batch, as `Scene.boxes` has those of one: steps such as `safe_crop` look at them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import numpy as np

from augreg.columns.cursors import Floats, Integers, Rows
from augreg.ops import Move, Op, Pad, Resize, Scene, Warp, projective
from augreg.ops.scene import Boxes

__all__ = ["SeenBoxes", "seen_boxes"]


class SeenBoxes(msgspec.Struct, frozen=True, eq=False):
    """All boxes of N images: `images` are the numbers of their images, increasing; `edges` are x0, y0, x1 and y1."""

    images: Rows
    edges: Floats

    def at(self, row: int) -> Boxes:
        """The boxes of one image."""
        first, last = self.images.searchsorted([row, row + 1]).tolist()
        boxes: Any = tuple(map(tuple, self.edges[:, first:last].T.tolist()))
        return boxes  # type: ignore[no-any-return]

    def taken(self, rows: Rows) -> SeenBoxes:
        """The boxes of these images."""
        first, last = self.images.searchsorted(rows), self.images.searchsorted(rows + 1)
        counts = last - first
        images = np.arange(len(rows)).repeat(counts)
        place = np.arange(len(images)) - (counts.cumsum() - counts).repeat(counts)  # among the boxes of its image
        return SeenBoxes(images, self.edges[:, first.repeat(counts) + place])

    def unions(self, erosion: float = 0.0, of_each: bool = False) -> tuple[Rows, Integers]:
        """The images that have boxes, and x0, y0, x1, y1 in whole pixels of the smallest box that contains those.

        With `erosion`, it is smaller, as `CropAroundBoxes` has it, or with `of_each` the boxes are.
        """
        rows, first, counts = np.unique(self.images, return_index=True, return_counts=True)
        if not len(rows):
            return rows, np.empty((4, 0), np.int64)
        low, high = self.edges[:2], self.edges[2:]
        if of_each:
            part = erosion * (high - low)
            low, high = low + part, high - part
        low = np.minimum.reduceat(low, first, axis=1)
        high = np.maximum.reduceat(high, first, axis=1)
        if erosion and not of_each:
            part = np.where(counts > 1, erosion * 0.5 * (high - low), 0.0)
            low, high = low + part, high - part
        low, high = np.floor(low), np.ceil(high)
        return rows, np.concatenate([low, np.maximum(high, low + 1) if erosion else high]).astype(np.int64)

    def moved(
        self,
        op: Op,
        rows: Rows,
        before: tuple[Integers, Integers],
        after: tuple[Any, Any],
        one: Callable[[int], tuple[Op, Scene]],
    ) -> SeenBoxes:
        """The boxes after an op on the images `rows`, with the sizes before and after it, as `Scene.moved` has them.

        `one(place)` is the op on image rows[place], and the scene before it.
        """
        if not isinstance(op, Move | Pad | Resize | Warp):
            return self._moved_one_by_one(rows, one)
        number = np.full(max(int(self.images.max(initial=-1)), int(rows.max(initial=-1))) + 1, -1)
        number[rows] = np.arange(len(rows))
        among = number[self.images]
        touched = np.flatnonzero(among >= 0)
        place = among[touched]

        def each(value: Any) -> Any:
            """The numbers of the boxes that are touched."""
            return value[place] if isinstance(value, np.ndarray) else value

        forward = [each(value) for value in _point_map(op, *before)]
        near_y, near_x, far_y, far_x = map(each, (*before, *after))
        old = self.edges[:, touched]
        low, high = _enclosing(forward, old)
        left, top = np.where(low > 0.0, low, 0.0)  # zeros have the signs that `max` and `min` give
        # not a number, where a map folds, stays so, and is dropped
        right, bottom = np.where(high[0] > far_x, far_x, high[0]), np.where(high[1] > far_y, far_y, high[1])
        still = (near_y == far_y) & (near_x == far_x)
        for value, own in zip(forward, projective.IDENTITY, strict=True):
            still = still & (value == own)
        edges = self.edges.copy()
        edges[:, touched] = np.where(still, old, np.stack([left, top, right, bottom]))
        kept = np.ones(len(self.images), np.bool_)
        kept[touched] = still | ((left < right) & (top < bottom))
        return SeenBoxes(self.images[kept], edges[:, kept])

    def _moved_one_by_one(self, rows: Rows, one: Callable[[int], tuple[Op, Scene]]) -> SeenBoxes:
        found = {image: self.at(image) for image in np.unique(self.images).tolist()}
        for place, row in enumerate(rows.tolist()):
            if row in found:
                op, scene = one(place)
                found[row] = op.after(scene).boxes
        return seen_boxes([found.get(row, ()) for row in range(max(found, default=-1) + 1)])


def _point_map(op: Move | Pad | Resize | Warp, height: Any, width: Any) -> tuple[Any, ...]:
    """The nine numbers of the map, some of them arrays; all are NaN where a warp has none, which drops the boxes."""
    if not isinstance(op, Warp):
        return op.point_map(height, width)
    parts, det = projective.adjugate(op.matrix)
    size = np.where(np.abs(det) < projective.FLAT, np.nan, det)
    return tuple(value / size for value in parts)


def _enclosing(forward: Sequence[Any], edges: Floats) -> tuple[Floats, Floats]:
    """The lowest and the highest x and y of the corners of boxes after a map, as `Scene.moved` computes them."""
    a, b, c, d, e, f, g, h, i = forward
    x0, y0, x1, y1 = edges
    one, other = np.array([a * x0 + c, e * y0 + f]), np.array([a * x1 + c, e * y1 + f])
    low, high = np.minimum(one, other), np.maximum(one, other)
    straight = (b == 0.0) & (d == 0.0) & (g == 0.0) & (h == 0.0) & (i == 1.0)
    if np.all(straight):
        return low, high
    corners = []
    for x in (x0, x1):
        for y in (y0, y1):
            depth = np.maximum(g * x + h * y + i, 1e-9)
            corners.append([(a * x + b * y + c) / depth, (d * x + e * y + f) / depth])
    found = np.array(corners)
    return np.where(straight, low, found.min(axis=0)), np.where(straight, high, found.max(axis=0))


def seen_boxes(boxes: Sequence[Boxes]) -> SeenBoxes:
    """The boxes of images in order, each given as `Scene.boxes` has them."""
    edges = np.array([box for each in boxes for box in each], np.float64).reshape(-1, 4).T
    return SeenBoxes(np.arange(len(boxes)).repeat([len(each) for each in boxes]), edges)
