"""Convolution with a small kernel, and functions that make kernels: blurs and edges."""

from __future__ import annotations

import functools
import math
from typing import ClassVar, TypeAlias

from augreg.ops.op import Op

__all__ = ["Convolve", "ConvolveColors", "box_blur", "emboss", "sharpen", "windowed_blur"]

Rows: TypeAlias = tuple[tuple[float, ...], ...]


class Convolve(Op, frozen=True, eq=False):
    """Each pixel value becomes the sum of those around it, each times a weight.

    `kernel` has an odd number of rows of an odd number of weights, and its middle is on the pixel. Beyond its border
    the image is mirrored, the edge itself not repeated.
    """

    kernel: Rows


class ConvolveColors(Convolve, frozen=True, eq=False):
    """The same for colors alone, where weights are negative: alpha stays as it is."""

    on_colors: ClassVar[bool] = True


def windowed_blur(sigma: float, side: int) -> Convolve:
    """Blur with a Gaussian of this deviation in pixels, cut off to a square of this odd side.

    For a deviation of 0 it is OpenCV's of this side, 0.3 ((side - 1) / 2 - 1) + 0.8.
    """
    sigma = sigma or 0.3 * ((side - 1) / 2 - 1) + 0.8
    return Convolve(_gaussian(sigma, side), label=f"blur {sigma:.2f} in {side}x{side}")


def box_blur(side: int) -> Convolve:
    """The mean of the square of this odd side around each pixel."""
    return Convolve(_product((1.0 / side,) * side), label=f"box blur {side}")


def sharpen(alpha: float, lightness: float) -> ConvolveColors:
    """Mix the image, to the part `alpha`, with 8 + `lightness` times each pixel value less the eight around it."""
    around, middle = -alpha, 1.0 - alpha + alpha * (8.0 + lightness)
    rows = (around,) * 3, (around, middle, around), (around,) * 3
    return ConvolveColors(rows, label=f"sharpen {alpha:.2f}, {lightness:.2f}")


def emboss(alpha: float, strength: float) -> ConvolveColors:
    """Mix the image, to the part `alpha`, with a relief: plus what is below on the right, less what is opposite."""
    side, corner = alpha * strength, alpha * (1.0 + strength)
    rows = (-corner, -side, 0.0), (-side, 1.0, side), (0.0, side, corner)
    return ConvolveColors(rows, label=f"emboss {alpha:.2f}, {strength:.2f}")


@functools.lru_cache(maxsize=256)
def _gaussian(sigma: float, side: int) -> Rows:
    weights = [math.exp(-0.5 * ((place - side // 2) / sigma) ** 2) for place in range(side)]
    total = sum(weights)
    return _product(tuple(weight / total for weight in weights))


@functools.lru_cache(maxsize=256)
def _product(weights: tuple[float, ...]) -> Rows:
    """The same weights along both axes."""
    return tuple(tuple(one * other for other in weights) for one in weights)
