"""Strong antialiased shrinking by OpenCV, in whole steps: halve a side, divide it into parts, weigh the parts.

The definition is a triangle or a cubic as wide as the scale. OpenCV is fast where it halves, interpolates, or applies
a few weights. So a side is halved while more than enough pixels are left, and then divided so that each pixel of the
result has exactly two or four parts. A few weights are applied to the parts, and the mean of its parts is the pixel.
Whatever the weights are, all parts count the same in sum, so this step gains and loses no light.

Every step blurs, and the variances of blurs add up. So the weights are those of the definition, made narrower or
wider until all steps together have the variance of the definition.
"""

from __future__ import annotations

import functools
import math
from itertools import zip_longest
from typing import Any, Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from augreg.images import buffers

__all__ = ["STRONG", "shrunk"]

Array = NDArray[Any]
Floats = NDArray[np.float32]
Numbers = NDArray[np.float64]

STRONG: Final = {"bilinear": 2.5, "bicubic": 2.0}
"""From this scale on, an image is shrunk by parts. Below it, one short kernel and one interpolation are faster, and
near enough to a triangle."""
_LEAST: Final = 2.0  # scale of a side; another one is left to the caller
_FOUR: Final = 8.0  # scale from which a pixel has four parts instead of two
_VARIANCE: Final = {"bilinear": 1 / 6, "bicubic": 0.0}  # of the kernel of the definition, in pixels^2 of the result
_CUBIC: Final = -1 / 15  # the variance of OpenCV's bicubic kernel, in pixels^2; its slope is -0.75
_BINOMIAL: Final = {1: 0.0, 3: 0.5, 5: 1.0}  # the variance of a binomial kernel, by the number of its weights
_SMALL: Final = 256  # pixels; the middle of an odd side gains a few thousandths when the side is halved
_UPWARD: Final = {4.0: 1 / 8, 2.0: 1 / 4}  # how much the mean of so many bytes is rounded upward on average
_FINER: Final = 32  # between two bytes; leaves space for four times white in 16 bits


class _Side(NamedTuple):
    """What is done to one side.

    `halvings` are the blur before each halving (its number of binomial weights) and the size after it, and `blur` is
    the one before the division into parts. The pixels at the ends of the result miss the weight that lies outside the
    image: `inside` is what the first few have, from the first one on; the last few have the same.

    `cubic` is the size that the side is interpolated to, and `area` the one it is divided to before it has four
    parts: OpenCV's mean over fractions of pixels is fast only where there are more parts than pixels, and the mean of
    two of these parts is exact. 0 is for nothing.
    """

    wanted: int
    parts: int
    halvings: tuple[tuple[int, int], ...]
    blur: int
    cubic: int
    area: int
    weights: Numbers
    inside: Floats


def shrunk(image: Array, height: int, width: int, interpolation: str) -> Array:
    """The image with its sides that shrink to a half or less at this size; other sides stay."""
    y, x = _side(image.shape[0], height, interpolation), _side(image.shape[1], width, interpolation)
    channels = image.shape[2]
    upward = 0.0  # OpenCV rounds halves upward: the mean of two or four bytes is on average this much too large
    for (blur_y, rows), (blur_x, columns) in zip_longest(y.halvings, x.halvings, fillvalue=(1, 0)):
        before = image.shape[0] * image.shape[1]
        image = _resized(_blurred(image, blur_y, blur_x), rows, columns, cv2.INTER_LINEAR)
        upward += _UPWARD.get(before / (image.shape[0] * image.shape[1]), 0.0)
    image = _resized(_blurred(image, y.blur, x.blur), y.cubic, x.cubic, cv2.INTER_CUBIC)
    image = _resized(image, y.area, x.area, cv2.INTER_AREA)
    rows, columns = y.parts * y.wanted, x.parts * x.wanted
    twice = image.shape[0] in (rows, 2 * rows) and image.shape[1] in (columns, 2 * columns)
    image = _resized(image, rows, columns, cv2.INTER_LINEAR if twice else cv2.INTER_AREA)
    finer = _FINER if image.dtype == np.uint8 else 1
    depth = cv2.CV_16S if finer > 1 else -1
    image = cv2.sepFilter2D(image, depth, x.weights, y.weights * finer, borderType=cv2.BORDER_CONSTANT)
    image = _halved(image, y.wanted, x.wanted)
    _complete(image, y)
    _complete(image.swapaxes(0, 1), x)
    if finer > 1:
        out = buffers.empty((*image.shape[:2], channels), np.uint8)
        np.maximum(image, 0, out=image)
        # less than half a byte is taken off, so that constant images stay constant
        image = cv2.convertScaleAbs(image, dst=out, alpha=1 / finer, beta=-min(upward, 0.375))
    return image.reshape(*image.shape[:2], channels)


def _resized(image: Array, rows: int, columns: int, method: int) -> Array:
    """The image at this size; 0 leaves a side as it is."""
    rows, columns = rows or image.shape[0], columns or image.shape[1]
    if (rows, columns) == image.shape[:2]:
        return image
    found: Array = cv2.resize(image, (columns, rows), interpolation=method)
    return found


