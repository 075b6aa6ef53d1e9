"""Sizes that keep something: an image's proportions, by its longer side or in a frame with bars, or its boxes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta

from augreg import ops
from augreg.steps.declare import transform
from augreg.steps.fields import Fill, Interpolation, Size
from augreg.transforms import geometry

if TYPE_CHECKING:
    from augreg.ops import Op, Scene
    from augreg.ops.scene import Boxes
    from augreg.rng import Cursor


def _fitted(scene: Scene, height: int, width: int) -> tuple[int, int]:
    """The largest size of the image's proportions that fits into a frame: no side is less than one pixel."""
    if height * scene.width <= width * scene.height:
        return height, min(width, max(1, round(scene.width * height / scene.height)))
    return min(height, max(1, round(scene.height * width / scene.width))), width


@transform("longest_max_size", kind="geometry", rule="same", preview=tuple({"longer": n} for n in (160, 80, 24)))
class LongestMaxSize:
    """Scale the longer side to `longer`, up or down; antialiased when shrinking.

    The shorter side becomes round(longer * short / long), half to even, and at least 1.
    """

    longer: Annotated[int, Meta(ge=1, le=65536)]
    interpolation: Interpolation = "bilinear"
    antialias: bool = True

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        return ops.resize(*_fitted(scene, self.longer, self.longer), self.interpolation, self.antialias)


@transform(
    "letterbox", kind="geometry", rule="same",
    preview=({"size": 160}, {"size": [120, 200], "fill": 114}, {"size": [160, 60]}),
)  # fmt: skip
class Letterbox:
    """Scale to fit into `size` and pad the rest with `fill`, so that nothing is cut off or stretched.

    The image lies in the middle, an odd pixel of border below or on the right. Detectors of the YOLO family
    are used to `fill: 114`.
    """

    size: Size
    fill: Fill = (0.0,)
    interpolation: Interpolation = "bilinear"
    antialias: bool = True

    def sample(self, rng: Cursor, scene: Scene) -> tuple[Op, ...]:
        height, width = self.size
        fitted = ops.resize(*_fitted(scene, height, width), self.interpolation, self.antialias)
        missing_y, missing_x = height - fitted.height, width - fitted.width
        top, left = missing_y // 2, missing_x // 2
        inside = fitted.after(scene)
        return fitted, ops.pad(inside, top, missing_y - top, left, missing_x - left, self.fill)


@transform(
    "safe_crop",
    kind="geometry",
    rule="center",
    preview=tuple({"size": 160, "scale": scale} for scale in ([0.8, 1.0], [0.4, 0.6], [0.08, 0.15])),
)
class SafeCrop(geometry.RandomResizedCrop):
    """Cut out a random box that holds every box of the sample, and resize it to `size`.

    With boxes: an area of U(scale) of the image, an aspect ratio of exp(U(log ratio)), each from the part of its
    range that leaves room for the boxes, sides rounded half to even, placed uniformly among the places that hold
    them. Where boxes need more than `scale` or `ratio` has, the crop is as little beyond as it can be. An image
    without boxes gets a `random_resized_crop`; so does one behind a step that does not say in plain numbers where
    boxes go (`elastic` and other bends), so give this step first. At test time the center, as that one; boxes
    may be cut there.
    """

    def sample(self, rng: Cursor, scene: Scene) -> tuple[Op, ...]:
        if not scene.boxes:
            return super().sample(rng, scene)
        box = self._around_boxes(rng, scene)
        return ops.crop(*box), ops.resize(*self.size, self.interpolation, self.antialias)

    def _around_boxes(self, rng: Cursor, scene: Scene) -> tuple[int, int, int, int]:
        """Top, left, height and width: four words, whatever the boxes are."""
        height, width = scene.size
        x0, y0, x1, y1 = _union(scene.boxes)
        least_w, least_h = x1 - x0, y1 - y0
        # What boxes as wide or as high as the image leave of the ratios; then at least one crop has one of them.
        narrow, wide = min(self.ratio[0], width / least_h), max(self.ratio[1], least_w / height)
        smallest = max(least_w, least_h * narrow) * max(least_h, least_w / wide)
        largest = min(width, height * wide) * min(height, width / narrow)
        # Crops between these two exist for every area between theirs, since log w and log h fill a convex figure.
        low, high = (max(smallest, min(largest, share * height * width)) for share in self.scale)
        area = rng.uniform(low, high)
        narrow = max(narrow, least_w * least_w / area, area / (height * height))
        wide = max(narrow, min(wide, width * width / area, area / (least_h * least_h)))
        aspect = math.exp(rng.uniform(math.log(narrow), math.log(wide)))
        w = max(least_w, min(width, round(math.sqrt(area * aspect))))
        h = max(least_h, min(height, round(math.sqrt(area / aspect))))
        return _place(rng, y0, y1, h, height), _place(rng, x0, x1, w, width), h, w


def _union(boxes: Boxes) -> tuple[int, int, int, int]:
    """The whole pixels, x0, y0, x1, y1, that hold all of the boxes."""
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    return math.floor(min(lefts)), math.floor(min(tops)), math.ceil(max(rights)), math.ceil(max(bottoms))


def _place(rng: Cursor, start: int, stop: int, length: int, size: int) -> int:
    """Where a crop of a length begins that holds start to stop and lies within 0 to size, uniformly."""
    first, last = max(0, stop - length), min(start, size - length)
    return first + rng.integers(last - first + 1)
