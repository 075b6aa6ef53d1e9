"""Which way up an image is, by its EXIF data."""

from __future__ import annotations

from typing import Final

from PIL import Image

__all__ = ["turn_of"]

_TAG: Final = 0x0112
_TURNS: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def turn_of(source: Image.Image | Image.Exif) -> Image.Transpose | None:
    """The transposition that makes an image upright; None if it is, or says something invalid."""
    try:
        exif = source.getexif() if isinstance(source, Image.Image) else source
        return _TURNS.get(exif.get(_TAG, 1))
    except Exception:
        return None  # the metadata is damaged, but the pixels may be good
