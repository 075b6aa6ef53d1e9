"""Strong antialiased shrinking by OpenCV: means of parts of a pixel, then the kernel of the definition on the parts.

A short kernel (`opencv._smoothed`) weighs some pixels more than others once it is sampled many pixels apart, so that
a small bright spot gains or loses light and moves. Here a side is first made four times as long as wanted, by the
mean over equal parts of it; fractions of pixels count as fractions. The wide kernel then has a weight for each part.
Weights of a triangle or a cubic at equal distances sum to the same for every part, so no light is lost.
"""

from __future__ import annotations

import functools
from typing import Any, Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["STRONG", "shrunk"]

Array = NDArray[Any]
Floats = NDArray[np.float32]

STRONG: Final = 8.0
"""From this scale on, a side is shrunk by parts; below, there would be so many parts that it saves no time."""
_PARTS: Final = 4


class _Side(NamedTuple):
    """The weights of the parts around a pixel, how many of them lie before its first part, and every which part is
    the first of a pixel. `factors` are one per pixel and make up for the weights that lie outside the image."""

    weights: NDArray[np.float64]
    before: int
    step: int
    factors: Floats


def shrunk(image: Array, height: int, width: int, interpolation: str) -> Floats:
    """The image with its strongly shrunk sides at this size, in float32 and not rounded; other sides stay."""
    rows, columns = image.shape[:2]
    y, x = _side(rows, height, interpolation), _side(columns, width, interpolation)
    size = columns if x.step == 1 else width * _PARTS, rows if y.step == 1 else height * _PARTS
    parts = cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    anchor, edge = (x.before, y.before), cv2.BORDER_CONSTANT
    found = cv2.sepFilter2D(parts, -1, x.weights, y.weights, anchor=anchor, borderType=edge)
    each = found.reshape(*found.shape[:2], -1)[:: y.step, :: x.step]
    exact: Floats = each * (y.factors[:, None, None] * x.factors[:, None])
    return exact


@functools.lru_cache(maxsize=64)
def _side(size: int, wanted: int, interpolation: str) -> _Side:
    if size < STRONG * wanted:  # one weight of 1; the zeros make it faster
        return _Side(np.array([0.0, 1.0, 0.0]), 1, 1, np.ones(size, np.float32))
    reach = 1 if interpolation == "bilinear" else 2
    before = round((reach - 0.5) * _PARTS)
    place = np.arange(-before, 2 * reach * _PARTS - before)
    distance = np.abs((place + 0.5) / _PARTS - 0.5)
    if interpolation == "bilinear":
        weights = 1.0 - distance
    else:  # Keys's cubic with the slope -1/2
        near = (1.5 * distance - 2.5) * distance * distance + 1.0
        weights = np.where(distance < 1.0, near, ((-0.5 * distance + 2.5) * distance - 4.0) * distance + 2.0)
    weights /= weights.sum()
    at = _PARTS * np.arange(wanted)[:, None] + place
    inside = ((at >= 0) & (at < _PARTS * wanted)) @ weights
    return _Side(weights, before, _PARTS, (1.0 / inside).astype(np.float32))
