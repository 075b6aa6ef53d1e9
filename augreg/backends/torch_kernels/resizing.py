"""Crop and antialiased resize, a box per image, with Pillow's bytes: the ops Move + Resize, and ResizeBox.

Bilinear and bicubic are equal in every bit; lanczos is too, but for the last bit of a sine (see `weights`).
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import torch

from augreg.backends.torch_kernels import passes
from augreg.backends.torch_kernels.weights import Side, Weights, most_taps, weigh

__all__ = ["crop_resize", "resize_box", "stacked"]

Flags: TypeAlias = torch.Tensor | None


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
    boxes: torch.Tensor,
    height: int,
    width: int,
    interpolation: str = "bilinear",
    flip_y: Flags = None,
    flip_x: Flags = None,
) -> torch.Tensor:
    """Cut out the box of each image, resize it to height x width, then flip it where its flag is set.

    `boxes` is N x 4 whole numbers (top, left, height, width) within the images, of which no pixel beyond its box
    contributes: (0, 0, *size) is a whole image of `stacked`. Boxes on the CPU save time on a device too: images are
    then grouped by the order of their passes, where otherwise both orders are computed for all.
    """
    top, left, box_height, box_width = boxes.to(torch.int64).unbind(1)
    rows = Side(top, box_height, torch.zeros_like(top), box_height)
    columns = Side(left, box_width, torch.zeros_like(left), box_width)
    work = _Work(images, rows, columns, height, width, flip_y, flip_x)
    return _resized(work, box_height, box_width, interpolation)


def resize_box(
    images: torch.Tensor,
    boxes: torch.Tensor,
    height: int,
    width: int,
    interpolation: str = "bilinear",
    sizes: torch.Tensor | None = None,
    flip_y: Flags = None,
    flip_x: Flags = None,
) -> torch.Tensor:
    """As `crop_resize`, but `boxes` is float64: they may begin and end within pixels, and pixels beyond contribute.

    `sizes` (N x 2, where the boxes are) is that of `stacked`; without it, the images fill the tensor.
    """
    top, left, box_height, box_width = boxes.to(torch.float64).unbind(1)
    if sizes is None:
        sizes = torch.stack([torch.full_like(top, length, dtype=torch.int64) for length in images.shape[2:]], 1)
    whole_height, whole_width = sizes.to(torch.int64).unbind(1)
    rows = _part(whole_height, top, box_height)
    columns = _part(whole_width, left, box_width)
    work = _Work(images, rows, columns, height, width, flip_y, flip_x)
    return _resized(work, whole_height, whole_width, interpolation)


def _part(size: torch.Tensor, begin: torch.Tensor, extent: torch.Tensor) -> Side:
    end, begin = (begin + extent).to(torch.float32), begin.to(torch.float32)  # the box of Pillow's C code has these
    return Side(torch.zeros_like(size), size, begin, end - begin)


class _Work(NamedTuple):
    """Images of a batch, and what is to be done to them."""

    images: torch.Tensor
    rows: Side
    columns: Side
    height: int
    width: int
    flip_y: Flags
    flip_x: Flags

    def transposed(self) -> _Work:
        return _Work(self.images.mT, self.columns, self.rows, self.width, self.height, self.flip_x, self.flip_y)

    def of(self, which: torch.Tensor) -> _Work:
        """That for the images of these numbers, which are on the CPU as the columns are."""
        flips = [None if flip is None else flip[which.to(flip.device)] for flip in (self.flip_y, self.flip_x)]
        images = self.images[which.to(self.images.device)]
        return _Work(images, self.rows.of(which), self.columns.of(which), self.height, self.width, *flips)


def _on_host(column: torch.Tensor) -> bool:
    """Whether a column can be read here without waiting for a device."""
    return bool(column.device.type == "cpu")


def _resized(work: _Work, old_heights: torch.Tensor, old_widths: torch.Tensor, interpolation: str) -> torch.Tensor:
    """Both passes, for each image in the order that its size before and after gives."""
    lost_rows, lost_columns = old_heights - work.height, old_widths - work.width
    rows_first = (lost_rows > 0) & (lost_rows > 2 * lost_columns)
    if not _on_host(rows_first):  # which images go which way is not known here
        return torch.where(
            rows_first[:, None, None, None],
            _columns_first(work.transposed(), interpolation).mT,
            _columns_first(work, interpolation),
        )
    if rows_first.all():
        return _columns_first(work.transposed(), interpolation).mT.contiguous()
    if not rows_first.any():
        return _columns_first(work, interpolation).contiguous()
    out = work.images.new_empty((*work.images.shape[:2], work.height, work.width))
    turned, straight = rows_first.nonzero()[:, 0], rows_first.logical_not().nonzero()[:, 0]
    out[turned.to(out.device)] = _columns_first(work.of(turned).transposed(), interpolation).mT
    out[straight.to(out.device)] = _columns_first(work.of(straight), interpolation)
    return out


def _columns_first(work: _Work, interpolation: str) -> torch.Tensor:
    count, channels, height, width = work.images.shape
    weights = _weights(work.columns, work.width, width, work.flip_x, interpolation, work.images.device)
    found = passes.resized(work.images.reshape(count, channels * height, width), weights)
    lines = found.view(count, channels, height, work.width).mT.reshape(count, channels * work.width, height)
    weights = _weights(work.rows, work.height, height, work.flip_y, interpolation, work.images.device)
    return passes.resized(lines, weights).view(count, channels, work.width, work.height).mT


def _weights(side: Side, wanted: int, length: int, flip: Flags, interpolation: str, device: torch.device) -> Weights:
    """The weights on the device; how many taps they need is known exactly where the columns are on the CPU."""
    longest = float(side.extent.max()) if _on_host(side.extent) else float(length)
    return weigh(side.to(device), wanted, interpolation, most_taps(longest, wanted, interpolation), flip)
