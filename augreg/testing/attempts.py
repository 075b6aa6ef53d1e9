"""Trying a pipeline: images to try it on, refusals that are allowed, and when two results are the same."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from augreg.errors import ImageError
from augreg.testing.subjects import Array, Subject

__all__ = ["KEYS", "Array", "alike", "attempt", "pattern", "run_checks", "same", "smooth", "suited"]

KEYS = range(12)

_CHANNELS = ("channel", "gray", "gray", "rgb")
_DTYPES = ("uint8", "float32", "dtype", "bytes")


def run_checks(checks: Mapping[str, Callable[[Subject], None]], tested: Subject, without: Iterable[str]) -> None:
    """Run the checks but those in `without`. Raises AssertionError with the check, whatever went wrong in it."""
    left_out = set(without)
    for name, check in checks.items():
        if name in left_out:
            continue
        try:
            check(tested)
        except AssertionError as error:
            raise AssertionError(f"{name}: {error}") from error
        except Exception as error:  # whatever a transform does
            raise AssertionError(f"{name}: {type(error).__name__}: {error}") from error


def pattern(height: int, width: int, channels: int = 3, dtype: str = "uint8") -> Array:
    """An image of noise on a slope, the same at every call."""
    y, x = np.mgrid[:height, :width]
    noise = (x * 73 + y * 151 + x * y * 37) % 97
    planes = [(noise + (x * (3 + c) + y * 5) % 120 + 20 * c) % 256 for c in range(channels)]
    return _of_kind(np.stack(planes, axis=2), dtype)


def smooth(height: int, width: int, channels: int = 3, dtype: str = "uint8") -> Array:
    """An image without noise, for which it matters little how a place or a level is rounded."""
    y, x = np.mgrid[:height, :width]
    waves = np.sin(x[..., None] / 9.0 + np.arange(channels)) + np.cos(y[..., None] / 7.0)
    return _of_kind(128 + 50 * waves, dtype)


def _of_kind(levels: Array, dtype: str) -> Array:
    array = levels.astype(np.uint8)
    return array if dtype == "uint8" else (array / np.float32(255)).astype(np.float32)


def attempt(do: Any, image: Array, *rest: Any) -> Any:
    """A result, or None where the image has not the channels or the dtype that it takes, and it says so."""
    try:
        return do(image, *rest)
    except ImageError as error:
        refused = _speaks_of_channels(error, image) or _speaks_of_dtype(error)
        assert refused, f"refused for no reason of its kind, which is its channels or its dtype: {error}"
        return None


def _speaks_of_channels(error: ImageError, image: Array) -> bool:
    """Whether it names channels; of a color image, that it takes gray ones."""
    words = str(error).lower()
    if image.shape[2] == 3:
        return "gray" in words or "gray" in words
    return any(word in words for word in _CHANNELS)


def _speaks_of_dtype(error: BaseException) -> bool:
    """Whether a dtype is named by what was raised first: what is around it always names the image's own.

    It must be a ValueError, raised on purpose: NumPy's words for a sum that failed name dtypes too.
    """
    while error.__cause__ is not None:
        error = error.__cause__
    return isinstance(error, ValueError) and any(word in str(error).lower() for word in _DTYPES)


def suited(do: Any, height: int, width: int, make: Callable[..., Array] = pattern) -> Array:
    """An image of the first kind that is taken: color before gray before four channels, bytes before floats."""
    kinds = [(channels, dtype) for channels in (3, 1, 4) for dtype in ("uint8", "float32")]
    for kind in kinds:
        image = make(height, width, *kind)
        if attempt(do, image, 0) is not None:
            return image
    raise AssertionError("it takes images of neither 1, 3 nor 4 channels")


def same(first: Any, second: Any) -> bool:
    """Whether two results are the same bytes."""
    return first is second or (
        first is not None
        and second is not None
        and first.dtype == second.dtype
        and np.array_equal(first, second, equal_nan=True)
    )


def alike(first: Any, second: Any) -> bool:
    """The same bytes; the same floats within rounding, as the order of a sum may follow the layout."""
    if first is None or second is None or first.dtype != np.float32:
        return same(first, second)
    return first.shape == second.shape and np.allclose(first, second, rtol=0, atol=2e-6)
