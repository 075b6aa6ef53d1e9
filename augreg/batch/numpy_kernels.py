"""Blends of NumPy arrays, image by image, so that what is read and written stays in the cache."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from augreg.batch.blends import Blend, Patch
from augreg.batch.in_place import blend_in_place, cut
from augreg.batch.scaling import INTEGER_SUM, integer_weights, nearest, weights
from augreg.batch.shapes import Shapes

__all__ = ["PRECISION", "ROUNDING", "apply", "fixed_point"]

Array = NDArray[Any]

PRECISION = 23
"""Bits after the point of the weights that mix byte images: a pixel value times a weight still fits 31 bits."""
ROUNDING = 1 << (PRECISION - 1)
"""One half in fixed point: added before the shift, it rounds to the nearest."""
_TILE = 1 << 14  # numbers at a time: three of them as float32 fit a first or second level cache


def fixed_point(weight: float) -> tuple[int, int]:
    """A weight and 1 minus the weight as integers, in units of 2^-PRECISION."""
    own = round(weight * (1 << PRECISION))
    return own, (1 << PRECISION) - own


def apply(blends: Sequence[Blend], images: Array, out: Array | None, channels_last: bool, masks: bool) -> Array:
    """The images after these blends, in `out` or a new array; `out` may be `images`.

    The first axis counts images. Rows and columns are the last two axes, or with `channels_last` the two before the
    last. With `masks`, pieces are scaled by the nearest pixel.
    """
    if out is None:
        out = np.empty_like(images, order="C", subok=False)
    if not blends and out is not images:
        out[...] = images
    paste = functools.partial(_paste, channels_last=channels_last, masks=masks)
    for blend in blends:
        if isinstance(blend, Shapes):
            _paste_shapes(blend, images, out, channels_last)
        else:
            blend_in_place(blend, images, out, functools.partial(np.empty_like, order="C"), _mix, paste)
        images = out
    return out


def _paste_shapes(blend: Shapes, images: Array, out: Array, channels_last: bool) -> None:
    pieces = images[blend.source]  # a copy, which is needed where the source is written to, too
    if out is not images:
        out[...] = images
    for into, piece, shown in zip(blend.into.tolist(), pieces, blend.planes(images, channels_last), strict=True):
        np.copyto(out[into], piece, where=shown)


def _mix(image: Array, partner: Array, weight: float, out: Array) -> None:
    """out = weight * image + (1 - weight) * partner; `out` may be `image`. Bytes are rounded to the nearest."""
    if image.flags.c_contiguous and partner.flags.c_contiguous and out.flags.c_contiguous:
        flat = [array.reshape(-1) for array in (image, partner, out)]
        for start in range(0, flat[0].size, _TILE):
            _mix_tile(weight, *(array[start : start + _TILE] for array in flat))
    else:
        _mix_tile(weight, image, partner, out)


def _mix_tile(weight: float, image: Array, partner: Array, out: Array) -> None:
    if out.dtype == np.uint8:
        own, rest = fixed_point(weight)
        total = np.multiply(image, own, dtype=np.int32)
        total += np.multiply(partner, rest, dtype=np.int32)
        total += ROUNDING
        total >>= PRECISION
        out[...] = total
    elif out.dtype == np.float16:  # computed in float32
        total32 = np.multiply(image, np.float32(weight), dtype=np.float32)
        total32 += np.multiply(partner, np.float32(1.0 - weight), dtype=np.float32)
        out[...] = total32
    else:
        product = np.multiply(partner, out.dtype.type(1.0 - weight))
        np.multiply(image, out.dtype.type(weight), out=out)
        out += product


def _paste(patch: Patch, source: Array, into: Array, channels_last: bool, masks: bool) -> None:
    piece, place = cut(source, patch.source_box, channels_last), cut(into, patch.box, channels_last)
    if not patch.scales:
        place[...] = piece
    elif masks:
        y, x = nearest(patch.source_box[2], patch.box[2]), nearest(patch.source_box[3], patch.box[3])
        place[...] = piece[y[:, None], x] if channels_last else piece[..., y[:, None], x]
    else:
        planes = np.moveaxis(piece, -1, 0) if channels_last else piece
        scaled = _scaled(planes, patch.box[2], patch.box[3])
        place[...] = np.moveaxis(scaled, 0, -1) if channels_last else scaled


def _scaled(planes: Array, height: int, width: int) -> Array:
    """Planes of rows x columns scaled to height x width, rows first; bytes are rounded after each axis."""
    whole = planes.dtype == np.uint8
    matrix = integer_weights if whole else weights
    kind = np.float64 if planes.dtype == np.float64 else np.float32
    rows = matrix(planes.shape[-2], height).astype(kind)
    columns = matrix(planes.shape[-1], width).astype(kind).T
    scaled: Array = rows @ np.ascontiguousarray(planes, kind)  # contiguous, so that sums have one order
    if not whole:
        return np.asarray(scaled @ columns)
    scaled = np.floor(scaled * np.float32(1 / INTEGER_SUM) + np.float32(0.5))
    scaled = np.floor((scaled @ columns) * np.float32(1 / INTEGER_SUM) + np.float32(0.5))
    return scaled.astype(np.uint8)
