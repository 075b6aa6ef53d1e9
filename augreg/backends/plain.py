"""The kernels that are plain NumPy on every backend, and the float formulas that need no library.

Moves are views; borders and boxes are copies and assignments; float images follow the byte formulas without rounding.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from augreg.backends import Backend, intensity
from augreg.errors import ImageError
from augreg.images import buffers
from augreg.ops import (
    BranchMix,
    Enhance,
    Enlarge,
    FunctionCall,
    Lookup,
    Move,
    Normalize,
    Op,
    Pad,
    Paint,
    Resize,
)
from augreg.ops.scene import PixelValues
from augreg.rng import field, frame_key

__all__ = [
    "SHARP",
    "Measurements",
    "at_corners",
    "by_channel",
    "composite_kernels",
    "float_blur",
    "float_enhance",
    "float_gray",
    "like",
    "lookup_kernels",
    "mean_image",
    "move",
    "need_color",
]

Array = NDArray[Any]
Kernels = Mapping[type[Op], Callable[[Any, Array], Array]]

SHARP: Final = 0.05
"""In pixels: with a smaller deviation, a Gaussian gives neighbors a weight below the precision of float32."""


def like(image: Array, height: int, width: int) -> Array:
    """An empty array for an image of this size, with the channels, dtype and memory order of `image`."""
    channels = image.shape[2]
    if image.dtype == np.float32 and channels > 1 and image.strides[2] > image.strides[1]:
        return buffers.planar(height, width, channels)
    return buffers.empty((height, width, channels), image.dtype)


def by_channel(work: Callable[[Array], Array], image: Array) -> Array:
    """`work` on each channel alone, for libraries that take only so many at once."""
    return np.concatenate([work(np.ascontiguousarray(image[..., [c]])) for c in range(image.shape[2])], axis=2)


def move(op: Move, image: Array) -> Array:
    """Crops, flips and quarter turns, as a view."""
    height, width = image.shape[:2]
    if op.top < 0 or op.left < 0 or op.top + op.height > height or op.left + op.width > width:
        raise ImageError(f"cannot {op}: the image is {height}x{width}")
    image = image[op.top : op.top + op.height, op.left : op.left + op.width]
    if op.transpose:
        image = image.swapaxes(0, 1)
    if op.flip_y:
        image = image[::-1]
    if op.flip_x:
        image = image[:, ::-1]
    return image


def at_corners(op: Resize | Enlarge, image: Array) -> Array:
    """A resize by `nearest_floor`, rounded as OpenCV rounds: row i shows row floor(i * (1 / (rows / height)))."""
    whole, first = (op.whole, (op.top, op.left)) if isinstance(op, Enlarge) else ((op.height, op.width), (0, 0))
    places = []
    for start, count, rows, size in zip(first, (op.height, op.width), whole, image.shape[:2], strict=True):
        place = np.floor(np.arange(start, start + count) * (1.0 / (rows / size))).astype(np.intp)
        places.append(np.minimum(place, size - 1))
    out = like(image, op.height, op.width)
    image.take(places[1], axis=1).take(places[0], axis=0, out=out, mode="clip")
    return out


def composite_kernels(engine: Backend) -> Kernels:
    """Kernels for borders, boxes, function calls and branches; some of them run other ops on the same backend."""

    @functools.lru_cache(maxsize=64)
    def filling(fill: PixelValues, fill_ops: tuple[Op, ...], channels: int, dtype: np.dtype[Any]) -> Array:
        """A fill as one pixel of an image, after the ops that the planner moved in front of the border or box."""
        values = intensity.per_channel(fill, channels, "fill")
        if fill_ops or dtype == np.uint8:  # the planner moves such ops on byte images only
            values = np.clip(np.rint(values), 0, 255).astype(np.uint8)
        pixel: Array = values.reshape(1, 1, -1).astype(np.uint8 if fill_ops else dtype)
        for op in fill_ops:
            pixel = engine.apply(op, pixel)
        pixel.flags.writeable = False
        return pixel

    def pad(op: Pad, image: Array) -> Array:
        height, width = image.shape[:2]
        if op.mode != "constant":
            widths = ((op.top, op.bottom), (op.left, op.right), (0, 0))
            return np.pad(image, widths, mode=op.mode)
        out = like(image, *op.size_after(height, width))
        pixel = filling(op.fill, op.fill_ops, image.shape[2], image.dtype)
        out[: op.top] = pixel
        out[op.top + height :] = pixel
        rows = out[op.top : op.top + height]
        rows[:, : op.left] = pixel
        rows[:, op.left + width :] = pixel
        rows[:, op.left : op.left + width] = image
        return out

    def paint(op: Paint, image: Array) -> Array:
        out = like(image, *image.shape[:2])
        out[:] = image
        box = out[op.top : op.top + op.height, op.left : op.left + op.width]
        if op.noise is None:
            box[:] = filling(op.fill, op.fill_ops, image.shape[2], image.dtype)
        else:
            noise = field(op.noise, frame_key(op.key, op.frame), box.shape)
            # noise just below 1 is 1 as a float32
            box[:] = noise if image.dtype == np.float32 else noise * 256.0
        return out

    def call(op: FunctionCall, image: Array) -> Array:
        given = image.view()
        given.flags.writeable = False
        found = np.asarray(op.fn(given, **dict(op.params)))
        if found.dtype != image.dtype or found.ndim != 3:
            raise ImageError(
                f"{op} must return height x width x channels of {image.dtype}, got {found.dtype} {found.shape}"
            )
        if not found.size:
            raise ImageError(f"{op} must return at least one pixel, got {found.shape[0]}x{found.shape[1]}")
        if op.size is not None and found.shape[:2] != op.size:
            raise ImageError(
                f"{op} declares the size {op.size[0]}x{op.size[1]}, but returned {found.shape[0]}x{found.shape[1]}"
            )
        if op.size is not None and found.shape[2] != image.shape[2]:
            raise ImageError(f"{op} must keep the {image.shape[2]} channels, but returned {found.shape[2]}")
        return found

    def mix(op: BranchMix, image: Array) -> Array:
        total = image.astype(np.float32) * np.float32(op.keep)
        for branch, weight in zip(op.branches, op.weights, strict=True):
            found = image
            for part in branch:
                found = engine.apply(part, found)
            if found.shape != image.shape or found.dtype != image.dtype:
                raise ImageError(
                    f"a branch of {op} must keep {image.dtype} {image.shape}, but returned "
                    f"{found.dtype} {found.shape}"
                )
            total += np.float32((1.0 - op.keep) * weight) * found
        return np.clip(np.rint(total), 0.0, 255.0).astype(np.uint8) if image.dtype == np.uint8 else total

    return {Move: move, Pad: pad, Paint: paint, FunctionCall: call, BranchMix: mix}


class Measurements(NamedTuple):
    """How a backend measures byte images and applies tables to them; `lookup_kernels` makes kernels of it.

    `histogram` and `mean_luma` (of rounded luma) are for the stages that depend on the image. `apply_table` applies a
    table of 256 bytes, or one per channel. `float_tables` fills an array from a table of 256 floats per channel.
    """

    histogram: intensity.Histogram
    mean_luma: intensity.MeanLuma
    apply_table: intensity.Apply
    float_tables: Callable[[Sequence[Array], Array, Array], None]


def lookup_kernels(measures: Measurements) -> Kernels:
    """Kernels for functions of the pixel value and for normalization."""
    histogram, mean_luma, apply_table, float_tables = measures

    def table(op: Lookup | Normalize, image: Array) -> Array:
        return intensity.table(op.stages, image, histogram, mean_luma, apply_table)

    def lookup(op: Lookup, image: Array) -> Array:
        if image.dtype == np.float32:
            return intensity.float_lookup(op.stages, image, float_gray)
        return apply_table(table(op, image), image)

    def normalize(op: Normalize, image: Array) -> Array:
        out = buffers.planar(*image.shape)
        if image.dtype == np.float32:
            image = intensity.float_lookup(op.stages, image, float_gray)
        else:
            whole = op.mean_image is not None  # then the tables only convert, and the mean image is subtracted after
            mean, std = ((0.0,), (1.0,)) if whole else (op.mean, op.std)
            rows: Sequence[Array] = list(intensity.normalize_tables(mean, std, image.shape[2]))
            if op.stages:
                found = table(op, image)
                rows = [row[found[c] if found.ndim == 2 else found] for c, row in enumerate(rows)]
            float_tables(rows, image, out)
            if not whole:
                return out
            image = out
        if op.mean_image is not None:
            return _subtract_mean_image(op, image, out)
        return intensity.normalize_floats(op, image, out)

    return {Lookup: lookup, Normalize: normalize}


def _subtract_mean_image(op: Normalize, image: Array, out: Array) -> Array:
    """(value - mean) / std at each pixel, with the mean image of the op, in float32, into `out`."""
    channels = image.shape[2]
    mean = mean_image(op, channels)
    for step in op.window:
        mean = move(step, mean)
    np.subtract(image, mean, out=out)
    std = intensity.per_channel(op.std or (1.0,), channels, "normalize's std").astype(np.float32)
    return np.divide(out, std, out=out)


def mean_image(op: Normalize, channels: int) -> Array:
    """The mean image of the op, before the moves of its window. Raises ImageError if its size is not the frame's."""
    mean: Array = intensity.read_mean_image(op.mean_image or ())
    if mean.shape[:2] != op.frame or mean.shape[2] not in (1, channels):
        size = "x".join(map(str, (*(op.frame or ()), channels)))
        raise ImageError(
            f"the mean image is {'x'.join(map(str, mean.shape))} and the image is {size}: put normalize where all "
            "images have the size of the mean image, after a resize and before a crop"
        )
    return mean


