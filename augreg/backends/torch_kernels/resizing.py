"""Crop and antialiased resize, a box per image, with Pillow's bytes: the ops Move + Resize, and ResizeBox.

Bilinear and bicubic are equal in every bit; lanczos is too, but for the last bit of a sine (see `weights`).
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from augreg.backends.torch_kernels import columns, passes
from augreg.backends.torch_kernels.weights import Side, Weights, weigh

__all__ = ["crop_resize", "resize_box"]

Column: TypeAlias = torch.Tensor | NDArray[Any]
Flags: TypeAlias = NDArray[Any] | bool


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
    contributes. So images of different sizes may lie at the top left of the tensor, with any bytes beyond them;
    floats there must not be NaN. One row of boxes is for all images, which saves time. The boxes and flags are on
    the CPU, where images are grouped by the order of their passes. The images are bytes, or float32.

    With `parts`, each box is resized to a size of its own, of which a part of height x width is cut out: N x 4 whole
    numbers like the boxes, (top, left) of the part and (height, width) of the whole. Only the part is made.
    """
    top, left, box_height, box_width = columns.host(boxes).astype(np.float64).T
    if parts is None:
        parts = np.tile((0, 0, height, width), (len(top), 1))
    part_top, part_left, whole_height, whole_width = columns.host(parts).astype(np.float64).T
    back_y, back_x = _flags(flip_y, flip_x)
    rows = Side(top, box_height, 0.0, box_height, part_top, whole_height, height, back_y)
    across = Side(left, box_width, 0.0, box_width, part_left, whole_width, width, back_x)
    return _resized(images, rows, across, box_height, box_width, interpolation)


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

    `sizes` (N x 2) are those of images at the top left of the tensor; without it, they fill it.
    """
    top, left, box_height, box_width = columns.host(boxes).astype(np.float64).T
    whole = np.tile(images.shape[2:], (len(top), 1)) if sizes is None else columns.host(sizes)
    whole_height, whole_width = whole.astype(np.float64).T
    back_y, back_x = _flags(flip_y, flip_x)
    rows = _within(whole_height, top, box_height, height, back_y)
    across = _within(whole_width, left, box_width, width, back_x)
    return _resized(images, rows, across, whole_height, whole_width, interpolation)


def _within(size: NDArray[Any], begin: NDArray[Any], extent: NDArray[Any], wanted: int, backward: Flags) -> Side:
    end, begin = (begin + extent).astype(np.float32), begin.astype(np.float32)  # Pillow's C code has these
    return Side(0.0, size, begin, end - begin, 0.0, np.full_like(size, wanted), wanted, backward)


def _flags(*flips: Column | None) -> list[Flags]:
    return [False if flip is None else columns.host(flip).astype(bool) for flip in flips]


def _resized(
    images: torch.Tensor,
    rows: Side,
    across: Side,
    old_heights: NDArray[Any],
    old_widths: NDArray[Any],
    interpolation: str,
) -> torch.Tensor:
    """Both passes, for each image in the order that its size before and after gives."""
    lost_rows, lost_columns = old_heights - rows.whole, old_widths - across.whole
    rows_first = (lost_rows > 0) & (lost_rows > 2 * lost_columns)
    of_rows, of_columns = weigh((rows, across), interpolation, images.device, images.dtype == torch.uint8)
    if rows_first.all():
        return _columns_first(images.mT, of_rows, of_columns).mT.contiguous()
    if not rows_first.any():
        return _columns_first(images, of_columns, of_rows).contiguous()
    out = images.new_empty((*images.shape[:2], rows.wanted, across.wanted))
    for is_turned in (True, False):
        which = (rows_first == is_turned).nonzero()[0]
        index = columns.to_device(which, images.device)
        down = of_rows.of(index, rows.taps(interpolation, which))
        right = of_columns.of(index, across.taps(interpolation, which))
        some = images.index_select(0, index)
        found = _columns_first(some.mT, down, right).mT if is_turned else _columns_first(some, right, down)
        out.index_copy_(0, index, found)
    return out


def _columns_first(images: torch.Tensor, across: Weights, down: Weights) -> torch.Tensor:
    count, channels, height, width = images.shape
    new_height, new_width = down.first.shape[1], across.first.shape[1]
    found = passes.resized(images.reshape(count, channels * height, width), across)
    lines = found.view(count, channels, height, new_width).mT.reshape(count, channels * new_width, height)
    return passes.resized(lines, down).view(count, channels, new_width, new_height).mT
