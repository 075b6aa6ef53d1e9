"""Images a few rows at a time, one channel after the other, so that what is in between stays in the cache."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from augreg.images import buffers

__all__ = ["Channels", "computed", "parts", "split"]

Floats = NDArray[np.float32]
Channels: TypeAlias = list[Floats]
"""The channels of pixels, each in its own memory."""

_PIXELS: Final = 1 << 14  # of a part


def parts(image: NDArray[Any]) -> Iterator[slice]:
    """The rows of an image in parts."""
    height, width = image.shape[:2]
    count = max(1, _PIXELS // width)
    return (slice(start, start + count) for start in range(0, height, count))


def split(pixels: NDArray[Any]) -> Channels:
    """The channels of pixels; bytes become floats from 0 to 1."""
    channels = [np.ascontiguousarray(pixels[..., number]) for number in range(pixels.shape[-1])]
    return channels if pixels.dtype == np.float32 else [channel * np.float32(1 / 255) for channel in channels]


def computed(function: Callable[[Channels, slice], Iterable[Floats]], image: NDArray[Any]) -> NDArray[Any]:
    """The image whose channels a function makes of those of some rows, and of these rows; bytes are rounded once."""
    out = buffers.empty(image.shape, image.dtype)
    for rows in parts(image):
        for number, found in enumerate(function(split(image[rows]), rows)):
            if image.dtype == np.uint8:
                found *= np.float32(255)
                np.rint(found, out=found)
            out[rows, :, number] = found
    return out
