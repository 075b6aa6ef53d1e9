"""Blends done to NumPy arrays, image by image, so that what is read and written stays in the cache."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from augreg.batch.blends import Blend, Patch
from augreg.batch.in_place import blend_in_turn, cut
from augreg.batch.scaling import PARTS, nearest, weights, whole_weights

__all__ = ["HALF", "PRECISION", "apply", "parts"]

Array = NDArray[Any]

PRECISION = 23
"""Byte images are mixed with weights in whole parts of 2^23: a level times a weight still fits 31 bits."""
HALF = 1 << (PRECISION - 1)
_TILE = 1 << 14  # numbers at a time: three of them as float32 fit a first or second level cache


def parts(weight: float) -> tuple[int, int]:
    """A weight and what is left of 1, in whole parts of 2^PRECISION."""
    own = round(weight * (1 << PRECISION))
    return own, (1 << PRECISION) - own


def apply(blends: Sequence[Blend], images: Array, out: Array | None, channels_last: bool, labels: bool) -> Array:
    """The images after these blends, in `out` or a new array; `out` may be `images`.

    The first axis counts images. The rows and columns are the last two axes, or with `channels_last` the two
    before the last. `labels` says that the numbers are no levels, so that scaling takes the nearest.
    """
    if out is None:
        out = np.empty_like(images, order="C", subok=False)
    if not blends and out is not images:
        out[...] = images
    paste = functools.partial(_paste, channels_last=channels_last, labels=labels)
    for blend in blends:
        blend_in_turn(blend, images, out, functools.partial(np.empty_like, order="C"), _mix, paste)
        images = out
    return out


def _mix(one: Array, other: Array, weight: float, out: Array) -> None:
    """out = weight * one + (1 - weight) * other; `out` may be `one`. Bytes are rounded to the nearest."""
    if one.flags.c_contiguous and other.flags.c_contiguous and out.flags.c_contiguous:
        flat = [array.reshape(-1) for array in (one, other, out)]
        for start in range(0, flat[0].size, _TILE):
            one, other, out = (array[start : start + _TILE] for array in flat)
            _mix_tile(one, other, out, weight)
    else:
        _mix_tile(one, other, out, weight)


def _mix_tile(one: Array, other: Array, out: Array, weight: float) -> None:
    if out.dtype == np.uint8:
        own, rest = parts(weight)
        total = np.multiply(one, own, dtype=np.int32)
        total += np.multiply(other, rest, dtype=np.int32)
        total += HALF
        total >>= PRECISION
        out[...] = total
    elif out.dtype == np.float16:  # its products are made, and added, as float32
        total32 = np.multiply(one, np.float32(weight), dtype=np.float32)
        total32 += np.multiply(other, np.float32(1.0 - weight), dtype=np.float32)
        out[...] = total32
    else:
        rest_of_it = np.multiply(other, out.dtype.type(1.0 - weight))
        np.multiply(one, out.dtype.type(weight), out=out)
        out += rest_of_it


def _paste(patch: Patch, source: Array, into: Array, channels_last: bool, labels: bool) -> None:
    piece, place = cut(source, patch.source_box, channels_last), cut(into, patch.box, channels_last)
    if not patch.scales:
        place[...] = piece
    elif labels:
        y, x = nearest(patch.source_box[2], patch.box[2]), nearest(patch.source_box[3], patch.box[3])
        place[...] = piece[y[:, None], x] if channels_last else piece[..., y[:, None], x]
    else:
        planes = np.moveaxis(piece, -1, 0) if channels_last else piece
        scaled = _scaled(planes, patch.box[2], patch.box[3])
        place[...] = np.moveaxis(scaled, 0, -1) if channels_last else scaled


def _scaled(planes: Array, height: int, width: int) -> Array:
    """Planes of rows x columns scaled to height x width, rows first; bytes are rounded after either axis."""
    tall, wide = planes.shape[-2:]
    if planes.dtype == np.uint8:
        rows, columns = (whole_weights(*sizes).astype(np.float32) for sizes in ((tall, height), (wide, width)))
        found: Array = np.floor((rows @ planes.astype(np.float32)) * np.float32(1 / PARTS) + np.float32(0.5))
        found = np.floor((found @ columns.T) * np.float32(1 / PARTS) + np.float32(0.5))
        return found.astype(np.uint8)
    kind = np.float64 if planes.dtype == np.float64 else np.float32
    rows, columns = weights(tall, height).astype(kind), weights(wide, width).astype(kind)
    scaled: Array = rows @ np.ascontiguousarray(planes, kind) @ columns.T  # contiguous: one order of sums everywhere
    return scaled
