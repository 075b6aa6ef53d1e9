"""Records of warps."""

from __future__ import annotations

import functools
import math
import struct
from typing import TYPE_CHECKING, Final

from augreg.ops import Resize, Warp

if TYPE_CHECKING:
    from augreg.ops.scene import PixelValues
    from augreg_native.program import Shape

__all__ = ["CODE", "MOST_CHANNELS", "fill_bytes", "resampled", "warped"]

CODE: Final = 6
"""The code of this op in `enum augreg_code`."""

MOST_CHANNELS: Final = 4
"""The most that the module takes; a record of a fill has as many values."""
_SAMPLING: Final = {"nearest": 0, "bilinear": 1, "bicubic": 2}
_FAR: Final = 32_767.0
"""In pixels: as far as positions in 16.16 fixed point go, which Pillow uses for nearest affine warps."""

_record: Final = struct.Struct("=6i8d4Bi")


def warped(op: Warp, shape: Shape) -> bytes | None:
    """The record of a warp of a byte image; None for floats, other borders, and where positions are far out."""
    if shape.floats or op.mode != "constant" or len(op.fill) not in (1, shape.channels):
        return None
    if op.interpolation == "bilinear" and shape.width < 2:
        return None
    turned = op.affine and op.interpolation == "nearest" and (op.matrix[1] != 0.0 or op.matrix[3] != 0.0)
    if not all(map(math.isfinite, op.matrix)) or (turned and not _near(op)):
        return None
    numbers = op.height, op.width, _SAMPLING[op.interpolation], bool(op.affine)
    return _record.pack(CODE, _record.size, *numbers, *op.matrix, *fill_bytes(op.fill, shape.channels), 0)


@functools.lru_cache(maxsize=64)
def fill_bytes(fill: PixelValues, channels: int) -> tuple[int, ...]:
    """The four bytes of a fill of one color or one for each channel."""
    each = fill * channels if len(fill) == 1 else fill
    return (*(round(min(255.0, max(0.0, value))) for value in each), *(0,) * (MOST_CHANNELS - len(each)))


def resampled(op: Resize, shape: Shape) -> bytes | None:
    """The record of a resize that is not antialiased: Pillow computes it as a warp."""
    if op.interpolation == "lanczos" or op.interpolation == "lanczos4" or op.interpolation == "area":
        return None
    if op.interpolation == "nearest_floor":  # at corners
        return None
    matrix = (shape.width / op.width, 0.0, 0.0, 0.0, shape.height / op.height, 0.0, 0.0, 0.0)
    return warped(Warp(matrix, op.height, op.width, op.interpolation), shape)


def _near(op: Warp) -> bool:
    """Whether the corners of the result read positions that fit into fixed point."""
    a, b, c, d, e, f = op.matrix[:6]
    corners = ((x, y) for x in (0, op.width) for y in (0, op.height))
    return all(abs(x * a + y * b + c) < _FAR and abs(x * d + y * e + f) < _FAR for x, y in corners)
