"""The boxes of the samples of a batch, as `Scene.boxes` has those of one: steps such as `safe_crop` look at them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import numpy as np

from augreg.columns.cursors import Floats, Integers, Rows
from augreg.ops import Move, Op, Pad, Resize, Scene
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

    def unions(self) -> tuple[Rows, Integers]:
        """The images that have boxes, and x0, y0, x1, y1 in whole pixels of the smallest box that contains those."""
        rows, first = np.unique(self.images, return_index=True)
        if not len(rows):
            return rows, np.empty((4, 0), np.int64)
        low = np.floor(np.minimum.reduceat(self.edges[:2], first, axis=1))
        high = np.ceil(np.maximum.reduceat(self.edges[2:], first, axis=1))
        return rows, np.concatenate([low, high]).astype(np.int64)

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
        if not isinstance(op, Move | Pad | Resize) or (isinstance(op, Move) and op.transpose):
            return self._moved_one_by_one(rows, one)
        number = np.full(max(int(self.images.max(initial=-1)), int(rows.max(initial=-1))) + 1, -1)
        number[rows] = np.arange(len(rows))
        among = number[self.images]
        touched = np.flatnonzero(among >= 0)
        place = among[touched]

        def each(value: Any) -> Any:
            return value[place] if isinstance(value, np.ndarray) else value

        forward: Any = op.point_map
        a, _, c, _, e, f, *_ = map(each, forward(*before))
        near_y, near_x, far_y, far_x = map(each, (*before, *after))
        x0, y0, x1, y1 = old = self.edges[:, touched]
        left, right = _clipped(a * x0 + c, a * x1 + c, far_x)
        top, bottom = _clipped(e * y0 + f, e * y1 + f, far_y)
        still = (near_y == far_y) & (near_x == far_x) & (a == 1.0) & (c == 0.0) & (e == 1.0) & (f == 0.0)
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


def _clipped(one: Floats, other: Floats, far: Any) -> tuple[Floats, Floats]:
    """The lower and the upper of two edges, within 0 and `far`; zeros have the signs that `max` and `min` give."""
    low, high = np.where(other < one, other, one), np.where(other > one, other, one)
    return np.where(low > 0.0, low, 0.0), np.where(high < far, high, far)


def seen_boxes(boxes: Sequence[Boxes]) -> SeenBoxes:
    """The boxes of images in order, each given as `Scene.boxes` has them."""
    edges = np.array([box for each in boxes for box in each], np.float64).reshape(-1, 4).T
    return SeenBoxes(np.arange(len(boxes)).repeat([len(each) for each in boxes]), edges)
