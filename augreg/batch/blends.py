"""Blends: frozen records of how the images of a batch are mixed, with concrete numbers.

The `sample` of a batch transform returns them. They can be printed, pickled and compared. They contain plain data and
change no pixel themselves. Images are numbered by their position in the batch, and boxes are (top, left, height,
width) in pixels.

A blend reads the images that the blend before it wrote, never one that it has changed itself. The labels follow from
`source_weights`.
"""

from __future__ import annotations

import functools
from typing import TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from augreg.batch.cells import Layers, cells_of, layers_of

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

    @property
    def changes(self) -> bool:
        """Whether any image changes."""
        return bool(self.reads())


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


class Paste(Blend, frozen=True, dict=True):
    """Pieces of images pasted over others in order: later patches cover earlier ones."""

    patches: tuple[Patch, ...]

    def check(self, count: int, height: int, width: int) -> None:
        table = self._table
        top_left, sizes, whole = table[:, [2, 3, 6, 7]], table[:, [4, 5, 8, 9]], [height, width, height, width]
        images_fit = ((table[:, :2] >= 0) & (table[:, :2] < count)).all()
        if images_fit and ((top_left >= 0) & (sizes > 0) & (top_left + sizes <= whole)).all():
            return
        for patch in self.patches:  # to say which
            _check_image(patch.into, count)
            _check_image(patch.source, count)
            for top, left, tall, wide in (patch.box, patch.source_box):
                if not (0 <= top < top + tall <= height and 0 <= left < left + wide <= width):
                    box = (top, left, tall, wide)
                    raise ValueError(f"a box (top, left, height, width) must lie in {height}x{width}, got {box}")

    def source_weights(self, height: int, width: int) -> dict[int, SourceWeights]:
        """Fractions of pixels, exact; pixels that a later patch covers are not counted."""
        layers, whole = self.layers, height * width
        if not layers.depth:
            return {}
        if layers.depth == 1:  # nothing is covered
            pasted = layers.box[:, :, 2] * layers.box[:, :, 3]
            areas = np.concatenate([whole - pasted, pasted], axis=1).tolist()
        else:
            areas = cells_of(layers).areas(layers.depth, height, width).tolist()
        exists = layers.box[:, :, 2] > 0
        rows: dict[int, SourceWeights] = {}
        for into, sources, (own, *others), lower in zip(
            layers.into.tolist(), layers.source.tolist(), areas, exists.sum(1).tolist(), strict=True
        ):
            pixels = {into: own}
            for source, area in zip(sources[:lower], others, strict=False):
                pixels[source] = pixels.get(source, 0) + area
            rows[into] = {source: area / whole for source, area in pixels.items()}
        return rows

    def reads(self) -> dict[int, set[int]]:
        return {into: {patch.source for patch in patches} for into, patches in self.by_image().items()}

    @property
    def changes(self) -> bool:
        return bool(self.layers.depth)

    def by_image(self) -> dict[int, list[Patch]]:
        """The patches that change something, by the image that they cover."""
        return self._by_image

    @functools.cached_property
    def _by_image(self) -> dict[int, list[Patch]]:
        covering: dict[int, list[Patch]] = {}
        for patch in self.patches:
            if patch.changes or patch.into in covering:  # in its own place it can still cover an earlier patch
                covering.setdefault(patch.into, []).append(patch)
        return covering

    @functools.cached_property
    def layers(self) -> Layers:
        """The patches that change something, of all images: the k-th patch of each image is in layer k."""
        return layers_of(self._table)

    @functools.cached_property
    def _table(self) -> NDArray[np.int64]:
        """The numbers of all patches, P x 10."""
        numbers = [n for patch in self.patches for n in (patch.into, patch.source, *patch.box, *patch.source_box)]
        table = np.array(numbers or (), np.int64 if not numbers else None)
        if table.dtype.kind not in "iu":
            raise ValueError(f"images and pixels of patches are counted in integers, got {table.dtype}")
        return table.reshape(-1, 10)

    def __str__(self) -> str:
        return f"paste of {len(self.patches)} patches"


def _check_image(number: int, count: int) -> None:
    if not 0 <= number < count:
        raise ValueError(f"a batch of {count} has images 0 to {count - 1}, got {number}")
