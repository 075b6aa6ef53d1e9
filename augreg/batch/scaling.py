"""How a pasted piece is scaled: bilinear with antialiasing for pixel values, the nearest pixel for masks.

Each axis is scaled by a product with a matrix. For byte images its weights are multiples of 2^-15: as integers, their
sums are exact in floating point in any order, so NumPy and torch agree to the last bit.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

__all__ = ["INTEGER_SUM", "integer_weights", "nearest", "weights"]

INTEGER_SUM = 1 << 15
"""The sum of the integer weights of one output pixel."""


@functools.lru_cache(maxsize=256)
def weights(size: int, new_size: int) -> NDArray[np.float64]:
    """The new_size x size matrix that scales an axis; each row sums to 1.

    A row is a triangle around the center of the new pixel, two pixels of the coarser grid wide at its base.
    """
    scale = size / new_size
    centers = (np.arange(new_size) + 0.5) * scale
    distance = np.abs(np.arange(size) + 0.5 - centers[:, None]) / max(scale, 1.0)
    matrix = np.maximum(0.0, 1.0 - distance)
    matrix /= matrix.sum(axis=1, keepdims=True)
    matrix.setflags(write=False)
    return matrix


@functools.lru_cache(maxsize=256)
def integer_weights(size: int, new_size: int) -> NDArray[np.float64]:
    """`weights` times INTEGER_SUM, rounded: rows of integers with exactly that sum."""
    matrix = np.rint(weights(size, new_size) * INTEGER_SUM)
    rows = np.arange(new_size)
    matrix[rows, matrix.argmax(axis=1)] += INTEGER_SUM - matrix.sum(axis=1)
    matrix.setflags(write=False)
    return matrix


def nearest(size: int, new_size: int) -> NDArray[np.int64]:
    """For each new pixel the old pixel under its center."""
    return (2 * np.arange(new_size, dtype=np.int64) + 1) * size // (2 * new_size)
