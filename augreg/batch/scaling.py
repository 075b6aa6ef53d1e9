"""How a pasted piece is scaled: bilinear with an antialiasing filter for levels, the nearest pixel for masks.

One axis at a time, as a product with a matrix. Byte images take weights in whole parts of 2^15: sums are then
exact in floating point, in whatever order, so that NumPy and torch agree to the last bit.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

__all__ = ["PARTS", "nearest", "weights", "whole_weights"]

PARTS = 1 << 15
"""What the whole weights of one output pixel sum to."""


@functools.lru_cache(maxsize=256)
def weights(size: int, new_size: int) -> NDArray[np.float64]:
    """The new_size x size matrix that scales an axis; rows sum to 1.

    A triangle around each new pixel's center, as wide as two pixels of the coarser of the two grids.
    """
    scale = size / new_size
    centers = (np.arange(new_size) + 0.5) * scale
    distance = np.abs(np.arange(size) + 0.5 - centers[:, None]) / max(scale, 1.0)
    found = np.maximum(0.0, 1.0 - distance)
    found /= found.sum(axis=1, keepdims=True)
    found.setflags(write=False)
    return found


@functools.lru_cache(maxsize=256)
def whole_weights(size: int, new_size: int) -> NDArray[np.float64]:
    """`weights` in whole parts: rows of integers that sum to PARTS exactly."""
    found = np.rint(weights(size, new_size) * PARTS)
    rows = np.arange(new_size)
    found[rows, found.argmax(axis=1)] += PARTS - found.sum(axis=1)
    found.setflags(write=False)
    return found


def nearest(size: int, new_size: int) -> NDArray[np.int64]:
    """For each new pixel the old pixel under its center."""
    return (2 * np.arange(new_size, dtype=np.int64) + 1) * size // (2 * new_size)
