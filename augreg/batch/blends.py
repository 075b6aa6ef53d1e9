"""Blends: frozen records that say, with concrete numbers, which images of a batch show in which.

A batch transform's `sample` returns them. They are what was drawn: printable, picklable, comparable. They hold plain
data and touch no pixel, so this module needs no array library. Images are numbered by their place in the batch;
boxes are (top, left, height, width) in pixels.

Each blend reads the images as the blend before it left them, and never an image that it has changed itself. What
it makes of the labels follows from `shares`.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TypeAlias

import msgspec

__all__ = ["Blend", "Box", "Mix", "Paste", "Patch", "Shares"]

Box: TypeAlias = tuple[int, int, int, int]
"""(top, left, height, width) in pixels."""
Shares: TypeAlias = dict[int, float]
"""Which images show in one, each with its share; the shares sum to 1."""


class Blend(msgspec.Struct, frozen=True):
    """Base of the records."""

    def check(self, count: int, height: int, width: int) -> None:
        """Raise ValueError unless it can be done to a batch of so many images of this size."""
        raise NotImplementedError

    def shares(self, height: int, width: int) -> dict[int, Shares]:
        """For each image that changes: which images show in it, each with its share of the whole."""
        raise NotImplementedError

    def reads(self) -> dict[int, set[int]]:
        """For each image that changes: which images are read to make it, beyond its own pixels in their place."""
        raise NotImplementedError


class Mix(Blend, frozen=True):
    """Weighted means: image i becomes weights[i] * image i + (1 - weights[i]) * image partners[i]."""

    partners: tuple[int, ...]
    weights: tuple[float, ...]

    def check(self, count: int, height: int, width: int) -> None:
        if len(self.partners) != count or len(self.weights) != count:
            given = f"{len(self.partners)} partners and {len(self.weights)} weights"
            raise ValueError(f"a mix of {count} images takes a partner and a weight for each, got {given}")
        for partner in self.partners:
            _check_image(partner, count)
        for weight in self.weights:
            if not 0.0 <= weight <= 1.0:
                raise ValueError(f"a weight lies between 0 and 1, got {weight!r}")

    def shares(self, height: int, width: int) -> dict[int, Shares]:
        return {i: {i: self.weights[i], j: 1.0 - self.weights[i]} for i, j in self._changes()}

    def reads(self) -> dict[int, set[int]]:
        return {i: {j} for i, j in self._changes()}

    def _changes(self) -> list[tuple[int, int]]:
        """The images that change, each with its partner: not where the partner is the image itself."""
        return [(i, j) for i, j in enumerate(self.partners) if i != j and self.weights[i] < 1.0]

    def __str__(self) -> str:
        return f"mix of {len(self._changes())} images"


class Patch(msgspec.Struct, frozen=True):
    """A piece of image `source` that covers `box` of image `into`.

    It is cut from `source_box`, and scaled where the two boxes differ in size.
    """

    into: int
    box: Box
    source: int
    source_box: Box

    @property
    def scales(self) -> bool:
        """Whether the piece changes its size."""
        return self.box[2:] != self.source_box[2:]

    @property
    def changes(self) -> bool:
        """Whether it changes anything: an image pasted into its own place does not."""
        return self.into != self.source or self.box != self.source_box


class Paste(Blend, frozen=True):
    """Pieces of images over others, in order: what comes later covers what came before."""

    patches: tuple[Patch, ...]

    def check(self, count: int, height: int, width: int) -> None:
        for patch in self.patches:
            _check_image(patch.into, count)
            _check_image(patch.source, count)
            for top, left, tall, wide in (patch.box, patch.source_box):
                if not (0 <= top < top + tall <= height and 0 <= left < left + wide <= width):
                    box = (top, left, tall, wide)
                    raise ValueError(f"a box (top, left, height, width) lies within {height}x{width}, got {box}")

    def shares(self, height: int, width: int) -> dict[int, Shares]:
        """Shares of pixels: exact areas over the image's, what is covered by a later patch not counted."""
        found: dict[int, Shares] = {}
        for into, patches in self.by_image().items():
            areas = _areas([patch.box for patch in patches])
            pixels = {into: height * width - sum(areas)}
            for patch, area in zip(patches, areas, strict=True):
                pixels[patch.source] = pixels.get(patch.source, 0) + area
            found[into] = {source: area / (height * width) for source, area in pixels.items()}
        return found

    def reads(self) -> dict[int, set[int]]:
        return {into: {patch.source for patch in patches} for into, patches in self.by_image().items()}

    def by_image(self) -> dict[int, list[Patch]]:
        """The patches that change something, by the image that they cover."""
        found: dict[int, list[Patch]] = {}
        for patch in self.patches:
            if patch.changes or patch.into in found:  # in its own place it can still cover an earlier patch
                found.setdefault(patch.into, []).append(patch)
        return found

    def __str__(self) -> str:
        return f"paste of {len(self.patches)} patches"


def _check_image(number: int, count: int) -> None:
    if not 0 <= number < count:
        raise ValueError(f"a batch of {count} has the images 0 to {count - 1}, got {number}")


def _areas(boxes: Sequence[Box]) -> list[int]:
    """How many pixels of each box show when later boxes cover earlier ones."""
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
