"""Images out: the bytes of a file for an image or a mask, and masks in, whose labels and palette stay as they are."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from augreg.errors import ImageError
from augreg.images.files import read_file

__all__ = ["FORMATS", "decode_mask", "encode", "encode_mask", "read_mask"]

# Options for Pillow; visually lossless where the format is lossy.
FORMATS: Final[Mapping[str, Mapping[str, Any]]] = {
    "png": {"format": "PNG", "compress_level": 1},  # a third of the time of Pillow's 6, a tenth more space
    "jpg": {"format": "JPEG", "quality": 95, "subsampling": 0},
    "webp": {"format": "WEBP", "quality": 95},
}


def encode(array: NDArray[Any], name: str) -> bytes:
    """Encode an image in a file format: one of FORMATS, or npy. Raises ImageError if the format cannot store it."""
    buffer = io.BytesIO()
    if name == "npy":
        np.save(buffer, array, allow_pickle=False)
        return buffer.getvalue()
    if array.dtype != np.uint8:
        raise ImageError(f"{name} stores bytes, and this image is {array.dtype}; use --format npy")
    channels = array.shape[2]
    if channels not in (1, 3, 4) or (channels == 4 and name == "jpg"):
        raise ImageError(f"{name} cannot store {channels} channels; use --format {'png or ' * (channels == 4)}npy")
    pixels = array[..., 0] if channels == 1 else array
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, **FORMATS[name])
    return buffer.getvalue()


def read_mask(path: Path) -> tuple[NDArray[np.uint8], Any]:
    """The labels and the palette of the file of a mask, as `decode_mask` gives them. Raises ImageError."""
    try:
        data = read_file(path)
    except OSError as error:
        raise ImageError(f"{path}: the mask cannot be read: {error.strerror or error}") from None
    return decode_mask(data, path)


def decode_mask(data: bytes, name: object) -> tuple[NDArray[np.uint8], Any]:
    """The labels of a mask, and its palette if it has one: the indices are the labels, the colors are for display.

    Raises ImageError, which begins with the name, for data that is not an 8-bit image.
    """
    try:
        with Image.open(io.BytesIO(data)) as image:
            upright = ImageOps.exif_transpose(image)
            if upright.mode == "1":
                upright = upright.convert("L")
            if upright.mode not in ("L", "P", "RGB", "RGBA"):
                raise ImageError(
                    f"{name}: a mask of mode {upright.mode} is not supported; save its labels as 8-bit gray"
                )
            return np.asarray(upright), upright.getpalette() if upright.mode == "P" else None
    except ImageError:
        raise
    except (OSError, ValueError, SyntaxError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or error
        if isinstance(error, UnidentifiedImageError):  # whose message has an address in memory
            reason = "not an image in a format that Pillow reads"
        raise ImageError(f"{name}: the mask cannot be read: {reason}") from None


def encode_mask(mask: Any, palette: Any = None) -> bytes:
    """Encode a mask, height x width (x channels), as PNG, with the palette that `decode_mask` gave."""
    labels = np.asarray(mask)
    image = Image.fromarray(labels[..., 0] if labels.ndim == 3 and labels.shape[2] == 1 else labels)
    if palette is not None:
        image.putpalette(palette)  # restores mode P
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
