"""Drops of rain: how much of their color each pixel gets, on the host, for all backends."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from augreg.backends import intensity, planar
from augreg.images import buffers
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
    hit = np.zeros((height, width), np.uint8)
    hit[rows[seen], columns[seen]] = 1
    sums: NDArray[np.int32] = np.pad(hit, op.blur // 2, mode="reflect").astype(np.int32)
    sums = _sums(_sums(sums, op.blur).T, op.blur).T
    found: NDArray[np.float32] = (sums * (1.0 / (op.blur * op.blur))).astype(np.float32)
    return found


def _sums(values: NDArray[np.int32], side: int) -> NDArray[np.int32]:
    """The sums of so many neighbors along the first axis."""
    total = np.zeros((len(values) + 1, values.shape[1]), np.int32)
    np.cumsum(values, axis=0, out=total[1:])
    found: NDArray[np.int32] = total[side:] - total[:-side]
    return found


def _line(length: int, slant: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The pixels of a line from (0, 0) to (length, slant), of which each touches the next by a side."""
    steps = length + abs(slant)
    place = (2 * np.arange(steps + 1) * length + steps) // (2 * steps) if steps else np.zeros(1, np.int64)
    across = np.arange(steps + 1) - place
    return place, across if slant >= 0 else -across


def rained(op: Rain, image: Array) -> Array:
    """The image with the drops, clipped, and as much darker as the op says."""
    height, width, channels = image.shape
    fill = np.tile(intensity.per_channel(op.fill, channels, "fill").astype(np.float32), width)
    hit, brightness = drops(op, height, width), np.float32(op.brightness)
    floats = image.dtype == np.float32
    out = buffers.empty(image.shape, image.dtype)
    flat, pixels = out.reshape(height, -1), np.ascontiguousarray(image).reshape(height, -1)
    for rows in planar.parts(image):
        found = np.repeat(hit[rows], channels, axis=1)
        found *= fill
        if not floats:
            np.rint(found, out=found)
        found += pixels[rows]
        np.minimum(found, np.float32(1 if floats else 255), out=found)
        found *= brightness
        if not floats:
            np.rint(found, out=found)
        flat[rows] = np.clip(found, 0, 1 if floats else 255, out=found)
    return out
