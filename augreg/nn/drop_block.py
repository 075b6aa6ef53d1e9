"""DropBlock: squares of a feature map are dropped, with the mean kept at every position."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from augreg.nn.checks import choice, dimensions, floating, number
from augreg.nn.masks import emptied, laid_out, source_of

__all__ = ["DropBlock1d", "DropBlock2d", "DropBlock3d"]

_NEWTON_STEPS = 8  # 6 come to 1e-14 for any map, block and p


class MapDropBlock(nn.Module):
    """Squares of a feature map are zero: Ghiasi et al. 2018 (arXiv 1810.12890).

        seed ~ Bernoulli(gamma) wherever a block of k x k fits; every seed drops the block around it
        c(i, j) = how many such blocks cover position (i, j);  P(kept) = (1 - gamma)^c(i, j)
        training  m x / (1 - gamma)^c    testing  x

    Test-time rule: identity. Exact for the mean at every position, and of whatever is linear in the output.

    gamma solves mean over (i, j) of (1 - gamma)^c = 1 - p, so the share p is dropped on the mean over the map. The
    paper's gamma, p / k^2 * H W / ((H - k + 1)(W - k + 1)), leaves out that blocks overlap and drops less: for k = 7,
    p = 0.1 and a map of 14 x 14 it is 0.00625 and drops 0.0929, where 0.006764 drops 0.1.

    Why this layer divides by the chance of each position, and not by the share of the whole batch that was kept, as
    the paper does: near the border fewer blocks fit over a position, so it is kept more often. In the example a
    corner is kept with 0.993 and the center with 0.717 (49 blocks of gamma 0.006764 cover it), so that a common
    divisor of 0.9 makes the corner 10 % too large and the center 20 % too small on the mean. Moreover that share is
    itself random and depends on the mask that it divides, and the mean of a ratio is not the ratio of the means.

    `p` is the chance of being dropped, where the paper gives 1 - p; the paper raises it over training from 0. A block
    that is larger than the map is cut to it, so a 7 x 7 block on a 7 x 7 map is the whole map. Masks are drawn per
    channel, or `per="sample"` for all channels alike. Takes (batch, channels, ...) with one to three dimensions
    behind the channels; `DropBlock1d`, `2d` and `3d` take their own number, with a batch in front or not.
    """

    dims: ClassVar[int | None] = None

    def __init__(
        self,
        p: float = 0.1,
        block_size: int = 7,
        per: Literal["channel", "sample"] = "channel",
        seed: int | None = None,
    ) -> None:
        super().__init__()
        self.p = number("p", p, 0, 1)
        if isinstance(block_size, bool) or not isinstance(block_size, int) or block_size < 1:
            raise ValueError(f"block_size must be a whole number of at least 1, got {block_size!r}")
        self.block_size = block_size
        self.per = choice("per", per, ("channel", "sample"))
        self.source = source_of(seed)

    def forward(self, input: Tensor) -> Tensor:
        """The input with blocks dropped and the rest scaled by position, in training."""
        floating(self, input)
        dims = self._dims(input)
        if not self.training or self.p == 0.0 or input.numel() == 0:
            return input
        if self.p == 1.0:
            return emptied(input)
        sizes = input.shape[-dims:]
        seed_keep = log_seed_keep(sizes, self.block_size, self.p)
        dropped = self._blocks(input, seed_keep.exp(), dims)
        wide = torch.promote_types(input.dtype, torch.float32)
        keep = seed_keep * covers(sizes, self.block_size)  # its logarithm
        scale = torch.exp(-keep).to(input.device, wide).to(input.dtype)
        return torch.where(laid_out(dropped, input), 0.0, input * scale)

    def _dims(self, input: Tensor) -> int:
        """How many dimensions are behind the channels."""
        if self.dims is not None:
            dimensions(self, input, self.dims)
            return self.dims
        if input.dim() not in (3, 4, 5):
            raise ValueError(
                f"{type(self).__name__} takes (batch, channels, ...) with 3 to 5 dimensions, got an input of shape "
                f"{tuple(input.shape)}"
            )
        return len(input.shape) - 2

    def _blocks(self, input: Tensor, seed_keep: Tensor, dims: int) -> Tensor:
        """What is dropped: True in a block for every seed."""
        channels = input.shape[-dims - 1] if self.per == "channel" else 1
        sizes = input.shape[-dims:]
        blocks = [min(self.block_size, size) for size in sizes]
        places = [size - block + 1 for size, block in zip(sizes, blocks, strict=True)]
        # float32 on the device, as the draws are
        seeds = self.source.uniform((*input.shape[: -dims - 1], channels, *places), input.device) >= (
            seed_keep.to(input.device, torch.float32)
        )
        border = [width for block in reversed(blocks) for width in (block - 1, block - 1)]
        pool: Any = (functional.max_pool1d, functional.max_pool2d, functional.max_pool3d)[dims - 1]
        grown: Tensor = pool(functional.pad(seeds.to(torch.float32), border), blocks, stride=1)
        return grown > 0.5

    def extra_repr(self) -> str:
        """The settings, for print(model)."""
        return f"p={self.p}, block_size={self.block_size}, per={self.per!r}, source={self.source}"


class DropBlock1d(MapDropBlock):
    """`MapDropBlock` for (batch, channels, length) or (channels, length): runs of k are dropped."""

    dims = 1


class DropBlock2d(MapDropBlock):
    """`MapDropBlock` for (batch, channels, height, width) or (channels, height, width)."""

    dims = 2


class DropBlock3d(MapDropBlock):
    """`MapDropBlock` for (batch, channels, depth, height, width), or no batch: cubes of k x k x k are dropped."""

    dims = 3


def covers(sizes: Sequence[int], block_size: int) -> Tensor:
    """How many of the blocks that fit into a map of these sizes cover each position; float64, of that shape."""
    found = torch.ones((), dtype=torch.float64)
    for size in sizes:
        block = min(block_size, size)
        most = min(block, size - block + 1)
        along = [min(place + 1, size - place, most) for place in range(size)]
        found = found.unsqueeze(-1) * torch.tensor(along, dtype=torch.float64)
    return found


def log_seed_keep(sizes: Sequence[int], block_size: int, p: float) -> Tensor:
    """log(1 - gamma), for which a share p of a map of these sizes is dropped on the mean; p from 0 to below 1.

    With s = log(1 - gamma) the share kept is the mean of exp(s c) over the positions. Its logarithm is convex and
    rises with s, and by Jensen's inequality s = log(1 - p) / mean(c) is not below the solution, so that Newton's
    steps come down to it.
    """
    counts: dict[int, int] = {1: 1}
    for size in sizes:
        block = min(block_size, size)
        most = min(block, size - block + 1)
        along: dict[int, int] = {}
        for count, positions in counts.items():
            for level in range(1, most + 1):  # two positions on each level below the highest, and the rest on that
                here = 2 if level < most else size - 2 * (most - 1)
                along[count * level] = along.get(count * level, 0) + here * positions
        counts = along
    cover = torch.tensor(list(counts.keys()), dtype=torch.float64)
    share = torch.tensor(list(counts.values()), dtype=torch.float64) / math.prod(sizes)
    wanted = torch.log(torch.ones((), dtype=torch.float64) - p)  # compiled for any p
    solution = wanted / (share * cover).sum()
    for _ in range(_NEWTON_STEPS):
        kept = share * torch.exp(solution * cover)
        total = kept.sum()
        solution = solution - (total.log() - wanted) * total / (kept * cover).sum()
    return solution
