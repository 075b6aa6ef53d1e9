"""Records of sensor noise."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from augreg.ops import Noise
from augreg.rng import frame_key

if TYPE_CHECKING:
    from augreg_native.program import Shape

__all__ = ["CODE", "noisy"]

CODE: Final = 11
"""The code of this op in `enum augreg_code`."""

_KINDS: Final = {"gaussian": 0, "shot": 1, "iso": 2}
_MOST: Final = 1e6
"""Of an amount: up to here all sums are below 2^22, so that they are rounded in single precision."""

_record: Final = struct.Struct("=4iQ2f")


def noisy(op: Noise, shape: Shape) -> bytes | None:
    """The record of noise on a byte image."""
    kind = _KINDS.get(op.name)
    if shape.floats or kind is None or not all(abs(amount) <= _MOST for amount in op.amounts):
        return None
    if op.name == "shot" and op.amounts[0] <= 0.0:
        return None
    amounts = (*op.amounts, 0.0)[:2]
    return _record.pack(CODE, _record.size, kind, 0, frame_key(op.key, op.frame), *amounts)
