"""Transforms that mix the images of a batch: mixup, cutmix, resizemix, mosaic and copy_paste. Steps of the `batch`
section.

All of them read a partner as it was before the step. A batch of one image does not change.

`pairing` chooses the partner of each image. `permutation`: a random permutation, where an image that is its own
partner does not change. `roll`: the previous image, and for the first image the last. `flip`: the batch in reverse
order, so partners are mutual, and the middle image of an odd batch does not change.

`per` is what the random numbers are drawn for: once for the whole `batch`, for each mutual `pair`, or for each
`element`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, TypeAlias

from msgspec import Meta

from augreg import lazy
from augreg.steps.declare import batch_transform
from augreg.steps.fields import Range
from augreg.transforms.dirichlet import dirichlet_pairs
from augreg.transforms.ranges import check_fraction, check_range

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from augreg.batch import blends, shapes
    from augreg.batch.blends import Blend
    from augreg.batch.cells import Integers
    from augreg.ops import Scene
    from augreg.rng import Cursor
else:
    np = lazy.module("numpy")
    blends = lazy.module("augreg.batch.blends")
    shapes = lazy.module("augreg.batch.shapes")

_Alpha: TypeAlias = Annotated[float, Meta(gt=0, le=1000)]
_Per: TypeAlias = Literal["batch", "pair", "element"]
_Pairing: TypeAlias = Literal["permutation", "roll", "flip"]


def _check_pairs(per: str, pairing: str) -> None:
    if per == "pair" and pairing != "flip":
        raise ValueError(f"per: pair needs mutual partners, which only pairing: flip gives, got pairing: {pairing}")


def _partners(rng: Cursor, count: int, pairing: str) -> Integers:
    """The index of each image's partner; its own index where it has none."""
    if pairing == "permutation":
        return np.array(rng.permutation(count))
    return (np.arange(count) - 1) % count if pairing == "roll" else np.arange(count)[::-1]


def _draws(count: int, per: str) -> Integers:
    """For each image the number of its draw: its own, that of its pair, or that of the batch."""
    numbers = np.arange(count)
    return numbers * 0 if per == "batch" else numbers if per == "element" else np.minimum(numbers, numbers[::-1])


