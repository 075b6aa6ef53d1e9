"""Convolution by NumPy, and what the backends share about kernels."""

from __future__ import annotations

import functools
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from augreg.errors import ImageError
from augreg.ops import Convolve

__all__ = ["Halves", "convolve", "parts", "separated", "weights"]

Array = NDArray[Any]
Floats = NDArray[np.float32]

_RELATIVE: Final = 1e-6  # of the largest weight: where no weight differs by more, a kernel is a product


@functools.lru_cache(maxsize=256)
def weights(kernel: tuple[tuple[float, ...], ...]) -> Floats:
    """The kernel as an array."""
    found = np.array(kernel, np.float32)
    if found.ndim != 2 or not (found.shape[0] % 2 and found.shape[1] % 2):
        raise ImageError(f"a kernel has an odd number of rows of an odd number of weights, got {found.shape}")
    found.flags.writeable = False
    return found


@functools.lru_cache(maxsize=256)
def parts(kernel: tuple[tuple[float, ...], ...]) -> tuple[Floats, Floats] | None:
    """Weights along columns and along rows whose products are the kernel; None if it is no product."""
    found = separated(weights(kernel)[None])
    return (found.down[0], found.across[0]) if found.products[0] else None


class Halves(NamedTuple):
    """Weights along columns, N x rows, and along rows, N x columns, and whether their products are the kernels."""

    down: Floats
    across: Floats
    products: NDArray[np.bool_]


def separated(kernels: Floats) -> Halves:
    """The halves of kernels, N x rows x columns; they mean nothing where a kernel is no product.

    They are the column and the row through the largest weight, which are the same on every processor.
    """
    exact, numbers = kernels.astype(np.float64), np.arange(len(kernels))
    row, column = np.divmod(np.abs(exact).reshape(len(exact), -1).argmax(1), exact.shape[2])
    largest = exact[numbers, row, column]
    down = exact[numbers, :, column]
    across = exact[numbers, row] / np.where(largest == 0.0, 1.0, largest)[:, None]
    missed = np.abs(exact - down[:, :, None] * across[:, None]).max((1, 2))
    return Halves(down.astype(np.float32), across.astype(np.float32), missed <= _RELATIVE * np.abs(largest))


def convolve(op: Convolve, image: Array) -> Array:
    """One pass along each axis where the kernel is a product, else one over all weights; sums are float32."""
    kernel = weights(op.kernel)
    height, width = image.shape[:2]
    reach_y, reach_x = kernel.shape[0] // 2, kernel.shape[1] // 2
    padded = np.pad(image, ((reach_y, reach_y), (reach_x, reach_x), (0, 0)), mode="reflect")
    split = parts(op.kernel)
    if split is None:
        total = np.zeros(image.shape, np.float32)
        for y, x in zip(*np.nonzero(kernel), strict=True):
            total += padded[y : y + height, x : x + width] * kernel[y, x]
    else:
        columns = np.zeros((height, *padded.shape[1:]), np.float32)
        for y in np.flatnonzero(split[0]):
            columns += padded[y : y + height] * split[0][y]
        total = np.zeros(image.shape, np.float32)
        for x in np.flatnonzero(split[1]):
            total += columns[:, x : x + width] * split[1][x]
    if image.dtype == np.float32:
        return total
    return np.clip(np.rint(total, out=total), 0, 255, out=total).astype(np.uint8)
