"""Resizing and cropping that keep something: the aspect ratio of the image, or its bounding boxes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta

from augreg import lazy, ops
from augreg.steps.declare import transform
from augreg.steps.fields import Fill, ResizeInterpolation, Size
from augreg.transforms.geometry import RandomResizedCrop

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


def _union(boxes: Boxes) -> tuple[int, int, int, int]:
    """The smallest x0, y0, x1, y1 in whole pixels that contains all boxes."""
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    return math.floor(min(lefts)), math.floor(min(tops)), math.ceil(max(rights)), math.ceil(max(bottoms))


def _position(rng: Cursor, start: int, stop: int, length: int, size: int) -> int:
    """The start of an interval of this length that contains start..stop and is inside 0..size, drawn uniformly."""
    first, last = max(0, stop - length), min(start, size - length)
    return first + rng.integers(last - first + 1)
