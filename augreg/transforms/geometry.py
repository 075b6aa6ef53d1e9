"""Geometric transforms: flips, crops, padding, resizing, and affine and perspective maps."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta

from augreg import lazy, ops
from augreg.steps.declare import transform
from augreg.steps.fields import (
    Degrees,
    Fill,
    Interpolation,
    Padding,
    PadMode,
    Probability,
    Range,
    ResizeInterpolation,
    Size,
    SymmetricRange,
)
from augreg.transforms.ranges import check_fraction, check_positive

if TYPE_CHECKING:
    from collections.abc import Iterable

    from augreg.ops import Op, Scene
    from augreg.rng import Cursor


@transform("horizontal_flip", kind="geometry", p=0.5, preview=({},))
class HorizontalFlip:
    """Flip the image left to right."""

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        return ops.horizontal_flip(scene)

    sample_columns = sample


@transform("vertical_flip", kind="geometry", p=0.5, preview=({},))
class VerticalFlip:
    """Flip the image top to bottom."""

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        return ops.vertical_flip(scene)

    sample_columns = sample


def _padded(
    scene: Scene, size: tuple[int, int], padding: Padding, fill: Fill, mode: PadMode
) -> tuple[tuple[Op, ...], Scene]:
    """The op that adds `padding` and, evenly, what is missing to `size`, an odd pixel at the bottom or right.

    No op where there is nothing to add. Also the scene after it.
    """
    top, bottom, left, right = padding
    missing_y = max(0, size[0] - (scene.height + top + bottom))
    missing_x = max(0, size[1] - (scene.width + left + right))
    top, bottom = top + missing_y // 2, bottom + missing_y - missing_y // 2
    left, right = left + missing_x // 2, right + missing_x - missing_x // 2
    if not (top or bottom or left or right):
        return (), scene
    border = ops.pad(scene, top, bottom, left, right, fill, mode)
    return (border,), border.after(scene)


def centered(scene: Scene, size: tuple[int, int], fill: Fill = (0.0,), mode: PadMode = "constant") -> tuple[Op, ...]:
    """Crop the center; an image that is too small is padded first."""
    height, width = size
    borders, scene = _padded(scene, size, (0, 0, 0, 0), fill, mode)
    top, left = round((scene.height - height) / 2), round((scene.width - width) / 2)
    return (*borders, ops.crop(top, left, height, width))


def corner_crops(scene: Scene, size: tuple[int, int]) -> tuple[Op, ...]:
    """Crop each corner of an image that is at least this large: top left, top right, bottom left, bottom right."""
    height, width = size
    bottom, right = scene.height - height, scene.width - width
    return tuple(ops.crop(top, left, height, width) for top in (0, bottom) for left in (0, right))


@transform("center_crop", kind="geometry", rule="same", preview=({"size": 200}, {"size": 140}, {"size": 80}))
class CenterCrop:
    """Crop the center of the image; an image smaller than `size` is padded with `fill` on both sides.

    The top of the crop is round((height of the image - height) / 2), half to even, and likewise for its left.
    """

    size: Size
    fill: Fill = (0.0,)

    def sample(self, rng: Cursor, scene: Scene) -> tuple[Op, ...]:
        return centered(scene, self.size, self.fill)


@transform(
    "random_crop", kind="geometry", rule="center",
    preview=({"size": 200}, {"size": 140}, {"size": 80}),
)  # fmt: skip
class RandomCrop:
    """Pad the image, then crop `size` at a position drawn uniformly.

    `padding` is added on all sides; `mode` and `fill` are those of `pad`. An image that is still smaller than `size`
    is padded further, evenly on both sides. At test time, the center of the unpadded image is cropped.
    """

    size: Size
    padding: Padding = (0, 0, 0, 0)
    fill: Fill = (0.0,)
    mode: PadMode = "constant"

    def sample(self, rng: Cursor, scene: Scene) -> tuple[Op, ...]:
        height, width = self.size
        borders, scene = _padded(scene, self.size, self.padding, self.fill, self.mode)
        top = rng.integers(scene.height - height + 1)
        left = rng.integers(scene.width - width + 1)
        return (*borders, ops.crop(top, left, height, width))

    sample_columns = lazy.method("augreg.columns.boxes", "random_crop")

    def expect(self, scene: Scene, p: float) -> tuple[Op, ...]:
        return centered(scene, self.size, self.fill)

    def quadrature(self, scene: Scene) -> Iterable[tuple[float, tuple[Op, ...]]]:
        """Five crops, equally weighted: that of the test image, and the four corners after padding."""
        center = self.expect(scene, 1.0)
        borders, scene = _padded(scene, self.size, self.padding, self.fill, self.mode)
        corners = [(*borders, corner) for corner in corner_crops(scene, self.size)]
        return [(1 / 5, crop) for crop in (center, *corners)]


@transform(
    "random_resized_crop",
    kind="geometry",
    rule="center",
    preview=tuple({"size": 160, "scale": scale} for scale in ([0.8, 1.0], [0.4, 0.6], [0.08, 0.15])),
)
class RandomResizedCrop:
    """Crop a box of random area and aspect ratio, and resize it to `size`.

    The area, as a fraction of the image, is drawn uniformly from `scale`, and the aspect ratio (width / height)
    log-uniformly from `ratio`; sides are rounded half to even. If the box fits into the image, its position is drawn
    uniformly; after ten boxes that do not fit, the largest central box within `ratio` is taken. At test time, the
    image is resized to cover size / `crop`, keeping the aspect ratio, and the center is cropped, by default 224 of
    256. Inception crop: Szegedy et al. 2014, arXiv 1409.4842.
    """

    size: Size
    scale: Range = (0.08, 1.0)
    ratio: Range = (3 / 4, 4 / 3)
    interpolation: ResizeInterpolation = "bilinear"
    antialias: bool = True
    crop: Annotated[float, Meta(ge=0.1, le=1)] = 0.875

    def check(self) -> None:
        check_fraction("scale", self.scale)
        check_positive("ratio", self.ratio)

    def sample(self, rng: Cursor, scene: Scene) -> tuple[Op, ...]:
        box = self._box(rng, scene.height, scene.width)
        height, width = self.size
        return ops.crop(*box), ops.resize(height, width, self.interpolation, self.antialias)

    sample_columns = lazy.method("augreg.columns.boxes", "random_resized_crop")

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

    def quadrature(self, scene: Scene) -> Iterable[tuple[float, tuple[Op, ...]]]:
        """Five crops, the center and the corners, at each of three scales.

        Of the scale of the test image there are the five crops of the resized test image. The other two are boxes
        with the outer areas of the three-point Gauss-Legendre rule for the range of `scale`, and with the mean of the
        logarithm of `ratio` for their aspect ratio. Each scale has the weight of that rule: 4/9, 5/18 and 5/18.
        """
        resized, *_ = center = self.expect(scene, 1.0)
        inside = resized.after(scene)
        middle = (center, *((resized, corner) for corner in corner_crops(inside, self.size)))
        nodes = [(4 / 45, crop) for crop in middle]
        mean, half = sum(self.scale) / 2, (self.scale[1] - self.scale[0]) / 2
        height, width = self.size
        to_size = ops.resize(height, width, self.interpolation, self.antialias)
        for area in (mean - half * math.sqrt(0.6), mean + half * math.sqrt(0.6)):
            box = self._typical_box(scene, area)
            crops = (*centered(scene, box), *corner_crops(scene, box))
            nodes += [(1 / 18, (crop, to_size)) for crop in crops]
        return nodes

    def _typical_box(self, scene: Scene, fraction: float) -> tuple[int, int]:
        """The height and width of a box of this fraction of the area; the image's where the box is too large."""
        area, aspect = scene.height * scene.width * fraction, math.sqrt(self.ratio[0] * self.ratio[1])
        height, width = round(math.sqrt(area / aspect)), round(math.sqrt(area * aspect))
        return max(1, min(scene.height, height)), max(1, min(scene.width, width))

    def expect(self, scene: Scene, p: float) -> tuple[Op, ...]:
        height, width = self.size
        # the smallest size with the aspect ratio of the image that covers height / crop and width / crop
        zoom = max(height / self.crop / scene.height, width / self.crop / scene.width)
        cover = max(height, round(scene.height * zoom)), max(width, round(scene.width * zoom))
        resized = ops.resize(*cover, self.interpolation, self.antialias)
        return (resized, *centered(resized.after(scene), (height, width)))


