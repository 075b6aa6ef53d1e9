"""Records of sensor noise, and of boxes of noise."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from augreg.ops import Noise, Paint
from augreg.rng import frame_key

if TYPE_CHECKING:
    from augreg_native.program import Shape

__all__ = ["BOX", "CODE", "boxed", "noisy"]

CODE: Final = 11
BOX: Final = 15
"""The codes of these ops in `enum augreg_code`."""

_KINDS: Final = {"gaussian": 0, "shot": 1, "iso": 2}
_MOST: Final = 1e6
"""Of an amount: up to here all sums are below 2^22, so that they are rounded in single precision."""

_record: Final = struct.Struct("=4iQ2f")
_box_record: Final = struct.Struct("=8iQ")


def noisy(op: Noise, shape: Shape) -> bytes | None:
    """The record of noise on a byte image."""
    kind = _KINDS.get(op.name)
    if shape.floats or kind is None or not all(abs(amount) <= _MOST for amount in op.amounts):
        return None
    if op.name == "shot" and op.amounts[0] <= 0.0:
        return None
    amounts = (*op.amounts, 0.0)[:2]
    return _record.pack(CODE, _record.size, kind, 0, frame_key(op.key, op.frame), *amounts)


def boxed(op: Paint, shape: Shape) -> bytes | None:
    """The record of a box of noise within the image; bytes are uniform."""
    normal = op.noise == "normal"
    if normal and not shape.floats:
        return None
    box = op.top, op.left, op.height, op.width
    return _box_record.pack(BOX, _box_record.size, *box, normal, 0, frame_key(op.key, op.frame))
