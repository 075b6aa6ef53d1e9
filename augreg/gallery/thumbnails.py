"""Thumbnails: any image that a pipeline gives, as a small WebP inside the page."""

from __future__ import annotations

import base64
import io
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from augreg.ops import Normalize

__all__ = ["Thumbnail", "thumbnail", "viewable"]

_QUALITY = 70


class Thumbnail(NamedTuple):
    """A data URI, and the size to show it at."""

    src: str
    width: int
    height: int


def thumbnail(array: NDArray[np.uint8], longest: int) -> Thumbnail:
    """A height x width x channels image with a longer side near `longest`.

    Small images grow by a whole factor, so that their pixels stay what they are: squares.
    """
    image = Image.fromarray(array[..., 0] if array.shape[2] == 1 else array)
    side = max(image.size)
    if side > longest:
        size = max(1, round(image.width * longest / side)), max(1, round(image.height * longest / side))
        image = image.resize(size, Image.Resampling.LANCZOS)
    elif longest // side > 1:
        image = image.resize(
            (image.width * (longest // side), image.height * (longest // side)), Image.Resampling.NEAREST
        )
    file = io.BytesIO()
    image.convert("RGB").save(file, "WEBP", quality=_QUALITY, method=4)
    data = base64.b64encode(file.getvalue()).decode("ascii")
    return Thumbnail(f"data:image/webp;base64,{data}", image.width, image.height)


def viewable(array: NDArray[Any], normalize: Normalize | None = None) -> tuple[NDArray[np.uint8], str]:
    """An image that can be looked at, and what the levels are if they are not what is seen.

    A normalization is undone with its own numbers, so that people recognize their photo; floats that no
    numbers are known for are stretched from black to white.
    """
    array = array[..., :3] if array.shape[2] >= 3 else array[..., :1]
    if array.dtype == np.uint8:
        return array, ""
    note = ""
    levels = np.nan_to_num(array.astype(np.float64))
    if normalize is not None and normalize.mean_image is None:
        count = levels.shape[2]
        mean, std = (np.asarray(numbers[:count]) for numbers in (normalize.mean, normalize.std))
        levels = levels * std + mean
    elif levels.min() < 0.0 or levels.max() > 1.0:
        low, high = float(levels.min()), float(levels.max())
        levels = (levels - low) / max(high - low, 1e-12)  # one level everywhere is black
        note = f"floats from {low:.2f} to {high:.2f}, stretched for viewing"
    return np.rint(np.clip(levels, 0.0, 1.0) * 255.0).astype(np.uint8), note
