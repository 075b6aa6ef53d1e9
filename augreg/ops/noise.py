"""Ops that degrade an image: noise, blur and compression; and what makes them.

Noise is a function of a `key`, so that the records stay small.
"""

from __future__ import annotations

from typing import Literal

from augreg.ops.op import Op
from augreg.ops.scene import Scene

__all__ = [
    "Encode",
    "Filter",
    "Noise",
    "gaussian_blur",
    "jpeg",
    "median_blur",
    "motion_blur",
    "noise",
]


class Noise(Op, frozen=True, eq=False):
    """Add noise that is a function of `key`; amounts are on the 0..1 scale, `n` is standard normal.

    `gaussian` (std): level + std n. `shot` (photons at white): a count of photons with the mean, variance and
    skewness of Poisson's. `iso` (grain, color): level + grain sqrt(level) n, one n a pixel, + color n, one n
    a channel. `clip` keeps floats within 0 and 1; bytes are always kept within theirs.
    """

    name: Literal["gaussian", "shot", "iso"]
    amounts: tuple[float, ...]
    key: int
    clip: bool = True


class Filter(Op, frozen=True, eq=False):
    """Blur: `gaussian` of a standard deviation, `motion` along a line of a length and an angle, `median` of a side.

    All in pixels; the angle is in degrees, counter-clockwise from the horizontal. Edges are repeated.
    """

    name: Literal["gaussian", "motion", "median"]
    amount: float
    angle: float = 0.0


class Encode(Op, frozen=True, eq=False):
    """Write the image as a file of this quality, 1 to 100, and read it back."""

    format: Literal["jpeg"]
    quality: int


def noise(scene: Scene, name: Literal["gaussian", "shot", "iso"], amounts: tuple[float, ...], key: int) -> Noise:
    """Add noise; normalized images are not clipped."""
    label = f"{name} noise {', '.join(f'{amount:.3g}' for amount in amounts)}"
    return Noise(name, amounts, key, not scene.normalized, label=label)


def gaussian_blur(sigma: float) -> Filter:
    """Blur with a Gaussian of this standard deviation in pixels."""
    return Filter("gaussian", sigma, label=f"blur {sigma:.2f}")


def motion_blur(length: float, degrees: float) -> Filter:
    """Average along a line of this length in pixels, counter-clockwise from the horizontal."""
    return Filter("motion", length, degrees, label=f"motion {length:.1f} at {degrees:.0f}°")


def median_blur(size: int) -> Filter:
    """Take the median of the square of this odd side around each pixel."""
    return Filter("median", float(size), label=f"median {size}")


def jpeg(quality: int) -> Encode:
    """Write as JPEG and read back."""
    return Encode("jpeg", quality, label=f"jpeg {quality}")
