"""A marker image: colored boxes and dots on a plain ground, with the mask, boxes and keypoints that say where."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

HEIGHT, WIDTH = 192, 240
GROUND = 128
COLORS = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (255, 0, 255), (0, 255, 255), (255, 255, 255))
# (top, left, height, width), well apart, some near the border; the dots are 9x9
BLOCKS = ((8, 12, 40, 56), (70, 150, 48, 40), (140, 20, 44, 48), (20, 170, 36, 60))
DOTS = ((86, 60), (124, 112), (40, 110))
SPEC = {"boxes": "xyxy", "min_visible": 0.0, "keypoints": "keep"}
"""The `targets` of a spec for it."""


class Seen(NamedTuple):
    """Where the pixels of one marker are: the edges x1, y1, x2, y2, and the middle of them all."""

    edges: tuple[float, float, float, float]
    middle: tuple[float, float]
    count: int


def sample() -> dict[str, Any]:
    """The image and its targets. Marker k of COLORS is k + 1 in the mask; boxes come first, then dots."""
    image = np.full((HEIGHT, WIDTH, 3), GROUND, np.uint8)
    mask = np.zeros((HEIGHT, WIDTH), np.int64)
    boxes, points = [], []
    for number, place in enumerate([*BLOCKS, *((y, x, 9, 9) for y, x in DOTS)]):
        top, left, height, width = place
        image[top : top + height, left : left + width] = COLORS[number]
        mask[top : top + height, left : left + width] = number + 1
        boxes.append([left, top, left + width, top + height])
        points.append([left + width / 2, top + height / 2])
    ids = list(range(1, len(boxes) + 1))
    return {
        "image": image, "mask": mask, "boxes": np.array(boxes, float), "labels": ids, "keypoints": np.array(points),
    }  # fmt: skip


def in_pixels(image: np.ndarray) -> np.ndarray:
    """The number of the marker at each pixel, 0 for the ground, by the nearest color."""
    palette = np.array([(GROUND,) * 3, *COLORS, (0, 0, 0)], np.float64)  # black is what is painted outside
    found = np.abs(image[..., None, :].astype(np.float64) - palette).sum(axis=-1).argmin(axis=-1)
    return np.where(found > len(COLORS), 0, found)


def seen(numbers: np.ndarray, number: int) -> Seen | None:
    """Where a marker's pixels are; None if there are none."""
    ys, xs = np.nonzero(numbers == number)
    if not len(ys):
        return None
    edges = float(xs.min()), float(ys.min()), float(xs.max() + 1), float(ys.max() + 1)
    return Seen(edges, (float(xs.mean() + 0.5), float(ys.mean() + 0.5)), len(ys))