@batch_transform("mixup", preview=({"alpha": 0.1}, {"alpha": 0.4}, {"alpha": 1.0}))
class Mixup:
    """Blend each image with a partner, and likewise their labels: lam * x[i] + (1 - lam) * x[partner].

    lam is drawn from Beta(alpha, alpha): the smaller alpha, the closer it is to 0 or 1. The paper uses alpha 1 for
    CIFAR and 0.2 for ImageNet, one lam for the batch, and a random permutation for the partners. With a fixed `lam`
    it is not drawn: 0.4 is 40 % of each image and 60 % of its partner. Byte images are rounded to the nearest
    integer. Zhang et al. 2017, arXiv 1710.09412.
    """

    later: ClassVar[tuple[str, ...]] = ("lam",)  # it is left out of canonical specs if it is drawn

    alpha: _Alpha = 1.0
    per: _Per = "batch"
    pairing: _Pairing = "permutation"
    lam: Annotated[float, Meta(ge=0, le=1)] | None = None

    def check(self) -> None:
        _check_pairs(self.per, self.pairing)
        if self.lam is not None and (self.alpha != 1.0 or self.per != "batch"):
            raise ValueError(
                f"a fixed lam is the same for every image and is not drawn: leave out alpha and per, got lam "
                f"{self.lam:g}, alpha {self.alpha:g}, per {self.per}"
            )

    def sample(self, rng: Cursor, count: int, scene: Scene) -> Blend | tuple[Blend, ...]:
        if count < 2:
            return ()
        if self.lam is not None:
            weights = np.full(count, self.lam)
        else:
            draws = _draws(count, self.per)
            weights = dirichlet_pairs(rng, self.alpha, draws.max() + 1).first[draws]
        return blends.Mix(tuple(_partners(rng, count, self.pairing).tolist()), tuple(weights.tolist()))


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
        draws = _draws(count, self.per)
        boxes = self._boxes(rng, draws.max() + 1, scene)[draws]
        partners = _partners(rng, count, self.pairing)
        pasted = (boxes[:, :, 2:] > 0).all(2) & (partners != np.arange(count))[:, None]
        into, box = pasted.nonzero()[0], boxes[pasted]
        return blends.Paste(blends.Patches(into, box, partners[into], box))

    def _boxes(self, rng: Cursor, draws: int, scene: Scene) -> Integers:
        """The boxes of each draw, draws x boxes x 4; some are empty."""
        area = dirichlet_pairs(rng, self.alpha, draws, 2 * self.boxes)
        side = np.sqrt(area.second / self.boxes)[:, None]
        boxes = np.empty((draws, self.boxes, 4), np.int64)
        for axis, size in enumerate(scene.size):
            length, center = _floor(size * side), _floor(area.further[:, axis::2] * size)
            boxes[:, :, axis] = start = np.maximum(0, center - length // 2)
            boxes[:, :, axis + 2] = np.minimum(size, center + (length + 1) // 2) - start
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
        draws = _draws(count, self.per)
        boxes = self._boxes(rng, draws.max() + 1, scene)[draws]
        partners = _partners(rng, count, self.pairing)
        into = np.flatnonzero(partners != np.arange(count))
        return blends.Paste(blends.Patches(into, boxes[into], partners[into], (0, 0, *scene.size)))

    def _boxes(self, rng: Cursor, draws: int, scene: Scene) -> Integers:
        units = rng.randoms(3 * draws).reshape(draws, 3)
        side = _between(self.scale, units[:, 0])
        height, width = (np.maximum(1, _round(size * side)) for size in scene.size)
        top, left = (
            _floor(units[:, 1] * (scene.height - height + 1)),
            _floor(units[:, 2] * (scene.width - width + 1)),
        )
        return np.stack([top, left, height, width], 1)


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
        draws = _draws(count, self.per)
        boxes, pieces = (cells[draws] for cells in self._cells(rng, draws.max() + 1, scene))
        own = np.arange(count)
        if self.pairing == "roll":
            others = [(own - back) % count for back in (1, 2, 3)]
        else:
            others = [np.array(rng.permutation(count)) for _ in range(3)]
        sources = np.stack([own, *others], 1)
        pasted = np.all(boxes[:, :, 2:] > 0, axis=2)
        return blends.Paste(blends.Patches(np.nonzero(pasted)[0], boxes[pasted], sources[pasted], pieces[pasted]))

    def _cells(self, rng: Cursor, draws: int, scene: Scene) -> tuple[Integers, Integers]:
        """The boxes of the cells, row by row, and those of the source images, draws x 4 x 4; some are empty."""
        units = rng.randoms(10 * draws).reshape(draws, 10)
        boxes, crops = np.empty((2, draws, 4, 4), np.int64)
        for axis, (size, second) in enumerate(zip(scene.size, _SECOND, strict=True)):
            point = _round(size * _between(self.center, units[:, axis, None]))
            length = np.where(second, size - point, point)
            boxes[:, :, axis] = point * np.array(second)
            crops[:, :, axis] = _floor(units[:, 2 + axis :: 2] * (size - length + 1))
            boxes[:, :, axis + 2] = crops[:, :, axis + 2] = length
        return boxes, crops if self.fit == "crop" else np.broadcast_to((0, 0, *scene.size), boxes.shape)


@batch_transform("copy_paste", preview=({"fraction": 0.2}, {"fraction": 0.5}, {"fraction": 1.0}))
class CopyPaste:
    """Paste instances of a partner into each image with their masks; boxes and masks that they cover are updated.

    Each instance (object with a mask) of the partner is pasted with the probability `fraction`, at its own position,
    as it was before the step: with 0.5, every subset is equally likely. The batch needs a mask for each object,
    `targets: {instances: [masks]}`. Objects that are covered lose these pixels; their boxes are drawn around the
    rest, and an object with less than `min_visible` is dropped. Scale and flip the images in the image section.
    Ghiasi et al. 2021, arXiv 2012.07177.
    """

    fraction: Annotated[float, Meta(ge=0, le=1)] = 0.5
    pairing: _Pairing = "permutation"

    pastes_instances: ClassVar[bool] = True

    def sample(self, rng: Cursor, count: int, scene: Scene) -> Blend | tuple[Blend, ...]:
        if count < 2:
            return ()
        partners = tuple(_partners(rng, count, self.pairing).tolist())
        return shapes.Copy(partners, self.fraction, tuple(rng.bits() for _ in range(count)))


_SECOND = ((0, 0, 1, 1), (0, 1, 0, 1))
"""Which cells of a mosaic lie in its second row, and which in its second column."""


# Numbers drawn for a whole batch, as Python's `int` and `round` and a cursor's `uniform` would make each


def _floor(numbers: NDArray[np.float64]) -> Integers:
    return numbers.astype(np.int64)


def _round(numbers: NDArray[np.float64]) -> Integers:
    return np.rint(numbers).astype(np.int64)


def _between(ends: tuple[float, float], units: NDArray[np.float64]) -> NDArray[np.float64]:
    low, high = ends
    return low + (high - low) * units
