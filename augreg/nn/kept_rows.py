"""The rows of a batch that a branch is computed for, and how its output is added back to all of them."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from augreg.nn.masks import Source

PARTS = 1024  # where the number of rows is fixed, it is a multiple of this part of the batch, rounded up


class KeptRows:
    """Some of the `total` rows of a batch, drawn without replacement, so that each is kept with `survival`.

    Row i of a random permutation is kept if i + coin < total * survival, with one coin ~ U(0, 1): so floor(total *
    survival) rows are kept, or one more with the probability that makes the mean exactly total * survival. The coin
    is drawn on the CPU and the permutation on the device, so nothing is read back from the device.

    With `fixed_parts` the number of rows does not depend on a draw: that many parts of 1024 of the rows are computed,
    at least as many as are kept, and those that are not kept are masked.
    """

    def __init__(
        self, total: int, survival: float, source: Source, device: torch.device, fixed_parts: int | None
    ) -> None:
        self.total = total
        self.mask: Tensor | None = None
        coin = source.uniform((), "cpu" if fixed_parts is None else device)
        order = source.uniform((total,), device).argsort(stable=True)
        if fixed_parts is None:
            self.count = max(0, math.ceil(total * survival - coin.item()))
        else:
            self.count = (total * fixed_parts + PARTS - 1) // PARTS
            dtype = torch.float32 if device.type == "mps" else torch.float64
            self.mask = (torch.arange(self.count, device=device) + coin.to(dtype)) / total < survival
        self.index = order[: self.count]

    def take(self, value: Tensor) -> Tensor:
        """The rows of a tensor, in its memory format."""
        if not _is_channels_last(value):
            return value.index_select(0, self.index)
        return value.movedim(1, -1).index_select(0, self.index).movedim(-1, 1)  # it gives contiguous ones

    def add(self, shortcut: Tensor, output: Tensor, scale: float) -> Tensor:
        """The shortcut with the branch's output for these rows, multiplied by the scale, added to them.

        It has the memory format of the shortcut.
        """
        dtype = torch.promote_types(shortcut.dtype, output.dtype)
        shortcut, output = shortcut.to(dtype), output.to(dtype)
        if self.mask is not None:
            mask = self.mask.view(-1, *(1 for _ in output.shape[1:]))
            output = torch.where(mask, output * scale, 0.0)  # not times 0: what is dropped may be infinite
            scale = 1.0  # compiled code takes `alpha` for a constant
        if output.shape[1:] != shortcut.shape[1:]:  # one is broadcast
            zeros = output.new_zeros((self.total, *output.shape[1:]))
            return shortcut + zeros.index_add(0, self.index, output, alpha=scale)
        if not _is_channels_last(shortcut):
            return shortcut.index_add(0, self.index, output, alpha=scale)
        output = output.movedim(1, -1)
        return shortcut.movedim(1, -1).index_add(0, self.index, output, alpha=scale).movedim(-1, 1)


def _is_channels_last(value: Tensor) -> bool:
    formats = {4: torch.channels_last, 5: torch.channels_last_3d}
    if value.dim() not in formats or value.is_contiguous():
        return False
    return bool(value.is_contiguous(memory_format=formats[value.dim()]))


def count_is_fixed(device: torch.device) -> bool:
    """Whether the number of rows cannot depend on a draw: in compiled code, and while a CUDA graph is captured."""
    if torch.compiler.is_compiling():
        return True
    return bool(device.type == "cuda" and torch.cuda.is_current_stream_capturing())
