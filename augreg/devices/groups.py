"""Groups: the images of a batch that have one size, as one tensor, with tables of values that wait to be applied.

Ops that look up pixel values become one table for each image, which is applied when an op needs the pixels. So
brightness, contrast and normalization are one pass over the pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from augreg.backends.torch_kernels import tables
from augreg.backends.torch_kernels.columns import to_device
from augreg.backends.torch_kernels.lookups import Stages, column_tables
from augreg.columns.cursors import Rows
from augreg.ops import ImageStatistic

__all__ = ["Group", "joined"]


class Group(msgspec.Struct, eq=False):
    """The images `rows` of a batch, which have one size: n x channels x height x width.

    `own` is whether nobody else has the tensor, so that it may be written to. `tables`, n x channels x 256, are still
    to be applied to the images for which `waiting` is set; they change nothing for the others.
    """

    rows: Rows
    images: torch.Tensor
    own: bool = True
    tables: torch.Tensor | None = None
    waiting: NDArray[np.bool_] | None = None

    @property
    def size(self) -> tuple[int, int]:
        """The height and the width."""
        return self.images.shape[2], self.images.shape[3]

    def index(self, places: Rows) -> torch.Tensor:
        """Places of images as a tensor where the images are."""
        return to_device(places, self.images.device)

    def look_up(self, stages: Stages, chosen: Rows | None) -> None:
        """Add functions of the pixel value to the tables of some images, given by their places; None is for all."""
        count, channels = self.images.shape[:2]
        if self.tables is None or self.waiting is None:
            self.waiting = np.zeros(count, bool)
            if chosen is None:
                found = column_tables(stages, self.images)
                self.tables = (found[:, None] if found.ndim == 2 else found).expand(count, channels, 256)
                self.waiting[:] = True
                return
            self.tables = tables.identity(count, self.images.device)[:, None].repeat(1, channels, 1)
        if chosen is None:
            self.tables = column_tables(stages, self.images, self.tables).expand(count, channels, 256)
            self.waiting[:] = True
            return
        index = self.index(chosen)
        before = self.tables.index_select(0, index) if self.waiting[chosen].any() else None
        measures = any(isinstance(stage, ImageStatistic) for stage in stages)
        # functions of the value alone are not told apart by the images
        seen = self.images.index_select(0, index) if measures else self.images[: len(chosen)]
        own = column_tables(stages, seen, before)
        own = own[:, None] if own.ndim == 2 else own
        self.tables = self.tables.index_copy(0, index, own.expand(len(chosen), channels, 256))
        self.waiting[chosen] = True

    def picked(self, chosen: Rows) -> torch.Tensor:
        """A copy of some images after their tables, which are no longer waiting: these images are to be replaced."""
        index = self.index(chosen)
        images = self.images.index_select(0, index)
        if self.tables is None or self.waiting is None or not self.waiting[chosen].any():
            return images
        images = tables.looked_up(images, self.tables.index_select(0, index))
        self.waiting[chosen] = False
        if self.waiting.any():
            unchanged = tables.identity(len(chosen), images.device)[:, None].expand(-1, images.shape[1], -1)
            self.tables = self.tables.index_copy(0, index, unchanged)
        else:
            self.tables = None
        return images

    def replace(self, chosen: Rows, images: torch.Tensor) -> None:
        """Put these in the place of some images."""
        if not self.own:
            self.images, self.own = self.images.clone(), True
        self.images.index_copy_(0, self.index(chosen), images)

    def settle(self) -> None:
        """Apply the tables that wait."""
        if self.tables is None or self.waiting is None:
            return
        places = np.flatnonzero(self.waiting)
        if 2 * len(places) > len(self.rows):
            self.images, self.own = tables.looked_up(self.images, self.tables), True
        else:
            self.replace(places, self.picked(places))
        self.tables = self.waiting = None

    def part(self, places: Rows) -> Group:
        """Some of the images, as a group; no tables may wait."""
        return Group(self.rows[places], self.images.index_select(0, self.index(places)))


def joined(groups: Sequence[Group]) -> list[Group]:
    """The groups, of which those with one shape and dtype are one, with their images in order."""
    if len(groups) < 2:
        return list(groups)
    kinds: dict[Any, list[Group]] = {}
    for group in groups:
        kinds.setdefault((group.images.shape[1:], group.images.dtype), []).append(group)
    found = []
    for same in kinds.values():
        if len(same) == 1:
            found += same
            continue
        for group in same:
            group.settle()
        rows = np.concatenate([group.rows for group in same])
        order = rows.argsort()
        whole = Group(rows, torch.cat([group.images for group in same]))
        found.append(whole.part(order) if (order[1:] < order[:-1]).any() else whole)
    return found
