"""Shadows, fog, snow and the sun in the lens, as in images of roads."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

from msgspec import Meta

from augreg import lazy, ops
from augreg.ops.weather import mean_opacity
from augreg.steps.declare import transform
from augreg.steps.fields import Counts, Degrees, Fill, Range, SymmetricRange
from augreg.transforms.ranges import check_range, nearest

if TYPE_CHECKING:
    from augreg.ops import Op, Scene
    from augreg.ops.weather import FlareCircle, Polygon
    from augreg.rng import Cursor

_Part: TypeAlias = Annotated[float, Meta(ge=0, le=1)]
_Area: TypeAlias = tuple[_Part, _Part, _Part, _Part]
"""A part of the image: (left, top, right, bottom) as fractions of its width and height."""


def _check_area(area: _Area) -> None:
    left, top, right, bottom = area
    if left > right or top > bottom:
        raise ValueError(f"area is left, top, right, bottom, the first two below the others, got {list(area)}")


def _pixels(low: float, high: float, whole: int) -> tuple[int, int]:
    """The first pixel between these fractions of a side, and how many there are, at least one."""
    first = min(int(low * whole), whole - 1)
    return first, max(1, int(high * whole) - first)


@transform(
    "shadow", kind="color",
    preview=tuple({"darkness": [value, value], "area": [0, 0, 1, 1]} for value in (0.2, 0.5, 0.8)),
)  # fmt: skip
class Shadow:
    """Darken polygons with random corners.

    The number of polygons is drawn from `count`, and the corners of each uniformly from the pixels in `area`, which
    is left, top, right and bottom as fractions of the image. The outline may cross itself; a part that it encloses
    twice is outside. Pixel values inside are multiplied by 1 - `darkness`, drawn uniformly for each polygon. With
    `of: lightness`, the lightness of the pixels is multiplied instead, while hue and saturation (of HSL) stay: the
    colors of bright pixels become stronger. Where polygons overlap, each of them darkens the image; with `overlap:
    once`, the image is darkened only once, by the darkness of the first polygon, which then applies to all.
    """

    count: Counts = (1, 2)
    corners: Annotated[int, Meta(ge=3, le=64)] = 5
    darkness: Range = (0.5, 0.5)
    area: _Area = (0.0, 0.5, 1.0, 1.0)
    of: Literal["values", "lightness"] = "values"
    overlap: Literal["each", "once"] = "each"

    def check(self) -> None:
        check_range("count", self.count, 0, 64)
        check_range("darkness", self.darkness, 0, 1)
        _check_area(self.area)

    def sample(self, rng: Cursor, scene: Scene) -> tuple[Op, ...]:
        left, top, right, bottom = self.area
        (x, width), (y, height) = _pixels(left, right, scene.width), _pixels(top, bottom, scene.height)
        drawn: list[tuple[tuple[Polygon, ...], float]] = []
        for _ in range(self.count[0] + rng.integers(self.count[1] - self.count[0] + 1)):
            polygon = tuple([(x + rng.integers(width), y + rng.integers(height)) for _ in range(self.corners)])
            drawn.append(((polygon,), 1.0 - rng.uniform(*self.darkness)))
        if self.overlap == "once" and drawn:
            drawn = [(tuple([polygon for (polygon,), _ in drawn]), drawn[0][1])]
        return tuple([ops.shade(factor, polygons, self.of) for polygons, factor in drawn])

    sample_columns = lazy.method("augreg.columns.weather", "shadow")


@transform("fog", kind="color", preview=tuple({"intensity": [value, value]} for value in (0.3, 0.6, 1.0)))
class Fog:
    """Blend many random disks with white, most of them in the middle of the image, and blur the result.

    `intensity` is drawn uniformly: the higher, the fewer and larger the disks. The weight of white in each disk is
    `opacity` times the intensity. The image is then blurred by a Gaussian in a square whose side is a thirtieth of
    the shorter side of the image, at least 3 pixels.
    """

    intensity: Range = (0.3, 1.0)
    opacity: _Part = 0.08

    def check(self) -> None:
        check_range("intensity", self.intensity, 0, 1)

    def sample(self, rng: Cursor, scene: Scene) -> tuple[Op, ...]:
        intensity = rng.uniform(*self.intensity)
        blur = ops.windowed_blur(0.0, max(3, min(scene.size) // 30) | 1, of_colors=True)
        return ops.fog(intensity, self.opacity * intensity, rng.bits()), blur

    sample_columns = lazy.method("augreg.columns.weather", "fog")


@transform("snow", kind="color", preview=tuple({"point": [value, value]} for value in (0.1, 0.4, 0.8)))
class Snow:
    """Bleach dark pixels: where the lightness is below a limit, multiply it by `factor` and clip it.

    The limit is 1/3 + `point` / 2 on the 0..1 scale, where `point` is drawn uniformly. Lightness is the mean of the
    largest and the smallest channel; hue and saturation (of HSL) stay.
    """

    point: Range = (0.1, 0.3)
    factor: Annotated[float, Meta(gt=0, le=100)] = 2.5

    def check(self) -> None:
        check_range("point", self.point, 0, 1)

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        return ops.scale_lightness(self.factor, rng.uniform(*self.point) / 2.0 + 1.0 / 3.0)

    sample_columns = sample


@transform("sun_flare", kind="color", preview=tuple({"radius": radius} for radius in (60, 120, 240)))
class SunFlare:
    """Paint the glow of the sun, and circles of light along a line through it.

    The center of the glow is drawn uniformly from `area`, which is left, top, right and bottom as fractions of the
    image, and the angle of the line from `angle`, in degrees. The number of circles is drawn from `circles`. Each
    circle has a random place on the line, an opacity from 0.05 to 0.2, a color up to a fifth darker than `fill`, and
    a radius that is the cube of a random integer up to 1/100 of the image's height. The glow consists of disks of up
    to `radius` pixels, painted one over the other, with opacities that rise to the cube of `strength` in the middle.
    By default, `strength` is five times the mean opacity of the circles, weighted by their radii, but at most 1.
    """

    area: _Area = (0.0, 0.0, 1.0, 0.5)
    radius: Annotated[int, Meta(ge=2, le=100_000)] = 400
    fill: Fill = (255.0,)
    angle: Degrees = (0.0, 360.0)
    circles: Counts = (6, 10)
    strength: _Part | None = None

    def check(self) -> None:
        check_range("circles", self.circles, 1, 32)
        _check_area(self.area)

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        left, top, right, bottom = self.area
        turn = math.radians(rng.uniform(*self.angle))
        x, y = int(scene.width * rng.uniform(left, right)), int(scene.height * rng.uniform(top, bottom))
        step = max(1, int(math.hypot(scene.height, scene.width) * 0.01))
        fill = tuple([min(max(value, 0.0), 255.0) for value in self.fill])
        largest, darker = max(2, int(scene.height * 0.01)), int(max(fill) * 0.2)
        fill = fill * scene.colors if len(fill) == 1 else fill
        found: list[FlareCircle] = []
        for _ in range(self.circles[0] + rng.integers(self.circles[1] - self.circles[0] + 1)):
            opacity = rng.uniform(0.05, 0.2)
            along = step * rng.integers(-(-scene.width // step)) - x
            radius = (1 + rng.integers(largest)) ** 3
            color = [
                least + rng.integers(int(value) - least + 1)
                for value in fill
                for least in [max(int(value) - darker, 0)]
            ]
            place = int(x + along * math.cos(turn)), int(y + along * math.sin(turn))
            found.append((*place, radius, opacity, scene.pixel_values(tuple(map(float, color)))))
        strength = min(5.0 * mean_opacity(tuple(found)), 1.0) if self.strength is None else self.strength
        return ops.flare((x, y), self.radius, scene.pixel_values(fill), tuple(found), strength)

    sample_columns = lazy.method("augreg.columns.weather", "sun_flare")


@transform("rain", kind="color", preview=tuple({"density": density} for density in (0.25, 1.0, 2.0)))
class Rain:
    """Add slanted drops of rain, blurred, and darken the image.

    The number of drops is `density` times the height of the image. All have the same slant, drawn uniformly from
    `slant`, in pixels to the right from top to bottom, and the same `length` in pixels, by default an eighth of the
    height. Their color `fill` is blurred by a square with the odd side `blur` and added. `brightness` multiplies the
    result.
    """

    slant: SymmetricRange = (-10.0, 10.0)
    density: Annotated[float, Meta(ge=0, le=10)] = 1 / 3
    length: Annotated[int, Meta(ge=1, le=10_000)] | None = None
    fill: Fill = (200.0,)
    blur: Annotated[int, Meta(ge=1, le=127)] = 7
    brightness: Annotated[float, Meta(ge=0, le=10)] = 0.7

    def check(self) -> None:
        check_range("slant", self.slant, -1000, 1000, " pixels")
        if self.blur % 2 == 0:
            raise ValueError(f"blur must be odd, got {self.blur}{nearest([self.blur + 1])}")

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        length = max(1, scene.height // 8) if self.length is None else self.length
        drops = int(scene.height * self.density), math.floor(rng.uniform(*self.slant)), length
        return ops.rain(scene, drops, self.blur, self.brightness, rng.bits(), self.fill)

    sample_columns = lazy.method("augreg.columns.weather", "rain")