def _halved(image: Array, rows: int, columns: int) -> Array:
    """The image after its sides were halved until they have this size."""
    while image.shape[:2] != (rows, columns):
        now = image.shape
        image = _resized(image, max(rows, now[0] // 2), max(columns, now[1] // 2), cv2.INTER_LINEAR)
    return image


def _blurred(image: Array, taps_y: int, taps_x: int) -> Array:
    if taps_y == taps_x == 1:
        return image
    # with a deviation of 0 the weights are binomial
    found: Array = cv2.GaussianBlur(image, (taps_x, taps_y), 0.0, borderType=cv2.BORDER_REFLECT)
    return found


def _complete(image: Array, side: _Side) -> None:
    """Divide the ends by the weight inside the image."""
    reach = len(side.inside)
    inside = side.inside.reshape(-1, *(1,) * (image.ndim - 1))
    np.divide(image[:reach], inside, out=image[:reach], casting="unsafe")
    if side.wanted > reach:  # else all pixels are among the first
        last = image[max(reach, side.wanted - reach) :]
        np.divide(last, inside[::-1][-len(last) :], out=last, casting="unsafe")


@functools.lru_cache(maxsize=64)
def _side(size: int, wanted: int, interpolation: str) -> _Side:
    if size < _LEAST * wanted:  # one weight of 1; the zeros make it faster
        return _Side(size, 1, (), 1, 0, 0, np.array([0.0, 1.0, 0.0]), np.ones(0, np.float32))
    scale, pixel, variance = size / wanted, 1.0, 0.0  # pixel: how many of the image are in one of what is left of it
    parts = 2 if scale < _FOUR else 4
    halvings = []
    while size >= 2 * parts * wanted and (size % 2 == 0 or parts == 2 or size > _SMALL):
        after = (size + 1) // 2
        odd = size % 2 == 1  # then the halves lie at all distances from the pixels, which matters less when blurred
        blur = 3 if odd or (parts == 2 and size < 2.6 * parts * wanted) else 1
        variance += pixel * pixel * (_BINOMIAL[blur] + 1 / 4)
        halvings.append((blur, after))
        pixel, size = pixel * size / after, after
    rest = size / (parts * wanted)
    cubic = 2 * wanted if parts == 2 and rest > 1.0 else 0
    area = 8 * wanted if parts == 4 and 1.0 < rest <= 2.0 and _right(size, 8 * wanted) else 0
    blur = 1 if parts == 4 or rest < (1.3 if halvings else 1.2) else 3 if rest < 1.7 else 5
    if rest > 1.0:
        variance += pixel * pixel * (_BINOMIAL[blur] + (_CUBIC if parts == 2 else (1 + rest * rest) / 12))
    missing = (_VARIANCE[interpolation] * scale * scale - variance) * (parts / scale) ** 2 - (parts * parts - 1) / 12
    weights = _weights(parts, interpolation)
    half = len(weights) // 2
    change = (missing - float(weights @ np.arange(-half, half + 1) ** 2)) / 2
    weights, half = np.convolve(weights, [change, 1.0 - 2.0 * change, change]), half + 1
    # the sum of the weights up to each one, and of those that lie inside for each part of the first few pixels
    sums = [0.0, *np.cumsum(weights).tolist()]
    reach, last = min(wanted, -(-half // parts)), parts * wanted + half
    inside = [sums[min(last - part, 2 * half + 1)] - sums[max(half - part, 0)] for part in range(reach * parts)]
    ends = np.reshape(inside, (reach, parts)).mean(axis=1).astype(np.float32)
    return _Side(wanted, parts, tuple(halvings), blur, cubic, area, weights, ends)


def _right(size: int, area: int) -> bool:
    """Whether OpenCV divides a side rightly into so many parts.

    Where an edge of a pixel and of a part are in the same place, OpenCV computes the pixel by a product of floats,
    and if that is rounded down, the whole part is read from the pixel before.
    """
    common, step = math.gcd(size, area), 1.0 / (area / size)
    return all(int(edge * (area // common) * step) == edge * (size // common) for edge in range(1, common))


@functools.cache
def _weights(parts: int, interpolation: str) -> Numbers:
    """Weights of neighboring parts; the mean over `parts` of them is the kernel, at the middle of each part."""
    if interpolation == "bilinear" and parts == 2:
        return np.ones(1)  # three weights are enough, and those come from the missing variance
    reach = 1 if interpolation == "bilinear" else 2
    distance = np.abs((np.arange(2 * reach * parts) + 0.5) / parts - reach)
    if interpolation == "bilinear":
        kernel = 1.0 - distance
    else:  # Keys's cubic with the slope -1/2
        near = (1.5 * distance - 2.5) * distance * distance + 1.0
        kernel = np.where(distance < 1.0, near, ((-0.5 * distance + 2.5) * distance - 4.0) * distance + 2.0)
    kernel *= parts / kernel.sum()
    weights = np.diff(kernel, prepend=0.0)[: 1 - parts]  # neighboring means differ by what comes and what goes
    for place in range(parts, len(weights)):
        weights[place] += weights[place - parts]
    return weights
