"""Blends: frozen records of how the images of a batch are mixed, with concrete numbers.

The `sample` of a batch transform returns them. They can be printed, pickled and compared. They contain plain data and
change no pixel themselves, so this module needs no array library. Images are numbered by their position in the batch;
boxes are (top, left, height, width) in pixels.

A blend reads the images that the blend before it wrote, never one that it has changed itself. The labels follow from
`source_weights`.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TypeAlias

import msgspec

__all__ = ["Blend", "Box", "Mix", "Paste", "Patch", "SourceWeights"]

Box: TypeAlias = tuple[int, int, int, int]
"""(top, left, height, width) in pixels."""
SourceWeights: TypeAlias = dict[int, float]
"""The images that are visible in one image, each with its weight in the labels; the weights sum to 1."""


class Blend(msgspec.Struct, frozen=True):
    """Base class of `Mix` and `Paste`."""

    def check(self, count: int, height: int, width: int) -> None:
        """Raise ValueError unless the blend fits a batch of `count` images of this size."""
        raise NotImplementedError

    def source_weights(self, height: int, width: int) -> dict[int, SourceWeights]:
        """For each image that changes, the weights of the images that it is made from."""
        raise NotImplementedError

    def reads(self) -> dict[int, set[int]]:
        """For each image that changes, the images that are read for it, besides its own pixels in their place."""
        raise NotImplementedError


class Mix(Blend, frozen=True):
    """Weighted means: image i becomes weights[i] * images[i] + (1 - weights[i]) * images[partners[i]]."""

    partners: tuple[int, ...]
    weights: tuple[float, ...]

    def check(self, count: int, height: int, width: int) -> None:
        if len(self.partners) != count or len(self.weights) != count:
            got = f"{len(self.partners)} partners and {len(self.weights)} weights"
            raise ValueError(f"a mix of {count} images takes {count} partners and {count} weights, got {got}")
        for partner in self.partners:
            _check_image(partner, count)
        for weight in self.weights:
            if not 0.0 <= weight <= 1.0:
                raise ValueError(f"weights are between 0 and 1, got {weight!r}")

    def source_weights(self, height: int, width: int) -> dict[int, SourceWeights]:
        return {i: {i: self.weights[i], j: 1.0 - self.weights[i]} for i, j in self._changes()}

    def reads(self) -> dict[int, set[int]]:
        return {i: {j} for i, j in self._changes()}

    def _changes(self) -> list[tuple[int, int]]:
        """The images that change, each with its partner; an image that is its own partner does not change."""
        return [(i, j) for i, j in enumerate(self.partners) if i != j and self.weights[i] < 1.0]

    def __str__(self) -> str:
        return f"mix of {len(self._changes())} images"


class Patch(msgspec.Struct, frozen=True):
    """A piece of image `source`, cut from `source_box`, that is pasted over `box` of image `into`.

    It is scaled if the two boxes differ in size.
    """

    into: int
    box: Box
    source: int
    source_box: Box

    @property
    def scales(self) -> bool:
        """Whether the piece is scaled."""
        return self.box[2:] != self.source_box[2:]

    @property
    def changes(self) -> bool:
        """Whether it changes anything: a piece pasted where it was cut from does not."""
        return self.into != self.source or self.box != self.source_box


class Paste(Blend, frozen=True):
    """Pieces of images pasted over others in order: later patches cover earlier ones."""

    patches: tuple[Patch, ...]

    def check(self, count: int, height: int, width: int) -> None:
        for patch in self.patches:
            _check_image(patch.into, count)
            _check_image(patch.source, count)
            for top, left, tall, wide in (patch.box, patch.source_box):
                if not (0 <= top < top + tall <= height and 0 <= left < left + wide <= width):
                    box = (top, left, tall, wide)
                    raise ValueError(f"a box (top, left, height, width) must lie in {height}x{width}, got {box}")

    def source_weights(self, height: int, width: int) -> dict[int, SourceWeights]:
        """Fractions of pixels, exact; pixels that a later patch covers are not counted."""
        rows: dict[int, SourceWeights] = {}
        for into, patches in self.by_image().items():
            areas = _areas([patch.box for patch in patches])
            pixels = {into: height * width - sum(areas)}
            for patch, area in zip(patches, areas, strict=True):
                pixels[patch.source] = pixels.get(patch.source, 0) + area
            rows[into] = {source: area / (height * width) for source, area in pixels.items()}
        return rows

    def reads(self) -> dict[int, set[int]]:
        return {into: {patch.source for patch in patches} for into, patches in self.by_image().items()}

    def by_image(self) -> dict[int, list[Patch]]:
        """The patches that change something, by the image that they cover."""
        covering: dict[int, list[Patch]] = {}
        for patch in self.patches:
            if patch.changes or patch.into in covering:  # in its own place it can still cover an earlier patch
                covering.setdefault(patch.into, []).append(patch)
        return covering

    def __str__(self) -> str:
        return f"paste of {len(self.patches)} patches"


def _check_image(number: int, count: int) -> None:
    if not 0 <= number < count:
        raise ValueError(f"a batch of {count} has images 0 to {count - 1}, got {number}")


def _areas(boxes: Sequence[Box]) -> list[int]:
    """The number of visible pixels of each box when later boxes cover earlier ones."""
    if len(boxes) == 1:
        return [boxes[0][2] * boxes[0][3]]
    rows = sorted({edge for top, _, tall, _ in boxes for edge in (top, top + tall)})
    columns = sorted({edge for _, left, _, wide in boxes for edge in (left, left + wide)})
    areas = [0] * len(boxes)
    for (y0, y1), (x0, x1) in itertools.product(itertools.pairwise(rows), itertools.pairwise(columns)):
        for number in reversed(range(len(boxes))):
            top, left, tall, wide = boxes[number]
            if top <= y0 < top + tall and left <= x0 < left + wide:
                areas[number] += (y1 - y0) * (x1 - x0)
                break
    return areas
