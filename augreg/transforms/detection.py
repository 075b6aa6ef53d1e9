"""Crops and sizes that detectors are trained with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

from msgspec import Meta

from augreg import lazy, ops
from augreg.steps.declare import transform
from augreg.steps.fields import Counts, Range, ResizeInterpolation
from augreg.transforms.geometry import size_by_shorter
from augreg.transforms.ranges import check_fraction, check_positive, check_range

if TYPE_CHECKING:
    from augreg.ops import Op, Scene
    from augreg.ops.scene import Boxes
    from augreg.rng import Cursor


_ROUNDS: Final = 50
"""How many overlaps are drawn; if no crop is found then, the image stays as it is."""


@transform("iou_crop", kind="geometry", preview=({}, {"overlaps": [0.0], "scale": [0.3, 0.5]}))
class IouCrop:
    """Crop at random, with at least a drawn overlap (intersection over union) between the crop and one of the boxes.

    The overlap that is required is drawn from `overlaps`; 1 or more leaves the image as it is. Then up to `tries`
    crops are drawn: each side of the crop is the side of the image times a factor of its own from `scale`, rounded
    down, and its position is random. The first crop is taken whose aspect ratio (width / height) is within `ratio`,
    which contains the center of a box, and whose overlap with such a box is large enough. If there is none, another
    overlap is drawn; after 50 of them the image stays as it is. So does an image without boxes, and one after a
    non-linear distortion such as `elastic`. A box of which a part is left is kept, unless the spec says `targets:
    {centers: drop}`. SSD: Liu et al. 2016, arXiv 1512.02325; this is torchvision's RandomIoUCrop.
    """

    overlaps: Annotated[tuple[Annotated[float, Meta(ge=0, le=1e6)], ...], Meta(min_length=1)] = (
        0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0,
    )  # fmt: skip
    scale: Range = (0.3, 1.0)
    ratio: Range = (0.5, 2.0)
    tries: Annotated[int, Meta(ge=1, le=1000)] = 40

    def check(self) -> None:
        check_fraction("scale", self.scale)
        check_positive("ratio", self.ratio)

    def sample(self, rng: Cursor, scene: Scene) -> tuple[Op, ...]:
        if not scene.boxes:
            return ()
        for _ in range(_ROUNDS):
            overlap = self.overlaps[rng.integers(len(self.overlaps))]
            if overlap >= 1:
                return ()
            for _ in range(self.tries):
                width, height = (
                    int(scene.width * rng.uniform(*self.scale)),
                    int(scene.height * rng.uniform(*self.scale)),
                )
                if not (width and height and self.ratio[0] <= width / height <= self.ratio[1]):
                    continue
                left = int((scene.width - width) * rng.random())
                top = int((scene.height - height) * rng.random())
                found = _largest_overlap(scene.boxes, left, top, left + width, top + height)
                if found is not None and found >= overlap:
                    return (ops.crop(top, left, height, width),)
        return ()

    sample_columns = lazy.method("augreg.columns.overlaps", "iou_crop")


def _largest_overlap(boxes: Boxes, left: int, top: int, right: int, bottom: int) -> float | None:
    """The largest intersection over union with boxes whose center is inside; None if there are none."""
    largest = None
    for x0, y0, x1, y1 in boxes:
        if not (left < 0.5 * (x0 + x1) < right and top < 0.5 * (y0 + y1) < bottom):
            continue
        common = (min(x1, right) - max(x0, left)) * (min(y1, bottom) - max(y0, top))
        whole = (x1 - x0) * (y1 - y0) + (right - left) * (bottom - top) - common
        largest = max(common / whole, -1.0 if largest is None else largest)
    return largest


@transform(
    "random_shorter", kind="geometry", rule="center",
    preview=tuple({"shorter": [size, size]} for size in (200, 120, 60)),
)  # fmt: skip
class RandomShorter:
    """Resize the shorter side to a random length in pixels, keeping the aspect ratio.

    The length is drawn uniformly from the whole numbers in `shorter`; the longer side is rounded down. The size of
    the result is random, so a crop or a resize to one size has to follow. At test time, the length is the middle of
    `shorter`, rounded down. With `antialias`, shrinking is antialiased. This is torchvision's RandomResize.
    """

    shorter: Counts
    interpolation: ResizeInterpolation = "bilinear"
    antialias: bool = True

    def check(self) -> None:
        check_range("shorter", self.shorter, 1, 65536, " pixels")

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        low, high = self.shorter
        return self._to(scene, low + rng.integers(high - low + 1))

    sample_columns = lazy.method("augreg.columns.sizes", "random_shorter")

    def _to(self, scene: Scene, shorter: int) -> Op:
        height, width = size_by_shorter(scene, shorter)
        return ops.resize(height, width, self.interpolation, self.antialias)

    def expect(self, scene: Scene, p: float) -> Op:
        return self._to(scene, sum(self.shorter) // 2)
