"""Transforms that mix the images of a batch: mixup, cutmix, resizemix and mosaic. Steps of the `batch` section.

All of them read a partner as it was before the step. A batch of one image does not change.

`pairing` chooses the partner of each image. `permutation`: a random permutation, where an image that is its own
partner does not change. `roll`: the previous image, and for the first image the last. `flip`: the batch in reverse
order, so partners are mutual, and the middle image of an odd batch does not change.

`per` is what the random numbers are drawn for: once for the whole `batch`, for each mutual `pair`, or for each
`element`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

from msgspec import Meta

from augreg.batch.blends import Blend, Box, Mix, Paste, Patch
from augreg.steps.declare import batch_transform
from augreg.steps.fields import Range
from augreg.transforms.dirichlet import dirichlet
from augreg.transforms.ranges import check_fraction, check_range

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from augreg.ops import Scene
    from augreg.rng import Cursor

    _T = TypeVar("_T")

_Alpha: TypeAlias = Annotated[float, Meta(gt=0, le=1000)]
_Per: TypeAlias = Literal["batch", "pair", "element"]
_Pairing: TypeAlias = Literal["permutation", "roll", "flip"]


def _check_pairs(per: str, pairing: str) -> None:
    if per == "pair" and pairing != "flip":
        raise ValueError(f"per: pair needs mutual partners, which only pairing: flip gives, got pairing: {pairing}")


def _partners(rng: Cursor, count: int, pairing: str) -> list[int]:
    """The index of each image's partner; its own index where it has none."""
    if pairing == "permutation":
        return rng.permutation(count)
    return [(i - 1) % count if pairing == "roll" else count - 1 - i for i in range(count)]


