"""Geometric transforms: flips, crops, padding and resizing. `warps.py` has affine and perspective maps."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, TypeAlias

from msgspec import Meta

from augreg import lazy, ops
from augreg.steps.declare import transform
from augreg.steps.fields import Fill, Padding, PadMode, Range, ResizeInterpolation, Size
from augreg.transforms.ranges import check_fraction, check_positive

if TYPE_CHECKING:
    from collections.abc import Iterable

    from augreg.ops import Op, Scene
    from augreg.rng import Cursor

Rounding: TypeAlias = Literal["nearest", "down"]
"""How a number of pixels becomes an integer: the nearest, and the even one of two, or the next lower one."""


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


def centered(
    scene: Scene,
    size: tuple[int, int],
    fill: Fill = (0.0,),
    mode: PadMode = "constant",
    rounding: Rounding = "nearest",
) -> tuple[Op, ...]:
    """Crop the center; an image that is too small is padded first."""
    height, width = size
    borders, scene = _padded(scene, size, (0, 0, 0, 0), fill, mode)
    whole = math.floor if rounding == "down" else round
    top, left = whole((scene.height - height) / 2), whole((scene.width - width) / 2)
    return (*borders, ops.crop(top, left, height, width))


def corner_crops(scene: Scene, size: tuple[int, int]) -> tuple[Op, ...]:
    """Crop each corner of an image that is at least this large: top left, top right, bottom left, bottom right."""
    height, width = size
    bottom, right = scene.height - height, scene.width - width
    return tuple(ops.crop(top, left, height, width) for top in (0, bottom) for left in (0, right))


@transform("center_crop", kind="geometry", rule="same", preview=({"size": 200}, {"size": 140}, {"size": 80}))
class CenterCrop:
    """Crop the center of the image; an image smaller than `size` is padded with `fill` on both sides.

    The top of the crop is (height of the image - height) / 2, and likewise for its left. `rounding` says how a half
    is rounded: `nearest` to the even number, as in torchvision, and `down` as in albumentations.
    """

    size: Size
    fill: Fill = (0.0,)
    rounding: Rounding = "nearest"
    later: ClassVar[tuple[str, ...]] = ("rounding",)

    def sample(self, rng: Cursor, scene: Scene) -> tuple[Op, ...]:
        return centered(scene, self.size, self.fill, rounding=self.rounding)

    sample_columns = lazy.method("augreg.columns.boxes", "center_crop")


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


def size_by_shorter(scene: Scene, shorter: int, rounding: Rounding = "down") -> tuple[int, int]:
    """The height and width with this shorter side and the aspect ratio of the image."""
    short, long = min(scene.size), max(scene.size)
    longer = int(shorter * long / short) if rounding == "down" else round(long * (shorter / short))
    return (shorter, longer) if scene.height <= scene.width else (longer, shorter)


@transform("resize", kind="geometry", rule="same", preview=({"size": 160}, {"size": 80}, {"size": 24}))
class Resize:
    """Resize the shorter side to `shorter`, keeping the aspect ratio, or the image to exactly `size`.

    Give one of the two. With `shorter`, the longer side becomes shorter * long / short, rounded down as in
    torchvision, or with `rounding: nearest` to the nearest integer. `size` is (height, width) or one number for both.
    With `antialias`, shrinking is antialiased; lanczos and area always antialias, and lanczos4 never does. `area` is
    the mean of the area that a pixel covers, OpenCV's INTER_AREA, and `lanczos4` is its INTER_LANCZOS4.
    """

    shorter: Annotated[int, Meta(ge=1, le=65536)] | None = None
    size: Size | None = None
    interpolation: ResizeInterpolation = "bilinear"
    antialias: bool = True
    rounding: Rounding = "down"
    later: ClassVar[tuple[str, ...]] = ("rounding",)

    def check(self) -> None:
        if (self.size is None) == (self.shorter is None):
            raise ValueError("give either 'shorter' (the shorter side) or 'size' (the exact height and width)")

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        if self.size is not None:
            height, width = self.size
            return ops.resize(height, width, self.interpolation, self.antialias)
        height, width = size_by_shorter(scene, self.shorter or 1, self.rounding)
        return ops.resize(height, width, self.interpolation, self.antialias)

    sample_columns = lazy.method("augreg.columns.sizes", "resize")


@transform("pad", kind="geometry", rule="same", preview=({"padding": 8}, {"padding": 24}, {"padding": 48}))
class Pad:
    """Pad the image on all sides with `fill`, or by repeating or mirroring its edge.

    `mode` is `constant` (`fill`), `edge` (the edge pixel is repeated), `reflect` (mirrored, without repeating the
    edge pixel), `symmetric` (mirrored, with the edge pixel repeated) or `wrap` (the image again).
    """

    padding: Padding
    fill: Fill = (0.0,)
    mode: PadMode = "constant"

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        top, bottom, left, right = self.padding
        return ops.pad(scene, top, bottom, left, right, self.fill, self.mode)

    sample_columns = sample
