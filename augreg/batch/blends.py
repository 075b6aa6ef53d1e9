"""Blends: frozen records of how the images of a batch are mixed, with concrete numbers.

The `sample` of a batch transform returns them. They can be printed, pickled and compared. They contain plain data and
change no pixel themselves. Images are numbered by their position in the batch, and boxes are (top, left, height,
width) in pixels.

A blend reads the images that the blend before it wrote, never one that it has changed itself. The labels follow from
`source_weights`.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from augreg.batch.cells import Integers, Layers, layers_of

__all__ = ["Blend", "Box", "Mix", "Paste", "Patch", "Patches", "SourceWeights", "Visible"]

Box: TypeAlias = tuple[int, int, int, int]
"""(top, left, height, width) in pixels."""
SourceWeights: TypeAlias = dict[int, float]
"""The images that are visible in one image, each with its weight in the labels; the weights sum to 1."""


_LOWEST = np.array([0, 0, *(0, 0, 1, 1) * 2])  # numbers of a patch: two images, and two boxes of at least one pixel


class Visible(NamedTuple):
    """What is visible in N images, as columns: for each image up to K images, itself first, and their weights."""

    into: Integers
    """The images, N."""
    sources: Integers
    """N x K; at the end of short rows the image itself."""
    weights: NDArray[np.float64]
    """N x K; 0 at the end of short rows. Each row sums to 1."""


class Blend(msgspec.Struct, frozen=True):
    """Base class of `Mix` and `Paste`."""

    def check(self, count: int, height: int, width: int) -> None:
        """Raise ValueError unless the blend fits a batch of `count` images of this size."""
        raise NotImplementedError

    def visible(self, height: int, width: int) -> Visible:
        """For each image that changes, the weights of the images that it is made from, as columns."""
        raise NotImplementedError

    def source_weights(self, height: int, width: int) -> dict[int, SourceWeights]:
        """For each image that changes, the weights of the images that it is made from, itself first."""
        into, sources, weights = (column.tolist() for column in self.visible(height, width))
        rows = zip(into, sources, weights, strict=True)
        return {
            i: {of: weight for k, (of, weight) in enumerate(zip(*row, strict=True)) if weight > 0.0 or not k}
            for i, *row in rows
        }

    def reads(self) -> dict[int, set[int]]:
        """For each image that changes, the images that are read for it, besides its own pixels in their place."""
        raise NotImplementedError

    @property
    def changes(self) -> bool:
        """Whether any image changes."""
        return bool(self.reads())


class Mix(Blend, frozen=True, dict=True):
    """Weighted means: image i becomes weights[i] * images[i] + (1 - weights[i]) * images[partners[i]]."""

    partners: tuple[int, ...]
    weights: tuple[float, ...]

    def check(self, count: int, height: int, width: int) -> None:
        if len(self.partners) != count or len(self.weights) != count:
            got = f"{len(self.partners)} partners and {len(self.weights)} weights"
            raise ValueError(f"a mix of {count} images takes {count} partners and {count} weights, got {got}")
        partners, weights = self.columns
        if ((partners >= 0) & (partners < count) & (weights >= 0.0) & (weights <= 1.0)).all():
            return
        for partner in self.partners:  # to say which
            _check_image(partner, count)
        for weight in self.weights:
            if not 0.0 <= weight <= 1.0:
                raise ValueError(f"weights are between 0 and 1, got {weight!r}")

    def visible(self, height: int, width: int) -> Visible:
        partners, weights = self.columns
        into = self._changing
        own = weights[into]
        return Visible(into, np.stack([into, partners[into]], 1), np.stack([own, 1.0 - own], 1))

    def reads(self) -> dict[int, set[int]]:
        return {i: {self.partners[i]} for i in self._changing.tolist()}

    @property
    def changes(self) -> bool:
        return len(self._changing) > 0

    @functools.cached_property
    def columns(self) -> tuple[Integers, NDArray[np.float64]]:
        """The partners and the weights as arrays."""
        partners = np.array(self.partners or (), np.int64 if not self.partners else None)
        if partners.dtype.kind not in "iu":
            raise ValueError(f"partners are numbers of images, got {partners.dtype}")
        return partners.astype(np.int64, copy=False), np.array(self.weights, np.float64)

    @functools.cached_property
    def _changing(self) -> Integers:
        """The images that change; an image that is its own partner does not."""
        partners, weights = self.columns
        return np.flatnonzero((partners != np.arange(len(partners))) & (weights < 1.0))

    def __str__(self) -> str:
        return f"mix of {len(self._changing)} images"


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


class Patches(Sequence[Patch]):
    """The patches of a batch as columns, in order. Equal to a tuple of the same patches, and made in less time.

    `into` and `source` are P numbers, `box` and `source_box` P x 4; one number, or one box, is that of all.
    """

    __slots__ = ("table",)

    table: Integers
    """P x 10: the image, the source, the box, the box of the source."""

    def __init__(self, into: Any, box: Any, source: Any, source_box: Any) -> None:
        given = {"into": into, "box": box, "source": source, "source_box": source_box}
        arrays = {name: np.asarray(column) for name, column in given.items()}
        for name, array in arrays.items():
            if array.size and array.dtype.kind not in "iu":
                raise ValueError(f"{name}: images and pixels of patches are counted in integers, got {array.dtype}")
        columns = [arrays[name] for name in ("into", "source", "box", "source_box")]
        count = np.broadcast(*columns[:2], *(column[..., 0] for column in columns[2:])).size
        self.table = table = np.empty((10, count), np.int64).T  # each column in one piece of memory
        table[:, 0], table[:, 1], table[:, 2:6], table[:, 6:] = columns

    def __len__(self) -> int:
        return len(self.table)

    def __iter__(self) -> Iterator[Patch]:
        return (_patch(row) for row in self.table.tolist())

    def __getitem__(self, number: Any) -> Any:
        found = self.table[number].tolist()
        return tuple(map(_patch, found)) if isinstance(number, slice) else _patch(found)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Patches):
            return np.array_equal(self.table, other.table)
        return tuple(self) == other if isinstance(other, tuple) else NotImplemented

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return repr(tuple(self))


def _patch(row: Sequence[int]) -> Patch:
    into, source, *boxes = row
    return Patch(into, tuple(boxes[:4]), source, tuple(boxes[4:]))  # type: ignore[arg-type]


class Paste(Blend, frozen=True, dict=True):
    """Pieces of images pasted over others in order: later patches cover earlier ones."""

    patches: tuple[Patch, ...] | Patches

    def check(self, count: int, height: int, width: int) -> None:
        table = self._table
        if not len(table):
            return
        ends = table.T[[2, 3, 6, 7]] + table.T[[4, 5, 8, 9]]
        highest = np.array([count - 1, count - 1, height, width, height, width])
        reached = np.concatenate([table[:, :2].max(0), ends.max(1)])
        if (table.min(0) >= _LOWEST).all() and (reached <= highest).all():
            return
        for patch in self.patches:  # to say which
            _check_image(patch.into, count)
            _check_image(patch.source, count)
            for top, left, tall, wide in (patch.box, patch.source_box):
                if not (0 <= top < top + tall <= height and 0 <= left < left + wide <= width):
                    box = (top, left, tall, wide)
                    raise ValueError(f"a box (top, left, height, width) must lie in {height}x{width}, got {box}")

    def visible(self, height: int, width: int) -> Visible:
        """Fractions of pixels, exact; pixels that a later patch covers are not counted."""
        layers, whole = self.layers, height * width
        if layers.depth <= 1:  # nothing is covered
            pasted = layers.box[:, :, 2] * layers.box[:, :, 3]
            areas = np.concatenate([whole - pasted.sum(1, keepdims=True), pasted], axis=1)
        else:
            areas = layers.cells.areas(layers.depth, height, width)
        return _joined(layers, areas, whole)

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
        if isinstance(self.patches, Patches):
            return self.patches.table
        numbers = [n for patch in self.patches for n in (patch.into, patch.source, *patch.box, *patch.source_box)]
        table = np.array(numbers or (), np.int64 if not numbers else None)
        if table.dtype.kind not in "iu":
            raise ValueError(f"images and pixels of patches are counted in integers, got {table.dtype}")
        return table.reshape(-1, 10)

    def __str__(self) -> str:
        return f"paste of {len(self.patches)} patches"


def _joined(layers: Layers, areas: Integers, whole: int) -> Visible:
    """The columns of these areas of the images themselves and of their layers; each source once, if it is visible."""
    into = layers.into[:, None]
    sources = np.concatenate([into, layers.source], axis=1)
    areas = np.broadcast_to(areas, sources.shape).copy()  # one row for all, if all have the same boxes
    every = np.arange(len(areas))
    for k in range(1, sources.shape[1]):
        first = (sources == sources[:, k, None]).argmax(1)  # the same source below
        area = areas[:, k].copy()
        areas[:, k] = 0
        areas[every, first] += area
    shown = areas > 0
    shown[:, 0] = True
    used = shown.any(0)
    sources, areas, shown = sources[:, used], areas[:, used], shown[:, used]
    if not shown.all():  # short rows: what is visible comes first
        order = np.argsort(~shown, axis=1, kind="stable")[:, : shown.sum(1).max(initial=0)]
        shown, sources, areas = (np.take_along_axis(part, order, 1) for part in (shown, sources, areas))
        sources = np.where(shown, sources, into)
    return Visible(layers.into, sources, areas / whole)


def _check_image(number: int, count: int) -> None:
    if not 0 <= number < count:
        raise ValueError(f"a batch of {count} has images 0 to {count - 1}, got {number}")
