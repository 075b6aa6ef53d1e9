"""Resizing and cropping as torchvision and timm frame an image for a model."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from msgspec import Meta

from augreg import lazy, ops
from augreg.steps.declare import transform
from augreg.steps.fields import Fill, PadMode, Probability, Range, ResizeInterpolation, Size
from augreg.transforms.geometry import centered
from augreg.transforms.ranges import check_positive, check_range

if TYPE_CHECKING:
    from collections.abc import Iterable

    from augreg.ops import Op, Scene
    from augreg.rng import Cursor


@transform(
    "resize_within", kind="geometry", rule="same",
    preview=({"longer": 160}, {"shorter": 80, "longer": 110}, {"longer": 24}),
)  # fmt: skip
class ResizeWithin:
    """Resize the shorter side to `shorter`, or to less where the longer side would be longer than `longer`.

    The aspect ratio is kept and sides are rounded down. Without `shorter`, the longer side becomes `longer`. This is
    torchvision's Resize(shorter, max_size=longer); detectors often take 800 and 1333. With `antialias`, shrinking is
    antialiased.
    """

    longer: Annotated[int, Meta(ge=1, le=65536)]
    shorter: Annotated[int, Meta(ge=1, le=65536)] | None = None
    interpolation: ResizeInterpolation = "bilinear"
    antialias: bool = True

    def check(self) -> None:
        if self.shorter is not None and self.shorter > self.longer:
            raise ValueError(f"'shorter' must be at most 'longer', {self.longer}, got {self.shorter}")

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        short, long = min(scene.size), max(scene.size)
        if self.shorter is None:
            new_short, new_long = int(self.longer * short / long), self.longer
        else:
            new_short, new_long = self.shorter, int(self.shorter * long / short)
            if new_long > self.longer:
                new_short, new_long = int(self.longer * new_short / new_long), self.longer
        new_short = max(1, new_short)
        height, width = (new_short, new_long) if scene.height <= scene.width else (new_long, new_short)
        return ops.resize(height, width, self.interpolation, self.antialias)

    sample_columns = lazy.method("augreg.columns.sizes", "resize_within")


@transform(
    "resize_keep_ratio", kind="geometry", rule="center",
    preview=tuple({"size": 160, "longest": longest} for longest in (0.0, 0.5, 1.0)),
)  # fmt: skip
class ResizeKeepRatio:
    """Resize the image to cover `size` or to fit into it, keeping the aspect ratio, except for random changes.

    With `longest` 0 the image covers `size`, (height, width); with 1 it fits into it; in between, the divisor is the
    weighted mean of both. Sides are rounded half to even. With probability `scale_p`, the area that `size` shows is
    multiplied by a factor drawn uniformly from `scale`, so a factor below 1 makes the image larger. With probability
    `ratio_p`, the aspect ratio (width / height) is multiplied by a factor drawn log-uniformly from `ratio`. At test
    time neither happens. The result rarely has the size `size`: `crop_or_pad` has to follow. With `antialias`,
    shrinking is antialiased. This is timm's class of this name.
    """

    size: Size
    longest: Annotated[float, Meta(ge=0, le=1)] = 0.0
    scale: Range = (1.0, 1.0)
    scale_p: Probability = 1.0
    ratio: Range = (1.0, 1.0)
    ratio_p: Probability = 1.0
    interpolation: ResizeInterpolation = "bilinear"
    antialias: bool = True

    def check(self) -> None:
        check_positive("scale", self.scale)
        check_positive("ratio", self.ratio)

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        y = x = 1.0
        if self.scale != (1.0, 1.0) and rng.bernoulli(self.scale_p):
            y = x = 1.0 / math.sqrt(rng.uniform(*self.scale))
        if self.ratio != (1.0, 1.0) and rng.bernoulli(self.ratio_p):
            root = math.sqrt(math.exp(rng.uniform(math.log(self.ratio[0]), math.log(self.ratio[1]))))
            y, x = y / root, x * root
        return self._resized(scene, y, x)

    sample_columns = lazy.method("augreg.columns.sizes", "resize_keep_ratio")

    def _resized(self, scene: Scene, y: float, x: float) -> Op:
        down, across = scene.height / self.size[0], scene.width / self.size[1]
        divisor = max(down, across) * self.longest + min(down, across) * (1.0 - self.longest)
        height, width = max(1, round(scene.height * y / divisor)), max(1, round(scene.width * x / divisor))
        return ops.resize(height, width, self.interpolation, self.antialias)

    def expect(self, scene: Scene, p: float) -> Op:
        return self._resized(scene, 1.0, 1.0)


@transform("crop_or_pad", kind="geometry", rule="center", preview=({"size": 200}, {"size": 140}, {"size": 320}))
class CropOrPad:
    """Crop each side that is longer than `size`, and pad each that is shorter.

    With `position: random`, the position of the crop, or that of the image within the padding, is drawn uniformly for
    each axis. With center, and at test time, both are central: the top of the crop is round((height of the image -
    height) / 2), half to even, and an odd pixel of padding is at the bottom or on the right. `mode` and `fill` are
    those of `pad`.
    """

    size: Size
    position: Literal["center", "random"] = "center"
    fill: Fill = (0.0,)
    mode: PadMode = "constant"

    def sample(self, rng: Cursor, scene: Scene) -> tuple[Op, ...]:
        if self.position == "center":
            return centered(scene, self.size, self.fill, self.mode)
        y, x = (rng.integers(abs(side - wanted) + 1) for side, wanted in zip(scene.size, self.size, strict=True))
        return self._placed(scene, y, x)

    sample_columns = lazy.method("augreg.columns.boxes", "crop_or_pad")

    def _placed(self, scene: Scene, y: int, x: int) -> tuple[Op, ...]:
        """With the crop, or the image within the padding, at this position."""
        height, width = self.size
        above, left = (y if scene.height < height else 0), (x if scene.width < width else 0)
        below, right = max(0, height - scene.height) - above, max(0, width - scene.width) - left
        crop = ops.crop(0 if scene.height < height else y, 0 if scene.width < width else x, height, width)
        if not (above or below or left or right):
            return (crop,)
        return ops.pad(scene, above, below, left, right, self.fill, self.mode), crop

    def quadrature(self, scene: Scene) -> Iterable[tuple[float, tuple[Op, ...]]]:
        """Five positions, equally weighted: the center and the corners. None where nothing is random."""
        if self.position == "center":
            return ()
        bottom, right = (abs(side - wanted) for side, wanted in zip(scene.size, self.size, strict=True))
        corners = [self._placed(scene, y, x) for y in (0, bottom) for x in (0, right)]
        return [(1 / 5, placed) for placed in (self.expect(scene, 1.0), *corners)]

    def expect(self, scene: Scene, p: float) -> tuple[Op, ...]:
        return centered(scene, self.size, self.fill, self.mode)


@transform(
    "pad_to", kind="geometry", rule="center",
    preview=({"size": 320}, {"size": [256, 400], "fill": 114}, {"divisor": 96, "position": "top_left"}),
)  # fmt: skip
class PadTo:
    """Pad each side that is shorter than `size`, and then to a multiple of `divisor`; longer sides are kept.

    `position` is where the image is within the padding. With center, and at test time with random, an odd pixel of
    padding is at the bottom or on the right; random is uniform for each axis. `mode` and `fill` are those of `pad`.
    """

    size: Size = (1, 1)
    divisor: Size = (1, 1)
    position: Literal["center", "top_left", "top_right", "bottom_left", "bottom_right", "random"] = "center"
    fill: Fill = (0.0,)
    mode: PadMode = "constant"

    def sample(self, rng: Cursor, scene: Scene) -> tuple[Op, ...]:
        if self.position != "random":
            return self.expect(scene, 1.0)
        # not `integers`, which draws nothing where nothing is missing: the step would pass for one without chance
        y, x = (min(missing, int(rng.uniform(0.0, missing + 1.0))) for missing in self._missing(scene))
        return self._placed(scene, y, x)

    sample_columns = lazy.method("augreg.columns.boxes", "pad_to")

    def _missing(self, scene: Scene) -> tuple[int, int]:
        """Rows and columns to add."""
        wanted = [
            -(-max(side, least) // divisor) * divisor
            for side, least, divisor in zip(scene.size, self.size, self.divisor, strict=True)
        ]
        return wanted[0] - scene.height, wanted[1] - scene.width

    def _placed(self, scene: Scene, above: int, left: int) -> tuple[Op, ...]:
        y, x = self._missing(scene)
        return (ops.pad(scene, above, y - above, left, x - left, self.fill, self.mode),) if y or x else ()

    def quadrature(self, scene: Scene) -> Iterable[tuple[float, tuple[Op, ...]]]:
        """Five positions, equally weighted: the center and the corners. None where nothing is random."""
        if self.position != "random":
            return ()
        bottom, right = self._missing(scene)
        if not (bottom or right):
            return [(1.0, ())]
        corners = [self._placed(scene, y, x) for y in (0, bottom) for x in (0, right)]
        return [(1 / 5, placed) for placed in (self.expect(scene, 1.0), *corners)]

    def expect(self, scene: Scene, p: float) -> tuple[Op, ...]:
        y, x = self._missing(scene)
        if self.position in ("center", "random"):
            return self._placed(scene, y // 2, x // 2)
        return self._placed(
            scene, y if self.position.startswith("bottom") else 0, x if self.position.endswith("right") else 0
        )


@transform(
    "crop_border", kind="geometry", rule="same", preview=({"pixels": 32}, {"pixels": 64}),
)  # fmt: skip
class CropBorder:
    """Cut `pixels` off every side of the image; if the image is too small for this, its middle is left."""

    pixels: Annotated[int, Meta(ge=0, le=65536)]

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        top, left = (min(self.pixels, (side - 1) // 2) for side in scene.size)
        return ops.crop(top, left, scene.height - 2 * top, scene.width - 2 * left)

    sample_columns = lazy.method("augreg.columns.boxes", "crop_border")


@transform(
    "random_scale", kind="geometry", rule="center",
    preview=tuple({"scale": [scale, scale]} for scale in (0.6, 0.8, 1.3)),
)  # fmt: skip
class RandomScale:
    """Resize both sides by one factor drawn uniformly, keeping the aspect ratio; sides are rounded down.

    With `fit`, the factor is relative to the size at which the image just fits into this height and width, rather
    than to its own size. The size of the result is random, so a crop or a resize to one size has to follow. At test
    time the factor is the middle of `scale`. With `antialias`, shrinking is antialiased.
    """

    scale: Range = (0.9, 1.1)
    interpolation: ResizeInterpolation = "bilinear"
    antialias: bool = True
    fit: Size | None = None
    later: ClassVar[tuple[str, ...]] = ("fit",)

    def check(self) -> None:
        check_range("scale", self.scale, 0.01, 100)

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        return self._by(scene, rng.uniform(*self.scale))

    sample_columns = lazy.method("augreg.columns.sizes", "random_scale")

    def _by(self, scene: Scene, factor: float) -> Op:
        if self.fit is not None:
            factor = min(self.fit[0] / scene.height, self.fit[1] / scene.width) * factor
        height, width = (max(1, int(side * factor)) for side in scene.size)
        return ops.resize(height, width, self.interpolation, self.antialias)

    def expect(self, scene: Scene, p: float) -> Op:
        return self._by(scene, sum(self.scale) / 2.0)


@transform(
    "zoom_out", kind="geometry", p=0.5, preview=tuple({"scale": [scale, scale]} for scale in (1.3, 2.0)),
)  # fmt: skip
class ZoomOut:
    """Put the image at a random position on a larger canvas, whose sides are those of the image times one factor.

    The factor is drawn uniformly from `scale`; the sides and the position are rounded down. The rest of the canvas
    shows `fill`. The size of the result is random, so a resize to one size has to follow, which makes objects
    smaller. This is torchvision's RandomZoomOut.
    """

    scale: Range = (1.0, 4.0)
    fill: Fill = (0.0,)

    def check(self) -> None:
        check_range("scale", self.scale, 1, 100)

    def sample(self, rng: Cursor, scene: Scene) -> tuple[Op, ...]:
        factor = rng.uniform(*self.scale)
        y, x = (int(side * factor) - side for side in scene.size)
        above, left = int(y * rng.uniform(0.0, 1.0)), int(x * rng.uniform(0.0, 1.0))
        return (ops.pad(scene, above, y - above, left, x - left, self.fill),) if y or x else ()

    sample_columns = lazy.method("augreg.columns.boxes", "zoom_out")


@transform(
    "crop_box", kind="geometry", rule="same",
    preview=({"top": 0, "left": 0, "size": 120}, {"top": 60, "left": 30, "size": [90, 150]}),
)  # fmt: skip
class CropBox:
    """Crop the box of this `size` whose first pixel is in the row `top` and the column `left`.

    Where the box goes beyond the image, the image is padded at the bottom and on the right with `fill`.
    """

    size: Size
    top: Annotated[int, Meta(ge=0, le=65536)] = 0
    left: Annotated[int, Meta(ge=0, le=65536)] = 0
    fill: Fill = (0.0,)

    def sample(self, rng: Cursor, scene: Scene) -> tuple[Op, ...]:
        height, width = self.size
        crop = ops.crop(self.top, self.left, height, width)
        below, right = max(0, self.top + height - scene.height), max(0, self.left + width - scene.width)
        if not (below or right):
            return (crop,)
        return ops.pad(scene, 0, below, 0, right, self.fill), crop

    sample_columns = lazy.method("augreg.columns.boxes", "crop_box")
