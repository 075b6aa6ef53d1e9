"""The fast backend for single images: OpenCV.

On byte images these are equal to Pillow bit for bit: functions of the pixel value, saturation, grayscale, sharpness.
Resizing (antialiased, which OpenCV itself is not, see `_resize`), warps, hue and blur are within the tolerances that
docs/backends.md states.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Final

import cv2
import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from augreg.backends import (
    Backend,
    area,
    borders,
    clahe,
    convolving,
    displacement,
    intensity,
    photography,
    pillow,
    plain,
    shrinking,
)
from augreg.backends.hsv import float_hue
from augreg.images import buffers
from augreg.ops import (
    Convolve,
    ConvolveColors,
    Enhance,
    Enlarge,
    Filter,
    Hue,
    LocalContrast,
    Move,
    Op,
    Remap,
    Resize,
    Warp,
)

__all__ = ["KERNELS"]

Array = NDArray[Any]
Bytes = NDArray[np.uint8]

_LONGEST: Final = 32_766  # beyond this OpenCV 4 refuses to warp, and OpenCV 5 loses precision
_NUDGE: Final = 2.0**-12  # of a pixel
_FEW: Final = 1 << 16  # bytes up to which reused memory gains nothing
_READ: Final = 2  # pixels on each side that a bicubic kernel reads
_FLAGS = {
    "nearest": cv2.INTER_NEAREST,
    "bilinear": cv2.INTER_LINEAR,
    "bicubic": cv2.INTER_CUBIC,
    "area": cv2.INTER_AREA,
    "lanczos4": cv2.INTER_LANCZOS4,
}
_MOST_CHANNELS: Final = 4  # the limit of OpenCV's warps, color fills and INTER_AREA
# channel counts that OpenCV's warps interpolate at full precision; for 2 the weights have five bits
_WARPED: Final = (1, 3, 4)


def _shaped(found: Array, channels: int) -> Array:
    """The result with its channel axis: OpenCV drops a last axis of length one."""
    return found[..., None] if found.ndim == 2 and channels == 1 else found


def _move(op: Move, image: Array) -> Array:
    """A crop is a view; a flipped or turned byte image is copied, because OpenCV cannot read negative strides."""
    view = plain.move(op, image)
    if not op.rearranges or image.dtype != np.uint8 or image.shape[2] > _MOST_CHANNELS:
        return view
    box = image[op.top : op.top + op.height, op.left : op.left + op.width]
    if op.transpose:
        box = cv2.transpose(box)
    if op.flip_y or op.flip_x:
        out = buffers.empty(view.shape, np.uint8)
        box = cv2.flip(box, -1 if op.flip_y and op.flip_x else int(op.flip_x), dst=out)
    return _shaped(box, image.shape[2])


def _nearest(image: Array, rows: range, columns: range, step_y: float, step_x: float) -> Array:
    """Rows and columns by the center rule, (i + 0.5) * scale; OpenCV's own nearest neighbor takes i * scale."""
    y, x = ((np.asarray(part) + 0.5) * step for part, step in ((rows, step_y), (columns, step_x)))
    found: Array = image.take(x.astype(np.intp), axis=1).take(y.astype(np.intp), axis=0)
    return found


def _resize(op: Resize, image: Array) -> Array:
    """Scale, antialiased by smoothing first with a short kernel.

    Bilinear interpolation is a triangle one input pixel wide. An antialiased triangle is `scale` pixels wide, with
    the variance scale^2 / 6. So first convolve with a binomial kernel that has the rest of the variance. An image
    that shrinks strongly is treated by `shrinking` first.
    """
    height, width, channels = image.shape
    if (op.height, op.width) == (height, width):
        return image
    if op.interpolation == "nearest_floor":
        return plain.at_corners(op, image)
    if op.interpolation == "nearest":
        return _nearest(image, range(op.height), range(op.width), height / op.height, width / op.width)
    if op.interpolation == "lanczos":  # OpenCV's kernel is a pixel wider on each side, and not antialiased
        return pillow.KERNELS[Resize](op, image)
    if channels > _MOST_CHANNELS:
        return plain.by_channel(lambda plane: _resize(op, plane), image)
    if op.interpolation == "area" and (op.height - height) * (op.width - width) < 0:  # OpenCV reads two pixels
        return area.weighted(op, image)
    if op.interpolation in ("area", "lanczos4") or not op.antialias:
        return _interpolated(op, image)
    if max(height / op.height, width / op.width) >= shrinking.STRONG[op.interpolation]:
        image = shrinking.shrunk(image, op.height, op.width, op.interpolation)
        if image.shape[:2] == (op.height, op.width):
            return image
    return _interpolated(op, _smoothed(image, image.shape[0] / op.height, image.shape[1] / op.width))


