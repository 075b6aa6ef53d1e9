"""Hypothesis strategies for images and samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from augreg.testing.step_under_test import Array

try:
    from hypothesis import strategies as st
except ImportError as error:
    raise ImportError("strategies need hypothesis: pip install 'augreg[testing]'") from error

__all__ = ["images", "samples"]


@st.composite
def images(
    draw: st.DrawFn,
    channels: Sequence[int] = (1, 3, 4),
    most: int = 40,
    least: int = 1,
    dtypes: Sequence[str] = ("uint8", "float32"),
) -> Array:
    """Images of noise, height x width x channels, with sides from `least` to `most`.

    uint8 in 0..255 and float32 in 0..1; some are views: strided, mirrored, or with transposed channels.
    """
    if not 1 <= least <= most:
        raise ValueError(f"expected 1 <= least <= most, got least {least} and most {most}")
    side = st.one_of(st.sampled_from([least, min(least + 1, most), min(least + 2, most)]), st.integers(least, most))
    height, width, count = draw(side), draw(side), draw(st.sampled_from(channels))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    image: Array = rng.integers(0, 256, (2 * height, 2 * width, count), dtype=np.uint8)
    if set(dtypes) == {"float32"} or (len(set(dtypes)) > 1 and draw(st.booleans())):
        image = image.astype(np.float32) / np.float32(255)
    form = draw(st.sampled_from(["own", "strided", "reversed", "planar"]))
    if form == "own":
        return image[:height, :width].copy()
    if form == "planar":
        return np.ascontiguousarray(image[:height, :width].transpose(2, 0, 1)).transpose(1, 2, 0)
    return image[::2, ::2] if form == "strided" else image[height - 1 :: -1, width - 1 :: -1]


@st.composite
def samples(
    draw: st.DrawFn,
    channels: Sequence[int] = (1, 3),
    most: int = 40,
    least: int = 1,
    dtypes: Sequence[str] = ("uint8", "float32"),
    count: int = 4,
    classes: int = 5,
) -> dict[str, Any]:
    """Samples: a mapping of `image`, `mask`, `boxes`, `labels` and `keypoints`, for `targets: {boxes: xyxy}`.

    The mask is height x width uint8 with classes below `classes`. There are 0 to `count` boxes, n x 4 float64,
    inside the image and at least one pixel wide and high, with a label below `classes` for each; and 0 to `count`
    keypoints, n x 2 float64, inside the image.
    """
    image = draw(images(channels, most, least, dtypes))
    height, width = image.shape[:2]
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    boxes = [[*_span(draw, width), *_span(draw, height)] for _ in range(draw(st.integers(0, count)))]
    points = [[_coordinate(draw, width), _coordinate(draw, height)] for _ in range(draw(st.integers(0, count)))]
    return {
        "image": image,
        "mask": rng.integers(0, classes, (height, width), dtype=np.uint8),
        "boxes": np.array([[left, top, right, bottom] for left, right, top, bottom in boxes]).reshape(-1, 4),
        "labels": rng.integers(0, classes, len(boxes)),
        "keypoints": np.array(points, float).reshape(-1, 2),
    }


def _span(draw: st.DrawFn, side: int) -> tuple[float, float]:
    """The two edges of a box along a side, in quarters of a pixel, at least one pixel apart."""
    start = draw(st.integers(0, 4 * (side - 1)))
    return start / 4, draw(st.integers(start + 4, 4 * side)) / 4


def _coordinate(draw: st.DrawFn, side: int) -> float:
    """A coordinate along a side, in quarters of a pixel, not on its far edge."""
    return draw(st.integers(0, 4 * side - 1)) / 4
