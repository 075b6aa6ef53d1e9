"""Affine maps and borders with a range of its own for each axis or side."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, NamedTuple

from augreg import lazy, ops
from augreg.steps.declare import transform
from augreg.steps.fields import Degrees, Fill, Interpolation, PadMode, Probability, Range, ResizeInterpolation
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
        {"degrees": 10, "scale_y": [0.6, 1.4], "balanced": True, "shear_x": 10, "fill": 128},
        {"degrees": [30, 45], "scale_x": [1.2, 1.5], "shear_y": 10, "fit": True},
    ),
)  # fmt: skip
class AffinePerAxis:
    """Scale, rotate, shear and translate about the center in one resampling, with a range of its own for each axis.

    They are applied in this order, and every amount is drawn uniformly; `affine` shears first and scales both axes by
    the same factor. Without `scale_x`, the factor from `scale_y` is used for both axes. With `balanced`, a range with
    1 inside gives as many factors below 1 as above. `degrees` rotates counter-clockwise; positive shears move the
    lower rows to the right and the right columns down. `translate_y` moves down and `translate_x` to the right.
    `unit` says what they are: a `fraction` of that side; `truncated`, a fraction that is rounded towards 0 to whole
    pixels; or `pixels`, a whole number of pixels. With `fit`, the result has the size of the moved image, rounded up,
    and shows all of it; it is centered instead of translated.
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
            else:
                _check_pixels(name, limits)
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
            return _whole(rng, limits)
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


@transform(
    "move_edges", kind="geometry",
    preview=(
        {"top": [-0.1, 0], "bottom": [-0.1, 0], "left": [-0.1, 0], "right": [-0.1, 0]},
        {"top": 0.1, "bottom": -0.2, "left": [-0.1, 0.1], "right": 0.1, "keep_size": False, "fill": 128},
    ),
)  # fmt: skip
class MoveEdges:
    """Move each edge of the image outward, where it is padded, or by a negative amount inward, where it is cropped.

    Each amount is drawn uniformly: a fraction of the height (`top`, `bottom`) or width, rounded towards 0 to whole
    pixels, or with `unit: pixels` a whole number of pixels. With `together`, one number drawn from `top` is used for
    all edges. At least one pixel is left. With `keep_size` the image is then resized to its original size; with
    `antialias`, shrinking is antialiased. `mode` and `fill` are those of `pad`.
    """

    top: Range = (-0.1, 0.1)
    bottom: Range = (-0.1, 0.1)
    left: Range = (-0.1, 0.1)
    right: Range = (-0.1, 0.1)
    unit: Literal["fraction", "pixels"] = "fraction"
    together: bool = False
    keep_size: bool = True
    interpolation: ResizeInterpolation = "bilinear"
    antialias: bool = True
    fill: Fill = (0.0,)
    mode: PadMode = "constant"

    def check(self) -> None:
        for name in ("top", "bottom", "left", "right"):
            limits = getattr(self, name)
            if self.unit == "fraction":
                check_range(name, limits, -1, 8)
            else:
                _check_pixels(name, limits)

    def sample(self, rng: Cursor, scene: Scene) -> tuple[Op, ...]:
        height, width = scene.size
        if self.together:
            numbers = [self._number(rng, self.top)] * 4
        else:
            numbers = [self._number(rng, limits) for limits in (self.top, self.bottom, self.left, self.right)]
        units = (height, height, width, width) if self.unit == "fraction" else (1,) * 4
        edges = [int(number * unit) for number, unit in zip(numbers, units, strict=True)]
        cut_top, cut_left = min(max(0, -edges[0]), height - 1), min(max(0, -edges[2]), width - 1)
        cut_bottom = min(max(0, -edges[1]), height - 1 - cut_top)
        cut_right = min(max(0, -edges[3]), width - 1 - cut_left)
        found: list[Op] = []
        after = scene
        if cut_top or cut_bottom or cut_left or cut_right:
            found.append(ops.crop(cut_top, cut_left, height - cut_top - cut_bottom, width - cut_left - cut_right))
            after = found[0].after(scene)
        top, bottom, left, right = (max(0, edge) for edge in edges)
        if top or bottom or left or right:
            found.append(ops.pad(after, top, bottom, left, right, self.fill, self.mode))
        if self.keep_size and found:
            found.append(ops.resize(height, width, self.interpolation, self.antialias))
        return tuple(found)

    sample_columns = lazy.method("augreg.columns.per_axis", "move_edges")

    def _number(self, rng: Cursor, limits: tuple[float, float]) -> float:
        return rng.uniform(*limits) if self.unit == "fraction" else _whole(rng, limits)


@transform(
    "crop_edges", kind="geometry",
    preview=({}, {"top": 0.3, "bottom": 0, "left": 0.3, "right": 0}),
)  # fmt: skip
class CropEdges:
    """Cut a random number of pixels off each edge, up to a fraction of the height or width; at least one is left.

    Each number of pixels is drawn uniformly from 0 to the fraction of the side, which is rounded down at the top and
    on the left, and up at the bottom and on the right.
    """

    top: Probability = 0.1
    bottom: Probability = 0.1
    left: Probability = 0.1
    right: Probability = 0.1

    def check(self) -> None:
        if self.top + self.bottom > 1 or self.left + self.right > 1:
            raise ValueError("top and bottom, and left and right, must be at most 1 together")

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        left, right = self._ends(rng, self.left, self.right, scene.width)
        top, bottom = self._ends(rng, self.top, self.bottom, scene.height)
        return ops.crop(top, left, bottom - top, right - left)

    sample_columns = lazy.method("augreg.columns.per_axis", "crop_edges")

    def _ends(self, rng: Cursor, before: float, behind: float, side: int) -> tuple[int, int]:
        start = min(side - 1, rng.integers(int(before * side) + 1))
        least = max(start + 1, int((1 - behind) * side))
        return start, least + rng.integers(side - least + 1)


def _whole(rng: Cursor, limits: tuple[float, float]) -> float:
    """A whole number drawn from this range, both ends included."""
    low, high = map(int, limits)
    return float(low + rng.integers(high - low + 1))


def _check_pixels(name: str, limits: tuple[float, float]) -> None:
    """Raise ValueError unless a range has whole numbers of pixels at its ends."""
    if any(end != int(end) for end in limits):
        raise ValueError(f"{name} must be whole numbers of pixels, got {list(limits)}")
    check_range(name, limits, -65536, 65536, " pixels")
