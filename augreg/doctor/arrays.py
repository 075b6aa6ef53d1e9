"""Arrays of images: conversion, the axis of the channels, likeness and digests."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["channel_axis", "digest", "is_list", "likeness", "to_array"]

_EQUAL = 0.05  # of the standard deviation of an image


def to_array(value: Any) -> NDArray[Any] | None:
    """Convert an array, a tensor on any device, or a PIL image to a NumPy array; None for anything else."""
    if isinstance(value, np.ndarray):
        return value if value.dtype.kind in "buif" else None
    if hasattr(value, "detach") and hasattr(value, "cpu"):
        tensor = value.detach().cpu()
        return np.asarray(tensor.float().numpy() if "bfloat16" in str(tensor.dtype) else tensor.numpy())
    if hasattr(value, "getbands"):
        return np.asarray(value)
    return None


def is_list(value: Any) -> bool:
    """Whether a value is a list or another sequence, but not a text."""
    return isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray)


def channel_axis(shape: tuple[int, ...]) -> int | None:
    """The axis of the channels in an image's shape; None for an image without one."""
    if len(shape) != 3:
        return None
    first, last = shape[0] in (1, 3, 4), shape[2] in (1, 3, 4)
    if first != last:
        return 0 if first else 2
    return 0 if shape[0] <= shape[2] else 2


def likeness(one: Any, two: Any) -> Literal["same", "mirrored"] | None:
    """Whether two images are the same, or the second is the first mirrored, but for brightness and contrast.

    They are compared pixel by pixel: the difference is at most 5% of the standard deviation. None for other pairs,
    and for images that are their own mirror image.
    """
    first, second = _centered(one), _centered(two)
    if first is None or second is None or first.shape != second.shape:
        return None
    straight, mirrored = _difference(first, second), _difference(first, second[:, ::-1])
    if max(straight, mirrored) < 4 * _EQUAL:
        return None
    return "same" if straight < _EQUAL else "mirrored" if mirrored < _EQUAL else None


def _centered(image: Any) -> NDArray[np.float64] | None:
    """A gray image less its mean; None if it is not one image with different, finite pixel values."""
    array = to_array(image)
    if array is None or array.ndim not in (2, 3) or not array.size or not np.isfinite(array).all():
        return None
    axis = channel_axis(array.shape)
    gray = np.asarray(array, np.float64) if axis is None else array.astype(np.float64).mean(axis=axis)
    gray = gray - gray.mean()
    return gray if np.any(gray) else None


def _difference(one: NDArray[np.float64], two: NDArray[np.float64]) -> float:
    """The root mean square of what a factor above 0 for `two` leaves of `one`, as a fraction of that of `one`."""
    factor = max(0.0, float((one * two).sum() / (two**2).sum()))
    return float(np.sqrt(((one - factor * two) ** 2).sum() / (one**2).sum()))


def digest(value: Any) -> bytes:
    """A hash of 16 bytes: equal for bit-equal images, or equal plain data."""
    state = hashlib.blake2b(digest_size=16)
    _feed(state, value)
    return state.digest()


def _feed(state: Any, value: Any) -> None:
    array = to_array(value)
    if array is not None:
        state.update(f"{array.dtype.str}{array.shape}".encode())
        state.update(np.ascontiguousarray(array).tobytes())
    elif isinstance(value, Mapping):
        for name in value:
            state.update(repr(name).encode())
            _feed(state, value[name])
    elif is_list(value):
        state.update(f"[{len(value)}".encode())
        for part in value:
            _feed(state, part)
    else:
        try:
            state.update(pickle.dumps(value))
        except Exception:  # if it cannot be pickled, hash its type only
            state.update(type(value).__qualname__.encode())
