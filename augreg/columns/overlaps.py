"""`sample_columns` of crops that are drawn until their overlap with a box is large enough.

The formulas and the order of the draws are those of `sample`. Images use up words at their own pace.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from augreg import ops
from augreg.columns.cursors import Cursors, Floats, Integers, Rows, Some
from augreg.columns.ragged import Ragged
from augreg.columns.records import Scenes

if TYPE_CHECKING:
    from augreg.columns.seen_boxes import SeenBoxes

__all__ = ["iou_crop"]

_ROUNDS: Final = 50
# it takes an array for each image's own number as it takes the number
_crop: Final[Any] = ops.crop


def iou_crop(transform: Any, rng: Cursors, scene: Scenes) -> Some:
    """A crop for the images that get one."""
    count = len(scene)
    crops = np.zeros((4, count), np.int64)
    overlaps, wanted = np.array(transform.overlaps), np.zeros(count)
    tries, rounds = np.zeros(count, np.int64), np.zeros(count, np.int64)
    boxes = scene.boxes
    rows: Rows = np.zeros(0, np.intp) if boxes is None else np.unique(boxes.images)
    numbers = Ragged(rng, 8)
    while boxes is not None and len(rows):
        fresh = rows[tries[rows] == 0]
        over = fresh[rounds[fresh] == _ROUNDS]
        fresh = np.setdiff1d(fresh, over)
        wanted[fresh] = overlaps[numbers.integers(len(overlaps), fresh)]
        rounds[fresh] += 1
        tries[fresh] = transform.tries
        rows = np.setdiff1d(rows, np.union1d(over, fresh[wanted[fresh] >= 1]))
        tries[rows] -= 1
        width = (scene.width[rows] * numbers.uniform(transform.scale, rows)).astype(np.int64)
        height = (scene.height[rows] * numbers.uniform(transform.scale, rows)).astype(np.int64)
        ratio = width / np.maximum(1, height)
        fits = (width > 0) & (height > 0) & (transform.ratio[0] <= ratio) & (ratio <= transform.ratio[1])
        some, width, height = rows[fits], width[fits], height[fits]
        left = ((scene.width[some] - width) * numbers.random(some)).astype(np.int64)
        top = ((scene.height[some] - height) * numbers.random(some)).astype(np.int64)
        found = _largest_overlaps(boxes.taken(some), np.stack([left, top, left + width, top + height]))
        good = found >= wanted[some]
        crops[:, some[good]] = np.stack([top, left, height, width])[:, good]
        rows = np.setdiff1d(rows, some[good])
    chosen = np.flatnonzero(crops[2])
    return Some(chosen, _crop(*crops[:, chosen]))


def _largest_overlaps(boxes: SeenBoxes, crops: Integers) -> Floats:
    """The largest intersection over union with boxes whose center is inside, of each image; -1 if there are none."""
    left, top, right, bottom = crops[:, boxes.images]
    x0, y0, x1, y1 = boxes.edges
    x, y = 0.5 * (x0 + x1), 0.5 * (y0 + y1)
    inside = (left < x) & (x < right) & (top < y) & (y < bottom)
    common = (np.minimum(x1, right) - np.maximum(x0, left)) * (np.minimum(y1, bottom) - np.maximum(y0, top))
    whole = (x1 - x0) * (y1 - y0) + (right - left) * (bottom - top) - common
    largest = np.full(crops.shape[1], -1.0)
    np.maximum.at(largest, boxes.images[inside], (common / whole)[inside])
    return largest
