"""Crop and antialiased resize, a box per image, with Pillow's bytes: the ops Move + Resize, and ResizeBox.

Bilinear and bicubic are equal in every bit; lanczos is too, but for the last bit of a sine (see `weights`).
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from augreg.backends.torch_kernels import columns, passes
from augreg.backends.torch_kernels.weights import Side, Weights, most_taps, weigh

__all__ = ["crop_resize", "resize_box", "stacked"]

Column: TypeAlias = torch.Tensor | NDArray[Any]
Flags: TypeAlias = NDArray[Any] | None


def stacked(images: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Images of different sizes, C x H x W each, in one tensor: at the top left of an N x C x H x W, 0 elsewhere.

    Returns it and the sizes, N x 2 (height, width) on the CPU.
    """
    sizes = torch.tensor([image.shape[1:] for image in images], dtype=torch.int64)
    height, width = sizes.amax(0).tolist()
    batch = images[0].new_zeros((len(images), images[0].shape[0], height, width))
    for place, image in zip(batch, images, strict=True):
        place[:, : image.shape[1], : image.shape[2]] = image
    return batch, sizes


def crop_resize(
    images: torch.Tensor,
    boxes: Column,
    height: int,
    width: int,
    interpolation: str = "bilinear",
    flip_y: Column | None = None,
    flip_x: Column | None = None,
    parts: Column | None = None,
) -> torch.Tensor:
    """Cut out the box of each image, resize it to height x width, then flip it where its flag is set.

    `boxes` is N x 4 whole numbers (top, left, height, width) within the images, of which no pixel beyond its box
    contributes: (0, 0, *size) is a whole image of `stacked`. One row is for all images, which saves time. The boxes
    and flags are on the CPU, where images are grouped by the order of their passes. The images are bytes, or float32.

    With `parts`, each box is resized to a size of its own, of which a part of height x width is cut out: N x 4 whole
    numbers like the boxes, (top, left) of the part and (height, width) of the whole. Only the part is made.
    """
    top, left, box_height, box_width = columns.host(boxes).astype(np.float64).T
    if parts is None:
        parts = np.tile((0, 0, height, width), (len(top), 1))
    part_top, part_left, whole_height, whole_width = columns.host(parts).astype(np.float64).T
    rows = Side(top, box_height, 0.0 * top, box_height, part_top, whole_height)
    across = Side(left, box_width, 0.0 * left, box_width, part_left, whole_width)
    work = _Work(images, rows, across, height, width, *_flags(flip_y, flip_x))
    return _resized(work, box_height, box_width, interpolation)


def resize_box(
    images: torch.Tensor,
    boxes: Column,
    height: int,
    width: int,
    interpolation: str = "bilinear",
    sizes: Column | None = None,
    flip_y: Column | None = None,
    flip_x: Column | None = None,
) -> torch.Tensor:
    """As `crop_resize`, but `boxes` is float64: they may begin and end within pixels, and pixels beyond contribute.

    `sizes` (N x 2) is that of `stacked`; without it, the images fill the tensor.
    """
    top, left, box_height, box_width = columns.host(boxes).astype(np.float64).T
    whole = np.tile(images.shape[2:], (len(top), 1)) if sizes is None else columns.host(sizes)
    whole_height, whole_width = whole.astype(np.float64).T
    rows = _within(whole_height, top, box_height, height)
    across = _within(whole_width, left, box_width, width)
    work = _Work(images, rows, across, height, width, *_flags(flip_y, flip_x))
    return _resized(work, whole_height, whole_width, interpolation)


def _within(size: NDArray[Any], begin: NDArray[Any], extent: NDArray[Any], wanted: int) -> Side:
    end, begin = (begin + extent).astype(np.float32), begin.astype(np.float32)  # Pillow's C code has these
    return Side(0.0 * size, size, begin, end - begin, 0.0 * size, np.full_like(size, wanted))


def _flags(*flips: Column | None) -> list[Flags]:
    return [None if flip is None else columns.host(flip) for flip in flips]


class _Work(NamedTuple):
    """Images of a batch, and what is to be done to them; the columns of the sides are on the host."""

    images: torch.Tensor
    rows: Side
    columns: Side
    height: int
    width: int
    flip_y: Flags
    flip_x: Flags


def _resized(work: _Work, old_heights: NDArray[Any], old_widths: NDArray[Any], interpolation: str) -> torch.Tensor:
    """Both passes, for each image in the order that its size before and after gives."""
    lost_rows, lost_columns = old_heights - work.rows.whole, old_widths - work.columns.whole
    rows_first = (lost_rows > 0) & (lost_rows > 2 * lost_columns)
    images, (across, down) = work.images, _weights(work, interpolation)
    if rows_first.all():
        return _columns_first(images.mT, down, across).mT.contiguous()
    if not rows_first.any():
        return _columns_first(images, across, down).contiguous()
    out = images.new_empty((*images.shape[:2], work.height, work.width))
    which = columns.to_device(rows_first.nonzero()[0], images.device)
    found = _columns_first(images.index_select(0, which).mT, down.of(which), across.of(which)).mT
    out.index_copy_(0, which, found)
    which = columns.to_device((~rows_first).nonzero()[0], images.device)
    found = _columns_first(images.index_select(0, which), across.of(which), down.of(which))
    return out.index_copy_(0, which, found)


def _columns_first(images: torch.Tensor, across: Weights, down: Weights) -> torch.Tensor:
    count, channels, height, width = images.shape
    found = passes.resized(images.reshape(count, channels * height, width), across)
    new_width = found.shape[2]
    lines = found.view(count, channels, height, new_width).mT.reshape(count, channels * new_width, height)
    return passes.resized(lines, down).view(count, channels, new_width, -1).mT


def _weights(work: _Work, interpolation: str) -> tuple[Weights, Weights]:
    """The weights along the rows and along the columns, on the device of the images, from one copy of all numbers.

    Both are made at once where the result is square.
    """
    sides, flips = (work.columns, work.rows), (work.flip_x, work.flip_y)
    has_flips = any(flip is not None for flip in flips)
    count = max(len(each) for each in (work.columns.size, *flips) if each is not None)
    numbers = [columns.table(side, count) for side in sides]
    if has_flips:
        flags = [np.zeros(count) if flip is None else flip for flip in flips]
        numbers = [np.concatenate([own, flag[None]]) for own, flag in zip(numbers, flags, strict=True)]
    table = columns.to_device(np.concatenate(numbers, 1), work.images.device)
    taps = [most_taps(float((side.extent / side.whole).max()), interpolation) for side in sides]
    whole = work.images.dtype == torch.uint8

    def made(part: torch.Tensor, wanted: int, taps: int) -> Weights:
        side, backward = Side(*part[: len(work.rows)]), part[-1] if has_flips else None
        return weigh(side, wanted, interpolation, taps, backward, whole)

    if work.height == work.width:
        return made(table, work.width, max(taps)).split(count)
    return made(table[:, :count], work.width, taps[0]), made(table[:, count:], work.height, taps[1])
