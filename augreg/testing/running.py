"""Runs pipelines: images to run them on, the errors that are accepted, and the comparison of results."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from augreg.errors import ImageError
from augreg.testing.step_under_test import Array

__all__ = ["KEYS", "Array", "accepted_image", "attempt", "nearly_same", "pattern", "same", "smooth"]

KEYS = range(12)

_CHANNELS = ("channel", "gray", "gray", "rgb")
_DTYPES = ("uint8", "float32", "dtype", "bytes")


def pattern(height: int, width: int, channels: int = 3, dtype: str = "uint8") -> Array:
    """An image of noise on a gradient, the same at every call."""
    y, x = np.mgrid[:height, :width]
    noise = (x * 73 + y * 151 + x * y * 37) % 97
    planes = [(noise + (x * (3 + c) + y * 5) % 120 + 20 * c) % 256 for c in range(channels)]
    return _as_dtype(np.stack(planes, axis=2), dtype)


def smooth(height: int, width: int, channels: int = 3, dtype: str = "uint8") -> Array:
    """An image without noise, on which rounding of coordinates or pixel values has little effect."""
    y, x = np.mgrid[:height, :width]
    waves = np.sin(x[..., None] / 9.0 + np.arange(channels)) + np.cos(y[..., None] / 7.0)
    return _as_dtype(128 + 50 * waves, dtype)


def _as_dtype(values: Array, dtype: str) -> Array:
    array = values.astype(np.uint8)
    return array if dtype == "uint8" else (array / np.float32(255)).astype(np.float32)


def attempt(run: Callable[..., Any], image: Array, *rest: Any) -> Any:
    """The result of `run`, or None if it refuses the channels or the dtype of the image, and says so."""
    try:
        return run(image, *rest)
    except ImageError as error:
        refused = _names_channels(error, image) or _names_dtype(error)
        assert refused, (
            f"it fails on {error}; take images from one pixel on (return () where there is nothing to do), write "
            "to no input, and refuse only channels or dtypes, by a ValueError that names them"
        )
        return None


def _names_channels(error: ImageError, image: Array) -> bool:
    """Whether the message mentions channels; for a color image, gray images."""
    words = str(error).lower()
    if image.shape[2] == 3:
        return "gray" in words
    return any(word in words for word in _CHANNELS)


def _names_dtype(error: BaseException) -> bool:
    """Whether the original error names a dtype; the errors around it always name that of the image.

    It must be a ValueError, raised on purpose: NumPy's messages for failed arithmetic name dtypes too.
    """
    while error.__cause__ is not None:
        error = error.__cause__
    return isinstance(error, ValueError) and any(word in str(error).lower() for word in _DTYPES)


def accepted_image(run: Callable[..., Any], height: int, width: int, make: Callable[..., Array] = pattern) -> Array:
    """An image of the first accepted kind: color before gray before four channels, uint8 before float32."""
    kinds = [(channels, dtype) for channels in (3, 1, 4) for dtype in ("uint8", "float32")]
    for kind in kinds:
        image = make(height, width, *kind)
        if attempt(run, image, 0) is not None:
            return image
    raise AssertionError("it accepts no image with 1, 3 or 4 channels; take at least one of these kinds")


def same(first: Any, second: Any) -> bool:
    """Whether two results are equal, byte for byte."""
    return first is second or (
        first is not None
        and second is not None
        and first.dtype == second.dtype
        and np.array_equal(first, second, equal_nan=True)
    )


def nearly_same(first: Any, second: Any) -> bool:
    """Like `same`, but floats may differ by rounding, since the order of a sum may depend on the memory layout."""
    if first is None or second is None or first.dtype != np.float32:
        return same(first, second)
    return first.shape == second.shape and np.allclose(first, second, rtol=0, atol=2e-6)
