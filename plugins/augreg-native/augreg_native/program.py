"""Programs: lists of ops packed for the compiled module, which runs them in one call.

A program is a sequence of records. `csrc/program.h` defines them, and says how to add a kind of op. A record begins
with the code of the op and its size in bytes, a multiple of 8; all integers have 32 bits, in the byte order of the
machine. ENCODERS has a function for each kind of op: it takes the op and the shape that the image has then, and
returns the record, or None for what the module does not run. The list is split there, and Pillow's kernel runs the
op; it also raises the error if the op does not fit the image.
"""

from __future__ import annotations

import functools
import os
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from augreg.backends import backend, intensity, plain
from augreg.images import buffers
from augreg.ops import (
    ColorMatrix,
    Convolve,
    ConvolveColors,
    Enhance,
    Filter,
    Hue,
    LocalContrast,
    Lookup,
    Move,
    Noise,
    Normalize,
    Op,
    Pad,
    Paint,
    Remap,
    Resize,
    ResizeBox,
    ShiftHsv,
    Warp,
)
from augreg.ops.scene import PixelValues
from augreg_native import _native, colors, filters, noises, remaps, warps

__all__ = ["ENCODERS", "ISA", "Shape", "run"]

Array = NDArray[Any]

_MOST: Final = 2**31 - 1  # rows of an image, and values of a row
_MOST_PIXELS: Final = 2**40  # far beyond any memory
_LONGEST_RESIZED: Final = 2**24

# the codes of `enum augreg_code`
_MOVE, _RESIZE, _PAD, _PAINT, _NORMALIZE = range(5)
_BORDERS: Final = {"edge": 1, "reflect": 2, "symmetric": 3}
_NO_FILL: Final = (0.0,) * 4 + (0,) * 4
_FILTERS: Final = {"bilinear": 0, "bicubic": 1, "lanczos": 2}

ISA: Final = os.environ.get("AUGREG_NATIVE_ISA", "")
"""The instruction set to use: `plain`, `avx2` or `avx512`; empty for the fastest that the processor has."""
if _native.isa(ISA) is None:
    raise ImportError(f"AUGREG_NATIVE_ISA: this build or this processor has no instruction set {ISA}")


class Shape(NamedTuple):
    """The shape of an image between two ops; `floats` is whether it is normalized."""

    height: int
    width: int
    channels: int
    floats: bool = False


Encoder = Callable[[Any, Shape], bytes | None]

_move_record: Final = struct.Struct("=10i")
_resize_record: Final = struct.Struct("=12i4d")
_fill_record: Final = struct.Struct("=6i4f4Bi")
_normalize_record: Final = struct.Struct("=4i8d")


def _inside(op: Move | Paint, shape: Shape) -> bool:
    return 0 <= op.top < op.top + op.height <= shape.height and 0 <= op.left < op.left + op.width <= shape.width


def _move(op: Move, shape: Shape) -> bytes | None:
    if not _inside(op, shape):
        return None
    return _move_record.pack(_MOVE, 40, op.top, op.left, op.height, op.width, op.transpose, op.flip_y, op.flip_x, 0)


def _resize(op: Resize, shape: Shape) -> bytes | None:
    if op.height == shape.height and op.width == shape.width:
        return b""
    if not _resizes(op, shape) or op.interpolation in ("area", "lanczos4"):
        return None
    if op.interpolation in ("nearest", "nearest_floor") or not (op.antialias or op.interpolation == "lanczos"):
        return warps.resampled(op, shape)
    return _resized(op, 0.0, 0.0, shape.height, shape.width)


def _resize_box(op: ResizeBox, shape: Shape) -> bytes | None:
    inside = op.top + op.box_height <= shape.height and op.left + op.box_width <= shape.width
    if not inside or min(op.top, op.left) < 0.0 or min(op.box_height, op.box_width) <= 0.0:
        return None
    if not _resizes(op, shape) or op.interpolation not in _FILTERS:
        return None
    return _resized(op, op.top, op.left, op.box_height, op.box_width)


def _resizes(op: Resize | ResizeBox, shape: Shape) -> bool:
    """Whether it is of bytes, and to a size that the module makes."""
    largest = max(op.height, op.width, shape.height, shape.width)
    return not shape.floats and min(op.height, op.width) >= 1 and largest <= _LONGEST_RESIZED


def _resized(op: Resize | ResizeBox, top: float, left: float, height: float, width: float) -> bytes:
    """The record of the resize of this box."""
    after = op.height, op.width
    kernel = _FILTERS[op.interpolation]
    return _resize_record.pack(_RESIZE, 80, *after, kernel, 0, 0, *after, 0, 0, 0, top, left, height, width)


@functools.lru_cache(maxsize=64)
def _fill(
    fill: PixelValues, fill_ops: tuple[Op, ...], channels: int, floats: bool
) -> tuple[tuple[float, ...], bytes]:
    """A fill as floats and as bytes, four each, after the ops that the planner moved in front of a border or box."""
    kind = np.float32 if floats else np.uint8
    border = Pad(0, 0, 0, 1, fill, fill_ops=fill_ops)
    pixel = backend("pillow").apply(border, np.zeros((1, 1, channels), kind))[0, 1].tolist()
    pixel += [0] * (warps.MOST_CHANNELS - channels)
    return (tuple(pixel), bytes(4)) if floats else ((0.0,) * 4, bytes(pixel))


