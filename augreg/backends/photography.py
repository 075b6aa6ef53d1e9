"""Kernels that are the same on every backend: sensor noise, color matrices, JPEG files, and the remap by NumPy."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter, JpegImagePlugin

from augreg.backends import borders, convolving, displacement, grain, hsv, intensity, plain, tiles, weather
from augreg.errors import ImageError
from augreg.images import buffers
from augreg.images.jpeg import decode_jpeg, read_header
from augreg.ops import ColorMatrix, Convolve, ConvolveColors, DropPixels, Encode, Noise, Op, Remap, ShiftHsv
from augreg.rng import field, field_rows, frame_key

__all__ = [
    "KERNELS",
    "color_matrix",
    "convolved",
    "encode",
    "filled",
    "median",
    "motion_kernel",
    "noise",
    "noise_planes",
    "remap",
]

Array = NDArray[Any]
Floats = NDArray[np.float32]

_LONGEST_JPEG: Final = 65_500


def remap(op: Remap, image: Array, blur: displacement.Blur) -> Array:
    """Read at the positions of the op's field, which uses a backend's `blur`; positions outside get the fill."""
    if op.field == "tiles":
        return tiles.exchanged(op, image)
    height, width = image.shape[:2]
    ys, xs = displacement.sources(op, height, width, blur)
    if op.mode != "constant":
        return borders.sampled(image, ys, xs, op.interpolation, op.mode)
    return filled(op, image, displacement.sampled(image, ys, xs, op.interpolation), ys, xs)


def filled(op: Remap, image: Array, found: Array, ys: Floats, xs: Floats) -> Array:
    """`found`, with the fill where the positions lie outside the image."""
    beyond = displacement.outside(ys, xs, *image.shape[:2])
    if beyond is not None:
        fill = intensity.per_channel(op.fill, image.shape[2], "fill")
        found[beyond] = fill if image.dtype == np.float32 else np.clip(np.rint(fill), 0, 255)
    return found


def noise(op: Noise, image: Array) -> Array:
    """Noise on pixel values from 0 to 1; the variance of shot noise grows with the pixel value.

    Shot: Cornish and Fisher's expansion of Poisson's distribution, n = m + sqrt(m) z + (z^2 - 1) / 6 photons.
    Iso: Foi et al. 2008, variance a x + b; the part that grows with the pixel value is the same in all channels.
    """
    height, width, channels = image.shape
    pixels = np.ascontiguousarray(image).reshape(-1, channels)
    out = buffers.empty(image.shape, image.dtype)
    flat = out.reshape(-1, channels)
    key = frame_key(op.key, op.frame)
    counted = _counted(op, image)
    kind: Literal["normal", "uniform"] = "uniform" if "factor" in op.name else "normal"
    for first, numbers in field_rows(kind, key, height * width, noise_planes(op.name, channels)):
        part = slice(first, first + len(numbers))
        flat[part] = _noisy(op, pixels[part], numbers, counted)
    return out


def noise_planes(name: str, channels: int) -> int:
    """How many numbers a pixel needs."""
    if name in ("gray", "gray factor"):
        return 1
    return 2 if name == "lightness" else channels + (name == "iso")


def _counted(op: Noise, image: Array) -> NDArray[np.float64]:
    """The thresholds of the counts of noise of the lightness."""
    if op.name != "lightness":
        return np.empty(0)
    plain.need_color("noise of the lightness", image.shape[2])
    return grain.thresholds(grain.spread(image) * op.amounts[0])


def _noisy(op: Noise, pixels: Array, numbers: Floats, counted: NDArray[np.float64]) -> Array:
    """Pixels, one a row, with their noise from rows of standard normal numbers, or uniform ones for factors."""
    values: Array = pixels if pixels.dtype == np.float32 else pixels * np.float32(1 / 255)
    amount, other = (np.float32(one) for one in (*op.amounts, 0.0)[:2])
    if op.name == "iso":
        values = values + amount * np.sqrt(np.maximum(values, 0)) * numbers[:, :1] + other * numbers[:, 1:]
    elif op.name in ("gaussian", "gray"):
        values = values + amount * numbers
    elif op.name in ("factor", "gray factor"):
        values = values * (amount + (other - amount) * numbers)
    elif op.name == "lightness":
        values = grain.grained(values, numbers, counted, *op.amounts[1:])
    elif op.name == "shot":
        mean = np.maximum(values, 0) * amount
        photons = np.rint(mean + np.sqrt(mean) * numbers + (numbers * numbers - 1) * np.float32(1 / 6))
        values = np.maximum(photons, 0, out=photons) / amount
        values[mean == 0] = 0
    else:
        raise ImageError(f"there is no noise named {op.name!r}")
    if pixels.dtype == np.float32:
        return np.clip(values, 0, 1, out=values) if op.clip else values
    values *= np.float32(255)
    return _bytes(values)


def _bytes(found: Array) -> NDArray[np.uint8]:
    """Floats from 0 to 255, rounded and clipped; `found` is overwritten."""
    return np.clip(np.rint(found, out=found), 0, 255, out=found).astype(np.uint8)


def drop(op: DropPixels, image: Array) -> Array:
    """The image with some of its pixels, or of its values, replaced by the fill."""
    height, width, channels = image.shape
    noise = field("uniform", frame_key(op.key, op.frame), (height, width, channels if op.per_channel else 1))
    fill = intensity.per_channel(op.fill, channels, "fill")
    values = fill if image.dtype == np.float32 else np.clip(np.rint(fill), 0, 255)
    return np.where(noise < op.fraction, values.astype(image.dtype), image)


def color_matrix(op: ColorMatrix, image: Array) -> Array:
    """Each channel as a weighted sum of all; on bytes, a channel with one source is a table."""
    channels = image.shape[2]
    if len(op.rows) != channels:
        raise ImageError(f"{op} was drawn for {len(op.rows)} channels and the image has {channels} channels")
    out = plain.like(image, *image.shape[:2])
    for channel, (row, offset) in enumerate(zip(op.rows, op.offsets, strict=True)):
        used = [source for source, weight in enumerate(row) if weight]
        if image.dtype == np.uint8 and len(used) == 1:
            table = _bytes(np.arange(256, dtype=np.float32) * np.float32(row[used[0]]) + np.float32(offset))
            out[..., channel] = table[image[..., used[0]]]
            continue
        total = np.full(image.shape[:2], offset, np.float32)
        for source in used:
            total += image[..., source] * np.float32(row[source])
        out[..., channel] = np.clip(total, 0, 1) if image.dtype == np.float32 else _bytes(total)
    return out


def encode(op: Encode, image: Array) -> Array:
    """A byte image written as JPEG by Pillow and read back; for floats, the nearest byte image."""
    height, width, channels = image.shape
    plain.need_color("jpeg", channels)
    if max(height, width) > _LONGEST_JPEG:
        raise ImageError(f"a JPEG has at most {_LONGEST_JPEG} pixels per side, and the image is {height}x{width}")
    whole = image if image.dtype == np.uint8 else _bytes(image * np.float32(255))
    file = io.BytesIO()
    pil_image = Image.fromarray(np.ascontiguousarray(whole[..., 0] if channels == 1 else whole))
    pil_image.save(file, op.format, quality=op.quality)
    found = _decoded(file, image.shape)
    return found if image.dtype == np.uint8 else (found * np.float32(1 / 255)).astype(np.float32)


def _decoded(file: io.BytesIO, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """The pixels of a JPEG that Pillow wrote, as Pillow reads them."""
    data = file.getvalue()
    header = read_header(data)
    if header is not None:
        out = buffers.empty(shape, np.uint8)
        if decode_jpeg(data, header, out, None):
            return out
    file.seek(0)
    with JpegImagePlugin.JpegImageFile(file) as read:  # Image.open refuses very large images
        return np.array(read).reshape(shape)


def motion_kernel(length: float, degrees: float) -> Floats:
    """Weights of the pixels on a line through the middle: each point on it is split among the four nearest pixels."""
    reach = math.ceil(max(0.0, length - 1.0) / 2.0) + 1
    along = (np.arange(128 * reach) + 0.5) / (128 * reach) - 0.5  # the centers of equal parts of the line
    angle = math.radians(degrees)
    x = along * (length - 1.0) * math.cos(angle) + reach
    y = -along * (length - 1.0) * math.sin(angle) + reach
    left, top = x.astype(int), y.astype(int)
    right, down = x - left, y - top
    other, up = 1 - right, 1 - down
    side = 2 * reach + 1
    first = top * side + left
    places = np.concatenate((first, first + 1, first + side, first + side + 1))
    parts = np.concatenate((up * other, up * right, down * other, down * right))
    kernel = np.bincount(places, parts, side * side).reshape(side, side)
    weights: Floats = (kernel / kernel.sum()).astype(np.float32)
    return weights


def convolved(kernel: Floats, image: Array) -> Array:
    """The image convolved with a symmetric kernel; edges repeated."""
    height, width = image.shape[:2]
    reach = kernel.shape[0] // 2
    padded = np.pad(image, ((reach, reach), (reach, reach), (0, 0)), mode="edge")
    total = np.zeros(image.shape, np.float32)
    for y, x in zip(*np.nonzero(kernel), strict=True):
        total += padded[y : y + height, x : x + width] * kernel[y, x]
    return total if image.dtype == np.float32 else _bytes(total)


def median(size: int, image: Array) -> Array:
    """The median of the square of this odd side around each pixel, by Pillow; edges repeated."""
    if size < 2:  # a filter of one pixel is nothing, and Pillow 12.3 divides by zero there
        return image
    out = buffers.empty(image.shape, image.dtype)
    for channel in range(image.shape[2]):
        plane = Image.fromarray(np.ascontiguousarray(image[..., channel]))
        out[..., channel] = np.asarray(plane.filter(ImageFilter.MedianFilter(size)))
    return out


KERNELS: dict[type[Op], Callable[[Any, Array], Array]] = {
    Noise: noise,
    ColorMatrix: color_matrix,
    Encode: encode,
    DropPixels: drop,
    ShiftHsv: hsv.shifted,
    Convolve: convolving.convolve,
    ConvolveColors: convolving.convolve,
    **weather.KERNELS,
}
