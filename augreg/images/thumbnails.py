"""Thumbnails: an output image of a pipeline as a small WebP inside the page."""

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
    """A data URI, and the size at which to show it."""

    src: str
    width: int
    height: int


def thumbnail(array: NDArray[np.uint8], longest: int) -> Thumbnail:
    """Scale a height x width x channels image to a longer side near `longest`.

    Small images are enlarged by an integer factor, so that their pixels stay visible as squares.
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
    image.convert("RGB").save(file, "WEBP", quality=_QUALITY, method=2)
    data = base64.b64encode(file.getvalue()).decode("ascii")
    return Thumbnail(f"data:image/webp;base64,{data}", image.width, image.height)


def viewable(array: NDArray[Any], normalize: Normalize | None = None) -> tuple[NDArray[np.uint8], str]:
    """A displayable version of an image, and a note if its pixel values were changed for that.

    A normalization is undone with its own mean and standard deviation, so that the photo is recognizable. Other
    floats outside 0..1 are stretched from black to white.
    """
    array = array[..., :3] if array.shape[2] >= 3 else array[..., :1]
    if array.dtype == np.uint8:
        return array, ""
    note = ""
    values = np.nan_to_num(array.astype(np.float64))
    if normalize is not None and normalize.mean_image is None:
        count = values.shape[2]
        mean, std = (np.asarray(statistic[:count]) for statistic in (normalize.mean, normalize.std))
        values = values * std + mean
    elif values.min() < 0.0 or values.max() > 1.0:
        low, high = float(values.min()), float(values.max())
        values = (values - low) / max(high - low, 1e-12)  # a constant image becomes black
        note = f"floats from {low:.2f} to {high:.2f}, stretched for viewing"
    return np.rint(np.clip(values, 0.0, 1.0) * 255.0).astype(np.uint8), note
