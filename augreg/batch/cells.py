"""Cells: a grid over each image of a batch, such that every cell shows one piece of one image.

The lines of a grid are the edges of the patches. All images are computed together, so that neither the weights of
labels nor the addresses of pixels need a loop over the patches of a batch.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Cells", "Layers", "cells_of", "layers_of"]

Integers = NDArray[np.int64]


class Layers(NamedTuple):
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


class Cells(NamedTuple):
    """The grids of N images, with R rows and M columns of cells."""

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
        pixels = np.broadcast_to(tall[:, :, None] * wide[:, None, :], numbers.shape)
        totals = np.bincount(numbers.ravel(), pixels.ravel(), count * (depth + 1))
        return totals.astype(np.int64).reshape(count, depth + 1)


def layers_of(table: Integers) -> Layers:
    """Layers of P patches in order. `table` is P x 10: the image, the source, the box, the box of the source.

    Patches that change nothing are left out: those in their own place, unless they may cover an earlier one.
    """
    table = table[np.argsort(table[:, 0], kind="stable")]
    changes = (table[:, 0] != table[:, 1]) | (table[:, 2:6] != table[:, 6:]).any(1)
    count = int(table[-1, 0]) + 1 if len(table) else 0
    first = np.full(count, len(table))  # of each image, the first patch that changes it
    np.minimum.at(first, table[changes, 0], np.flatnonzero(changes))
    table = table[np.arange(len(table)) >= first[table[:, 0]]]
    lengths = np.bincount(table[:, 0], minlength=count)
    into = np.flatnonzero(lengths)
    layers = np.zeros((len(into), lengths.max(initial=0), 9), np.int64)
    layers[np.arange(layers.shape[1]) < lengths[into, None]] = table[:, 1:]
    return Layers(into, layers[:, :, 0], layers[:, :, 1:5], layers[:, :, 5:])


def cells_of(layers: Layers) -> Cells:
    """The grid of each image that is pasted into."""
    count, box = len(layers.box), layers.box
    if (box == box[:1]).all():
        box = box[:1]  # the same grid for all
    top, left = box[:, :, 0], box[:, :, 1]
    bottom, right = top + box[:, :, 2], left + box[:, :, 3]
    border = np.zeros((len(box), 1), np.int64)
    rows = np.sort(np.concatenate([border, top, bottom], axis=1), axis=1)
    columns = np.sort(np.concatenate([border, left, right], axis=1), axis=1)
    shown = np.zeros((len(box), rows.shape[1], columns.shape[1]), np.int64)
    for k in range(layers.depth):  # a later patch lies on top
        down = (rows >= top[:, k, None]) & (rows < bottom[:, k, None])
        across = (columns >= left[:, k, None]) & (columns < right[:, k, None])
        shown[down[:, :, None] & across[:, None, :]] = k + 1
    return Cells(*(np.broadcast_to(part, (count, *part.shape[1:])) for part in (rows, columns, shown)))
