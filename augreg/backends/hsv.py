"""Shifts of hue, saturation and value, by NumPy in float32."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from augreg.backends import plain
from augreg.ops import ShiftHsv

__all__ = ["shifted"]

Array = NDArray[Any]
Floats = NDArray[np.float32]


def shifted(op: ShiftHsv, image: Array) -> Array:
    """The image after the shifts, which are computed on pixel values from 0 to 1; bytes are rounded once."""
    plain.need_color("a shift of hue, saturation and value", image.shape[2])
    if image.dtype == np.float32:
        return _shifted(op, image)
    found = _shifted(op, image * np.float32(1 / 255))
    found *= np.float32(255)
    return np.rint(found, out=found).astype(np.uint8)


def _shifted(op: ShiftHsv, image: Floats) -> Floats:
    if image.shape[2] == 1:
        gray: Floats = np.clip(image + np.float32(op.value), 0, 1)
        return gray
    if op.hue:
        image = plain.float_hue(op.hue, image)
    value = np.clip(image.max(axis=2, keepdims=True), 0, None)
    chroma = value - np.clip(image.min(axis=2, keepdims=True), 0, None)
    colored = chroma > 0
    safe_chroma, safe_value = np.where(colored, chroma, 1), np.where(colored, value, 1)
    saturation = np.where(colored, np.clip(chroma / safe_value + np.float32(op.saturation), 0, 1), 0)
    # how far below the value each channel lies, in parts of the chroma, says the hue, which stays
    below = (value - np.clip(image, 0, None)) / safe_chroma
    value = np.clip(value + np.float32(op.value), 0, 1)
    found: Floats = value * (1 - saturation * below)
    return found
