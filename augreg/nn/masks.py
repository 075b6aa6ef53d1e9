"""Where masks and noise come from, torch's own generator or a hash of seed and call number, and how a mask drops.

`TORCH` draws from torch's own generator: checkpointing restores it, compiled graphs know it, and `torch.manual_seed`
decides. In a distributed run it takes one number a draw and hashes it with the rank, so that ranks differ even where
all of them were seeded alike. `Counted(seed)` computes its numbers from

    (seed, rank, call number, element)

by a 32-bit integer hash in tensor operations, which no rounding enters, and is not moved by anyone else's draws.
Neither adds anything to a `state_dict`.

Dropping is `torch.where(mask, x, 0)` and never `mask * x`, so that an infinity or NaN which is dropped is gone, in
the gradient as well.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

_WORD = 0xFFFFFFFF
_LOOKS_BACK = 1024  # calls of a layer that a recompute can find again


class Source(Protocol):
    """What draws the numbers of a layer; every call gives fresh ones."""

    def uniform(self, shape: Sequence[int], device: Any) -> Tensor:
        """float32 in [0, 1), multiples of 2^-24."""

    def normal(self, shape: Sequence[int], device: Any) -> Tensor:
        """Standard normal float32."""


class TorchSource:
    """Draws from torch's generator of the device; in a distributed run, from its CPU generator and the rank."""

    def uniform(self, shape: Sequence[int], device: Any) -> Tensor:
        """float32 in [0, 1), multiples of 2^-24."""
        rank, ranks = _ranks()
        if ranks == 1:
            return torch.rand(shape, device=device, dtype=torch.float32)
        key = torch.randint(2**62, (), dtype=torch.int64, device="cpu")
        first = mix(mix(key) + rank)
        return _unit(shape, device, first, mix(first ^ (key >> 32)))

    def normal(self, shape: Sequence[int], device: Any) -> Tensor:
        """Standard normal float32."""
        if _ranks()[1] == 1:
            return torch.randn(shape, device=device, dtype=torch.float32)
        return _box_muller(self, shape, device)

    def __repr__(self) -> str:
        return "torch"


TORCH = TorchSource()
"""The source of every layer that was given no seed."""


class Counted:
    """Numbers that are a function of (seed, rank, call number, element); the calls are counted here.

    A uniform draw is one call, a normal draw two. The rank is that of torch.distributed at the time of the draw, 0
    outside of it, so that ranks of one run draw different masks. Uniform draws are made of whole numbers alone, so
    that nothing is rounded (on CPUs this is tested, on accelerators not); normal draws go through log and cos.

    Gradient checkpointing runs a forward pass again during backward, and must then get the old masks. So each call
    also takes a ticket, one number of torch's CPU generator, which changes no mask: checkpointing restores that
    generator, the same ticket comes up again, and with it the call's number (among the last 1024 calls). It follows
    that a call repeated from the same state of torch's generator is the same call. `torch.compile` traces all of
    this; but a checkpointed region inside a compiled one may not count, and torch says so ("Unsafe side effect"):
    leave the seed out there.

    The count starts at 0 with every new object, also in a resumed run, where `calls` may be set.
    """

    def __init__(self, seed: int) -> None:
        if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**64:
            raise ValueError(f"a seed is a whole number from 0 to 2^64 - 1, got {seed!r}")
        self.seed = seed
        # plain tensors, replaced and not written to, so that compiled graphs carry them and are not compiled again
        self.calls = torch.zeros((), dtype=torch.int64)
        self.tickets = torch.full((_LOOKS_BACK,), -1, dtype=torch.int64)

    def uniform(self, shape: Sequence[int], device: Any) -> Tensor:
        """float32 in [0, 1), multiples of 2^-24."""
        low, high = self.seed & _WORD, self.seed >> 32
        outer = mix(mix(mix(low) + high) + _ranks()[0])
        first = mix(self._number() + outer)  # one-to-one in the number, so no two calls share it
        return _unit(shape, device, first, mix(first ^ mix(outer + low)))

    def normal(self, shape: Sequence[int], device: Any) -> Tensor:
        """Standard normal float32."""
        return _box_muller(self, shape, device)

    def _number(self) -> Tensor | int:
        """The number of this call: the next, or its old one if its ticket is known."""
        ticket = torch.randint(2**62, (1,), dtype=torch.int64, device="cpu")
        known = self.tickets == ticket
        found = known.any()
        number = torch.where(found, self.calls - _LOOKS_BACK + known.int().argmax(), self.calls)
        self.tickets = torch.where(found, self.tickets, torch.cat([self.tickets[1:], ticket]))
        self.calls = torch.where(found, self.calls, self.calls + 1)
        return number if torch.compiler.is_compiling() else int(number)  # an int is quicker to hash

    def __repr__(self) -> str:
        return f"Counted({self.seed})"


