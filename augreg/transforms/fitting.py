"""Resizing and cropping that keep something: the aspect ratio of the image, or its bounding boxes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from msgspec import Meta

from augreg import lazy, ops
from augreg.steps.declare import transform
from augreg.steps.fields import Counts, Fill, Probability, ResizeInterpolation, Size
from augreg.transforms.geometry import RandomResizedCrop, centered
from augreg.transforms.ranges import check_range

if TYPE_CHECKING:
    from collections.abc import Iterable

    from augreg.ops import Op, Scene
    from augreg.ops.scene import Boxes
    from augreg.rng import Cursor


def _fitted(scene: Scene, height: int, width: int) -> tuple[int, int]:
    """The largest size with the aspect ratio of the image that fits into (height, width); a side is at least 1."""
    if height * scene.width <= width * scene.height:
        return height, min(width, max(1, round(scene.width * height / scene.height)))
    return min(height, max(1, round(scene.height * width / scene.width))), width


@transform("longest_max_size", kind="geometry", rule="same", preview=tuple({"longer": n} for n in (160, 80, 24)))
class LongestMaxSize:
    """Resize the longer side to `longer`, up or down, keeping the aspect ratio.

    The shorter side becomes round(longer * short / long), half to even, and at least 1. With `antialias`, shrinking
    is antialiased.
    """

    longer: Annotated[int, Meta(ge=1, le=65536)]
    interpolation: ResizeInterpolation = "bilinear"
    antialias: bool = True

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        return ops.resize(*_fitted(scene, self.longer, self.longer), self.interpolation, self.antialias)

    sample_columns = lazy.method("augreg.columns.sizes", "longest_max_size")


@transform(
    "letterbox", kind="geometry", rule="same",
    preview=({"size": 160}, {"size": [120, 200], "fill": 114}, {"size": [160, 60]}),
)  # fmt: skip
class Letterbox:
    """Resize the image to fit into `size`, keeping the aspect ratio, and pad the rest with `fill`.

    The image is centered, with an odd pixel of padding at the bottom or on the right. Detectors of the YOLO family
    expect `fill: 114`.
    """

    size: Size
    fill: Fill = (0.0,)
    interpolation: ResizeInterpolation = "bilinear"
    antialias: bool = True

    def sample(self, rng: Cursor, scene: Scene) -> tuple[Op, ...]:
        height, width = self.size
        fitted = ops.resize(*_fitted(scene, height, width), self.interpolation, self.antialias)
        missing_y, missing_x = height - fitted.height, width - fitted.width
        top, left = missing_y // 2, missing_x // 2
        inside = fitted.after(scene)
        return fitted, ops.pad(inside, top, missing_y - top, left, missing_x - left, self.fill)

    sample_columns = lazy.method("augreg.columns.sizes", "letterbox")


@transform(
    "safe_crop",
    kind="geometry",
    rule="center",
    preview=tuple({"size": 160, "scale": scale} for scale in ([0.8, 1.0], [0.4, 0.6], [0.08, 0.15])),
)
class SafeCrop(RandomResizedCrop):
    """Crop a random region that contains all bounding boxes of the sample, and resize it to `size`.

    The area, as a fraction of the image, is drawn uniformly from `scale`, and the aspect ratio (width / height)
    log-uniformly from `ratio`, both limited to what leaves room for the boxes; sides are rounded half to even. The
    position is drawn uniformly from those that contain all boxes. If the boxes need an area or an aspect ratio
    outside of the range, the crop exceeds it by as little as possible. An image without boxes gets a
    `random_resized_crop`, and so does one after a non-linear distortion such as `elastic`, because the positions of
    its boxes are not known yet; so put this step first. At test time, the center is cropped as by
    `random_resized_crop`, which may cut boxes.
    """

    def sample(self, rng: Cursor, scene: Scene) -> tuple[Op, ...]:
        if not scene.boxes:
            return super().sample(rng, scene)
        box = self._around_boxes(rng, scene)
        height, width = self.size
        return ops.crop(*box), ops.resize(height, width, self.interpolation, self.antialias)

    sample_columns = lazy.method("augreg.columns.boxes", "safe_crop")

    def quadrature(self, scene: Scene) -> Iterable[tuple[float, tuple[Op, ...]]]:
        """Those of `random_resized_crop` for an image without boxes; none that would cut boxes."""
        return () if scene.boxes else super().quadrature(scene)

    def _around_boxes(self, rng: Cursor, scene: Scene) -> tuple[int, int, int, int]:
        """The top, left, height and width of a crop. Always uses four random words."""
        height, width = scene.size
        x0, y0, x1, y1 = _union(scene.boxes)
        min_w, min_h = x1 - x0, y1 - y0
        # Widen the range of aspect ratios as far as boxes as wide or as high as the image need it.
        narrow, wide = min(self.ratio[0], width / min_h), max(self.ratio[1], min_w / height)
        smallest = max(min_w, min_h * narrow) * max(min_h, min_w / wide)
        largest = min(width, height * wide) * min(height, width / narrow)
        # Every area from the smallest to the largest is possible: the allowed (log w, log h) are a convex set.
        low, high = (max(smallest, min(largest, fraction * height * width)) for fraction in self.scale)
        area = rng.uniform(low, high)
        narrow = max(narrow, min_w * min_w / area, area / (height * height))
        wide = max(narrow, min(wide, width * width / area, area / (min_h * min_h)))
        aspect = math.exp(rng.uniform(math.log(narrow), math.log(wide)))
        w = max(min_w, min(width, round(math.sqrt(area * aspect))))
        h = max(min_h, min(height, round(math.sqrt(area / aspect))))
        return _position(rng, y0, y1, h, height), _position(rng, x0, x1, w, width), h, w


@transform(
    "random_sized_crop", kind="geometry", rule="center",
    preview=tuple({"size": 160, "height": [height, height]} for height in (200, 120, 60)),
)  # fmt: skip
class RandomSizedCrop:
    """Crop a box of a random height in pixels, at a position drawn uniformly, and resize it to `size`.

    The height is drawn uniformly from the whole numbers in `height`, and the width is `ratio` times that, rounded
    down; both are limited to the image. At test time, the box of the middle height, rounded down, is cropped in the
    center. With `antialias`, shrinking is antialiased.
    """

    size: Size
    height: Counts = (128, 256)
    ratio: Annotated[float, Meta(gt=0, le=1000)] = 1.0
    interpolation: ResizeInterpolation = "bilinear"
    antialias: bool = True

    def check(self) -> None:
        check_range("height", self.height, 1, 65536, " pixels")

    def sample(self, rng: Cursor, scene: Scene) -> tuple[Op, ...]:
        height, width = self._sides(scene, self.height[0] + rng.integers(self.height[1] - self.height[0] + 1))
        top, left = rng.integers(scene.height - height + 1), rng.integers(scene.width - width + 1)
        return ops.crop(top, left, height, width), self._resized()

    sample_columns = lazy.method("augreg.columns.boxes", "random_sized_crop")

    def _sides(self, scene: Scene, height: int) -> tuple[int, int]:
        return min(scene.height, height), min(scene.width, max(1, int(height * self.ratio)))

    def _resized(self) -> Op:
        height, width = self.size
        return ops.resize(height, width, self.interpolation, self.antialias)

    def expect(self, scene: Scene, p: float) -> tuple[Op, ...]:
        return *centered(scene, self._sides(scene, sum(self.height) // 2)), self._resized()


@transform("crop_around_boxes", kind="geometry", rule="center", preview=({}, {"size": 160}))
class CropAroundBoxes:
    """Crop so that all bounding boxes of the sample stay whole, and resize to `size` if it is given.

    Each of the four edges of the crop lies at a whole number of pixels, drawn uniformly between the edge of the image
    and the boxes. With `erosion` above 0, parts of the boxes may be cut off at each edge: half of this fraction of
    the smallest box around all boxes, if there are several, or with `erode: boxes` this fraction of each box. In an
    image without boxes, only the middle pixel is sure to be kept; with `without_boxes: shrink`, the crop keeps the
    aspect ratio instead, and its sides are shorter by up to the fraction `erosion`. The same then applies to every
    image if `erosion` is 1 and `erode` is union. After a non-linear distortion such as `elastic` the positions of
    boxes are not known, and an image counts as one without boxes; so put this step first. At test time nothing is
    cropped. With `antialias`, shrinking is antialiased.
    """

    size: Size | None = None
    interpolation: ResizeInterpolation = "bilinear"
    antialias: bool = True
    erosion: Probability = 0.0
    erode: Literal["union", "boxes"] = "union"
    without_boxes: Literal["center", "shrink"] = "center"
    later: ClassVar[tuple[str, ...]] = ("erosion", "erode", "without_boxes")

    def check(self) -> None:
        if self.erode == "boxes" and self.erosion > 0.5:
            raise ValueError(
                f"with erode: boxes, erosion is at most 0.5, half a box at each edge, got {self.erosion}"
            )

    def sample(self, rng: Cursor, scene: Scene) -> tuple[Op, ...]:
        all_eroded = self.erode == "union" and self.erosion == 1.0
        if self.without_boxes == "shrink" and (all_eroded or not scene.boxes):
            return self._shrunk(rng, scene), *self.expect(scene, 1.0)
        y, x = scene.height // 2, scene.width // 2
        left, top, right, bottom = self._inner(scene.boxes) if scene.boxes else (x, y, x + 1, y + 1)
        before, above = rng.integers(left + 1), rng.integers(top + 1)
        after, below = right + rng.integers(scene.width - right + 1), bottom + rng.integers(scene.height - bottom + 1)
        return ops.crop(above, before, below - above, after - before), *self.expect(scene, 1.0)

    sample_columns = lazy.method("augreg.columns.boxes", "crop_around_boxes")

    def _inner(self, boxes: Boxes) -> tuple[int, int, int, int]:
        """What stays of the boxes: x0, y0, x1, y1 in whole pixels."""
        if self.erosion == 0.0 or (self.erode == "union" and len(boxes) == 1):
            return _union(boxes)
        if self.erode == "boxes":
            boxes = tuple([_eroded(box, self.erosion) for box in boxes])
        lefts, tops, rights, bottoms = zip(*boxes, strict=True)
        inner = min(lefts), min(tops), max(rights), max(bottoms)
        left, top, right, bottom = _union((inner if self.erode == "boxes" else _eroded(inner, self.erosion * 0.5),))
        return left, top, max(right, left + 1), max(bottom, top + 1)

    def _shrunk(self, rng: Cursor, scene: Scene) -> Op:
        """A crop of the image's aspect ratio, of up to `erosion` less height, at a random place."""
        least = max(1, int(scene.height * (1.0 - self.erosion)))
        height = least + rng.integers(scene.height - least + 1)
        width = max(1, height * scene.width // scene.height)
        top, left = rng.integers(scene.height - height + 1), rng.integers(scene.width - width + 1)
        rng.random()  # as many words as with boxes
        return ops.crop(top, left, height, width)

    def expect(self, scene: Scene, p: float) -> tuple[Op, ...]:
        if self.size is None:
            return ()
        height, width = self.size
        return (ops.resize(height, width, self.interpolation, self.antialias),)


def _union(boxes: Boxes) -> tuple[int, int, int, int]:
    """The smallest x0, y0, x1, y1 in whole pixels that contains all boxes."""
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    return math.floor(min(lefts)), math.floor(min(tops)), math.ceil(max(rights)), math.ceil(max(bottoms))


def _eroded(box: tuple[float, float, float, float], part: float) -> tuple[float, float, float, float]:
    """The box without this part of its sides at each edge."""
    x0, y0, x1, y1 = box
    x, y = part * (x1 - x0), part * (y1 - y0)
    return x0 + x, y0 + y, x1 - x, y1 - y


def _position(rng: Cursor, start: int, stop: int, length: int, size: int) -> int:
    """The start of an interval of this length that contains start..stop and is inside 0..size, drawn uniformly."""
    first, last = max(0, stop - length), min(start, size - length)
    return first + rng.integers(last - first + 1)
