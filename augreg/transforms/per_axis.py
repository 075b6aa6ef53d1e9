"""Affine maps and borders with a range of its own for each axis or side."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, NamedTuple

from augreg import lazy, ops
from augreg.steps.declare import transform
from augreg.steps.fields import Degrees, Fill, Interpolation, PadMode, Range
from augreg.transforms.ranges import check_positive, check_range

if TYPE_CHECKING:
    from augreg.ops import Op, Scene
    from augreg.rng import Cursor


class _Moved(NamedTuple):
    """The numbers of one draw: the angle in radians, pixels, factors, and tangents of the shears."""

    angle: float
    down: float
    right: float
    zoom_y: float
    zoom_x: float
    slant_x: float
    slant_y: float


@transform(
    "affine_per_axis", kind="geometry",
    preview=(
        {"degrees": 0, "translate_y": [0, 0.1], "scale_x": [0.8, 1.0]},
        {"degrees": 10, "scale_y": [0.6, 1.4], "balanced": True, "shear_x": 10, "mode": "reflect"},
        {"degrees": [30, 45], "scale_x": [1.2, 1.5], "shear_y": 10, "fit": True},
    ),
)  # fmt: skip
class AffinePerAxis:
    """Scale, rotate, shear and translate about the center in one resampling, with a range of its own for each axis.

    They are applied in this order, and every amount is drawn uniformly; `affine` shears first and scales both axes
    alike. Without `scale_x`, the factor of `scale_y` is for both axes. With `balanced`, a range with 1 inside gives
    as many factors below 1 as above. `degrees` rotates counter-clockwise; positive shears move the lower rows to the
    right and the right columns down. `translate_y` moves down and `translate_x` to the right, by a fraction of that
    side: exactly, or with `unit` truncated by whole pixels, rounded towards 0; with pixels the ranges are whole
    numbers of pixels. With `fit`, the result has the size of the moved image, rounded up, and shows all of it; it is
    centered instead of translated.
    """

    degrees: Degrees = (-15.0, 15.0)
    translate_y: Range = (-0.1, 0.1)
    translate_x: Range = (-0.1, 0.1)
    unit: Literal["fraction", "truncated", "pixels"] = "fraction"
    scale_y: Range = (0.9, 1.1)
    scale_x: Range | None = None
    balanced: bool = False
    shear_x: Degrees = (0.0, 0.0)
    shear_y: Degrees = (0.0, 0.0)
    fit: bool = False
    interpolation: Interpolation = "bilinear"
    fill: Fill = (0.0,)
    mode: PadMode = "constant"

    def check(self) -> None:
        check_positive("scale_y", self.scale_y)
        if self.scale_x is not None:
            check_positive("scale_x", self.scale_x)
        if max(map(abs, self.shear_x + self.shear_y)) >= 90:
            raise ValueError("shear angles must be between -90 and 90 degrees")
        for name, limits in (("translate_y", self.translate_y), ("translate_x", self.translate_x)):
            if self.unit != "pixels":
                check_range(name, limits, -1, 1)
            elif any(end != int(end) for end in limits):
                raise ValueError(f"{name} must be whole numbers of pixels, got {list(limits)}")
            else:
                check_range(name, limits, -65536, 65536, " pixels")
        if self.fit and max(self.scale_y + (self.scale_x or ())) > 100:
            raise ValueError("with fit, factors must be at most 100: the result is as large as the scaled image")

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        angle = math.radians(rng.uniform(*self.degrees))
        down = self._distance(rng, self.translate_y, scene.height)
        right = self._distance(rng, self.translate_x, scene.width)
        zoom_y = self._factor(rng, self.scale_y)
        zoom_x = zoom_y if self.scale_x is None else self._factor(rng, self.scale_x)
        slant_x = math.tan(math.radians(rng.uniform(*self.shear_x)))
        slant_y = math.tan(math.radians(rng.uniform(*self.shear_y)))
        return self._warped(scene, _Moved(angle, down, right, zoom_y, zoom_x, slant_x, slant_y))

    sample_columns = lazy.method("augreg.columns.per_axis", "affine_per_axis")

    def _distance(self, rng: Cursor, limits: tuple[float, float], side: int) -> float:
        if self.unit == "pixels":
            low, high = map(int, limits)
            return float(low + rng.integers(high - low + 1))
        distance = rng.uniform(*limits) * side
        return distance if self.unit == "fraction" else float(int(distance))

    def _factor(self, rng: Cursor, limits: tuple[float, float]) -> float:
        low, high = limits
        if self.balanced and low < 1.0 < high:
            low, high = (low, 1.0) if rng.bernoulli(0.5) else (1.0, high)
        return rng.uniform(low, high)

    def _warped(self, scene: Scene, moved: _Moved) -> Op:
        angle, down, right, zoom_y, zoom_x, slant_x, slant_y = moved
        # the forward map about the center is shear * rotation * scale; the op takes the inverse
        cos, sin = math.cos(angle), math.sin(angle)
        a, b = zoom_x * (cos - slant_x * sin), zoom_y * (sin + slant_x * cos)
        d, e = zoom_x * (slant_y * cos - sin), zoom_y * (slant_y * sin + cos)
        det = a * e - b * d
        if abs(det) < 1e-9 * zoom_y * zoom_x:  # both shears together can be singular; then only translate
            a, b, d, e, det = 1.0, 0.0, 0.0, 1.0, 1.0
        height, width = scene.height, scene.width
        if self.fit:  # the sides of the moved image, up to a rounding error
            down = right = 0.0
            height = max(1, math.ceil(abs(d) * scene.width + abs(e) * scene.height - 1e-6))
            width = max(1, math.ceil(abs(a) * scene.width + abs(b) * scene.height - 1e-6))
        a, b, d, e = e / det, -b / det, -d / det, a / det
        x, y = scene.width / 2.0, scene.height / 2.0
        to_x, to_y = width / 2.0 + right, height / 2.0 + down
        matrix = (a, b, x - a * to_x - b * to_y, d, e, y - d * to_x - e * to_y, 0.0, 0.0)
        shown = "affine {:.1f}° x{:.2f}, y{:.2f} move ({:.0f}, {:.0f})".format
        label = shown, math.degrees(angle), zoom_x, zoom_y, right, down
        values = scene.pixel_values(self.fill)
        return ops.Warp(matrix, height, width, self.interpolation, values, self.mode, label=label)
