"""Ops of light and weather: shadows, lightness, fog and the flare of a lens."""

from __future__ import annotations

from typing import ClassVar, Literal, TypeAlias

from augreg.ops.op import Op
from augreg.ops.scene import PixelValues, Scene

__all__ = [
    "Flare",
    "FlareCircle",
    "Fog",
    "Polygon",
    "Rain",
    "Shade",
    "flare",
    "fog",
    "rain",
    "scale_lightness",
    "shade",
]

Polygon: TypeAlias = tuple[tuple[int, int], ...]
"""Corners (x, y), each at the center of a pixel."""
FlareCircle: TypeAlias = tuple[int, int, int, float, PixelValues]
"""The center (x, y), the radius in pixels, the opacity and the color."""


class Shade(Op, frozen=True, eq=False):
    """Multiply the pixel values, or their lightness, by `factor` within some polygons, and clip.

    Without polygons it is done everywhere. A polygon has the pixels on its outline, and those from which a line to
    the left crosses the outline an odd number of times. Lightness is the mean of the largest and the smallest
    channel; hue and saturation (of HSL) stay. With `below`, from 0 to 1, only a lightness less than this changes.
    Bytes are rounded down, and those of a new lightness to the nearest.
    """

    on_colors: ClassVar[bool] = True
    factor: float
    polygons: tuple[Polygon, ...] = ()
    of: Literal["values", "lightness"] = "values"
    below: float = 2.0


class Fog(Op, frozen=True, eq=False):
    """Blend each of many disks with white, one after the other; the more `intensity`, the larger and the fewer.

    With an image H x W and the side s = W / 3 * intensity, each of up to ten boxes around the middle, of which the
    next has 0.9 of the sides, has 10 * intensity * its area / s^2 disks, with centers drawn uniformly. The radius of
    a disk is drawn from r / 2 to r - 1, where r is intensity / 10 of the shorter side. Disks have the pixels whose
    centers are within the radius; `opacity` is the part of white. All draws are a function of `key`. Bytes are
    rounded after each disk.
    """

    on_colors: ClassVar[bool] = True
    intensity: float
    opacity: float
    key: int


class Flare(Op, frozen=True, eq=False):
    """Circles of light, and then a glow around `center` (x, y), brightest in the middle.

    Circles are painted on a copy of the image, and after each one the copy is blended with the result at the circle's
    opacity, so earlier circles are blended again. The glow has `radius` // 10 disks of the color `fill`, whose radii
    go from 1 to `radius`; the opacity of the smallest is `strength` ^ 3, and falls as a cube to 0. Bytes are rounded
    after each circle and disk.
    """

    on_colors: ClassVar[bool] = True
    center: tuple[int, int]
    radius: int
    strength: float
    fill: PixelValues
    circles: tuple[FlareCircle, ...] = ()


class Rain(Op, frozen=True, eq=False):
    """Add blurred drops of the color `fill`, clip, and multiply by `brightness`.

    Each of the `count` drops is a line of pixels that touch by their sides, `length` pixels down and `slant` to the
    right, at a place within the image drawn uniformly as a function of `key`. Their color is blurred by the mean of
    the square of the odd side `blur` around each pixel, with the image mirrored at its border. Bytes are rounded
    after the blur and at the end.
    """

    on_colors: ClassVar[bool] = True
    count: int
    slant: int
    length: int
    blur: int
    brightness: float
    key: int
    fill: PixelValues


def shade(factor: float, polygons: tuple[Polygon, ...], of: Literal["values", "lightness"] = "values") -> Shade:
    """Multiply the pixel values, or their lightness, within polygons by a factor; their corners are (x, y)."""
    return Shade(factor, polygons, of, label=("shade {:.2f}".format, factor))


def scale_lightness(factor: float, below: float) -> Shade:
    """Multiply the lightness by a factor where it is less than `below`, from 0 to 1."""
    return Shade(factor, (), "lightness", below, label=("lightness below {:.2f} times {:.2f}".format, below, factor))


def fog(intensity: float, opacity: float, key: int) -> Fog:
    """Disks of fog, each with this part of white, that are a function of `key`."""
    return Fog(intensity, opacity, key, label=("fog {:.2f}".format, intensity))


def rain(
    scene: Scene, drops: tuple[int, int, int], blur: int, brightness: float, key: int, fill: PixelValues
) -> Rain:
    """Add drops, given by their count, slant and length; `fill` is on the 0..255 scale."""
    label = ("{} drops of rain".format, drops[0])
    return Rain(*drops, blur, brightness, key, scene.pixel_values(fill), label=label)


def flare(
    center: tuple[int, int], radius: int, fill: PixelValues, circles: tuple[FlareCircle, ...], strength: float
) -> Flare:
    """Circles of light, and a glow of this color and strength around the center."""
    return Flare(center, radius, strength, fill, circles, label=("flare at ({1}, {0})".format, *center))


def mean_opacity(circles: tuple[FlareCircle, ...]) -> float:
    """The mean of the opacities of circles, each of which counts as its radius; the sums are in this order."""
    total, radii = 0.0, 0.0
    for _, _, radius, opacity, _ in circles:
        total, radii = total + opacity * radius, radii + radius
    return total / radii