def _interpolated(op: Resize, image: Array) -> Array:
    out = buffers.empty((op.height, op.width, image.shape[2]), image.dtype)
    found = cv2.resize(image, (op.width, op.height), dst=out, interpolation=_FLAGS[op.interpolation])
    return _shaped(found, image.shape[2])


def _smoothed(image: Array, scale_y: float, scale_x: float) -> Array:
    """The image blurred just enough for bilinear sampling without aliasing."""
    kernel_y, kernel_x = _smoothing(scale_y), _smoothing(scale_x)
    if len(kernel_y) == len(kernel_x) == 1:
        return image
    if len(kernel_y) == 1:
        kernel_y = np.array([0.0, 1.0, 0.0])  # the same as a single tap, in less than half the time
    out = buffers.empty(image.shape, image.dtype)
    found = cv2.sepFilter2D(image, -1, kernel_x, kernel_y, dst=out, borderType=cv2.BORDER_REPLICATE)
    return _shaped(found, image.shape[2])


def _smoothing(scale: float) -> NDArray[np.float64]:
    """The binomial kernel with the variance that bilinear interpolation misses at this scale."""
    weight = (scale * scale - 1.0) / 12.0  # of each neighbor in [weight, 1 - 2 weight, weight]
    if weight < 1e-3:
        return np.ones(1)
    times = math.ceil(4.0 * weight)  # above 1/4 the kernel would not fall off, so convolve several
    step = np.array([weight / times, 1.0 - 2.0 * weight / times, weight / times])
    kernel = np.ones(1)
    for _ in range(times):
        kernel = np.convolve(kernel, step)
    return kernel


def _enlarge(op: Enlarge, image: Array) -> Array:
    """Cut out the pixels that the box is made of, repeat the border as `cv2.resize` does, and warp at its points."""
    if op.interpolation == "nearest_floor":
        return plain.at_corners(op, image)
    step_y, step_x = image.shape[0] / op.whole[0], image.shape[1] / op.whole[1]
    if op.interpolation == "nearest":
        box = range(op.top, op.top + op.height), range(op.left, op.left + op.width)
        return _nearest(image, *box, step_y, step_x)
    if op.interpolation == "lanczos" or op.interpolation == "area" or op.interpolation == "lanczos4":
        return pillow.KERNELS[Enlarge](op, image)
    y, x = op.top * step_y, op.left * step_x
    top, left = max(0, int(y) - _READ), max(0, int(x) - _READ)
    bottom, right = math.ceil(y + op.height * step_y) + _READ, math.ceil(x + op.width * step_x) + _READ
    image = np.pad(image[top:bottom, left:right], ((_READ, _READ), (_READ, _READ), (0, 0)), mode="edge")
    matrix = (step_x, 0.0, x - left + _READ, 0.0, step_y, y - top + _READ, 0.0, 0.0)
    return _warp(Warp(matrix, op.height, op.width, op.interpolation), image)


def _warp(op: Warp, image: Array) -> Array:
    if max(*image.shape[:2], op.height, op.width) > _LONGEST:
        return pillow.KERNELS[Warp](op, image)
    if op.mode != "constant":
        return borders.warped(op, image)
    channels = image.shape[2]
    fill = [float(value) for value in op.fill] * (channels if len(op.fill) == 1 else 1)
    if len(fill) != channels:
        fill = intensity.per_channel(op.fill, channels, "fill").tolist()  # which raises an ImageError
    if channels not in _WARPED:
        planes = [_warp(replace(op, fill=(fill[c],)), image[..., [c]]) for c in range(channels)]
        return np.concatenate(planes, axis=2)
    out = buffers.empty((op.height, op.width, channels), image.dtype)
    matrix = _at_centers(op.matrix, op.interpolation == "nearest")
    flags = _FLAGS[op.interpolation] | cv2.WARP_INVERSE_MAP
    size = op.width, op.height
    if op.affine:
        found = cv2.warpAffine(image, matrix[:2], size, dst=out, flags=flags, borderValue=fill)
    else:
        found = cv2.warpPerspective(image, matrix, size, dst=out, flags=flags, borderValue=fill)
    return _shaped(found, channels)


