"""Cells: a grid over each image of a batch, such that every cell shows one piece of one image.

The lines of a grid are the edges of the patches. All images are computed together, so that neither the weights of
labels nor the addresses of pixels need a loop over the patches of a batch.
"""

from __future__ import annotations

import functools
from typing import NamedTuple, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

__all__ = ["Cells", "Integers", "Layers", "layers_of"]

Integers: TypeAlias = NDArray[np.int64]

_BITS = 16  # patches of an image that a table of 2^16 bytes tells apart


class Layers(msgspec.Struct, frozen=True, dict=True, eq=False):
    """The patches of N images in K layers, the lowest first. An image with fewer patches has empty boxes on top."""

    into: Integers
    """The images that the patches are pasted into, N."""
    source: Integers
    """The images that they are cut from, N x K."""
    box: Integers
    """Their (top, left, height, width), N x K x 4."""
    source_box: Integers
    """What is cut from the source, N x K x 4."""

    @property
    def depth(self) -> int:
        """The number of layers."""
        return int(self.box.shape[1])

    @property
    def scales(self) -> bool:
        """Whether any piece is scaled."""
        return bool((self.box[..., 2:] != self.source_box[..., 2:]).any())

    @functools.cached_property
    def cells(self) -> Cells:
        """The grid of each image, or one grid if it is that of all."""
        return _cells_of(self)


class Cells(NamedTuple):
    """The grids of N images, with R rows and M columns of cells. N is 1 if all images have the same grid."""

    rows: Integers
    """The first pixel of each row of cells, N x R, in order; of rows that start at one pixel, the last counts."""
    columns: Integers
    """The first pixel of each column of cells, N x M, in order."""
    shown: Integers
    """What each cell shows, N x R x M: 0 for the image itself, k + 1 for the patch in layer k."""

    def areas(self, depth: int, height: int, width: int) -> Integers:
        """The number of visible pixels of the image itself and of its patch in each layer, N x (1 + depth)."""
        count = len(self.shown)
        tall, wide = np.diff(self.rows, append=height), np.diff(self.columns, append=width)
        numbers = self.shown + np.arange(count)[:, None, None] * (depth + 1)
        pixels = (tall[:, :, None] * wide[:, None, :]).ravel()
        totals = np.bincount(numbers.ravel(), pixels, count * (depth + 1))
        return totals.astype(np.int64).reshape(count, depth + 1)


def layers_of(table: Integers) -> Layers:
    """Layers of P patches in order. `table` is P x 10: the image, the source, the box, the box of the source.

    Patches that change nothing are left out: those in their own place, unless they may cover an earlier one.
    """
    if (table[1:, 0] < table[:-1, 0]).any():
        table = table[np.argsort(table[:, 0], kind="stable")]
    changes = (table[:, 0] != table[:, 1]) | (table[:, 2:6] != table[:, 6:]).any(1)
    count = int(table[-1, 0]) + 1 if len(table) else 0
    first = np.full(count, len(table))  # of each image, the first patch that changes it
    changing = np.flatnonzero(changes)[::-1]
    first[table[changing, 0]] = changing
    remaining = np.arange(len(table)) >= first[table[:, 0]]
    if not remaining.all():
        table = table[remaining]
    lengths = np.bincount(table[:, 0], minlength=count)
    into = np.flatnonzero(lengths)
    lengths = lengths[into]
    depth = int(lengths.max(initial=0))
    if (lengths == depth).all():
        columns = table.T.reshape(10, len(into), depth)
    else:
        columns = np.zeros((10, len(into), depth), np.int64)
        columns[:, np.arange(depth) < lengths[:, None]] = table.T
    return Layers(into, columns[1], columns[2:6].transpose(1, 2, 0), columns[6:].transpose(1, 2, 0))


def _cells_of(layers: Layers) -> Cells:
    box = layers.box
    if (box == box[:1]).all():
        box = box[:1]
    rows, down = _lines(box[:, :, 0], box[:, :, 2])
    columns, across = _lines(box[:, :, 1], box[:, :, 3])
    shown = np.zeros((len(box), rows.shape[1], columns.shape[1]), np.int64)
    for lowest in range(0, layers.depth, _BITS):  # a later patch lies on top
        part = slice(lowest, lowest + _BITS)
        top = _highest_bits()[_joined(down[:, part])[:, :, None] & _joined(across[:, part])[:, None, :]]
        shown = np.where(top, top + lowest, shown) if lowest else top
    return Cells(rows, columns, shown)


def _joined(flags: NDArray[np.bool]) -> NDArray[np.uint16]:
    """N x K flags of R cells as N x R numbers, with the k-th flag as bit k."""
    values = (1 << np.arange(flags.shape[1])).astype(np.uint16)
    joined: NDArray[np.uint16] = np.einsum("nkr,k->nr", flags.astype(np.uint16), values)
    return joined


@functools.cache
def _highest_bits() -> Integers:
    """Of each number below 2^16, the highest bit that is set, counted from 1; 0 for 0."""
    numbers = np.arange(1 << _BITS)
    return np.frexp(numbers)[1].astype(np.int64)


def _lines(start: Integers, size: Integers) -> tuple[Integers, NDArray[np.bool]]:
    """The edges of patches along one axis, N x R, in order, and which patches reach over them, N x K x R.

    Edges that are the same line in every image are left out.
    """
    end = start + size
    edges = np.concatenate([start[:, :1] * 0, start, end], axis=1)
    edges.sort(axis=1)
    differ = np.ones(edges.shape[1], bool)
    differ[1:] = (edges[:, 1:] != edges[:, :-1]).any(0)
    edges = edges[:, differ]
    return edges, (edges[:, None] >= start[:, :, None]) & (edges[:, None] < end[:, :, None])