@transform("resize", kind="geometry", rule="same", preview=({"size": 160}, {"size": 80}, {"size": 24}))
class Resize:
    """Resize the shorter side to `shorter`, keeping the aspect ratio, or the image to exactly `size`.

    Give one of the two. With `shorter`, the longer side becomes int(shorter * long / short). `size` is (height,
    width) or one number for both. With `antialias`, shrinking is antialiased; with lanczos it always is.
    """

    shorter: Annotated[int, Meta(ge=1, le=65536)] | None = None
    size: Size | None = None
    interpolation: ResizeInterpolation = "bilinear"
    antialias: bool = True

    def check(self) -> None:
        if (self.size is None) == (self.shorter is None):
            raise ValueError("give either 'shorter' (the shorter side) or 'size' (the exact height and width)")

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        if self.size is not None:
            height, width = self.size
            return ops.resize(height, width, self.interpolation, self.antialias)
        shorter = self.shorter or 1
        longer = int(shorter * max(scene.size) / min(scene.size))
        height, width = (shorter, longer) if scene.height <= scene.width else (longer, shorter)
        return ops.resize(height, width, self.interpolation, self.antialias)


@transform("pad", kind="geometry", rule="same", preview=({"padding": 8}, {"padding": 24}, {"padding": 48}))
class Pad:
    """Pad the image on all sides with `fill`, or by repeating or mirroring its edge.

    `mode` is `constant` (`fill`), `edge` (the edge pixel is repeated), `reflect` (mirrored, without repeating the
    edge pixel) or `symmetric` (mirrored, with the edge pixel repeated).
    """

    padding: Padding
    fill: Fill = (0.0,)
    mode: PadMode = "constant"

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        top, bottom, left, right = self.padding
        return ops.pad(scene, top, bottom, left, right, self.fill, self.mode)


