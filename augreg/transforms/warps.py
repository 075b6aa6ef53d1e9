"""Affine and perspective maps: rotations, shears, translations. Beyond the border is `fill`, or what `mode` says."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, ClassVar, TypeAlias

from msgspec import Meta

from augreg import lazy, ops
from augreg.ops import projective
from augreg.ops.geometry import cornered
from augreg.steps.declare import transform
from augreg.steps.fields import Degrees, Fill, Interpolation, PadMode, Probability, Range, SymmetricRange
from augreg.transforms.ranges import check_positive, check_range

if TYPE_CHECKING:
    from augreg.ops import Op, Scene
    from augreg.rng import Cursor

Corners: TypeAlias = tuple[tuple[float, float], ...]


@transform("rotate", kind="geometry")
class Rotate:
    """Rotate about the center, counter-clockwise, by an angle drawn uniformly; the size stays the same.

    Multiples of 180 degrees, and on square images of 90, only move pixels; all other angles resample. Pixels from
    outside of the image show `fill`, or with another `mode` than constant what `pad` shows there with this mode.
    """

    degrees: Degrees = (-30.0, 30.0)
    interpolation: Interpolation = "bilinear"
    fill: Fill = (0.0,)
    mode: PadMode = "constant"
    later: ClassVar[tuple[str, ...]] = ("mode",)

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        return ops.rotate(scene, rng.uniform(*self.degrees), self.interpolation, self.fill, self.mode)

    sample_columns = lazy.method("augreg.columns.warps", "rotate")


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
    mode: PadMode = "constant"
    later: ClassVar[tuple[str, ...]] = ("mode",)

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
        label = "affine {:.1f}° x{:.2f} move ({:.0f}, {:.0f})".format, math.degrees(angle), zoom, right, down
        return ops.affine(scene, matrix, self.interpolation, self.fill, label, self.mode)

    sample_columns = lazy.method("augreg.columns.warps", "affine")


@transform("shear_x", kind="geometry")
class ShearX:
    """Shear horizontally about the top left corner, by a factor drawn uniformly.

    The factor is the tangent of the angle: the output at (x, y) shows the input at (x + factor * y, y).
    """

    amount: SymmetricRange = (-0.3, 0.3)
    interpolation: Interpolation = "bilinear"
    fill: Fill = (0.0,)
    mode: PadMode = "constant"
    later: ClassVar[tuple[str, ...]] = ("mode",)

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        return ops.shear(scene, rng.uniform(*self.amount), 0.0, self.interpolation, self.fill, self.mode)

    sample_columns = sample


@transform("shear_y", kind="geometry")
class ShearY:
    """Shear vertically about the top left corner, by a factor drawn uniformly.

    The factor is the tangent of the angle: the output at (x, y) shows the input at (x, y + factor * x).
    """

    amount: SymmetricRange = (-0.3, 0.3)
    interpolation: Interpolation = "bilinear"
    fill: Fill = (0.0,)
    mode: PadMode = "constant"
    later: ClassVar[tuple[str, ...]] = ("mode",)

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        return ops.shear(scene, 0.0, rng.uniform(*self.amount), self.interpolation, self.fill, self.mode)

    sample_columns = sample


@transform("translate_x", kind="geometry")
class TranslateX:
    """Translate the image to the right by a fraction of its width, drawn uniformly; negative fractions go left."""

    amount: SymmetricRange = (-0.25, 0.25)
    interpolation: Interpolation = "nearest"
    fill: Fill = (0.0,)
    mode: PadMode = "constant"
    later: ClassVar[tuple[str, ...]] = ("mode",)

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        return ops.translate(
            scene, rng.uniform(*self.amount) * scene.width, 0.0, self.interpolation, self.fill, self.mode
        )

    sample_columns = sample


@transform("translate_y", kind="geometry")
class TranslateY:
    """Translate the image down by a fraction of its height, drawn uniformly; negative fractions go up."""

    amount: SymmetricRange = (-0.25, 0.25)
    interpolation: Interpolation = "nearest"
    fill: Fill = (0.0,)
    mode: PadMode = "constant"
    later: ClassVar[tuple[str, ...]] = ("mode",)

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        return ops.translate(
            scene, 0.0, rng.uniform(*self.amount) * scene.height, self.interpolation, self.fill, self.mode
        )

    sample_columns = sample


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
    mode: PadMode = "constant"
    later: ClassVar[tuple[str, ...]] = ("mode",)

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        height, width = scene.height, scene.width
        max_x, max_y = self.distortion * width / 2.0, self.distortion * height / 2.0
        moves = [(rng.uniform(0.0, max_x), rng.uniform(0.0, max_y)) for _ in range(4)]
        (x0, y0), (x1, y1), (x2, y2), (x3, y3) = moves
        corners = ((x0, y0), (width - x1, y1), (width - x2, height - y2), (x3, height - y3))
        return ops.perspective(scene, corners, self.interpolation, self.fill, self.mode)

    sample_columns = lazy.method("augreg.columns.warps", "perspective")


@transform(
    "perspective_zoom", kind="geometry",
    preview=({"scale": [0.05, 0.05]}, {"scale": [0.1, 0.1]}, {"scale": [0.1, 0.1], "fit": True, "mode": "edge"}),
)  # fmt: skip
class PerspectiveZoom:
    """Enlarge a random quadrilateral of the image to the whole image, as if it were seen at an angle.

    Each corner of the quadrilateral lies inside of a corner of the image, at a distance along each axis that is a
    fraction of that side: the remainder of |n| divided by 0.32, where n is normal with mean 0 and the standard
    deviation `scale`, which is drawn uniformly. With `fit`, the image is distorted in the same way and then stretched
    along each axis to a quadrilateral that just fits into its frame. Pixels from outside of the image show `fill`, or
    what `pad` shows there with this `mode`. With `twice`, the result is enlarged once more, as in albumentations 2:
    from its top left corner, along each axis by the side of the image divided by the longer of the two sides of the
    quadrilateral, rounded down.
    """

    scale: Range = (0.05, 0.1)
    fit: bool = False
    interpolation: Interpolation = "bilinear"
    fill: Fill = (0.0,)
    mode: PadMode = "constant"
    twice: bool = False
    later: ClassVar[tuple[str, ...]] = ("twice",)

    def check(self) -> None:
        check_range("scale", self.scale, 0, 1)
        if self.fit and self.twice:
            raise ValueError("fit and twice contradict each other; leave one out")

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        scale = rng.uniform(*self.scale)
        inward = [(abs(scale * rng.normal()) % 0.32, abs(scale * rng.normal()) % 0.32) for _ in range(4)]
        width, height = float(scene.width), float(scene.height)
        whole = ((0.0, 0.0), (width, 0.0), (width, height), (0.0, height))
        quadrilateral = tuple(
            (abs(x - right * width), abs(y - down * height))
            for (x, y), (right, down) in zip(whole, inward, strict=True)
        )
        if self.fit:
            return ops.perspective(
                scene, self._fitted(whole, quadrilateral), self.interpolation, self.fill, self.mode
            )
        matrix = projective.through_points(whole, quadrilateral)
        if self.twice:
            matrix = self._enlarged(matrix, quadrilateral, scene)
        given = self.interpolation, scene.pixel_values(self.fill), self.mode
        return ops.Warp(matrix, scene.height, scene.width, *given, label=(cornered, "zoom to", *quadrilateral))

    sample_columns = lazy.method("augreg.columns.warps", "perspective_zoom")

    def _enlarged(self, matrix: projective.Map, quadrilateral: Corners, scene: Scene) -> projective.Map:
        """The inverse map after another scale by the sides of the image over those of the quadrilateral."""
        (x0, y0), (x1, y1), (x2, y2), (x3, y3) = quadrilateral
        across = max(math.sqrt((x1 - x0) ** 2 + (y1 - y0) ** 2), math.sqrt((x2 - x3) ** 2 + (y2 - y3) ** 2))
        down = max(math.sqrt((x2 - x1) ** 2 + (y2 - y1) ** 2), math.sqrt((x3 - x0) ** 2 + (y3 - y0) ** 2))
        u, v = max(2, int(across)) / scene.width, max(2, int(down)) / scene.height
        a, b, c, d, e, f, g, h = matrix
        return a * u, b * v, c, d * u, e * v, f, g * u, h * v

    def _fitted(self, whole: Corners, quadrilateral: Corners) -> Corners:
        """Where the corners of the image are if the quadrilateral is the whole image, stretched into the frame."""
        a, b, c, d, e, f, g, h = projective.through_points(quadrilateral, whole)
        depths = [g * x + h * y + 1.0 for x, y in whole]
        if min(depths) < projective.NEAREST * max(depths):  # a corner is behind the viewer, or nearly
            half = tuple(((x + u) / 2.0, (y + v) / 2.0) for (x, y), (u, v) in zip(whole, quadrilateral, strict=True))
            return self._fitted(whole, half)
        places = [
            ((a * x + b * y + c) / depth, (d * x + e * y + f) / depth)
            for (x, y), depth in zip(whole, depths, strict=True)
        ]
        (left, right), (top, bottom) = ((min(each), max(each)) for each in zip(*places, strict=True))
        width, height = whole[2]
        return tuple(((x - left) / (right - left) * width, (y - top) / (bottom - top) * height) for x, y in places)
