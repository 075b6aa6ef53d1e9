"""The sources of masks and noise (torch's generator, or a hash of a seed), and dropping by a mask.

`TORCH` draws from torch's generator: checkpointing restores it, compiled graphs support it, and `torch.manual_seed`
sets it. In a distributed run it takes one number per draw and hashes it with the rank, so ranks differ even if all of
them were seeded alike. `SeededSource(seed)` computes its numbers from

    (seed, rank, call number, element)

by a 32-bit integer hash in tensor operations, without rounding. Other draws do not affect it. Neither adds anything
to a `state_dict`.

Masks are boolean, one byte per element. On the devices of `FUSED` torch draws one in a single kernel; elsewhere it
is `uniform < keep`. Dropping is `torch.where(mask, x, 0)` and not `mask * x`, so a dropped infinity or NaN is
removed, in the gradient as well. Only where a layer allows it (`fused`) is torch's own kernel used, which multiplies.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

_MASK32 = 0xFFFFFFFF
_REMEMBERED_CALLS = 1024  # recent calls of a layer that a recomputation can repeat
_WITH_GENERATORS = ("cpu", "cuda", "mps", "xpu")

FUSED = frozenset({"cuda"})
"""Types of devices on which torch draws a boolean mask, or drops by one, in one kernel."""


class Source(Protocol):
    """Draws the random numbers of a layer; every call gives new ones."""

    def uniform(self, shape: Sequence[int], device: Any) -> Tensor:
        """float32 in [0, 1), multiples of 2^-24."""

    def normal(self, shape: Sequence[int], device: Any) -> Tensor:
        """Standard normal float32."""

    def kept(self, keep: float | Tensor, shape: Sequence[int], input: Tensor) -> Tensor:
        """A boolean mask on the input's device, True with probability `keep`; of its shape, it has its strides."""


class TorchSource:
    """Draws from torch's generator of the device; in a distributed run, from the CPU generator and the rank."""

    def uniform(self, shape: Sequence[int], device: Any) -> Tensor:
        """float32 in [0, 1), multiples of 2^-24."""
        if rank_and_count()[1] == 1:
            return torch.rand(shape, device=device, dtype=torch.float32)
        if _has_generators(device):
            return torch.rand(shape, generator=_generator_of_rank(device), device=device, dtype=torch.float32)
        return _unit(shape, device, *_hashes_of_rank())

    def normal(self, shape: Sequence[int], device: Any) -> Tensor:
        """Standard normal float32."""
        if rank_and_count()[1] == 1:
            return torch.randn(shape, device=device, dtype=torch.float32)
        if _has_generators(device):
            return torch.randn(shape, generator=_generator_of_rank(device), device=device, dtype=torch.float32)
        return _box_muller(self, shape, device)

    def kept(self, keep: float | Tensor, shape: Sequence[int], input: Tensor) -> Tensor:
        """A boolean mask on the input's device, True with probability `keep`; of its shape, it has its strides."""
        if not isinstance(keep, float) or not fuses(input):
            return with_strides(self.uniform(shape, input.device) < keep, input)
        same = tuple(shape) == tuple(input.shape)
        mask = torch.empty_like(input, dtype=torch.bool) if same else input.new_empty(tuple(shape), dtype=torch.bool)
        generator = None if rank_and_count()[1] == 1 else _generator_of_rank(input.device)
        if mask.is_contiguous():  # vmap refuses to draw in place for a weight, which is the same for all rows
            return torch.bernoulli(mask, keep, generator=generator)
        return mask.bernoulli_(keep, generator=generator)

    def __repr__(self) -> str:
        return "torch"


TORCH = TorchSource()
"""The source of every layer without a seed."""


