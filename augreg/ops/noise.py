"""Ops that degrade an image: noise, blur and compression; and functions to make them.

Noise is a function of a `key`, so that the records stay small.
"""

from __future__ import annotations

from typing import ClassVar, Literal, TypeAlias

from msgspec.structs import replace

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


NoiseName: TypeAlias = Literal["gaussian", "shot", "iso", "gray", "factor", "gray factor", "lightness"]


class Noise(Op, frozen=True, eq=False):
    """Add noise that is a function of `key` and `frame`; amounts are on the 0..1 scale, `n` is standard normal.

    With the pixel value v: `gaussian` (std): v + std n, and `gray` (std) the same with one n per pixel. `shot`
    (photons at white): a count of photons with the mean, variance and skewness of Poisson's. `iso` (grain, color):
    v + grain sqrt(v) n, one n per pixel, + color n, one n per channel. `factor` (low, high): v times a uniform number
    between them, and `gray factor` with one per pixel. `lightness` (rate, gain, hue): the lightness L of each pixel
    becomes L + gain (1 - L) times a Poisson count, whose mean is `rate` times the standard deviation of L over the
    image, after the hue has shifted by `hue` n of the circle. `clip` keeps floats within 0 and 1; bytes are always
    kept within 0 and 255.
    """

    on_colors: ClassVar[bool] = True
    name: NoiseName
    amounts: tuple[float, ...]
    key: int
    clip: bool = True
    frame: int = 0

    def for_frame(self, frame: int) -> Noise:
        return replace(self, frame=frame)


class Filter(Op, frozen=True, eq=False):
    """Blur: `gaussian`, `motion` along a line, or `median` of a square.

    `amount` is the standard deviation, the length or the side, in pixels; `angle` is that of the line in degrees,
    counter-clockwise from the horizontal. Edges are repeated.
    """

    name: Literal["gaussian", "motion", "median"]
    amount: float
    angle: float = 0.0


class Encode(Op, frozen=True, eq=False):
    """Encode the image as a file of this quality, 1 to 100, and decode it again."""

    on_colors: ClassVar[bool] = True
    format: Literal["jpeg"]
    quality: int


def noise(scene: Scene, name: NoiseName, amounts: tuple[float, ...], key: int) -> Noise:
    """Add noise; normalized images are not clipped."""
    return Noise(name, amounts, key, not scene.normalized, label=(_amounts, name, *amounts))


def _amounts(name: str, *amounts: float) -> str:
    return f"{name} noise {', '.join(f'{amount:.3g}' for amount in amounts)}"


def gaussian_blur(sigma: float) -> Filter:
    """Blur with a Gaussian of this standard deviation in pixels."""
    return Filter("gaussian", sigma, label=("blur {:.2f}".format, sigma))


def motion_blur(length: float, degrees: float) -> Filter:
    """Average along a line of this length in pixels, counter-clockwise from the horizontal."""
    return Filter("motion", length, degrees, label=("motion {:.1f} at {:.0f}°".format, length, degrees))


def median_blur(size: int) -> Filter:
    """Take the median of the square of this odd side, in pixels, around each pixel."""
    return Filter("median", 1.0 * size, label=("median {}".format, size))


def jpeg(quality: int) -> Encode:
    """Encode as JPEG of this quality, 1 to 100, and decode again."""
    return Encode("jpeg", quality, label=("jpeg {}".format, quality))
