"""Pieces of a whole batch scaled to boxes of different sizes, by two matrix products of all pieces.

The matrices are made on the device, from the sizes of the pieces alone, by the arithmetic of `weights`.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from augreg.batch.cells import Integers
from augreg.batch.scaling import INTEGER_SUM

__all__ = ["most_taps", "scaled", "taps_of"]


def most_taps(box: Integers, source_box: Integers) -> tuple[int, int]:
    """For the rows and for the columns, how many pixels of the source a pixel of a piece is made of at most."""
    scale = np.maximum(source_box[:, 2:] / box[:, 2:], 1.0).max(0)
    return int(2 * scale[0]) + 2, int(2 * scale[1]) + 2


def taps_of(
    box: Tensor, source_box: Tensor, axis: int, longest: int, length: int, taps: int, whole: bool
) -> tuple[Tensor, Tensor]:
    """For each pixel of P pieces along an axis, the pixels of the source and their weights: P x longest x taps.

    Pixels past the end of a smaller piece are its last. The weight of pixel `length`, which no image has, is 0. For
    bytes (`whole`) weights are multiples of 2^-15, as of `integer_weights`.
    """
    kind = torch.float32 if box.device.type == "mps" else torch.float64
    start, old = source_box[:, axis, None, None], source_box[:, axis + 2, None, None]
    new = box[:, axis + 2, None, None]
    scale = old.to(kind) / new
    step = torch.minimum(torch.arange(longest, device=box.device)[:, None], new - 1)
    center, reach = (step + 0.5) * scale, scale.clamp(min=1.0)
    number = torch.arange(taps, device=box.device)
    place = (center - reach - 0.5).floor().long() + number
    weights = (1.0 - (place + 0.5 - center).abs() / reach).clamp(min=0.0)
    inside = (place >= 0) & (place < old)
    weights = weights * inside
    weights = weights / weights.sum(2, keepdim=True)
    if whole:
        weights = (weights * INTEGER_SUM).round()
        largest = (weights * taps - number).argmax(2, keepdim=True)  # the first of those that are as large
        rest = INTEGER_SUM - weights.sum(2, keepdim=True)
        weights = (weights + rest * (number == largest)) / INTEGER_SUM  # by a power of 2: exact
    return torch.where(inside, place + start, length), weights


def scaled(planes: Tensor, rows: tuple[Tensor, Tensor], columns: tuple[Tensor, Tensor]) -> Tensor:
    """Pieces of P images scaled, rows first, by the taps of each axis; bytes are rounded after each.

    Computed in float64, if the device has it: settings for faster matrix products do not affect it.
    """
    count, channels, height, width = planes.shape
    whole, kind = planes.dtype == torch.uint8, rows[1].dtype
    row_by_row = planes.permute(0, 2, 1, 3).to(kind, memory_format=torch.contiguous_format).contiguous()
    result = _matrix(rows, height) @ row_by_row.view(count, height, -1)
    if whole:
        result = result.add_(0.5).floor_()
    result = result.reshape(count, -1, width) @ _matrix(columns, width).transpose(1, 2)
    if whole:
        result = result.add_(0.5).floor_()
    return result.view(count, -1, channels, result.shape[2]).permute(0, 2, 1, 3).to(planes.dtype)


def _matrix(taps: tuple[Tensor, Tensor], length: int) -> Tensor:
    """Taps as a matrix for each piece, P x longest x length."""
    places, weights = taps
    matrix = weights.new_zeros((*places.shape[:2], length + 1))
    return matrix.scatter_(2, places, weights)[:, :, :length]
