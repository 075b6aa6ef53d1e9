"""Erasing: boxes of the image are painted over."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta

from augreg import lazy, ops
from augreg.steps.declare import transform
from augreg.steps.fields import Counts, Fill, Probability, Range
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

    sample_columns = lazy.method("augreg.columns.painting", "cutout")


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
                return (painted_box(rng, scene, top, left, h, w, self.mode, self.fill),)
        return ()

    sample_columns = lazy.method("augreg.columns.painting", "random_erasing")


def painted_box(
    rng: Cursor, scene: Scene, top: int, left: int, height: int, width: int, mode: str, fill: tuple[float, ...]
) -> Op:
    """A box with `fill`, with one random color, or with a random color for each pixel, as `mode` says."""
    if mode == "pixel":
        return ops.noise_box(scene, top, left, height, width, rng.bits())
    if mode == "random":
        fill = _random_color(rng, scene, scene.channels)
    return ops.paint(scene, top, left, height, width, fill)


def _random_color(rng: Cursor, scene: Scene, channels: int) -> tuple[float, ...]:
    if scene.normalized:
        return tuple(rng.normal() for _ in range(channels))
    return tuple(float(rng.integers(256)) for _ in range(channels))


@transform(
    "holes", kind="erasing", p=0.5,
    preview=({"count": 1, "height": 0.3, "width": 0.3}, {"count": 4}, {"count": 8, "height": 0.2, "width": 0.1}),
)  # fmt: skip
class Holes:
    """Paint over several boxes of random sides, each as a whole inside the image; they may overlap.

    The number of boxes is drawn from `count`. The height of each is drawn uniformly from `height`, a range of
    fractions of the height of the image, and its width from `width`, fractions of the width; both are rounded down,
    and a box without pixels paints nothing. With `pixels: true` both ranges are whole numbers of pixels, limited to
    the size of the image. Then the position is drawn uniformly. `mode` is `const` (paint `fill`), `random` (one
    random color for each box) or `pixel` (a random color for each pixel), as in `random_erasing`.
    """

    count: Counts = (1, 2)
    height: Range = (0.1, 0.2)
    width: Range = (0.1, 0.2)
    pixels: bool = False
    mode: Literal["const", "random", "pixel"] = "const"
    fill: Fill = (0.0,)

    def check(self) -> None:
        check_range("count", self.count, 0, 64)
        for name, side in (("height", self.height), ("width", self.width)):
            if not self.pixels:
                if side[1] > 1:
                    raise ValueError(
                        f"{name} must be from 0 to 1, a fraction of the image's {name}, got {list(side)}; for pixels "
                        "say `pixels: true`"
                    )
                check_range(name, side, 0, 1)
            elif side[0] < 1 or any(not float(end).is_integer() for end in side):
                raise ValueError(f"{name} must be whole numbers of pixels from 1 on, got {list(side)}")

    def sample(self, rng: Cursor, scene: Scene) -> tuple[Op, ...]:
        painted: list[Op] = []
        for _ in range(self.count[0] + rng.integers(self.count[1] - self.count[0] + 1)):
            height, width = self._side(rng, self.height, scene.height), self._side(rng, self.width, scene.width)
            top, left = rng.integers(scene.height - height + 1), rng.integers(scene.width - width + 1)
            if height and width:
                painted.append(painted_box(rng, scene, top, left, height, width, self.mode, self.fill))
        return tuple(painted)

    sample_columns = lazy.method("augreg.columns.painting", "holes")

    def _side(self, rng: Cursor, ends: tuple[float, float], whole: int) -> int:
        if not self.pixels:
            return int(whole * rng.uniform(*ends))
        low, high = (min(int(end), whole) for end in ends)
        return low + rng.integers(high - low + 1)


@transform(
    "pixel_dropout", kind="erasing", p=0.5,
    preview=({"fraction": 0.02}, {"fraction": 0.1}, {"fraction": 0.3, "per_channel": True}),
)  # fmt: skip
class PixelDropout:
    """Paint over each pixel with probability `fraction`, independently of the others.

    With `per_channel`, each value of a pixel is painted over independently. `mode` is `const` (paint `fill`) or
    `random` (one random color for all, as in `random_erasing`).
    """

    fraction: Probability = 0.01
    per_channel: bool = False
    mode: Literal["const", "random"] = "const"
    fill: Fill = (0.0,)

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        key = rng.bits()
        fill = _random_color(rng, scene, scene.colors) if self.mode == "random" else self.fill
        return ops.drop_pixels(scene, self.fraction, key, fill, self.per_channel)

    sample_columns = lazy.method("augreg.columns.painting", "pixel_dropout")


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

    sample_columns = lazy.method("augreg.columns.painting", "grid_mask")
