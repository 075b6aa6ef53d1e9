"""JPEGs: their size is read from the header, and pixels are decoded once it is known which of them are needed.

Common files are read here, by libraries that decode in the same way as Pillow and sooner: simplejpeg decodes a whole
image, and augreg-native a part of one. Every other file, and every damaged one, is left to Pillow.
"""

from __future__ import annotations

import contextlib
import struct
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from augreg.images import buffers
from augreg.images.orientation import turn_of

try:
    import simplejpeg as _whole
except ImportError:  # it comes with the extra `fast`
    _whole = None
_parts: Any = None
with contextlib.suppress(ImportError):  # augreg-native is not installed, or was built without libjpeg-turbo
    from augreg_native import _jpeg

    _parts = _jpeg

__all__ = ["Box", "JpegHeader", "decode_jpeg", "decode_scaled", "read_header", "scaled_box"]

Box = tuple[int, int, int, int]
"""Top, left, height and width of a part."""

_START, _END = b"\xff\xd8", b"\xff\xd9"
_FRAMES: Final = {0xC0: True, 0xC1: True, 0xC2: False}  # of Huffman codes: whether rows come in their order
_OTHER: Final = (0x00, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF)  # other frames, or none
_SCAN: Final = 0xDA
_METADATA, _EXTENSIONS, _FILL = 0xE1, 0xE2, 0xFF
_EXIF: Final = b"Exif\0\0"
_SMALLEST: Final = 16  # pixels of a side; below this, simplejpeg may reach the wanted size by another fraction
_FRAME: Final = struct.Struct(">BHHB")


class JpegHeader(NamedTuple):
    """The size of a JPEG of three color channels as it is stored, and what makes it upright.

    `in_rows` is whether all of a row is stored before the next; a progressive file has several passes over all rows.
    """

    height: int
    width: int
    turn: Image.Transpose | None
    in_rows: bool


def read_header(data: bytes) -> JpegHeader | None:
    """The header of a JPEG that `decode_jpeg` may read; None for any other file."""
    if data[:2] != _START or (_whole is None and _parts is None):
        return None
    at, exif, has_exif = 2, Image.Exif(), False
    frame: JpegHeader | None = None
    try:
        while True:
            marker, size = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
            if data[at] != 0xFF:
                return None
            if marker == _FILL:
                at += 1
                continue
            if marker == _SCAN:  # metadata may also come between the frame and the first scan
                return None if frame is None else frame._replace(turn=turn_of(exif))
            if marker in _FRAMES:
                precision, height, width, channels = _FRAME.unpack_from(data, at + 4)
                if frame is not None or precision != 8 or channels != 3 or not height or not width:
                    return None
                frame = JpegHeader(height, width, None, _FRAMES[marker])
            if marker in _OTHER or 0xD0 <= marker <= 0xD9:
                return None
            if marker == _EXTENSIONS and data[at + 4 : at + 8] == b"MPF\0":  # several images in one file
                return None
            if marker == _METADATA:
                if has_exif or data[at + 4 : at + 10] != _EXIF:  # in two parts, or as XML
                    return None
                has_exif = True
                exif.load(data[at + 4 : at + 2 + size])
            at += 2 + size
    except Exception:  # it is cut off, or its metadata is damaged
        return None


def decode_jpeg(data: bytes, header: JpegHeader, out: NDArray[np.uint8], box: Box | None) -> bool:
    """Decode into an array of the whole image as it is stored, height x width x 3; of a box, at least that.

    Pixels outside the box have any values. Returns False for a file that has even a small defect, such as stray bytes
    between two segments.
    """
    if _parts is not None and header.in_rows and data[-2:] == _END and (box is not None or _whole is None):
        top, left, height, width = box or (0, 0, header.height, header.width)
        if _parts.decode(data, out, top, left, top + height, left + width):
            return True
    if _whole is None:
        return False
    try:
        return bool(_whole.decode_jpeg(data, "RGB", buffer=out).shape == out.shape)
    except ValueError:
        return False


def scaled_box(box: Box, reduction: int) -> Box:
    """The pixels of an image at 1/reduction of its size that show some part of a box."""
    top, left, height, width = box
    first, before = top // reduction, left // reduction
    return first, before, -(-(top + height) // reduction) - first, -(-(left + width) // reduction) - before


def decode_scaled(data: bytes, header: JpegHeader, box: Box, reduction: int) -> NDArray[np.uint8] | None:
    """The `scaled_box` of a box, decoded at 1/2, 1/4 or 1/8 of the size; None for a file to be decoded exactly.

    Each pixel is close to the mean of its square of the image, reduction x reduction. These bytes are the same,
    whichever library decodes.
    """
    if not header.in_rows or data[-2:] != _END or min(header.height, header.width) < _SMALLEST:
        return None
    size = -(-header.height // reduction), -(-header.width // reduction)
    out = buffers.empty((*size, 3), np.uint8)
    top, left, height, width = scaled_box(box, reduction)
    part = out[top : top + height, left : left + width]
    if _parts is not None and _parts.decode(data, out, top, left, top + height, left + width, reduction):
        return part
    if _whole is None:
        return None
    try:
        found = _whole.decode_jpeg(data, "RGB", min_height=size[0], min_width=size[1], buffer=out)
    except ValueError:
        return None
    return part if found.shape == out.shape else None
