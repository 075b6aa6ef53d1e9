"""Records of remaps, and the blur that smooths their fields."""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from augreg.backends import displacement, plain
from augreg.images import buffers
from augreg.ops import Filter, Remap
from augreg_native import _native
from augreg_native.warps import MOST_CHANNELS, fill_bytes

if TYPE_CHECKING:
    from augreg_native.program import Shape

__all__ = ["FLOAT_BLUR", "GRID", "REMAP", "blurred_floats", "remapped"]

REMAP: Final = 12
FLOAT_BLUR: Final = 13
GRID: Final = 16
"""The codes of these ops in `enum augreg_code`."""

_MOST_PIXELS: Final = 1 << 24  # a field goes into the record; AUGREG_LONGEST_REMAPPED is the same
_MOST_REACH: Final = 32_768

_MOST_LIMIT: Final = 1.0

_record: Final = struct.Struct("=3i4B")
_grid_record: Final = struct.Struct("=3i4B2i")
_blur_record: Final = struct.Struct("=4i")


def remapped(op: Remap, shape: Shape) -> bytes | None:
    """The record of a remap of a byte image, with its field."""
    from augreg_native.kernels import KERNELS  # the blur that masks and points use, so that the field is kept

    bilinear = op.interpolation == "bilinear"
    channels = shape.channels
    if (
        shape.floats
        or op.field == "tiles"  # whole tiles are copied, without a field
        or op.mode != "constant"
        or op.interpolation == "bicubic"
        or len(op.fill) not in (1, channels)
        or shape.height * shape.width > _MOST_PIXELS
    ):
        return None
    if bilinear and shape.width < 2:
        return None
    fill = fill_bytes(op.fill, channels)
    if op.field == "grid" and abs(op.numbers[2]) <= _MOST_LIMIT:
        return _between_lines(displacement.grid_lines(op, shape.height, shape.width), bilinear, fill)
    ys, xs = displacement.sources(op, shape.height, shape.width, KERNELS[Filter])
    size = _record.size + ys.nbytes + xs.nbytes
    return b"".join((_record.pack(REMAP, size, bilinear, *fill), ys.tobytes(), xs.tobytes()))


def _between_lines(grid: displacement.GridLines, bilinear: bool, fill: tuple[int, ...]) -> bytes:
    """The record of a remap whose field is bilinear between the lines of a grid."""
    cells = grid.cells.astype(np.int32).tobytes()
    numbers = b"".join((grid.shifts.tobytes(), grid.parts.tobytes(), cells, bytes(len(cells) % 8)))
    size = _grid_record.size + len(numbers)
    return _grid_record.pack(GRID, size, bilinear, *fill, grid.shifts.shape[2], 0) + numbers


def blurred_floats(sigma: float, image: NDArray[Any], isa: str, mirrored: bool = False) -> NDArray[Any] | None:
    """A float image convolved like `plain.float_blur`, with the same bytes; None for more than four channels.

    `mirrored`: as if it went on as its mirror image beyond its edges, where they are repeated otherwise.
    """
    if sigma < plain.SHARP:
        return image
    reach = max(1, math.ceil(4.0 * sigma))
    if image.shape[2] > MOST_CHANNELS or reach > _MOST_REACH or not image.size:
        return None
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    numbers = np.append((weights / weights.sum()).astype(np.float32), np.float32(0))  # an even number of floats
    out = buffers.planar(*image.shape)
    record = _blur_record.pack(FLOAT_BLUR, _blur_record.size + numbers.nbytes, reach, mirrored) + numbers.tobytes()
    _native.run(record, image, out, isa)
    return out
