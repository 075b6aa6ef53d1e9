"""Boxes of one color: equal in every bit. The op Paint without noise, as for erasing and cutout."""

from __future__ import annotations

import torch

from augreg.backends.torch_kernels.moving import filling

__all__ = ["painted"]


def painted(images: torch.Tensor, boxes: torch.Tensor, fill: torch.Tensor | None = None) -> torch.Tensor:
    """Paint the box of each image.

    `boxes` is N x 4 whole numbers (top, left, height, width), of which a height of 0 paints nothing. `fill` is N x C
    or N x 1 pixel values, 0 without it; on byte images it is rounded. The images may be of any dtype.
    """
    top, left, height, width = boxes.to(images.device, torch.int64)[:, :, None].unbind(1)
    rows = torch.arange(images.shape[2], device=images.device)
    columns = torch.arange(images.shape[3], device=images.device)
    down = (rows >= top) & (rows < top + height)
    across = (columns >= left) & (columns < left + width)
    inside = down[:, None, :, None] & across[:, None, None, :]
    return torch.where(inside, filling(fill, images), images)