def _unit(shape: Sequence[int], device: Any, first: Tensor, second: Tensor) -> Tensor:
    """float32 in [0, 1), 24 bits each, from two words that stand for the call and the number of each element."""
    index = torch.arange(math.prod(shape), device=device, dtype=torch.int64)
    words = mix(mix(index + first) + second + (index >> 32))
    return ((words >> 8).to(torch.float32) * 2.0**-24).reshape(tuple(shape))


def _box_muller(source: Source, shape: Sequence[int], device: Any) -> Tensor:
    radius = torch.sqrt(-2.0 * torch.log1p(-source.uniform(shape, device)))
    return radius * torch.cos(2.0 * torch.pi * source.uniform(shape, device))


def mix(word: Any) -> Any:
    """A 32-bit word, or an int64 tensor of such, scrambled one-to-one; no product leaves 64 bits.

    Xor-shifts and multiplications, with the shifts and factors of Chris Wellons' search for low bias ("lowbias32",
    2018); the second factor is written as the negative number of the same 32 bits.
    """
    word = word & _WORD
    word = ((word ^ (word >> 16)) * 0x7FEB352D) & _WORD
    word = ((word ^ (word >> 15)) * (0x846CA68B - 2**32)) & _WORD
    return word ^ (word >> 16)


def _ranks() -> tuple[int, int]:
    """This process's rank in a distributed run, and how many there are."""
    distributed = torch.distributed
    if not (distributed.is_available() and distributed.is_initialized()):
        return 0, 1
    return distributed.get_rank(), distributed.get_world_size()


def source_of(seed: int | None) -> Source:
    """The source for a layer's argument `seed`."""
    return TORCH if seed is None else Counted(seed)


def layer_seed(seed: int | None, *names: str) -> int | None:
    """A seed of its own for the layer at this place, so that two layers with one seed draw different masks."""
    if seed is None:
        return None
    text = "\0".join([str(seed), *names]).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")


def drop(input: Tensor, share: float, mode: str, training: bool, source: Source, shape: Sequence[int]) -> Tensor:
    """The input with each unit kept with chance `share`; a mask of this shape is spread over the input.

    In training, kept units are divided by `share` if `mode` is "inverted", and left as they are if it is "original".
    Otherwise the input is given back as it is, or multiplied by `share` if `mode` is "original".
    """
    if share == 1.0:
        return input
    if not training:
        if mode == "inverted":
            return input
        return input * share if share > 0.0 else emptied(input)
    return thinned(input, share, mode, source, shape)


def thinned(input: Tensor, share: float, mode: str, source: Source, shape: Sequence[int]) -> Tensor:
    """What training makes of the input, or of weights, in the memory format that it has (channels_last, say)."""
    mask = source.uniform(shape, input.device) < share
    return torch.where(laid_out(mask, input), input * scale_of(mode, share), 0.0)


def scale_of(mode: str, share: float) -> float:
    """What training multiplies the kept share by: one over it in the inverted mode."""
    return 1.0 / share if mode == "inverted" and share > 0.0 else 1.0


def laid_out(mask: Tensor, input: Tensor) -> Tensor:
    """The mask with the strides of an input of its shape, which the result of `torch.where` then has too."""
    if mask.shape != input.shape or mask.stride() == input.stride():
        return mask
    return torch.empty_like(input, dtype=mask.dtype).copy_(mask)


def emptied(input: Tensor) -> Tensor:
    """Zeros of the input's shape, with gradients of zero."""
    return torch.where(torch.zeros_like(input, dtype=torch.bool), input, 0.0)
