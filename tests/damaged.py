"""Image files that were good once: by number, always the same ones.

A file of every common kind is cut, or some of its bytes are flipped, repeated, left out, blanked or taken from
another file, often near its start, where headers are.
"""

from __future__ import annotations

import functools
import io
import random
from collections.abc import Callable
from typing import Any

import numpy as np
from images import made
from PIL import Image


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    """An image as a file of this kind."""
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


@functools.cache
def whole() -> dict[str, bytes]:
    """Good files by name, of 29x37 pixels."""
    rgb = Image.fromarray(made("smooth", 29, 37))
    alpha = Image.fromarray(made("smooth", 29, 37, 4))
    palette, gray = rgb.quantize(16), rgb.convert("L")
    deep = Image.fromarray(made("smooth", 29, 37)[..., 0].astype(np.uint16) * 257)
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010E] = "a description"
    frames: dict[str, Any] = {"save_all": True, "append_images": [rgb.rotate(90), rgb.rotate(180)]}
    return {
        "png": encoded(rgb, "PNG"),
        "png alpha": encoded(alpha, "PNG"),
        "png palette": encoded(palette, "PNG", transparency=b"\x00\x80"),
        "png gray": encoded(gray, "PNG", transparency=7),
        "png 1 bit": encoded(rgb.convert("1"), "PNG"),
        "png 16 bits": encoded(deep, "PNG"),
        "png animated": encoded(rgb, "PNG", **frames),
        "png with exif": encoded(rgb, "PNG", exif=exif, icc_profile=b"profile" * 20),
        "jpeg": encoded(rgb, "JPEG", quality=90),
        "jpeg progressive": encoded(rgb, "JPEG", progressive=True, subsampling=0),
        "jpeg with exif": encoded(rgb, "JPEG", exif=exif, icc_profile=b"profile" * 20),
        "jpeg gray": encoded(gray, "JPEG"),
        "jpeg cmyk": encoded(rgb.convert("CMYK"), "JPEG"),
        "mpo": encoded(rgb, "MPO", exif=exif, **frames),
        "gif": encoded(palette, "GIF", transparency=3),
        "gif animated": encoded(rgb, "GIF", **frames),
        "webp": encoded(rgb, "WEBP"),
        "webp lossless": encoded(alpha, "WEBP", lossless=True, exif=exif),
        "webp animated": encoded(rgb, "WEBP", **frames),
        "bmp": encoded(rgb, "BMP"),
        "bmp palette": encoded(palette, "BMP"),
        "tiff": encoded(rgb, "TIFF"),
        "tiff lzw": encoded(alpha, "TIFF", compression="tiff_lzw"),
        "tiff jpeg": encoded(rgb, "TIFF", compression="jpeg"),
        "tiff turned": encoded(gray, "TIFF", compression="tiff_deflate", exif=exif),
        "tiff cmyk": encoded(rgb.convert("CMYK"), "TIFF"),
    }


def damaged(number: int) -> tuple[str, bytes]:
    """What the file was, and what is left of it."""
    rng = random.Random(number)
    names = list(whole())
    name = names[number % len(names)]
    data = bytearray(whole()[name])
    for _ in range(rng.choice([1, 1, 2, 5])):
        rng.choice(_WAYS)(data, rng)
    return name, bytes(data)


def _place(data: bytearray, rng: random.Random) -> int:
    """Somewhere in it: a third of the time among the first hundred bytes."""
    return rng.randrange(max(1, min(len(data), rng.choice([100, len(data), len(data)]))))


def _flip(data: bytearray, rng: random.Random) -> None:
    if data:
        data[_place(data, rng)] ^= 1 << rng.randrange(8)


def _set(data: bytearray, rng: random.Random) -> None:
    if data:
        data[_place(data, rng)] = rng.choice([0, 1, 0x7F, 0x80, 0xFE, 0xFF])


def _cut(data: bytearray, rng: random.Random) -> None:
    del data[_place(data, rng) :]


def _repeat(data: bytearray, rng: random.Random) -> None:
    start = _place(data, rng)
    data[start:start] = data[start : start + rng.randrange(1, 60)] * rng.choice([1, 1, 20])


def _leave_out(data: bytearray, rng: random.Random) -> None:
    start = _place(data, rng)
    del data[start : start + rng.randrange(1, 40)]


def _blank(data: bytearray, rng: random.Random) -> None:
    start = _place(data, rng)
    end = min(len(data), start + rng.randrange(1, 12))
    data[start:end] = bytes([rng.choice([0, 0xFF])]) * (end - start)


def _graft(data: bytearray, rng: random.Random) -> None:
    other = rng.choice(list(whole().values()))
    start, end = _place(data, rng), rng.randrange(len(other))
    data[start : start + rng.randrange(60)] = other[end : end + rng.randrange(60)]


_WAYS: tuple[Callable[[bytearray, random.Random], None], ...] = (
    _flip,
    _flip,
    _set,
    _set,
    _cut,
    _repeat,
    _leave_out,
    _blank,
    _graft,
)
