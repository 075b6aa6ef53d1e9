"""Channels as weighted sums of all channels, equal in every bit. The op ColorMatrix."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from augreg.backends.torch_kernels import columns
from augreg.backends.torch_kernels.columns import Number

__all__ = ["mixed"]


def mixed(images: torch.Tensor, rows: Sequence[Sequence[Number]], offsets: Sequence[Number]) -> torch.Tensor:
    """Each channel as the sum of an offset and the channels times a row of weights, in order, in float32.

    Bytes are rounded and clipped, floats are clipped to 0..1.
    """
    used = [[source for source, weight in enumerate(row) if np.any(weight)] for row in rows]
    numbers = [*offsets, *(row[source] for row, own in zip(rows, used, strict=True) for source in own)]
    uploaded = columns.uploaded(numbers, len(images), images.device)
    weights = iter([number.to(torch.float32)[:, None, None] for number in uploaded])
    totals = [next(weights).expand(-1, *images.shape[2:]) for _ in offsets]
    sources = images.to(torch.float32).unbind(1)
    for channel, own in enumerate(used):
        for source in own:
            totals[channel] = totals[channel] + sources[source] * next(weights)
    total = torch.stack(totals, 1)
    if images.dtype == torch.float32:
        return total.clamp_(0.0, 1.0)
    return total.round_().clamp_(0.0, 255.0).to(torch.uint8)
