"""What mixes the images of a batch: mixup, cutmix, resizemix, mosaic. Steps of the `batch` section.

Alike in all: a partner is read as it was before the step, and never as the step has changed it. A batch of one
image has nothing to be mixed with and passes through. `pairing` says who goes with whom: `permutation` is a random
one, in which an image may meet itself and stays as it is; `roll` takes the image before it, and the first takes
the last; `flip` takes the first with the last, the second with the last but one, so that partners are mutual, and the
middle one of an odd batch stays as it is. `per` says what is drawn once: for the whole `batch`, for each mutual
`pair`, or for each `element`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

from msgspec import Meta

from augreg.batch.blends import Blend, Box, Mix, Paste, Patch
from augreg.steps.declare import batch_transform
from augreg.steps.fields import Range
from augreg.transforms.dirichlet import dirichlet

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
        raise ValueError(f"per: pair needs partners that are mutual, so pairing: flip, got pairing: {pairing}")


def _partners(rng: Cursor, count: int, pairing: str) -> list[int]:
    """The partner of each image; itself where it has none."""
    if pairing == "permutation":
        return rng.permutation(count)
    return [(i - 1) % count if pairing == "roll" else count - 1 - i for i in range(count)]


def _drawn(count: int, per: str, draw: Callable[[], _T]) -> list[_T]:
    """For each image what was drawn for it, for its pair, or for the batch."""
    if per == "batch":
        return [draw()] * count
    if per == "element":
        return [draw() for _ in range(count)]
    half = [draw() for _ in range((count + 1) // 2)]
    return [half[min(i, count - 1 - i)] for i in range(count)]


@batch_transform("mixup", preview=({"alpha": 0.1}, {"alpha": 0.4}, {"alpha": 1.0}))
class Mixup:
    """Blend each image with a partner, and their labels alike: lam * x[i] + (1 - lam) * x[partner].

    lam is of Beta(alpha, alpha): the smaller alpha, the nearer to 0 or 1. The paper takes 1 for CIFAR and 0.2 for
    ImageNet, one lam for the batch, and partners by permutation. Byte images are rounded to the nearest level.
    Zhang et al. 2017, arXiv 1710.09412.
    """

    alpha: _Alpha = 1.0
    per: _Per = "batch"
    pairing: _Pairing = "permutation"

    def check(self) -> None:
        _check_pairs(self.per, self.pairing)

    def sample(self, rng: Cursor, count: int, scene: Scene) -> Blend | tuple[Blend, ...]:
        if count < 2:
            return ()
        shares = _drawn(count, self.per, lambda: dirichlet(rng, self.alpha, 2)[0])
        return Mix(tuple(_partners(rng, count, self.pairing)), tuple(shares))


@batch_transform("cutmix", preview=({"alpha": 0.2}, {"alpha": 1.0}, {"boxes": 4}))
class CutMix:
    """Paste a box of a partner into each image, at the same place; labels go by the pixels that show.

    A lam of Beta(alpha, alpha) leaves 1 - lam of the image to the partner: `boxes` boxes with the image's ratio
    of sides, each of 1 / `boxes` of that area, and with a center anywhere in the image, so that the border may clip
    it. The share of the labels is what really shows, counted in pixels: with alpha 1 and one box, 0.68 of an image
    is its own on average. The paper has one box for the whole batch, and p: 0.5 on CIFAR. Yun et al. 2019, arXiv
    1905.04899.
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
        places = _drawn(count, self.per, lambda: self._boxes(rng, scene))
        partners = _partners(rng, count, self.pairing)
        found = (Patch(i, box, partners[i], box) for i in range(count) if partners[i] != i for box in places[i])
        return Paste(tuple(found))

    def _boxes(self, rng: Cursor, scene: Scene) -> list[Box]:
        side = math.sqrt(dirichlet(rng, self.alpha, 2)[1] / self.boxes)
        height, width = int(scene.height * side), int(scene.width * side)
        found: list[Box] = []
        for _ in range(self.boxes):
            y, x = rng.integers(scene.height), rng.integers(scene.width)
            top, bottom = max(0, y - height // 2), min(scene.height, y + (height + 1) // 2)
            left, right = max(0, x - width // 2), min(scene.width, x + (width + 1) // 2)
            if top < bottom and left < right:
                found.append((top, left, bottom - top, right - left))
        return found


@batch_transform("resizemix", preview=({"scale": 0.2}, {"scale": 0.5}, {"scale": 0.8}))
class ResizeMix:
    """Paste the whole partner, scaled down, anywhere into each image; labels go by the pixels that show.

    Its sides are U(scale) of the image's, and it lies inside. As the partner is seen whole, so is what its label
    names. Pixels are scaled with an antialiasing bilinear filter, masks by the nearest pixel.
    Qin et al. 2020, arXiv 2012.11101.
    """

    scale: Range = (0.1, 0.8)
    per: _Per = "batch"
    pairing: _Pairing = "permutation"

    def check(self) -> None:
        _check_pairs(self.per, self.pairing)
        if not 0 < self.scale[0] <= self.scale[1] <= 1:
            raise ValueError(f"scale must lie in (0, 1], got {list(self.scale)}")

    def sample(self, rng: Cursor, count: int, scene: Scene) -> Blend | tuple[Blend, ...]:
        if count < 2:
            return ()
        places = _drawn(count, self.per, lambda: self._box(rng, scene))
        partners = _partners(rng, count, self.pairing)
        whole = (0, 0, scene.height, scene.width)
        return Paste(tuple(Patch(i, places[i], partners[i], whole) for i in range(count) if partners[i] != i))

    def _box(self, rng: Cursor, scene: Scene) -> Box:
        side = rng.uniform(*self.scale)
        height, width = max(1, round(scene.height * side)), max(1, round(scene.width * side))
        return rng.integers(scene.height - height + 1), rng.integers(scene.width - width + 1), height, width


@batch_transform("mosaic", preview=({"center": 0.5}, {"center": [0.2, 0.8]}, {"center": 0.5, "fit": "resize"}))
class Mosaic:
    """Make each image of four: itself at the top left, and three partners; labels go by the pixels that show.

    The four meet at U(center) of the height and, drawn apart, of the width. A cell shows a crop of its image, at a
    random place (`fit: crop`), or the whole image scaled (`fit: resize`). With `pairing: roll` the partners of a
    image are the three before it; a batch of two or three shows some of them twice. Bochkovskiy et al. 2020,
    arXiv 2004.10934; cells as crops, with the labels mixed by area: Takahashi et al. 2018, arXiv 1811.09030.
    """

    center: Range = (0.25, 0.75)
    fit: Literal["crop", "resize"] = "crop"
    per: Literal["batch", "element"] = "element"
    pairing: Literal["roll", "permutation"] = "roll"

    def check(self) -> None:
        if not 0 <= self.center[0] <= self.center[1] <= 1:
            raise ValueError(f"center must lie within 0 and 1, got {list(self.center)}")

    def sample(self, rng: Cursor, count: int, scene: Scene) -> Blend | tuple[Blend, ...]:
        if count < 2:
            return ()
        cells = _drawn(count, self.per, lambda: self._cells(rng, scene))
        if self.pairing == "roll":
            others = [[(i - back) % count for i in range(count)] for back in (1, 2, 3)]
        else:
            others = [rng.permutation(count) for _ in range(3)]
        sources = [list(range(count)), *others]
        found = (Patch(i, box, sources[k][i], piece) for i in range(count) for k, box, piece in cells[i])
        return Paste(tuple(found))

    def _cells(self, rng: Cursor, scene: Scene) -> list[tuple[int, Box, Box]]:
        """Each cell that is not empty: its number, its box, and the box of the source that it shows."""
        height, width = scene.size
        y, x = round(height * rng.uniform(*self.center)), round(width * rng.uniform(*self.center))
        found: list[tuple[int, Box, Box]] = []
        for number, (top, left) in enumerate(((0, 0), (0, x), (y, 0), (y, x))):
            tall = y if number < 2 else height - y
            wide = x if number % 2 == 0 else width - x
            first, second = rng.integers(height - tall + 1), rng.integers(width - wide + 1)
            if tall and wide:
                piece = (first, second, tall, wide) if self.fit == "crop" else (0, 0, height, width)
                found.append((number, (top, left, tall, wide), piece))
        return found
