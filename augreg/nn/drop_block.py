"""DropBlock: drops squares of a feature map, and preserves the mean at every position."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from augreg.nn.checks import check_choice, check_dimensions, check_floating, check_number
from augreg.nn.masks import source_of, with_strides, zeros

__all__ = ["DropBlock1d", "DropBlock2d", "DropBlock3d"]

_NEWTON_STEPS = 8  # 6 reach 1e-14 for any map, block size and p


class MapDropBlock(nn.Module):
    """Sets squares of a feature map to zero: Ghiasi et al. 2018 (arXiv 1810.12890).

        seed ~ Bernoulli(gamma) wherever a block of k x k fits; every seed drops the block around it
        c(i, j) = number of such blocks that cover position (i, j);  P(kept) = (1 - gamma)^c(i, j)
        training  m x / (1 - gamma)^c    testing  x

    Test-time rule: identity. Exact for the mean at every position, and of whatever is linear in the output.

    gamma solves mean over (i, j) of (1 - gamma)^c = 1 - p, so a fraction p of the map is dropped on average. The
    paper's gamma, p / k^2 * H W / ((H - k + 1)(W - k + 1)), ignores that blocks overlap and drops less: for k = 7,
    p = 0.1 and a map of 14 x 14 it is 0.00625 and drops 0.0929, while 0.006764 drops 0.1.

    The paper divides by the fraction of the batch that was kept. This layer divides each position by its own
    probability of being kept, for two reasons. Near the border fewer blocks cover a position, so it is kept more
    often: in the example a corner is kept with probability 0.993 and the center with 0.717 (49 blocks with gamma
    0.006764 cover it), so a common divisor of 0.9 makes the mean of a corner 10 % too large and that of the center
    20 % too small. And the kept fraction is random and depends on the mask that it divides; the mean of a ratio is
    not the ratio of the means.

    `p` is the probability of being dropped (the paper uses 1 - p); the paper raises it from 0 during training. A
    block larger than the map is cut to the map's size, so a 7 x 7 block on a 7 x 7 map is the whole map. Masks are
    drawn per channel, or with `per="sample"` once for all channels. Takes (batch, channels, ...) with one to three
    spatial dimensions. `DropBlock1d`, `2d` and `3d` take a fixed number of them, with or without a batch.
    """

    dims: ClassVar[int | None] = None
    least_dimensions, most_dimensions = 3, 5

    def __init__(
        self,
        p: float = 0.1,
        block_size: int = 7,
        per: Literal["channel", "sample"] = "channel",
        seed: int | None = None,
    ) -> None:
        super().__init__()
        self.p = check_number("p", p, 0, 1)
        if isinstance(block_size, bool) or not isinstance(block_size, int) or block_size < 1:
            raise ValueError(f"block_size must be a whole number of at least 1, got {block_size!r}")
        self.block_size = block_size
        self.per = check_choice("per", per, ("channel", "sample"))
        self.source = source_of(seed)

    def forward(self, input: Tensor) -> Tensor:
        """In training, the input with blocks dropped and the other positions scaled."""
        check_floating(self, input)
        dims = self._dims(input)
        if not self.training or self.p == 0.0 or input.numel() == 0:
            return input
        if self.p == 1.0:
            return zeros(input)
        sizes = tuple(input.shape[-dims:])
        arguments = (sizes, self.block_size, self.p, input.device, input.dtype)
        seed_keep, scale = remembered(*arguments) if is_plain(input) else numbers(*arguments)
        kept = self._kept(input, seed_keep, dims)
        return torch.where(with_strides(kept, input), input * scale, 0.0)

    def _dims(self, input: Tensor) -> int:
        """The number of spatial dimensions."""
        if self.dims is not None:
            check_dimensions(self, input, self.dims)
            return self.dims
        if input.dim() not in (3, 4, 5):
            raise ValueError(
                f"{type(self).__name__} takes (batch, channels, ...) with 3 to 5 dimensions, got an input of shape "
                f"{tuple(input.shape)}"
            )
        return len(input.shape) - 2

    def _kept(self, input: Tensor, seed_keep: float | Tensor, dims: int) -> Tensor:
        """The mask of kept elements: False in a block around every seed."""
        channels = input.shape[-dims - 1] if self.per == "channel" else 1
        sizes = input.shape[-dims:]
        blocks = [min(self.block_size, size) for size in sizes]
        places = [size - block + 1 for size, block in zip(sizes, blocks, strict=True)]
        free = self.source.kept(seed_keep, (*input.shape[: -dims - 1], channels, *places), input)
        if channels == 1 or input.is_contiguous() or input.dim() != dims + 2:
            return without_blocks(free, sizes, blocks, 1)
        return without_blocks(free.movedim(1, -1), sizes, blocks, channels).movedim(-1, 1)  # channels_last

    def extra_repr(self) -> str:
        """The settings, as `print(model)` shows them."""
        return f"p={self.p}, block_size={self.block_size}, per={self.per!r}, source={self.source}"


class DropBlock1d(MapDropBlock):
    """`MapDropBlock` for (batch, channels, length) or (channels, length): drops runs of k."""

    dims = 1


class DropBlock2d(MapDropBlock):
    """`MapDropBlock` for (batch, channels, height, width) or (channels, height, width)."""

    dims = 2


class DropBlock3d(MapDropBlock):
    """`MapDropBlock` for (batch, channels, depth, height, width), or without a batch: drops cubes of k x k x k."""

    dims = 3


def without_blocks(free: Tensor, sizes: Sequence[int], blocks: Sequence[int], inner: int) -> Tensor:
    """The mask of a map of these sizes that is False in the block that starts at each seed, and True elsewhere.

    `free` is False at seeds. It has a value for each position where a block fits, and `inner` values (of channels
    that come last) at each. The mask is the minimum of `free` over a window, computed by "and" with a shifted copy:
    windows of 1, 2, 4, .. up to the block's size, along one dimension after the other. The whole batch is one line of
    bytes, where a step along a dimension is a fixed distance. No shift carries a seed to another row, as blocks fit.
    Max pooling would take longer (100 times on a CPU for 7 x 7): it takes no bytes, and finds the places of maxima.
    """
    dims = len(sizes)
    first = free.dim() - dims - (1 if inner > 1 else 0)
    shape = [*free.shape[:first], *sizes, *free.shape[first + dims :]]
    steps = [inner * math.prod(sizes[dim + 1 :]) for dim in range(dims)]
    margin = sum((block - 1) * step for block, step in zip(blocks, steps, strict=True))
    line = free.new_ones(margin + math.prod(shape))
    places = line[margin:].view(shape)
    for dim in range(first, first + dims):
        places = places.narrow(dim, 0, free.shape[dim])
    places.copy_(free)
    for block, step in zip(blocks, steps, strict=True):
        window = 1
        while window < block:
            more = min(window, block - window)
            line = line[more * step :] & line[: -more * step]
            window += more
    return line.view(shape)


def is_plain(input: Tensor) -> bool:
    """Whether numbers for this input may be remembered: not in a trace, nor for a fake tensor or the like."""
    tracing = torch.compiler.is_compiling() or torch.jit.is_tracing()
    return type(input) in (Tensor, nn.Parameter) and not tracing


def numbers(
    sizes: tuple[int, ...], block_size: int, p: float, device: torch.device, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """The probability that a position is no seed, in float32 like the draws, and the scale of each position."""
    log_keep = log_seed_keep(sizes, block_size, p)
    wide = torch.promote_types(dtype, torch.float32)
    scale = torch.exp(-log_keep * covering_blocks(sizes, block_size))
    seed_keep = log_keep.exp().to(device, torch.float32, non_blocking=True)
    return seed_keep, scale.to(device, wide, non_blocking=True).to(dtype)


def remembered(
    sizes: tuple[int, ...], block_size: int, p: float, device: torch.device, dtype: torch.dtype
) -> tuple[float | Tensor, Tensor]:
    """`numbers`, remembered: solving for gamma and copying the scale to a GPU at every call cost more than a mask."""
    try:
        return _remembered(sizes, block_size, p, device, dtype)
    except RuntimeError:  # make_fx, which traces plain tensors, refuses to read a number
        return numbers(sizes, block_size, p, device, dtype)


@functools.lru_cache(maxsize=256)
def _remembered(
    sizes: tuple[int, ...], block_size: int, p: float, device: torch.device, dtype: torch.dtype
) -> tuple[float, Tensor]:
    with torch.inference_mode(False):  # a tensor made in inference mode could not be used in training later
        seed_keep, scale = numbers(sizes, block_size, p, torch.device("cpu"), dtype)
        return seed_keep.item(), scale.to(device, non_blocking=True)


def covering_blocks(sizes: Sequence[int], block_size: int) -> Tensor:
    """How many of the blocks that fit into a map of these sizes cover each position; float64, of that shape."""
    found = torch.ones((), dtype=torch.float64, device="cpu")
    for size in sizes:
        block = min(block_size, size)
        most = min(block, size - block + 1)
        along = [min(place + 1, size - place, most) for place in range(size)]
        found = found.unsqueeze(-1) * torch.tensor(along, dtype=torch.float64, device="cpu")
    return found


def log_seed_keep(sizes: Sequence[int], block_size: int, p: float) -> Tensor:
    """log(1 - gamma), such that a fraction p of a map of these sizes is dropped on average; p from 0 to below 1.

    With s = log(1 - gamma) the kept fraction is the mean of exp(s c) over the positions. Its logarithm is convex and
    increases with s, and by Jensen's inequality the start s = log(1 - p) / mean(c) is not below the solution, so
    Newton's method converges to it from above.
    """
    counts: dict[int, int] = {1: 1}
    for size in sizes:
        block = min(block_size, size)
        most = min(block, size - block + 1)
        along: dict[int, int] = {}
        for count, positions in counts.items():
            for cover in range(1, most + 1):  # two positions for each count below the highest, the rest for that
                here = 2 if cover < most else size - 2 * (most - 1)
                along[count * cover] = along.get(count * cover, 0) + here * positions
        counts = along
    covers = torch.tensor(list(counts.keys()), dtype=torch.float64, device="cpu")
    fraction = torch.tensor(list(counts.values()), dtype=torch.float64, device="cpu") / math.prod(sizes)
    one = torch.ones((), dtype=torch.float64, device="cpu")  # a tensor, so that compiled code works for any p
    target = torch.log(one - p)
    solution = target / (fraction * covers).sum()
    for _ in range(_NEWTON_STEPS):
        kept = fraction * torch.exp(solution * covers)
        total = kept.sum()
        solution = solution - (total.log() - target) * total / (kept * covers).sum()
    return solution