@transform("rotate", kind="geometry")
class Rotate:
    """Rotate about the center, counter-clockwise, by an angle drawn uniformly; the size stays the same.

    Multiples of 180 degrees, and on square images of 90, only move pixels; all other angles resample. What was
    outside of the image shows `fill`.
    """

    degrees: Degrees = (-30.0, 30.0)
    interpolation: Interpolation = "bilinear"
    fill: Fill = (0.0,)

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        return ops.rotate(scene, rng.uniform(*self.degrees), self.interpolation, self.fill)


@transform("affine", kind="geometry")
class Affine:
    """Shear, rotate, scale and translate about the center in one resampling; every amount is drawn uniformly.

    They are applied in this order. `degrees` rotates counter-clockwise. `scale` is a factor. `translate` is
    (vertical, horizontal): the largest translation either way, as a fraction of the height and the width. `shear_x`
    and `shear_y` are angles in degrees: positive ones move the lower rows to the right and the right columns down.
    """

    degrees: Degrees = (-15.0, 15.0)
    translate: tuple[Probability, Probability] = (0.1, 0.1)
    scale: Range = (0.9, 1.1)
    shear_x: Degrees = (-10.0, 10.0)
    shear_y: Degrees = (0.0, 0.0)
    interpolation: Interpolation = "bilinear"
    fill: Fill = (0.0,)

    def check(self) -> None:
        check_positive("scale", self.scale)
        if max(map(abs, self.shear_x + self.shear_y)) >= 90:
            raise ValueError("shear angles must be between -90 and 90 degrees")

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        angle = math.radians(rng.uniform(*self.degrees))
        down = rng.uniform(-self.translate[0], self.translate[0]) * scene.height
        right = rng.uniform(-self.translate[1], self.translate[1]) * scene.width
        zoom = rng.uniform(*self.scale)
        slant_x = math.tan(math.radians(rng.uniform(*self.shear_x)))
        slant_y = math.tan(math.radians(rng.uniform(*self.shear_y)))
        # the forward map about the center is zoom * rotation * shear; the op takes the inverse
        cos, sin = math.cos(angle), math.sin(angle)
        a, b = zoom * (cos + sin * slant_y), zoom * (cos * slant_x + sin)
        d, e = zoom * (cos * slant_y - sin), zoom * (cos - sin * slant_x)
        det = a * e - b * d
        if abs(det) < 1e-9 * zoom * zoom:  # both shears together can be singular; then only translate
            a, b, d, e, det = 1.0, 0.0, 0.0, 1.0, 1.0
        a, b, d, e = e / det, -b / det, -d / det, a / det
        x, y = scene.width / 2.0, scene.height / 2.0
        matrix = (a, b, x - a * (x + right) - b * (y + down), d, e, y - d * (x + right) - e * (y + down))
        label = f"affine {math.degrees(angle):.1f}° x{zoom:.2f} move ({right:.0f}, {down:.0f})"
        return ops.affine(scene, matrix, self.interpolation, self.fill, label)