def need_color(what: str, channels: int) -> None:
    """Raise ImageError unless the image is gray or RGB."""
    if channels not in (1, 3):
        raise ImageError(
            f"{what} needs a gray or RGB image, and this one has {channels} channels; if the fourth is alpha, set "
            "`channels: rgba` in the spec"
        )


def float_gray(image: Array) -> Array:
    """The luma of a float image, height x width x 1."""
    need_color("luma", image.shape[2])
    if image.shape[2] == 1:
        return image
    weights = np.array(intensity.LUMA, np.float32) / np.float32(65536)
    gray: Array = (image @ weights)[..., None]
    return gray


def float_enhance(op: Enhance, image: Array) -> Array:
    """Saturation and sharpness of a float image."""
    if op.factor == 1.0:  # no rounding either
        return image
    degenerate = float_gray(image) if op.degenerate == "gray" else _float_smooth(image)
    mixed: Array = np.clip(degenerate + np.float32(op.factor) * (image - degenerate), 0.0, 1.0)
    return mixed


def _float_smooth(image: Array) -> Array:
    """The 3x3 kernel [1 1 1; 1 5 1; 1 1 1] / 13, with the border unchanged."""
    out = image.copy()
    if min(image.shape[:2]) > 2:
        rows = image[:-2] + image[1:-1] + image[2:]
        total = rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]
        out[1:-1, 1:-1] = (total + np.float32(4) * image[1:-1, 1:-1]) / np.float32(13)
    return out


def float_blur(sigma: float, image: Array, edges: Literal["edge", "symmetric"] = "edge") -> Array:
    """A float image convolved with a sampled Gaussian, cut off at 4 sigma; edges are repeated, or mirrored."""
    if sigma < SHARP:
        return image
    reach = max(1, math.ceil(4.0 * sigma))
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    weights = (weights / weights.sum()).astype(np.float32)
    for axis in (0, 1):
        widths = [(reach, reach) if side == axis else (0, 0) for side in range(3)]
        padded = np.pad(image, widths, mode=edges)
        length = image.shape[axis]
        # a slice of the axis is a view, where np.take would copy it
        slices = (padded[k : k + length] if axis == 0 else padded[:, k : k + length] for k in range(len(weights)))
        image = sum((part * weight for part, weight in zip(slices, weights, strict=True)), np.zeros_like(image))
    return image
