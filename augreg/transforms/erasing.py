"""What is hidden: boxes painted over the image."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta

from augreg import ops
from augreg.steps.declare import transform
from augreg.steps.fields import Fill, Range

if TYPE_CHECKING:
    from augreg.ops import Op, Scene
    from augreg.rng import Cursor


@transform("cutout", kind="erasing", preview=({"size": 0.15}, {"size": 0.3}, {"size": 0.5}))
class Cutout:
    """Hide a square whose center lies anywhere in the image, so that the border may clip it.

    `size` is a side in pixels (an integer) or a share of the shorter side (a float up to 1). After normalize, fill 0
    is the mean color, as in the paper. The side covered is [c - L // 2, c + L // 2) for a center c uniform
    over all pixels: an odd L hides one pixel less. DeVries and Taylor 2017, arXiv 1708.04552.
    """

    size: Annotated[int, Meta(ge=2)] | Annotated[float, Meta(gt=0, le=1)] = 0.25
    holes: Annotated[int, Meta(ge=1, le=64)] = 1
    fill: Fill = (0.0,)

    def sample(self, rng: Cursor, scene: Scene) -> tuple[Op, ...]:
        side = self.size if isinstance(self.size, int) else max(2, round(self.size * min(scene.size)))
        half = side // 2
        found: list[Op] = []
        for _ in range(self.holes):
            y, x = rng.integers(scene.height), rng.integers(scene.width)
            top, bottom = max(0, y - half), min(scene.height, y + half)
            left, right = max(0, x - half), min(scene.width, x + half)
            if bottom > top and right > left:
                found.append(ops.paint(scene, top, left, bottom - top, right - left, self.fill))
        return tuple(found)


@transform(
    "random_erasing", kind="erasing", p=0.5,
    preview=({"area": [0.05, 0.05]}, {"area": [0.15, 0.15]}, {"area": [0.3, 0.3], "mode": "pixel"}),
)  # fmt: skip
class RandomErasing:
    """Hide a box of random area and aspect ratio (height / width).

    Ten tries: an area of U(area) of the image and an aspect ratio of exp(U(log ratio)); a box that is smaller
    than the image in both directions is placed uniformly, and if none is, nothing is done. `mode` is `const`
    (paint `fill`), `random` (one random color) or `pixel` (random pixels): standard normal after normalize,
    uniform over the levels before it. Zhong et al. 2017, arXiv 1708.04896.
    """

    area: Range = (0.02, 1 / 3)
    ratio: Range = (0.3, 1 / 0.3)
    mode: Literal["const", "random", "pixel"] = "const"
    fill: Fill = (0.0,)

    def check(self) -> None:
        if not 0 < self.area[0] <= self.area[1] <= 1:
            raise ValueError(f"area must lie in (0, 1], got {list(self.area)}")
        if self.ratio[0] <= 0:
            raise ValueError(f"ratio must be positive, got {list(self.ratio)}")

    def sample(self, rng: Cursor, scene: Scene) -> tuple[Op, ...]:
        low, high = math.log(self.ratio[0]), math.log(self.ratio[1])
        for _ in range(10):
            area = scene.height * scene.width * rng.uniform(*self.area)
            aspect = math.exp(rng.uniform(low, high))
            h, w = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
            if 0 < w < scene.width and 0 < h < scene.height:
                top, left = rng.integers(scene.height - h + 1), rng.integers(scene.width - w + 1)
                return (self._hidden(rng, scene, top, left, h, w),)
        return ()

    def _hidden(self, rng: Cursor, scene: Scene, top: int, left: int, height: int, width: int) -> Op:
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
    """Hide a grid of squares, so that every part of the image loses some and none loses all.

    The grid has a unit of U(unit) of the shorter side, at a random offset; of each unit, a square with 1 - `ratio`
    of its side is painted, which keeps 1 - (1 - ratio)^2 of the image. The paper raises `p` with the epochs.
    Chen et al. 2020, arXiv 2001.04086, without its rotation.
    """

    unit: Range = (0.4, 1.0)
    ratio: Annotated[float, Meta(gt=0, lt=1)] = 0.5
    fill: Fill = (0.0,)

    def check(self) -> None:
        if not 0.1 <= self.unit[0] <= self.unit[1] <= 1:
            raise ValueError(f"unit must lie within 0.1 and 1, got {list(self.unit)}")

    def sample(self, rng: Cursor, scene: Scene) -> tuple[Op, ...]:
        # at least a 32nd of the longer side, so that a narrow image has no thousands of boxes
        unit = max(2, round(rng.uniform(*self.unit) * min(scene.size)), -(-max(scene.size) // 32))
        side = min(unit - 1, round(unit * (1.0 - self.ratio)))  # something is left of the smallest unit
        first_y, first_x = -rng.integers(unit), -rng.integers(unit)
        found: list[Op] = []
        for y in range(first_y, scene.height, unit):
            for x in range(first_x, scene.width, unit):
                top, bottom = max(0, y), min(scene.height, y + side)
                left, right = max(0, x), min(scene.width, x + side)
                if bottom > top and right > left:
                    found.append(ops.paint(scene, top, left, bottom - top, right - left, self.fill))
        return tuple(found)
