"""Affine maps beside `affine` and `rotate`: rotations that keep the whole image, maps by moved points."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta

from augreg import lazy, ops
from augreg.ops import projective
from augreg.ops.geometry import moved_points
from augreg.steps.declare import transform
from augreg.steps.fields import Degrees, Fill, Interpolation, PadMode

if TYPE_CHECKING:
    from augreg.ops import Op, Scene
    from augreg.rng import Cursor


@transform("safe_rotate", kind="geometry")
class SafeRotate:
    """Rotate about the center, counter-clockwise, and squeeze the result into the frame, so that all of it shows.

    The angle is drawn uniformly. The rotated image is scaled along each axis so that it just fits; the size stays the
    same. Pixels from outside of the image show `fill`, or with another `mode` than constant what `pad` shows there
    with this mode.

    `sides: floor` is SafeRotate of albumentations 2, and `ceil` that of version 1: the sides of the rotated image are
    rounded in this way before it is scaled, and the result is half a pixel further down and to the right. With
    `ceil`, so is the center of the rotation.
    """

    degrees: Degrees = (-30.0, 30.0)
    interpolation: Interpolation = "bilinear"
    fill: Fill = (0.0,)
    mode: PadMode = "constant"
    sides: Literal["exact", "floor", "ceil"] = "exact"

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        degrees = rng.uniform(*self.degrees)
        cos, sin = projective.turn(degrees)
        width, height = float(scene.width), float(scene.height)
        wide, high = abs(cos) * width + abs(sin) * height, abs(cos) * height + abs(sin) * width
        matrix = projective.squeezed(cos, sin, (width, height), (wide, high), self.sides)
        label = "rotate {:.1f}° into the frame".format, degrees
        return ops.affine(scene, matrix, self.interpolation, self.fill, label, self.mode)

    sample_columns = lazy.method("augreg.columns.warps", "safe_rotate")


@transform(
    "affine_points", kind="geometry",
    preview=({"distance": 5}, {"distance": 15}, {"distance": 40}),
)  # fmt: skip
class AffinePoints:
    """Apply the affine map that moves three points of the image, each by up to `distance` pixels along each axis.

    The points are the corners, except the bottom left one, of a square around the center whose side is two thirds of
    the image's shorter side. Distances are drawn uniformly. With `swapped`, the square is around (height / 2, width /
    2) as x and y, as in ElasticTransform of albumentations 1. Pixels from outside of the image show `fill`, or what
    `pad` shows there with this `mode`.
    """

    distance: Annotated[float, Meta(ge=0, le=10_000)] = 15.0
    swapped: bool = False
    interpolation: Interpolation = "bilinear"
    fill: Fill = (0.0,)
    mode: PadMode = "constant"

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        far = self.distance
        moves = [(rng.uniform(-far, far), rng.uniform(-far, far)) for _ in range(3)]
        (x0, y0), (x1, y1), (x2, y2) = moves
        x, y = scene.width / 2.0, scene.height / 2.0
        if self.swapped:
            x, y = y, x
        half = min(scene.size) / 3.0
        # the map sends (half, half), (half, -half) and (-half, -half) around (x, y) there, each with its move
        a, b = 1.0 + (x1 - x2) / (2.0 * half), (x0 - x1) / (2.0 * half)
        d, e = (y1 - y2) / (2.0 * half), 1.0 + (y0 - y1) / (2.0 * half)
        det = a * e - b * d
        if abs(det) < 1e-9:  # the three points are on a line; then nothing moves
            a, b, d, e, det, x0, y0, x2, y2 = 1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0
        a, b, d, e = e / det, -b / det, -d / det, a / det
        # the middle of two opposite corners is (x, y), and moves as they do on average
        right, down = x + (x0 + x2) / 2.0, y + (y0 + y2) / 2.0
        matrix = (a, b, x - a * right - b * down, d, e, y - d * right - e * down)
        label = (moved_points, *moves)
        return ops.affine(scene, matrix, self.interpolation, self.fill, label, self.mode)

    sample_columns = lazy.method("augreg.columns.warps", "affine_points")
