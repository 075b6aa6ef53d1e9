"""Records of filters: sharpness and the Gaussian blur."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from augreg.ops import Enhance, Filter

if TYPE_CHECKING:
    from augreg_native.program import Shape

__all__ = ["BLUR", "SHARPEN", "blurred", "sharpened"]

SHARPEN: Final = 7
BLUR: Final = 8
"""The codes of these ops in `enum augreg_code`."""

_MOST_FACTOR: Final = 1e30
_MOST_SIGMA: Final = 100.0

_record: Final = struct.Struct("=2id")


def sharpened(op: Enhance, shape: Shape) -> bytes | None:
    """The record of a change of sharpness."""
    if shape.floats or not abs(op.factor) <= _MOST_FACTOR:
        return None
    return _record.pack(SHARPEN, _record.size, op.factor)


def blurred(op: Filter, shape: Shape) -> bytes | None:
    """The record of a Gaussian blur."""
    if shape.floats or op.name != "gaussian" or not 0.0 < op.amount <= _MOST_SIGMA:
        return None
    return _record.pack(BLUR, _record.size, op.amount)