class SeededSource:
    """Computes numbers as a function of (seed, rank, call number, element), and counts the calls.

    A uniform draw is one call, a normal draw two. The rank is that of torch.distributed at the time of the draw, or
    0, so ranks of a distributed run draw different masks. Uniform draws use integer arithmetic only and are never
    rounded (tested on CPUs, not on accelerators); normal draws use log and cos.

    Gradient checkpointing runs a forward pass again during backward, which must get the same masks. Therefore each
    call also draws a ticket, one number from torch's CPU generator, which does not affect the mask. Checkpointing
    restores that generator, so the recomputed call draws the same ticket and gets its old call number (if it is one
    of the last 1024 calls). As a consequence, calls from the same state of torch's generator give the same mask.
    `torch.compile` supports all of this, except in a checkpointed region inside a compiled one: there torch raises
    an error about side effects, so leave the seed out.

    The count starts at 0 in every new object. `augreg.training.RngState` saves it in a checkpoint.
    """

    def __init__(self, seed: int) -> None:
        if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**64:
            raise ValueError(f"a seed is a whole number from 0 to 2^64 - 1, got {seed!r}")
        self.seed = seed
        low, high = seed & _MASK32, seed >> 32
        self._key = (mix(mix(low) + high), low)
        # tensors for compiled code: with dynamic=True numbers become symbols, which few versions of torch can hash
        self._tensor_key = tuple(torch.tensor(number) for number in self._key)
        # tensors that are replaced, not written to: compiled graphs support them without recompilation
        self.calls = torch.zeros((), dtype=torch.int64)
        self.tickets = torch.full((_REMEMBERED_CALLS,), -1, dtype=torch.int64)

    def uniform(self, shape: Sequence[int], device: Any) -> Tensor:
        """float32 in [0, 1), multiples of 2^-24."""
        hashed, low = self._tensor_key if torch.compiler.is_compiling() else self._key
        outer = mix(hashed + rank_and_count()[0])
        first = mix(self._call_number() + outer)  # one-to-one in the call number, so no two calls share a value
        return _unit(shape, device, first, mix(first ^ mix(outer + low)))

    def normal(self, shape: Sequence[int], device: Any) -> Tensor:
        """Standard normal float32."""
        return _box_muller(self, shape, device)

    def state_dict(self) -> dict[str, Any]:
        """The state to save: how many calls there were, and the tickets of the recent ones."""
        return {"calls": int(self.calls), "tickets": self.tickets.clone()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue after the calls of a saved state; without tickets, none of them can be repeated."""
        self.calls = torch.tensor(int(state["calls"]), dtype=torch.int64)
        tickets = state.get("tickets")
        self.tickets = (
            torch.full((_REMEMBERED_CALLS,), -1, dtype=torch.int64) if tickets is None else tickets.cpu().clone()
        )

    def kept(self, keep: float | Tensor, shape: Sequence[int], input: Tensor) -> Tensor:
        """A boolean mask on the input's device, True with probability `keep`; of its shape, it has its strides."""
        return with_strides(self.uniform(shape, input.device) < keep, input)

    def _call_number(self) -> Tensor | int:
        """The number of this call: a new one, or its old one if its ticket is known."""
        ticket = torch.randint(2**62, (1,), dtype=torch.int64, device="cpu")
        known = self.tickets == ticket
        found = known.any()
        number = torch.where(found, self.calls - _REMEMBERED_CALLS + known.int().argmax(), self.calls)
        self.tickets = torch.where(found, self.tickets, torch.cat([self.tickets[1:], ticket]))
        self.calls = torch.where(found, self.calls, self.calls + 1)
        return number if torch.compiler.is_compiling() else int(number)  # hashing an int is faster

    def __repr__(self) -> str:
        return f"SeededSource({self.seed})"


def fuses(input: Tensor) -> bool:
    """Whether torch has fused kernels for this tensor, and no compiler that fuses all operators."""
    return input.device.type in FUSED and not torch.compiler.is_compiling()


def _has_generators(device: Any) -> bool:
    """Whether a generator can be made for one call on this device; compiled code takes none."""
    return torch.device(device).type in _WITH_GENERATORS and not torch.compiler.is_compiling()


def _hashes_of_rank() -> tuple[Any, Any]:
    """Two 32-bit hashes of a number from the CPU generator and the rank."""
    drawn = torch.randint(2**62, (), dtype=torch.int64, device="cpu")
    key = drawn if torch.compiler.is_compiling() else int(drawn)  # hashing an int is faster
    first = mix(mix(key) + rank_and_count()[0])
    return first, mix(first ^ (key >> 32))


def _generator_of_rank(device: Any) -> torch.Generator:
    """A generator for one call, seeded by the CPU generator and the rank.

    It fills a mask much faster than a hash of each element, which takes some forty operators.
    """
    first, second = _hashes_of_rank()
    return torch.Generator(device).manual_seed((first << 31) ^ second)


def _unit(shape: Sequence[int], device: Any, first: Any, second: Any) -> Tensor:
    """float32 in [0, 1), 24 bits each, from two 32-bit hashes of the call and the index of each element."""
    index = torch.arange(math.prod(shape), device=device, dtype=torch.int64)
    hashes = mix(mix(index + first) + second + (index >> 32))
    return ((hashes >> 8).to(torch.float32) * 2.0**-24).reshape(tuple(shape))


def _box_muller(source: Source, shape: Sequence[int], device: Any) -> Tensor:
    radius = torch.sqrt(-2.0 * torch.log1p(-source.uniform(shape, device)))
    return radius * torch.cos(2.0 * torch.pi * source.uniform(shape, device))


def mix(value: Any) -> Any:
    """A one-to-one hash of a 32-bit integer, or of an int64 tensor of them. No product overflows 64 bits.

    "lowbias32" of Chris Wellons (2018): xor-shifts and multiplications, with shifts and factors found by a search for
    low bias. The second factor is written as the negative number with the same 32 bits.
    """
    value = value & _MASK32
    value = ((value ^ (value >> 16)) * 0x7FEB352D) & _MASK32
    value = ((value ^ (value >> 15)) * (0x846CA68B - 2**32)) & _MASK32
    return value ^ (value >> 16)


def rank_and_count() -> tuple[int, int]:
    """The rank of this process in a distributed run, and the number of ranks."""
    distributed = torch.distributed
    if not (distributed.is_available() and distributed.is_initialized()):
        return 0, 1
    return distributed.get_rank(), distributed.get_world_size()


def source_of(seed: int | None) -> Source:
    """The source for a layer's argument `seed`."""
    return TORCH if seed is None else SeededSource(seed)


def layer_seed(seed: int | None, *names: str) -> int | None:
    """The seed for the layer at these names, so that layers with the same `seed` draw different masks."""
    if seed is None:
        return None
    text = "\0".join([str(seed), *names]).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")


def drop(
    input: Tensor,
    keep: float,
    mode: str,
    training: bool,
    source: Source,
    shape: Sequence[int],
    fused: bool = False,
) -> Tensor:
    """The input with each unit kept with probability `keep`; the mask has this shape and is broadcast.

    In training, kept units are divided by `keep` if `mode` is "inverted", and unchanged if it is "original". In
    testing, the input is returned unchanged, or multiplied by `keep` if `mode` is "original". `fused` allows torch's
    own kernel, which multiplies by 0, so that a dropped infinity gives NaN.
    """
    if keep == 1.0:
        return input
    if not training:
        if mode == "inverted":
            return input
        return input * keep if keep > 0.0 else zeros(input)
    own = source is TORCH and rank_and_count()[1] == 1  # torch's kernel draws from torch's own generator
    if fused and own and keep > 0.0 and mode == "inverted" and tuple(shape) == tuple(input.shape) and fuses(input):
        return torch.native_dropout(input, 1.0 - keep, True)[0]
    return dropped(input, keep, mode, source, shape)


def dropped(input: Tensor, keep: float, mode: str, source: Source, shape: Sequence[int]) -> Tensor:
    """The input, or a weight, as `drop` returns it in training; it keeps its memory format, such as channels_last."""
    return torch.where(source.kept(keep, shape, input), input * kept_scale(mode, keep), 0.0)


def kept_scale(mode: str, keep: float) -> float:
    """The factor of kept units in training: 1 / keep in inverted mode."""
    return 1.0 / keep if mode == "inverted" and keep > 0.0 else 1.0


def with_strides(mask: Tensor, input: Tensor) -> Tensor:
    """A mask of the input's shape with the input's strides, which the result of `torch.where` then has too."""
    if mask.shape != input.shape or mask.stride() == input.stride():
        return mask
    return torch.empty_like(input, dtype=mask.dtype).copy_(mask)


def zeros(input: Tensor) -> Tensor:
    """Zeros of the input's shape, with gradients of zero."""
    return torch.where(torch.zeros_like(input, dtype=torch.bool), input, 0.0)
