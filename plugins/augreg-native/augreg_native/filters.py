"""Records of filters: sharpness, the Gaussian blur, and the median."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from augreg.ops import Enhance, Filter

if TYPE_CHECKING:
    from augreg_native.program import Shape

__all__ = ["BLUR", "MEDIAN", "SHARPEN", "filtered", "sharpened"]

SHARPEN: Final = 7
BLUR: Final = 8
MEDIAN: Final = 9
"""The codes of these ops in `enum augreg_code`."""

_MOST_FACTOR: Final = 1e30
_MOST_SIGMA: Final = 100.0
_MOST_MEDIAN: Final = 255

_record: Final = struct.Struct("=2id")
_median_record: Final = struct.Struct("=4i")


def sharpened(op: Enhance, shape: Shape) -> bytes | None:
    """The record of a change of sharpness."""
    if shape.floats or not abs(op.factor) <= _MOST_FACTOR:
        return None
    return _record.pack(SHARPEN, _record.size, op.factor)


def filtered(op: Filter, shape: Shape) -> bytes | None:
    """The record of a Gaussian blur or a median."""
    if shape.floats:
        return None
    if op.name == "gaussian" and 0.0 < op.amount <= _MOST_SIGMA:
        return _record.pack(BLUR, _record.size, op.amount)
    if op.name == "median" and int(op.amount) % 2 and 3 <= op.amount < _MOST_MEDIAN + 1:
        return _median_record.pack(MEDIAN, _median_record.size, int(op.amount), 0)
    return None