@transform("shear_x", kind="geometry")
class ShearX:
    """Shear horizontally about the top left corner, by a factor drawn uniformly.

    The factor is the tangent of the angle: the output at (x, y) shows the input at (x + factor * y, y).
    """

    amount: SymmetricRange = (-0.3, 0.3)
    interpolation: Interpolation = "bilinear"
    fill: Fill = (0.0,)

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        return ops.shear(scene, rng.uniform(*self.amount), 0.0, self.interpolation, self.fill)


@transform("shear_y", kind="geometry")
class ShearY:
    """Shear vertically about the top left corner, by a factor drawn uniformly.

    The factor is the tangent of the angle: the output at (x, y) shows the input at (x, y + factor * x).
    """

    amount: SymmetricRange = (-0.3, 0.3)
    interpolation: Interpolation = "bilinear"
    fill: Fill = (0.0,)

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        return ops.shear(scene, 0.0, rng.uniform(*self.amount), self.interpolation, self.fill)


@transform("translate_x", kind="geometry")
class TranslateX:
    """Translate the image to the right by a fraction of its width, drawn uniformly; negative fractions go left."""

    amount: SymmetricRange = (-0.25, 0.25)
    interpolation: Interpolation = "nearest"
    fill: Fill = (0.0,)

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        return ops.translate(scene, rng.uniform(*self.amount) * scene.width, 0.0, self.interpolation, self.fill)


@transform("translate_y", kind="geometry")
class TranslateY:
    """Translate the image down by a fraction of its height, drawn uniformly; negative fractions go up."""

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
    """Apply a random perspective: move each corner inward and resample, as if the image were seen at an angle.

    A corner moves along each axis by up to `distortion` times half of that side, drawn uniformly.
    """

    distortion: Annotated[float, Meta(ge=0, lt=1)] = 0.5
    interpolation: Interpolation = "bilinear"
    fill: Fill = (0.0,)

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        height, width = scene.height, scene.width
        max_x, max_y = self.distortion * width / 2.0, self.distortion * height / 2.0
        moves = [(rng.uniform(0.0, max_x), rng.uniform(0.0, max_y)) for _ in range(4)]
        (x0, y0), (x1, y1), (x2, y2), (x3, y3) = moves
        corners = ((x0, y0), (width - x1, y1), (width - x2, height - y2), (x3, height - y3))
        return ops.perspective(scene, corners, self.interpolation, self.fill)