def _at_centers(matrix: tuple[float, ...], nudged: bool) -> Array:
    """The 3 x 3 matrix between pixels whose centers are at whole numbers, as in OpenCV; those of an op are at halves.

    It shifts by a half, maps, and shifts back. Halfway between two pixels the later one is taken, like the oracle and
    Pillow, where it is `nudged`.
    """
    a, b, c, d, e, f, g, h = matrix
    a, b, c = a - 0.5 * g, b - 0.5 * h, c - 0.5
    d, e, f = d - 0.5 * g, e - 0.5 * h, f - 0.5
    c, f, i = a * 0.5 + b * 0.5 + c, d * 0.5 + e * 0.5 + f, g * 0.5 + h * 0.5 + 1.0
    if nudged:
        a, b, c = a + _NUDGE * g, b + _NUDGE * h, c + _NUDGE * i
        d, e, f = d + _NUDGE * g, e + _NUDGE * h, f + _NUDGE * i
    return np.array([[a, b, c], [d, e, f], [g, h, i]])


def _apply_table(table: Bytes, image: Bytes) -> Bytes:
    """An image after a table of 256 values, or one table per channel."""
    channels = image.shape[2]
    if table.ndim == 2:
        table = np.ascontiguousarray(table.T)[None]
    return _shaped(cv2.LUT(image, table, dst=buffers.empty(image.shape, np.uint8)), channels)


def _histogram(image: Bytes) -> list[NDArray[np.int64]]:
    # float32 counts are exact up to 2^24; above that NumPy counts
    if image.shape[0] * image.shape[1] >= 1 << 24:
        return [np.bincount(image[..., channel].ravel(), minlength=256) for channel in range(image.shape[2])]
    found = (cv2.calcHist([image], [channel], None, [256], [0, 256]) for channel in range(image.shape[2]))
    return [one.ravel().astype(np.int64) for one in found]  # 256 x 1 in OpenCV 4, 256 in 5


_TO_LUMA: Final = np.array([[*(weight / 65536 for weight in intensity.LUMA), 0.5]], np.float32)


def _gray(image: Bytes) -> Bytes:
    """The luma of a byte image, height x width: exact, because every product and sum fits into a float32."""
    plain.need_color("luma", image.shape[2])
    if image.shape[2] == 1:
        return image[..., 0]
    luma: Bytes = cv2.transform(image.astype(np.float32), _TO_LUMA).astype(np.uint8)
    return luma


def _gray_floats(image: Array) -> Array:
    """The gray copy of an image of whole numbers as floats, with three channels."""
    luma = cv2.transform(image, _TO_LUMA)
    out = buffers.empty(image.shape, np.float32)
    gray: Array = cv2.cvtColor(np.floor(luma, out=luma), cv2.COLOR_GRAY2RGB, dst=out)
    return gray


def _mean_luma(image: Bytes) -> float:
    return float(cv2.sumElems(_gray(image))[0] / (image.shape[0] * image.shape[1]))


_SMOOTH: Final = np.array([[1, 1, 1], [1, 5, 1], [1, 1, 1]], np.float64) / 13


def _smooth(image: Bytes) -> Bytes:
    """Pillow's SMOOTH, which keeps the border. Rounding is exact: a multiple of 1/13 is never halfway."""
    if min(image.shape[:2]) < 3:
        return image
    out = _shaped(cv2.filter2D(image, -1, _SMOOTH, borderType=cv2.BORDER_REPLICATE), image.shape[2])
    out[0], out[-1], out[:, 0], out[:, -1] = image[0], image[-1], image[:, 0], image[:, -1]
    return out


def _enhance(op: Enhance, image: Array) -> Array:
    channels = image.shape[2]
    if op.degenerate == "gray":
        plain.need_color("saturation", channels)
        if channels == 1:
            return image
    if image.dtype == np.float32:
        return plain.float_enhance(op, image)
    if op.degenerate == "gray" and op.factor == 0.0:
        gray: Array = cv2.cvtColor(_gray(image), cv2.COLOR_GRAY2RGB)
        return gray
    # degenerate + factor * (image - degenerate), each step rounded to float32 and the end truncated, like Pillow;
    # floats from the start, because passes that mix dtypes take three times as long
    out: Array = buffers.empty(image.shape, np.float32)
    out[...] = image
    degenerate = _gray_floats(out) if op.degenerate == "gray" else _smooth(image).astype(np.float32)
    out -= degenerate
    out *= np.float32(op.factor)
    out += degenerate
    if not 0.0 <= op.factor <= 1.0:
        np.clip(out, 0.0, 255.0, out=out)
    result = buffers.empty(image.shape, np.uint8)
    np.copyto(result, out, casting="unsafe")
    return result


