"""Records of filters: sharpness, blurs, and the median."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from augreg.backends import convolving, photography
from augreg.ops import Convolve, Enhance, Filter

if TYPE_CHECKING:
    from augreg_native.program import Shape

__all__ = ["BLUR", "CONVOLVE", "MEDIAN", "SHARPEN", "convolved", "filtered", "sharpened"]

SHARPEN: Final = 7
BLUR: Final = 8
MEDIAN: Final = 9
CONVOLVE: Final = 10
"""The codes of these ops in `enum augreg_code`."""

_MOST_FACTOR: Final = 1e30
_MOST_SIGMA: Final = 100.0
_MOST_MEDIAN: Final = 255
_LONGEST_MOTION: Final = 2000.0

_record: Final = struct.Struct("=2id")
_two_numbers: Final = struct.Struct("=4i")


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
        return _two_numbers.pack(MEDIAN, _two_numbers.size, int(op.amount), 0)
    if op.name == "motion" and 0.0 <= op.amount <= _LONGEST_MOTION:
        return _taps(photography.motion_kernel(op.amount, op.angle))
    return None


def convolved(op: Convolve, shape: Shape) -> bytes | None:
    """The record of a convolution with a kernel that is no product, but for the border."""
    if shape.floats or convolving.parts(op.kernel) is not None:
        return None
    kernel = convolving.weights(op.kernel)
    if not np.abs(kernel).max() <= _MOST_FACTOR:
        return None
    return _taps(kernel)


_tap: Final = np.dtype([("y", "i4"), ("x", "i4"), ("weight", "f4"), ("unused", "i4")])


def _taps(kernel: NDArray[np.float32]) -> bytes:
    """The record of a convolution whose edges are repeated."""
    reach = max(kernel.shape) // 2
    y, x = np.nonzero(kernel)
    taps = np.zeros(len(y), _tap)
    taps["y"], taps["x"], taps["weight"] = y - kernel.shape[0] // 2, x - kernel.shape[1] // 2, kernel[y, x]
    return _two_numbers.pack(CONVOLVE, _two_numbers.size + taps.nbytes, reach, len(taps)) + taps.tobytes()
