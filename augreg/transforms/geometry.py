"""Where pixels come from: flips, crops, sizes, and maps of the plane."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta

from augreg import ops
from augreg.steps.declare import transform
from augreg.steps.fields import (
    Degrees,
    Fill,
    Interpolation,
    Padding,
    PadMode,
    Probability,
    Range,
    Size,
    SymmetricRange,
)

if TYPE_CHECKING:
    from augreg.ops import Op, Scene
    from augreg.rng import Cursor

_Share = Annotated[float, Meta(ge=0.1, le=1)]


@transform("horizontal_flip", kind="geometry", p=0.5, preview=({},))
class HorizontalFlip:
    """Mirror the image left and right."""

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        return ops.horizontal_flip(scene)


@transform("vertical_flip", kind="geometry", p=0.5, preview=({},))
class VerticalFlip:
    """Mirror the image top and bottom."""

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        return ops.vertical_flip(scene)


def _center_crop(scene: Scene, height: int, width: int, fill: Fill = (0.0,)) -> tuple[Op, ...]:
    """Cut out the center; an image that is too small is padded first, the odd pixel below and on the right."""
    found: list[Op] = []
    missing_y, missing_x = max(0, height - scene.height), max(0, width - scene.width)
    if missing_y or missing_x:
        top, left = missing_y // 2, missing_x // 2
        border = ops.pad(scene, top, missing_y - top, left, missing_x - left, fill)
        found.append(border)
        scene = border.after(scene)
    top, left = round((scene.height - height) / 2), round((scene.width - width) / 2)
    return (*found, ops.crop(top, left, height, width))


@transform("center_crop", kind="geometry", rule="same", preview=({"size": 200}, {"size": 140}, {"size": 80}))
class CenterCrop:
    """Cut out the center; an image smaller than `size` is padded with `fill`.

    The offset is round((height - size) / 2), half to even.
    """

    size: Size
    fill: Fill = (0.0,)

    def sample(self, rng: Cursor, scene: Scene) -> tuple[Op, ...]:
        return _center_crop(scene, *self.size, self.fill)


@transform(
    "random_crop", kind="geometry", rule="center",
    preview=({"size": 200}, {"size": 140}, {"size": 80}),
)  # fmt: skip
class RandomCrop:
    """Pad, then cut out a box of `size` at a uniformly random place.

    An image that is still smaller than `size` is padded further, evenly on both sides. At test time the
    center of the unpadded image is cut out.
    """

    size: Size
    padding: Padding = (0, 0, 0, 0)
    fill: Fill = (0.0,)
    mode: PadMode = "constant"

    def sample(self, rng: Cursor, scene: Scene) -> tuple[Op, ...]:
        height, width = self.size
        top, bottom, left, right = self.padding
        missing_y = max(0, height - (scene.height + top + bottom))
        missing_x = max(0, width - (scene.width + left + right))
        top, bottom = top + missing_y // 2, bottom + missing_y - missing_y // 2
        left, right = left + missing_x // 2, right + missing_x - missing_x // 2
        found: tuple[Op, ...] = ()
        if top or bottom or left or right:
            border = ops.pad(scene, top, bottom, left, right, self.fill, self.mode)
            found = (border,)
            scene = border.after(scene)
        y = rng.integers(scene.height - height + 1)
        x = rng.integers(scene.width - width + 1)
        return (*found, ops.crop(y, x, height, width))

    def expect(self, scene: Scene, p: float) -> tuple[Op, ...]:
        return _center_crop(scene, *self.size, self.fill)


@transform(
    "random_resized_crop",
    kind="geometry",
    rule="center",
    preview=tuple({"size": 160, "scale": scale} for scale in ([0.8, 1.0], [0.4, 0.6], [0.08, 0.15])),
)
class RandomResizedCrop:
    """Cut out a box of random area and aspect ratio, and resize it to `size`.

    Ten tries: an area of U(scale) of the image, an aspect ratio (width / height) of exp(U(log ratio)),
    sides rounded half to even, accepted if the box fits, then placed uniformly. If none fits, the largest
    central box within `ratio`. At test time the shorter side is resized to size / crop and the center cut
    out, so that 224 comes from 256. Inception crop: Szegedy et al. 2014, arXiv 1409.4842.
    """

    size: Size
    scale: Range = (0.08, 1.0)
    ratio: Range = (3 / 4, 4 / 3)
    interpolation: Interpolation = "bilinear"
    antialias: bool = True
    crop: _Share = 0.875

    def check(self) -> None:
        if not 0 < self.scale[0] <= self.scale[1] <= 1:
            raise ValueError(f"scale must lie in (0, 1], got {list(self.scale)}")
        if self.ratio[0] <= 0:
            raise ValueError(f"ratio must be positive, got {list(self.ratio)}")

    def sample(self, rng: Cursor, scene: Scene) -> tuple[Op, ...]:
        box = self._box(rng, scene.height, scene.width)
        return ops.crop(*box), ops.resize(*self.size, self.interpolation, self.antialias)

    def _box(self, rng: Cursor, height: int, width: int) -> tuple[int, int, int, int]:
        low, high = math.log(self.ratio[0]), math.log(self.ratio[1])
        for _ in range(10):
            area = height * width * rng.uniform(*self.scale)
            aspect = math.exp(rng.uniform(low, high))
            w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
            if 0 < w <= width and 0 < h <= height:
                return rng.integers(height - h + 1), rng.integers(width - w + 1), h, w
        h, w = height, width
        if width < height * self.ratio[0]:
            h = min(height, max(1, round(width / self.ratio[0])))
        elif width > height * self.ratio[1]:
            w = min(width, max(1, round(height * self.ratio[1])))
        return (height - h) // 2, (width - w) // 2, h, w

    def expect(self, scene: Scene, p: float) -> tuple[Op, ...]:
        height, width = self.size
        # The smallest frame with the image's own proportions that holds both sides / crop.
        zoom = max(height / self.crop / scene.height, width / self.crop / scene.width)
        frame = max(height, round(scene.height * zoom)), max(width, round(scene.width * zoom))
        resized = ops.resize(*frame, self.interpolation, self.antialias)
        return (resized, *_center_crop(resized.after(scene), height, width))


@transform("resize", kind="geometry", rule="same", preview=({"size": 160}, {"size": 80}, {"size": 24}))
class Resize:
    """Scale the shorter side to `shorter`, or the image to exactly `size`; antialiased when shrinking.

    The longer side becomes int(shorter * long / short). `size` is (height, width) or one number for
    both; give one of the two.
    """

    shorter: Annotated[int, Meta(ge=1, le=65536)] | None = None
    size: Size | None = None
    interpolation: Interpolation = "bilinear"
    antialias: bool = True

    def check(self) -> None:
        if (self.size is None) == (self.shorter is None):
            raise ValueError("give either 'shorter' (the shorter side) or 'size' (exact height and width)")

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        if self.size is not None:
            return ops.resize(*self.size, self.interpolation, self.antialias)
        shorter = self.shorter or 1
        longer = int(shorter * max(scene.size) / min(scene.size))
        height, width = (shorter, longer) if scene.height <= scene.width else (longer, shorter)
        return ops.resize(height, width, self.interpolation, self.antialias)


@transform("pad", kind="geometry", rule="same", preview=({"padding": 8}, {"padding": 24}, {"padding": 48}))
class Pad:
    """Add a border: constant, or by repeating the edge, or mirrored without (`reflect`) or with it (`symmetric`)."""

    padding: Padding
    fill: Fill = (0.0,)
    mode: PadMode = "constant"

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        return ops.pad(scene, *self.padding, self.fill, self.mode)


@transform("rotate", kind="geometry")
class Rotate:
    """Rotate about the center by an angle drawn uniformly, counter-clockwise, at the same size.

    A right angle that fits is an exact turn; everything else is resampled.
    """

    degrees: Degrees = (-30.0, 30.0)
    interpolation: Interpolation = "bilinear"
    fill: Fill = (0.0,)

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        return ops.rotate(scene, rng.uniform(*self.degrees), self.interpolation, self.fill)


@transform("affine", kind="geometry")
class Affine:
    """Rotate, shear, scale and move about the center, each drawn uniformly, in one resampling.

    `translate` is (vertical, horizontal), the largest move as a share of height and width; `scale` a factor;
    `shear_x` and `shear_y` are angles in degrees. Angles turn counter-clockwise.
    """

    degrees: Degrees = (-15.0, 15.0)
    translate: tuple[Probability, Probability] = (0.1, 0.1)
    scale: Range = (0.9, 1.1)
    shear_x: Degrees = (-10.0, 10.0)
    shear_y: Degrees = (0.0, 0.0)
    interpolation: Interpolation = "bilinear"
    fill: Fill = (0.0,)

    def check(self) -> None:
        if self.scale[0] <= 0:
            raise ValueError(f"scale must be positive, got {list(self.scale)}")
        if max(map(abs, self.shear_x + self.shear_y)) >= 90:
            raise ValueError("shear angles must lie within -90 and 90 degrees")

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        angle = math.radians(rng.uniform(*self.degrees))
        down = rng.uniform(-self.translate[0], self.translate[0]) * scene.height
        right = rng.uniform(-self.translate[1], self.translate[1]) * scene.width
        zoom = rng.uniform(*self.scale)
        slant_x = math.tan(math.radians(rng.uniform(*self.shear_x)))
        slant_y = math.tan(math.radians(rng.uniform(*self.shear_y)))
        # Forward, about the center: zoom * rotation * shear. The op wants the inverse.
        cos, sin = math.cos(angle), math.sin(angle)
        a, b = zoom * (cos + sin * slant_y), zoom * (cos * slant_x + sin)
        d, e = zoom * (cos * slant_y - sin), zoom * (cos - sin * slant_x)
        det = a * e - b * d
        if abs(det) < 1e-9:  # both shears at once can fold the plane; then only move
            a, b, d, e, det = 1.0, 0.0, 0.0, 1.0, 1.0
        a, b, d, e = e / det, -b / det, -d / det, a / det
        x, y = scene.width / 2.0, scene.height / 2.0
        matrix = (a, b, x - a * (x + right) - b * (y + down), d, e, y - d * (x + right) - e * (y + down))
        label = f"affine {math.degrees(angle):.1f}° x{zoom:.2f} move ({right:.0f}, {down:.0f})"
        return ops.affine(scene, matrix, self.interpolation, self.fill, label)


@transform("shear_x", kind="geometry")
class ShearX:
    """Shear along the rows about the top left corner by a factor drawn uniformly (the tangent of the angle)."""

    amount: SymmetricRange = (-0.3, 0.3)
    interpolation: Interpolation = "bilinear"
    fill: Fill = (0.0,)

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        return ops.shear(scene, rng.uniform(*self.amount), 0.0, self.interpolation, self.fill)


@transform("shear_y", kind="geometry")
class ShearY:
    """Shear along the columns about the top left corner by a factor drawn uniformly (the tangent of the angle)."""

    amount: SymmetricRange = (-0.3, 0.3)
    interpolation: Interpolation = "bilinear"
    fill: Fill = (0.0,)

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        return ops.shear(scene, 0.0, rng.uniform(*self.amount), self.interpolation, self.fill)


@transform("translate_x", kind="geometry")
class TranslateX:
    """Move the image to the right by a share of its width drawn uniformly."""

    amount: SymmetricRange = (-0.25, 0.25)
    interpolation: Interpolation = "nearest"
    fill: Fill = (0.0,)

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        return ops.translate(scene, rng.uniform(*self.amount) * scene.width, 0.0, self.interpolation, self.fill)


@transform("translate_y", kind="geometry")
class TranslateY:
    """Move the image down by a share of its height drawn uniformly."""

    amount: SymmetricRange = (-0.25, 0.25)
    interpolation: Interpolation = "nearest"
    fill: Fill = (0.0,)

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        return ops.translate(scene, 0.0, rng.uniform(*self.amount) * scene.height, self.interpolation, self.fill)


@transform(
    "perspective", kind="geometry", p=0.5,
    preview=({"distortion": 0.2}, {"distortion": 0.5}, {"distortion": 0.8}),
)  # fmt: skip
class Perspective:
    """Move each corner inwards, by up to `distortion` of half the side, and resample as a plane seen at an angle."""

    distortion: Annotated[float, Meta(ge=0, lt=1)] = 0.5
    interpolation: Interpolation = "bilinear"
    fill: Fill = (0.0,)

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        height, width = scene.height, scene.width
        most_x, most_y = self.distortion * width / 2.0, self.distortion * height / 2.0
        moves = [(rng.uniform(0.0, most_x), rng.uniform(0.0, most_y)) for _ in range(4)]
        (x0, y0), (x1, y1), (x2, y2), (x3, y3) = moves
        corners = ((x0, y0), (width - x1, y1), (width - x2, height - y2), (x3, height - y3))
        return ops.perspective(scene, corners, self.interpolation, self.fill)