def _hue(op: Hue, image: Array) -> Array:
    plain.need_color("hue", image.shape[2])
    if image.dtype == np.float32:
        return float_hue(op.shift, image)
    steps = round(256.0 * op.shift)
    if steps == 0 or image.shape[2] == 1:
        return image
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV_FULL, dst=buffers.empty(image.shape, np.uint8))
    hue = hsv[..., 0]
    hue += np.uint8(steps % 256)
    turned: Bytes = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB_FULL, dst=buffers.empty(image.shape, np.uint8))
    return turned


def _filter(op: Filter, image: Array) -> Array:
    if op.name == "gaussian":
        return _blurred(op.amount, image)
    if op.name == "median":
        return _median(int(op.amount), image)
    kernel = photography.motion_kernel(op.amount, op.angle)
    return _shaped(cv2.filter2D(image, -1, kernel, borderType=cv2.BORDER_REPLICATE), image.shape[2])


def _blurred(sigma: float, image: Array) -> Array:
    if sigma < plain.SHARP:
        return image  # OpenCV would choose a deviation by itself for 0
    reach = 2 * max(1, math.ceil(4.0 * sigma)) + 1
    found = cv2.GaussianBlur(image, (reach, reach), sigma, borderType=cv2.BORDER_REPLICATE)
    return _shaped(found, image.shape[2])


def _convolve(op: Convolve, image: Array) -> Array:
    kernel, split, border = convolving.weights(op.kernel), convolving.parts(op.kernel), cv2.BORDER_REFLECT_101
    if split is None:
        found = cv2.filter2D(image, -1, kernel, borderType=border)
    else:
        found = cv2.sepFilter2D(image, -1, split[1], split[0], borderType=border)
    return _shaped(found, image.shape[2])


def _median(size: int, image: Array) -> Array:
    """The same as Pillow's, by OpenCV where it supports the kind of image."""
    if image.dtype != np.uint8 or size < 3:
        return photography.median(size, image)
    if image.shape[2] not in _WARPED:
        return plain.by_channel(lambda plane: _median(size, plane), image)
    return _shaped(cv2.medianBlur(np.ascontiguousarray(image), size), image.shape[2])


_LONGEST_REMAP: Final = 32_766  # OpenCV's own bound on a side


def _remap(op: Remap, image: Array) -> Array:
    height, width = image.shape[:2]
    if op.mode != "constant" or op.field == "tiles" or max(height, width) > _LONGEST_REMAP:
        return photography.remap(op, image, _filter)
    ys, xs = displacement.sources(op, height, width, _filter)
    return photography.filled(op, image, _read(op, image, ys, xs), ys, xs)


def _read(op: Remap, image: Array, ys: Array, xs: Array) -> Array:
    if image.shape[2] > _MOST_CHANNELS:
        return plain.by_channel(lambda plane: _read(op, plane, ys, xs), image)
    if op.interpolation != "bilinear":
        return displacement.sampled(image, ys, xs, op.interpolation)
    out = buffers.empty(image.shape, image.dtype)
    flags, edge = _FLAGS["bilinear"], cv2.BORDER_REPLICATE
    found = cv2.remap(image, xs - np.float32(0.5), ys - np.float32(0.5), flags, dst=out, borderMode=edge)
    return _shaped(found, image.shape[2])


def _local_contrast(op: LocalContrast, image: Array) -> Array:
    return clahe.apply(op, image, _gray, _equalized)


def _equalized(luma: Bytes, clip: float, tiles: tuple[int, int]) -> Bytes:
    found: Bytes = cv2.createCLAHE(clip, tiles[::-1]).apply(np.ascontiguousarray(luma))
    return found


def _float_tables(tables: Sequence[Array], image: Bytes, out: Array) -> None:
    height, width, channels = image.shape
    planes: Sequence[Array] | Array
    if image.size < _FEW:
        planes = cv2.split(image)
    else:
        planes = buffers.empty((channels, height, width), np.uint8)
        cv2.split(image, list(planes))
    for channel, table in enumerate(tables):
        cv2.LUT(planes[channel], table, dst=out[..., channel])


_MEASUREMENTS: Final = plain.Measurements(_histogram, _mean_luma, _apply_table, _float_tables)

KERNELS: dict[type[Op], Callable[[Any, Array], Array]] = {
    **pillow.KERNELS,  # for the kinds of op that OpenCV does not run itself
    Resize: _resize,
    Enlarge: _enlarge,
    Warp: _warp,
    **plain.lookup_kernels(_MEASUREMENTS),
    Enhance: _enhance,
    Hue: _hue,
    Filter: _filter,
    LocalContrast: _local_contrast,
    Remap: _remap,
    Convolve: _convolve,
    ConvolveColors: _convolve,
}
KERNELS.update(plain.composite_kernels(Backend("opencv", KERNELS)))
KERNELS[Move] = _move
