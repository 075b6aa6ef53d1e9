"""Erasing: boxes of the image are painted over."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta

from augreg import lazy, ops
from augreg.steps.declare import transform
from augreg.steps.fields import Fill, Range
from augreg.transforms.ranges import check_fraction, check_positive, check_range

if TYPE_CHECKING:
    from augreg.ops import Op, Scene
    from augreg.rng import Cursor


@transform("cutout", kind="erasing", preview=({"size": 0.15}, {"size": 0.3}, {"size": 0.5}))
class Cutout:
    """Paint over `holes` squares with `fill`, each with its center at a random pixel, so the border may clip it.

    `size` is the side of a square: pixels (an integer) or a fraction of the shorter side of the image (a float up to
    1). A square of side L covers [c - L // 2, c + L // 2) along each axis, for a center c drawn uniformly from all
    pixels, so an odd L hides one pixel less. After normalize, fill 0 is the mean color, as in the paper.
    DeVries and Taylor 2017, arXiv 1708.04552.
    """

    size: Annotated[int, Meta(ge=2)] | Annotated[float, Meta(gt=0, le=1)] = 0.25
    holes: Annotated[int, Meta(ge=1, le=64)] = 1
    fill: Fill = (0.0,)

    def sample(self, rng: Cursor, scene: Scene) -> tuple[Op, ...]:
        side = self.size if isinstance(self.size, int) else max(2, round(self.size * min(scene.size)))
        half = side // 2
        painted: list[Op] = []
        for _ in range(self.holes):
            y, x = rng.integers(scene.height), rng.integers(scene.width)
            top, bottom = max(0, y - half), min(scene.height, y + half)
            left, right = max(0, x - half), min(scene.width, x + half)
            if bottom > top and right > left:
                painted.append(ops.paint(scene, top, left, bottom - top, right - left, self.fill))
        return tuple(painted)

    sample_columns = lazy.method("augreg.columns.boxes", "cutout")


@transform(
    "random_erasing", kind="erasing", p=0.5,
    preview=({"area": [0.05, 0.05]}, {"area": [0.15, 0.15]}, {"area": [0.3, 0.3], "mode": "pixel"}),
)  # fmt: skip
class RandomErasing:
    """Paint over a box with random area, aspect ratio and position.

    The area, as a fraction of the image, is drawn uniformly from `area`, and the aspect ratio (height / width)
    log-uniformly from `ratio`, up to ten times, until the box is smaller than the image along both axes; then its
    position is drawn uniformly. If all ten are too large, the image does not change. `mode` is `const` (paint
    `fill`), `random` (one random color) or `pixel` (a random color for each pixel). Random colors are standard normal
    after normalize, and uniform over the pixel values before it. Zhong et al. 2017, arXiv 1708.04896.
    """

    area: Range = (0.02, 1 / 3)
    ratio: Range = (0.3, 1 / 0.3)
    mode: Literal["const", "random", "pixel"] = "const"
    fill: Fill = (0.0,)

    def check(self) -> None:
        check_fraction("area", self.area)
        check_positive("ratio", self.ratio)

    def sample(self, rng: Cursor, scene: Scene) -> tuple[Op, ...]:
        low, high = math.log(self.ratio[0]), math.log(self.ratio[1])
        for _ in range(10):
            area = scene.height * scene.width * rng.uniform(*self.area)
            aspect = math.exp(rng.uniform(low, high))
            h, w = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
            if 0 < w < scene.width and 0 < h < scene.height:
                top, left = rng.integers(scene.height - h + 1), rng.integers(scene.width - w + 1)
                return (self._paint(rng, scene, top, left, h, w),)
        return ()

    sample_columns = lazy.method("augreg.columns.boxes", "random_erasing")

    def _paint(self, rng: Cursor, scene: Scene, top: int, left: int, height: int, width: int) -> Op:
        if self.mode == "pixel":
            return ops.noise_box(scene, top, left, height, width, rng.bits())
        fill = self.fill
        if self.mode == "random" and scene.normalized:
            fill = tuple(rng.normal() for _ in range(scene.channels))
        elif self.mode == "random":
            fill = tuple(float(rng.integers(256)) for _ in range(scene.channels))
        return ops.paint(scene, top, left, height, width, fill)


@transform("grid_mask", kind="erasing", preview=tuple({"unit": 0.4, "ratio": ratio} for ratio in (0.7, 0.5, 0.3)))
class GridMask:
    """Paint over a regular grid of squares with `fill`, so that every region of the image loses some pixels, not all.

    The period of the grid is a fraction of the shorter side, drawn uniformly from `unit`, and at least 1/32 of the
    longer side; its offset is random. The side of a square is 1 - `ratio` of the period, which keeps the fraction
    1 - (1 - ratio)^2 of the image. The paper increases `p` during training.
    Chen et al. 2020, arXiv 2001.04086, without its rotation.
    """

    unit: Range = (0.4, 1.0)
    ratio: Annotated[float, Meta(gt=0, lt=1)] = 0.5
    fill: Fill = (0.0,)

    def check(self) -> None:
        check_range("unit", self.unit, 0.1, 1)

    def sample(self, rng: Cursor, scene: Scene) -> tuple[Op, ...]:
        # at least 1/32 of the longer side, so that a narrow image does not get thousands of boxes
        unit = max(2, round(rng.uniform(*self.unit) * min(scene.size)), -(-max(scene.size) // 32))
        side = min(unit - 1, round(unit * (1.0 - self.ratio)))  # less than the unit, so that something is left
        first_y, first_x = -rng.integers(unit), -rng.integers(unit)
        painted: list[Op] = []
        for y in range(first_y, scene.height, unit):
            for x in range(first_x, scene.width, unit):
                top, bottom = max(0, y), min(scene.height, y + side)
                left, right = max(0, x), min(scene.width, x + side)
                if bottom > top and right > left:
                    painted.append(ops.paint(scene, top, left, bottom - top, right - left, self.fill))
        return tuple(painted)

    sample_columns = lazy.method("augreg.columns.boxes", "grid_mask")