def _pad(op: Pad, shape: Shape) -> bytes | None:
    widths = op.top, op.bottom, op.left, op.right
    if min(widths) < 0:
        return None
    if op.mode != "constant":
        if op.mode not in _BORDERS:
            return None
        less = op.mode == "reflect"
        if op.mode != "edge" and (max(widths[:2]) > shape.height - less or max(widths[2:]) > shape.width - less):
            return None  # the border repeats the image several times
        return _fill_record.pack(_PAD, 48, *widths, *_NO_FILL, _BORDERS[op.mode])
    if len(op.fill) not in (1, shape.channels):
        return None
    floats, values = _fill(op.fill, op.fill_ops, shape.channels, shape.floats)
    return _fill_record.pack(_PAD, 48, *widths, *floats, *values, 0)


def _paint(op: Paint, shape: Shape) -> bytes | None:
    if not _inside(op, shape):
        return None
    if op.noise is not None:
        return noises.boxed(op, shape)
    if len(op.fill) not in (1, shape.channels):
        return None
    floats, values = _fill(op.fill, op.fill_ops, shape.channels, shape.floats)
    return _fill_record.pack(_PAINT, 48, op.top, op.left, op.height, op.width, *floats, *values, 0)


def _normalize(op: Normalize, shape: Shape) -> bytes | None:
    counts = (1, shape.channels)
    if shape.floats or op.mean_image is not None or len(op.mean) not in counts or len(op.std) not in counts:
        return None
    stages = colors.staged(op.stages, shape.channels)
    if stages is None:
        return None
    return stages + _normalized(op.mean, op.std, shape.channels)


@functools.lru_cache(maxsize=64)
def _normalized(mean: PixelValues, std: PixelValues, channels: int) -> bytes:
    """The record: a product and a sum where they give the floats of the tables, else the tables."""
    tables = intensity.normalize_tables(mean, std, channels)
    means, stds = (intensity.per_channel(values, channels, "normalize") for values in (mean, std))
    scale, offset = 1.0 / (255.0 * stds), -means / stds
    same = np.arange(256) * scale[:, None] + offset[:, None]
    numbers = [*scale, *[0.0] * (4 - channels), *offset, *[0.0] * (4 - channels)]
    if np.array_equal(same.astype(np.float32).view(np.uint32), tables.view(np.uint32)):
        return _normalize_record.pack(_NORMALIZE, 80, 0, 0, *numbers)
    return _normalize_record.pack(_NORMALIZE, 80 + tables.nbytes, 1, 0, *numbers) + tables.tobytes()


def _enhance(op: Enhance, shape: Shape) -> bytes | None:
    return (colors.enhanced if op.degenerate == "gray" else filters.sharpened)(op, shape)


def _convolve(op: Convolve, shape: Shape) -> bytes | None:
    """Mirror the border, convolve, and cut the border off again."""
    reach = max(len(op.kernel), len(op.kernel[0])) // 2
    around = _pad(Pad(reach, reach, reach, reach, mode="reflect"), shape)
    record = filters.convolved(op, shape)
    if around is None or record is None:
        return None
    whole = Shape(shape.height + 2 * reach, shape.width + 2 * reach, shape.channels)
    back = _move(Move(reach, reach, shape.height, shape.width), whole)
    return None if back is None else around + record + back


ENCODERS: Mapping[type[Op], Encoder] = {
    Move: _move,
    Resize: _resize,
    ResizeBox: _resize_box,
    Pad: _pad,
    Paint: _paint,
    Normalize: _normalize,
    Lookup: colors.looked_up,
    Enhance: _enhance,
    Filter: filters.filtered,
    Convolve: _convolve,
    ConvolveColors: _convolve,
    Hue: colors.hue,
    ColorMatrix: colors.mixed,
    ShiftHsv: colors.shifted,
    LocalContrast: colors.equalized_locally,
    Warp: warps.warped,
    Noise: noises.noisy,
    Remap: remaps.remapped,
}


_BYTES: Final = np.dtype(np.uint8)


def run(ops: Sequence[Op], start: int, image: Array) -> tuple[int, Array]:
    """Run as many ops as the module can, from `start` on. Returns how many were run, and the image after them."""
    height, width, channels = image.shape
    if image.dtype != _BYTES or not 1 <= channels <= warps.MOST_CHANNELS or not image.size:
        return 0, image
    if height > _MOST or width * channels > _MOST:
        return 0, image
    shape = Shape(height, width, channels)
    if start + 1 == len(ops) and type(op := ops[start]) is Move:
        in_rows = not (op.transpose or op.flip_x)  # then a view will do: whole rows are copied where the result goes
        if in_rows and _inside(op, shape):
            return 1, plain.move(op, image)
    records: list[bytes] = []
    count = 0
    for op in ops[start:] if start else ops:
        kind = type(op)
        encoder = ENCODERS.get(kind)
        try:
            record = encoder(op, shape) if encoder is not None else None
        except struct.error:  # a number of more than 32 bits
            break
        if record is None:
            break
        if kind is Normalize:
            shape = Shape(height, width, channels, True)
        elif not op.keeps_scene:
            after = op.size_after(height, width)
            assert after is not None
            if after != (height, width):
                height, width = after
                if height > _MOST or width * channels > _MOST or height * width > _MOST_PIXELS:
                    break
                shape = Shape(height, width, channels, shape.floats)
        records.append(record)
        count += 1
    program = b"".join(records)
    if not program:
        return count, image
    height, width = shape.height, shape.width
    try:
        if shape.floats:
            out = buffers.planar(height, width, channels)
        else:
            out = buffers.empty((height, width, channels), _BYTES)
        _native.run(program, image, out, ISA)
    except MemoryError:  # the error of a single op names it
        return 0, image
    return count, out
