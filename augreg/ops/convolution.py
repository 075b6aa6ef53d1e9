"""Convolution with a small kernel, and functions that make kernels: blurs and edges."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Sequence
from typing import ClassVar, Final, TypeAlias

from augreg.ops.op import Op

__all__ = [
    "Convolve",
    "ConvolveColors",
    "box_blur",
    "disk_blur",
    "emboss",
    "line_blur",
    "oriented_blur",
    "sharpen",
    "windowed_blur",
]

Rows: TypeAlias = tuple[tuple[float, ...], ...]
LEAST_PART: Final = 1e-9
"""Of a point of a line that a pixel must have, to have a weight."""


class Convolve(Op, frozen=True, eq=False):
    """Each pixel value becomes the sum of those around it, each times a weight.

    `kernel` has an odd number of rows of an odd number of weights, and its middle is on the pixel. Beyond its border
    the image is mirrored, the edge itself not repeated.
    """

    kernel: Rows


class ConvolveColors(Convolve, frozen=True, eq=False):
    """The same for colors alone, where weights are negative: alpha stays as it is."""

    on_colors: ClassVar[bool] = True


def windowed_blur(sigma: float, side: int, of_colors: bool = False) -> Convolve:
    """Blur with a Gaussian of this deviation in pixels, cut off to a square of this odd side.

    For a deviation of 0 it is OpenCV's of this side, 0.3 ((side - 1) / 2 - 1) + 0.8. `of_colors` leaves alpha as it
    is.
    """
    sigma = sigma or deviation(side)
    kind = ConvolveColors if of_colors else Convolve
    return kind(_gaussian(sigma, side), label=("blur {:.2f} in {}x{}".format, sigma, side, side))


def deviation(side: int) -> float:
    """The deviation that OpenCV takes for a kernel of this side."""
    return 0.3 * ((side - 1) / 2 - 1) + 0.8


def line_blur(
    length: float, degrees: float, direction: float = 0.0, shift: tuple[float, float] = (0.0, 0.0)
) -> Convolve:
    """The mean along a line of this length in pixels, counter-clockwise from the horizontal.

    `direction` 1 leaves the half of the line that begins at the pixel and goes on at this angle, -1 the other half,
    and 0 both. `shift` moves the line, (down, right) in pixels; what would leave
    the square of its length is at its side.
    """
    label = (line_label, length, degrees, direction, *shift)
    return Convolve(_line(length, degrees, direction, shift), label=label)


line_label: Final = "motion {:.1f} at {:.0f}°, direction {:+.2f}, shift {:.1f} {:.1f}".format


@functools.lru_cache(maxsize=64)
def _line(length: float, degrees: float, direction: float, shift: tuple[float, float]) -> Rows:
    """Points on the line, close to one another, each of them split among the four nearest pixels."""
    half = max(0.0, length - 1.0) / 2.0
    first, last = -half * (1.0 - max(0.0, direction)), half * (1.0 + min(0.0, direction))
    down, right = -math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
    count = 16 * math.ceil(last - first) + 1
    parts: dict[tuple[int, int], float] = {}
    for number in range(count):
        along = first + (last - first) * (number + 0.5) / count
        y, x = (max(-half, min(half, place)) for place in (shift[0] + along * down, shift[1] + along * right))
        top, left = math.floor(y), math.floor(x)
        for row, share in ((top, 1.0 - (y - top)), (top + 1, y - top)):
            for column, part in ((left, 1.0 - (x - left)), (left + 1, x - left)):
                if share * part > LEAST_PART:
                    parts[row, column] = parts.get((row, column), 0.0) + share * part / count
    reach_y, reach_x = (max(abs(place[axis]) for place in parts) for axis in (0, 1))
    rows, columns = range(-reach_y, reach_y + 1), range(-reach_x, reach_x + 1)
    return tuple(tuple(parts.get((row, column), 0.0) for column in columns) for row in rows)


def oriented_blur(
    side: int, sigma: tuple[float, float], degrees: float, power: float, factors: Sequence[float]
) -> Convolve:
    """Blur with a Gaussian of its own deviation along each axis, in pixels, that is turned counter-clockwise.

    Where d is the distance from the middle in deviations, a weight is exp(-d^(2 power) / 2), times one of `factors`,
    row by row; all are divided by their sum.
    """
    kernel = oriented_weights(side, sigma, degrees, power, factors)
    return Convolve(kernel, label=(oriented_label, side, *sigma, degrees, power))


oriented_label: Final = "oriented blur {0}x{0}, {1:.2f} x {2:.2f} at {3:.0f}°, power {4:.2f}".format


def oriented_weights(
    side: int, sigma: tuple[float, float], degrees: float, power: float, factors: Sequence[float]
) -> Rows:
    """The weights of `oriented_blur`."""
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    along, across = (max(one, LEAST_DEVIATION) for one in sigma)
    places = range(-(side // 2), side // 2 + 1)
    weights = []
    for (y, x), factor in zip(((y, x) for y in places for x in places), factors, strict=True):
        u, v = (cosine * x - sine * y) / along, (sine * x + cosine * y) / across
        weights.append(math.exp(-0.5 * (u * u + v * v) ** power) * factor)
    total = math.fsum(weights)
    return tuple(tuple(weight / total for weight in weights[row : row + side]) for row in range(0, side * side, side))


LEAST_DEVIATION: Final = 1e-3
"""In pixels: with less, a weight is 0 everywhere but in the middle."""


def box_blur(side: int) -> Convolve:
    """The mean of the square of this odd side around each pixel."""
    return Convolve(_product((1.0 / side,) * side), label=f"box blur {side}")


def disk_blur(radius: int, sigma: float) -> Convolve:
    """The mean of a disk around each pixel, whose edge is smoothed by a Gaussian of this deviation in pixels.

    The disk has the pixels whose centers are within `radius`; the Gaussian is cut off to 3x3 pixels, or to 5x5 for a
    radius above 8.
    """
    return Convolve(_disk(radius, sigma), label=(disk_label, radius, sigma))


disk_label: Final = "defocus {}, {:.2f}".format


def edge_weights(radius: int, sigma: float) -> list[float]:
    """The weights of the Gaussian that smooths the edge of a disk, of which the middle one is 1."""
    reach = 1 if radius <= 8 else 2
    return [math.exp(-0.5 * (place / sigma) ** 2) for place in range(-reach, reach + 1)]


def _added(numbers: Iterable[float]) -> float:
    """Their sum, added in this order: `sum` rounds otherwise from Python 3.12 on."""
    total = 0.0
    for number in numbers:
        total += number
    return total


@functools.lru_cache(maxsize=64)
def _disk(radius: int, sigma: float) -> Rows:
    weights = edge_weights(radius, sigma)
    reach, whole = len(weights) // 2, _added(weights)
    total = (
        whole
        * whole
        * sum(
            x * x + y * y <= radius * radius for y in range(-radius, radius + 1) for x in range(-radius, radius + 1)
        )
    )
    last = radius + reach
    rows = range(-last - reach, last + reach + 1)
    ends = {y: math.isqrt(radius * radius - y * y) if abs(y) <= radius else -1 for y in rows}
    across = {  # the disk smoothed along its rows
        y: [
            _added(weight for place, weight in enumerate(weights, -reach) if abs(x + place) <= end)
            for x in range(-last, last + 1)
        ]
        for y, end in ends.items()
    }
    return tuple(
        tuple(
            _added(weight * across[y + place][column] for place, weight in enumerate(weights, -reach)) / total
            for column in range(2 * last + 1)
        )
        for y in range(-last, last + 1)
    )


def sharpen(alpha: float, lightness: float) -> ConvolveColors:
    """Mix the image, to the part `alpha`, with 8 + `lightness` times each pixel value less the eight around it."""
    around, middle = -alpha, 1.0 - alpha + alpha * (8.0 + lightness)
    rows = (around,) * 3, (around, middle, around), (around,) * 3
    return ConvolveColors(rows, label=("sharpen {:.2f}, {:.2f}".format, alpha, lightness))


def emboss(alpha: float, strength: float) -> ConvolveColors:
    """Mix the image, to the part `alpha`, with a relief: plus what is below on the right, less what is opposite."""
    side, corner = alpha * strength, alpha * (1.0 + strength)
    rows = (-corner, -side, 0.0), (-side, 1.0, side), (0.0, side, corner)
    return ConvolveColors(rows, label=("emboss {:.2f}, {:.2f}".format, alpha, strength))


@functools.lru_cache(maxsize=256)
def _gaussian(sigma: float, side: int) -> Rows:
    return _product(gaussian_weights(sigma, side))


def gaussian_weights(sigma: float, side: int) -> tuple[float, ...]:
    """Samples of a Gaussian of this deviation, which add up to 1."""
    weights = [math.exp(-0.5 * ((place - side // 2) / sigma) ** 2) for place in range(side)]
    total = math.fsum(weights)
    return tuple(weight / total for weight in weights)


@functools.lru_cache(maxsize=256)
def _product(weights: tuple[float, ...]) -> Rows:
    """The same weights along both axes."""
    return tuple(tuple(one * other for other in weights) for one in weights)
