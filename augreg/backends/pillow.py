"""The backend that needs no extra library: Pillow and NumPy.

On byte images resize, warps, color and blur are Pillow's own, or equal to it bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from augreg.backends import Backend, area, borders, clahe, intensity, photography, plain
from augreg.backends.hsv import float_hue
from augreg.images import buffers
from augreg.ops import Enhance, Enlarge, Filter, Hue, LocalContrast, Op, Remap, Resize, ResizeBox, Warp

__all__ = ["KERNELS"]

Array = NDArray[Any]
Bytes = NDArray[np.uint8]

_RESAMPLE = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


def _each(image: Array, height: int, width: int, work: Callable[[Image.Image, int], Image.Image]) -> Array:
    """`work` on an RGB byte image as a whole, else channel by channel; its second argument is the channel, or -1."""
    if image.dtype == np.uint8 and image.shape[2] == 3:
        return np.asarray(work(Image.fromarray(np.ascontiguousarray(image)), -1))
    out = plain.like(image, height, width)
    for channel in range(image.shape[2]):
        out[..., channel] = np.asarray(work(Image.fromarray(np.ascontiguousarray(image[..., channel])), channel))
    return out


def _resize(op: Resize, image: Array) -> Array:
    if (op.height, op.width) == image.shape[:2]:
        return image
    if op.interpolation == "nearest_floor":
        return plain.at_corners(op, image)
    if op.interpolation in area.WEIGHTS:
        return area.weighted(op, image)
    size, resample = (op.width, op.height), _RESAMPLE[op.interpolation]
    if op.interpolation == "nearest":
        return _each(image, op.height, op.width, lambda pil_image, _: pil_image.resize(size, resample))
    if op.antialias or op.interpolation == "lanczos":
        return _each(image, op.height, op.width, lambda pil_image, _: _by_axis(pil_image, size, resample))
    # Pillow's resize always antialiases; its transform samples single points
    scale = (image.shape[1] / op.width, 0.0, 0.0, 0.0, image.shape[0] / op.height, 0.0)
    return _each(
        image,
        op.height,
        op.width,
        lambda pil_image, _: pil_image.transform(size, Image.Transform.AFFINE, scale, resample),
    )


def _resize_box(op: ResizeBox, image: Array) -> Array:
    size, resample = (op.width, op.height), _RESAMPLE[op.interpolation]
    box = op.left, op.top, op.left + op.box_width, op.top + op.box_height
    return _each(image, op.height, op.width, lambda pil_image, _: _by_axis(pil_image, size, resample, box))


def _by_axis(
    image: Image.Image,
    size: tuple[int, int],
    resample: Image.Resampling,
    box: tuple[float, float, float, float] | None = None,
) -> Image.Image:
    """Pillow's resize as two calls of one axis each, because its versions differ in the order and bytes are rounded.

    Rows go first where they shrink by more than twice as many pixels as the columns do, as in Pillow 13.
    """
    width, height = image.size
    columns, rows = size
    rows_first = rows < height and height - rows > 2 * (width - columns)
    between = (width, rows) if rows_first else (columns, height)
    if box is not None:
        left, top, right, bottom = box
        across, down = (left, 0, right, height), (0, top, width, bottom)
        image = image.resize(between, resample, down if rows_first else across)
        return image.resize(size, resample, (left, 0, right, rows) if rows_first else (0, top, columns, bottom))
    if between != image.size:
        image = image.resize(between, resample)
    return image if between == size else image.resize(size, resample)


def _enlarge(op: Enlarge, image: Array) -> Array:
    """Scale like `_resize`, but make the pixels of the box alone."""
    if op.interpolation == "nearest_floor":
        return plain.at_corners(op, image)
    if op.interpolation in area.WEIGHTS:
        return area.weighted(op, image)
    size, resample = (op.width, op.height), _RESAMPLE[op.interpolation]
    step_y, step_x = image.shape[0] / op.whole[0], image.shape[1] / op.whole[1]
    y, x = op.top * step_y, op.left * step_x
    if op.antialias or op.interpolation in ("nearest", "lanczos"):
        end_y, end_x = (op.top + op.height) * step_y, (op.left + op.width) * step_x
        box = x, y, min(end_x, image.shape[1]), min(end_y, image.shape[0])  # rounding can carry it past the image
        return _each(image, op.height, op.width, lambda pil_image, _: pil_image.resize(size, resample, box))
    matrix = (step_x, 0.0, x, 0.0, step_y, y)
    return _each(
        image,
        op.height,
        op.width,
        lambda pil_image, _: pil_image.transform(size, Image.Transform.AFFINE, matrix, resample),
    )


def _warp(op: Warp, image: Array) -> Array:
    if op.mode != "constant":
        return borders.warped(op, image)
    kind = Image.Transform.AFFINE if op.affine else Image.Transform.PERSPECTIVE
    matrix: Sequence[float] = op.matrix[:6] if op.affine else op.matrix
    fill = intensity.per_channel(op.fill, image.shape[2], "fill")

    def work(pil_image: Image.Image, channel: int) -> Image.Image:
        if image.dtype == np.uint8:
            whole = [round(min(255.0, max(0.0, value))) for value in fill]
            color: Any = tuple(whole) if channel < 0 else whole[channel]
        else:
            color = float(fill[channel])
        return pil_image.transform((op.width, op.height), kind, matrix, _RESAMPLE[op.interpolation], fillcolor=color)

    return _each(image, op.height, op.width, work)


def _apply_table(table: Bytes, image: Bytes) -> Bytes:
    """An image after a table of 256 values, or one table per channel."""
    out = buffers.empty(image.shape, np.uint8)
    if table.ndim == 1:
        return np.take(table, image, out=out, mode="clip")
    for channel in range(image.shape[2]):
        out[..., channel] = table[channel][image[..., channel]]
    return out


def _histogram(image: Bytes) -> list[NDArray[np.int64]]:
    return [np.bincount(image[..., channel].ravel(), minlength=256) for channel in range(image.shape[2])]


def _gray(image: Bytes) -> Bytes:
    """The luma of a byte image, height x width."""
    plain.need_color("luma", image.shape[2])
    if image.shape[2] == 1:
        return image[..., 0]
    return np.asarray(Image.fromarray(np.ascontiguousarray(image)).convert("L"))


def _mean_luma(image: Bytes) -> float:
    return float(_gray(image).mean(dtype=np.float64))


def _enhance(op: Enhance, image: Array) -> Array:
    if op.degenerate == "gray":
        plain.need_color("saturation", image.shape[2])
        if image.shape[2] == 1:
            return image
    if image.dtype == np.float32:
        return plain.float_enhance(op, image)

    def work(pil_image: Image.Image, _: int) -> Image.Image:
        gray = op.degenerate == "gray"
        degenerate = pil_image.convert("L").convert("RGB") if gray else pil_image.filter(ImageFilter.SMOOTH)
        return Image.blend(degenerate, pil_image, op.factor)

    return _each(image, image.shape[0], image.shape[1], work)


def _hue(op: Hue, image: Array) -> Array:
    plain.need_color("hue", image.shape[2])
    if image.dtype == np.float32:
        return float_hue(op.shift, image)
    steps = int(255.0 * op.shift)  # Pillow's hue has 256 steps; less than one step changes nothing
    if steps == 0 or image.shape[2] == 1:
        return image
    hsv = np.array(Image.fromarray(np.ascontiguousarray(image)).convert("HSV"))
    hsv[..., 0] += np.uint8(steps % 256)
    return np.asarray(Image.fromarray(hsv, "HSV").convert("RGB"))


class _Filters:
    def __call__(self, op: Filter, image: Array) -> Array:
        if op.name == "motion":
            return photography.convolved(photography.motion_kernel(op.amount, op.angle), image)
        if op.name == "median":
            return photography.median(int(op.amount), image)
        if image.dtype == np.float32:
            return plain.float_blur(op.amount, image)
        blur = ImageFilter.GaussianBlur(op.amount)
        return _each(image, image.shape[0], image.shape[1], lambda pil_image, _: pil_image.filter(blur))

    def mirrored(self, sigma: float, noise: Array) -> Array:
        """For `displacement.sources`."""
        return plain.float_blur(sigma, noise, "symmetric")


_filter: Final = _Filters()


def _local_contrast(op: LocalContrast, image: Array) -> Array:
    return clahe.apply(op, image, _gray, clahe.equalized)


def _float_tables(tables: Sequence[Array], image: Bytes, out: Array) -> None:
    for channel, table in enumerate(tables):
        np.take(table, image[..., channel], out=out[..., channel], mode="clip")


_MEASUREMENTS: Final = plain.Measurements(_histogram, _mean_luma, _apply_table, _float_tables)

KERNELS: dict[type[Op], Callable[[Any, Array], Array]] = {
    Resize: _resize,
    ResizeBox: _resize_box,
    Enlarge: _enlarge,
    Warp: _warp,
    **plain.lookup_kernels(_MEASUREMENTS),
    Enhance: _enhance,
    Hue: _hue,
    Filter: _filter,
    Remap: lambda op, image: photography.remap(op, image, _filter),
    LocalContrast: _local_contrast,
    **photography.KERNELS,
}
KERNELS.update(plain.composite_kernels(Backend("pillow", KERNELS)))
