"""Convolution by NumPy, and what the backends share about kernels."""

from __future__ import annotations

import functools
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from augreg.errors import ImageError
from augreg.ops import Convolve

__all__ = ["convolve", "parts", "weights"]

Array = NDArray[Any]
Floats = NDArray[np.float32]

_RELATIVE: Final = 1e-6  # of the largest singular value: below it, a kernel is a product


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
    down, sizes, across = np.linalg.svd(weights(kernel).astype(np.float64))
    if len(sizes) > 1 and sizes[1] > _RELATIVE * sizes[0]:
        return None
    root = np.sqrt(sizes[0])
    return (down[:, 0] * root).astype(np.float32), (across[0] * root).astype(np.float32)


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