def _drawn(count: int, per: str, draw: Callable[[], _T]) -> list[_T]:
    """A draw for each image: its own, that of its pair, or that of the batch."""
    if per == "batch":
        return [draw()] * count
    if per == "element":
        return [draw() for _ in range(count)]
    half = [draw() for _ in range((count + 1) // 2)]
    return [half[min(i, count - 1 - i)] for i in range(count)]


@batch_transform("mixup", preview=({"alpha": 0.1}, {"alpha": 0.4}, {"alpha": 1.0}))
class Mixup:
    """Blend each image with a partner, and likewise their labels: lam * x[i] + (1 - lam) * x[partner].

    lam is drawn from Beta(alpha, alpha): the smaller alpha, the closer it is to 0 or 1. The paper uses alpha 1 for
    CIFAR and 0.2 for ImageNet, one lam for the batch, and a random permutation for the partners. Byte images are
    rounded to the nearest integer. Zhang et al. 2017, arXiv 1710.09412.
    """

    alpha: _Alpha = 1.0
    per: _Per = "batch"
    pairing: _Pairing = "permutation"

    def check(self) -> None:
        _check_pairs(self.per, self.pairing)

    def sample(self, rng: Cursor, count: int, scene: Scene) -> Blend | tuple[Blend, ...]:
        if count < 2:
            return ()
        weights = _drawn(count, self.per, lambda: dirichlet(rng, self.alpha, 2)[0])
        return Mix(tuple(_partners(rng, count, self.pairing)), tuple(weights))


@batch_transform("cutmix", preview=({"alpha": 0.2}, {"alpha": 1.0}, {"boxes": 4}))
class CutMix:
    """Paste boxes of a partner into each image, at the same position; labels are weighted by visible area.

    lam is drawn from Beta(alpha, alpha), and the partner gets up to 1 - lam of the area: `boxes` boxes with the
    aspect ratio of the image, each with 1 / `boxes` of that area and its center at a random pixel, so the border may
    clip it. The weight of a label is the fraction of the pixels that is really visible: with alpha 1 and one box, an
    image keeps 0.68 of its pixels on average. The paper draws one box for the whole batch, with p: 0.5 on CIFAR. Yun
    et al. 2019, arXiv 1905.04899.
    """

    alpha: _Alpha = 1.0
    per: _Per = "batch"
    pairing: _Pairing = "permutation"
    boxes: Annotated[int, Meta(ge=1, le=16)] = 1

    def check(self) -> None:
        _check_pairs(self.per, self.pairing)

    def sample(self, rng: Cursor, count: int, scene: Scene) -> Blend | tuple[Blend, ...]:
        if count < 2:
            return ()
        boxes = _drawn(count, self.per, lambda: self._boxes(rng, scene))
        partners = _partners(rng, count, self.pairing)
        patches = (Patch(i, box, partners[i], box) for i in range(count) if partners[i] != i for box in boxes[i])
        return Paste(tuple(patches))

    def _boxes(self, rng: Cursor, scene: Scene) -> list[Box]:
        side = math.sqrt(dirichlet(rng, self.alpha, 2)[1] / self.boxes)
        height, width = int(scene.height * side), int(scene.width * side)
        boxes: list[Box] = []
        for _ in range(self.boxes):
            y, x = rng.integers(scene.height), rng.integers(scene.width)
            top, bottom = max(0, y - height // 2), min(scene.height, y + (height + 1) // 2)
            left, right = max(0, x - width // 2), min(scene.width, x + (width + 1) // 2)
            if top < bottom and left < right:
                boxes.append((top, left, bottom - top, right - left))
        return boxes


@batch_transform("resizemix", preview=({"scale": 0.2}, {"scale": 0.5}, {"scale": 0.8}))
class ResizeMix:
    """Paste a partner, resized to a fraction of its size, into each image; labels are weighted by visible area.

    The fraction of the height and the width is drawn uniformly from `scale`, and the position uniformly from those
    inside the image. Because the whole partner is visible, so is the object of its label. Images are resized with an
    antialiased bilinear filter, masks with nearest. Qin et al. 2020, arXiv 2012.11101.
    """

    scale: Range = (0.1, 0.8)
    per: _Per = "batch"
    pairing: _Pairing = "permutation"

    def check(self) -> None:
        _check_pairs(self.per, self.pairing)
        check_fraction("scale", self.scale)

    def sample(self, rng: Cursor, count: int, scene: Scene) -> Blend | tuple[Blend, ...]:
        if count < 2:
            return ()
        boxes = _drawn(count, self.per, lambda: self._box(rng, scene))
        partners = _partners(rng, count, self.pairing)
        whole = (0, 0, scene.height, scene.width)
        return Paste(tuple(Patch(i, boxes[i], partners[i], whole) for i in range(count) if partners[i] != i))

    def _box(self, rng: Cursor, scene: Scene) -> Box:
        side = rng.uniform(*self.scale)
        height, width = max(1, round(scene.height * side)), max(1, round(scene.width * side))
        return rng.integers(scene.height - height + 1), rng.integers(scene.width - width + 1), height, width


@batch_transform("mosaic", preview=({"center": 0.5}, {"center": [0.2, 0.8]}, {"center": 0.5, "fit": "resize"}))
class Mosaic:
    """Combine four images in a 2x2 grid: the image at the top left and three partners; labels by visible area.

    The point where the four cells meet is drawn uniformly from `center`, a fraction of the height and, separately, of
    the width. A cell shows a random crop of its image (`fit: crop`) or the whole image, resized (`fit: resize`). With
    `pairing: roll`, the partners are the three previous images; in a batch of two or three, some occur twice.
    Bochkovskiy et al. 2020, arXiv 2004.10934; cells as crops, with the labels mixed by area: Takahashi et al. 2018,
    arXiv 1811.09030.
    """

    center: Range = (0.25, 0.75)
    fit: Literal["crop", "resize"] = "crop"
    per: Literal["batch", "element"] = "element"
    pairing: Literal["roll", "permutation"] = "roll"

    def check(self) -> None:
        check_range("center", self.center, 0, 1)

    def sample(self, rng: Cursor, count: int, scene: Scene) -> Blend | tuple[Blend, ...]:
        if count < 2:
            return ()
        cells = _drawn(count, self.per, lambda: self._cells(rng, scene))
        if self.pairing == "roll":
            others = [[(i - back) % count for i in range(count)] for back in (1, 2, 3)]
        else:
            others = [rng.permutation(count) for _ in range(3)]
        sources = [list(range(count)), *others]
        patches = (Patch(i, box, sources[k][i], piece) for i in range(count) for k, box, piece in cells[i])
        return Paste(tuple(patches))

    def _cells(self, rng: Cursor, scene: Scene) -> list[tuple[int, Box, Box]]:
        """The cells that are not empty: number (row by row), box in the result, and box of the source image."""
        height, width = scene.size
        y, x = round(height * rng.uniform(*self.center)), round(width * rng.uniform(*self.center))
        cells: list[tuple[int, Box, Box]] = []
        for number, (top, left) in enumerate(((0, 0), (0, x), (y, 0), (y, x))):
            cell_height = y if number < 2 else height - y
            cell_width = x if number % 2 == 0 else width - x
            crop_top, crop_left = rng.integers(height - cell_height + 1), rng.integers(width - cell_width + 1)
            if cell_height and cell_width:
                crop = (crop_top, crop_left, cell_height, cell_width)
                source = crop if self.fit == "crop" else (0, 0, height, width)
                cells.append((number, (top, left, cell_height, cell_width), source))
        return cells
