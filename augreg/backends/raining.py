"""Drops of rain: how much of their color each pixel gets, on the host, for all backends."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from augreg.backends import intensity
from augreg.ops import Rain
from augreg.rng import field

__all__ = ["drops", "rained"]

Array = NDArray[Any]


def drops(op: Rain, height: int, width: int) -> NDArray[np.float32]:
    """The part of the color that each pixel gets, height x width."""
    units = field("uniform", op.key, (op.count, 2)).astype(np.float64)
    left = np.floor(units[:, 0] * width).astype(np.int64)
    top = np.floor(units[:, 1] * max(1, height - op.length)).astype(np.int64)
    down, right = _line(op.length, op.slant)
    rows, columns = top[:, None] + down, left[:, None] + right
    seen = (rows < height) & (columns >= 0) & (columns < width)
    hit = np.zeros((height, width), np.int64)
    hit[rows[seen], columns[seen]] = 1
    reach = op.blur // 2
    padded = np.pad(hit, reach, mode="reflect")
    total = np.pad(padded.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    side = op.blur
    sums = total[side:, side:] - total[:-side, side:] - total[side:, :-side] + total[:-side, :-side]
    found: NDArray[np.float32] = (sums / (side * side)).astype(np.float32)
    return found


def _line(length: int, slant: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The pixels of a line from (0, 0) to (length, slant), of which each touches the next by a side."""
    steps = length + abs(slant)
    place = (2 * np.arange(steps + 1) * length + steps) // (2 * steps) if steps else np.zeros(1, np.int64)
    across = np.arange(steps + 1) - place
    return place, across if slant >= 0 else -across


def rained(op: Rain, image: Array) -> Array:
    """The image with the drops, clipped, and as much darker as the op says."""
    fill = intensity.per_channel(op.fill, image.shape[2], "fill").astype(np.float32)
    layer = drops(op, *image.shape[:2])[..., None] * fill
    brightness = np.float32(op.brightness)
    if image.dtype == np.float32:
        floats: Array = np.clip(np.minimum(image + layer, 1) * brightness, 0, 1)
        return floats
    whole: Array = np.minimum(np.rint(layer) + image, np.float32(255)) * brightness
    return np.clip(np.rint(whole), 0, 255).astype(np.uint8)
