"""Addressed randomness: a draw is a function of where it is used, never of what was drawn before.

    address = (seed, domain, epoch, index, step, view)
    words   = Philox4x64-10 with key (seed, domain) and counter (block + view * 2^32, step, index, epoch)

The rules, which the rest of the package keeps:

1. A stream is found by its address. Nothing is consumed in order, so workers, batch sizes, ranks and
   resumed runs cannot change it.
2. Every part of an address has bits of its own: a 64-bit word each, but for the view, which has the upper half of the
   block's. Nothing overlaps, so two addresses never share a stream. Names and string indices become words by blake2b.
3. Only raw Philox words are used, since NumPy promises that stream for ever and promises no more; turning
   words into floats, integers and normals is done here.
4. A step reads its own cursor, which is closed when its `sample` returns. The first word is its `p` coin.
5. Neither `random`, `numpy.random`'s global state nor torch's generator is ever read or moved.

A cursor asks a thread's Philox for a block of words and sets its whole state each time. So threads, forked
workers and nested steps cannot disturb one another: there is nothing in between that they could change.
"""

from __future__ import annotations

import functools
import hashlib
import math
import os
import threading
from collections.abc import Sequence
from typing import Any, Final, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

__all__ = [
    "AUGMENTATION",
    "BATCH",
    "MODEL",
    "VIEWS",
    "Address",
    "Cursor",
    "address_of",
    "field",
    "fresh_seed",
    "stream_key",
]

# Domains keep apart the streams of one seed that serve different purposes.
AUGMENTATION: Final = 1
BATCH: Final = 2
MODEL: Final = 3
VIEWS: Final = 4
_FIELD: Final = 5

_WORD: Final = 1 << 64
_TO_UNIT: Final = 2.0**-53
_READ_AHEAD: Final = 8  # words fetched at once: two Philox blocks, enough for most steps


@functools.lru_cache(maxsize=4096)
def stream_key(text: str) -> int:
    """The 64-bit word that stands for a name: blake2b of its UTF-8 bytes."""
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def fresh_seed() -> int:
    """A fresh word from the operating system, for draws that nobody addressed."""
    return int.from_bytes(os.urandom(8), "little")


def _checked(name: str, value: int, bound: int = _WORD) -> int:
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{name} must be an integer, got {value!r}")
    value = value.__index__()
    if not 0 <= value < bound:
        raise ValueError(f"{name} must be from 0 to 2^{bound.bit_length() - 1} - 1, got {value}")
    return value


class Address(msgspec.Struct, frozen=True):
    """Where a draw belongs; steps add their own word. `locate` makes one and checks it."""

    seed: int
    domain: int
    epoch: int
    index: int
    view: int

    def cursor(self, step: int) -> Cursor:
        """The cursor for the step with this word."""
        return Cursor((self.seed, self.domain), self.view << 32, step, self.index, self.epoch)


def address_of(seed: int, index: int | str, epoch: int = 0, view: int = 0, domain: int = AUGMENTATION) -> Address:
    """The address of an image's draws.

    `index` is an integer from 0 or a string (a file name, a database key). Raises TypeError or ValueError
    for anything that is not one 64-bit word; `view` has 32 bits.
    """
    index = stream_key(index) if isinstance(index, str) else _checked("index", index)
    return Address(_checked("seed", seed), domain, _checked("epoch", epoch), index, _checked("view", view, 1 << 32))


class _Source(threading.local):
    """One Philox a thread, with the state that a refill overwrites in place."""

    def __init__(self) -> None:
        self.philox = np.random.Philox(0)
        self.counter: list[int] = [0, 0, 0, 0]
        self.inner: dict[str, Any] = {"counter": self.counter, "key": (0, 0)}
        # buffer_pos 4 says that no word is left over from the previous address
        self.state: Any = {
            "bit_generator": "Philox",
            "state": self.inner,
            "buffer": (0, 0, 0, 0),
            "buffer_pos": 4,
            "has_uint32": 0,
            "uinteger": 0,
        }

    def words(
        self, key: tuple[int, int], block: int, step: int, index: int, epoch: int, count: int
    ) -> NDArray[np.uint64]:
        counter = self.counter
        counter[0], counter[1], counter[2], counter[3] = block, step, index, epoch
        self.inner["key"] = key
        self.philox.state = self.state
        return self.philox.random_raw(count)


_source = _Source()


class Cursor:
    """Reads the words of one address in order and turns them into numbers.

    All conversions are fixed: a float is (word >> 11) * 2^-53 in [0, 1), an integer below n is
    floor(float * n), a normal is Box-Muller of two words.
    """

    __slots__ = ("_block", "_epoch", "_index", "_key", "_position", "_step", "_words")

    def __init__(self, key: tuple[int, int], block: int, step: int, index: int, epoch: int) -> None:
        self._key = key
        self._block = block
        self._step = step
        self._index = index
        self._epoch = epoch
        self._words: list[int] | None = []
        self._position = 0

    def bits(self) -> int:
        """The next 64-bit word."""
        words = self._words
        if words is None:
            raise RuntimeError(
                "this cursor is closed: a transform used its rng after sample() had returned; draw inside sample"
            )
        position = self._position
        while position >= len(words):
            position -= len(words)
            words = _source.words(self._key, self._block, self._step, self._index, self._epoch, _READ_AHEAD).tolist()
            self._words = words
            self._block += _READ_AHEAD // 4
        self._position = position + 1
        return words[position]

    def bernoulli(self, p: float) -> bool:
        """True with probability `p`; never for 0, always for 1. Takes one word whatever `p` is."""
        if 0.0 < p < 1.0:
            return (self.bits() >> 11) * _TO_UNIT < p
        self._position += 1  # the word is skipped, and not even fetched before it is needed
        return p >= 1.0

    def random(self) -> float:
        """A float in [0, 1)."""
        return (self.bits() >> 11) * _TO_UNIT

    def uniform(self, low: float, high: float) -> float:
        """A float in [low, high); `low` itself when both are equal. Takes one word."""
        return low + (high - low) * ((self.bits() >> 11) * _TO_UNIT)

    def integers(self, stop: int) -> int:
        """An integer in [0, stop). Takes one word."""
        if stop < 1:
            raise ValueError(f"integers() needs a stop of at least 1, got {stop}")
        return int((self.bits() >> 11) * _TO_UNIT * stop)

    def sign(self) -> int:
        """-1 or 1. Takes one word."""
        return 1 if self.bits() >> 63 else -1

    def normal(self, mean: float = 0.0, std: float = 1.0) -> float:
        """A normal variate. Takes two words."""
        radius = math.sqrt(-2.0 * math.log(1.0 - self.random()))
        return mean + std * radius * math.cos(2.0 * math.pi * self.random())

    def permutation(self, count: int) -> list[int]:
        """The numbers 0 .. count-1 in random order. Takes `count` words."""
        keys = [self.bits() for _ in range(count)]
        return sorted(range(count), key=keys.__getitem__)

    def choice(self, weights: Sequence[float]) -> int:
        """An index drawn with these weights, which need not sum to 1. Takes one word."""
        mark = self.random() * math.fsum(weights)
        total = 0.0
        for index, weight in enumerate(weights):
            total += weight
            if mark < total:
                return index
        return max(index for index, weight in enumerate(weights) if weight > 0)

    def close(self) -> None:
        """End it: any further draw raises RuntimeError."""
        self._words = None
        self._position = 0


def field(kind: Literal["normal", "uniform"], key: int, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Noise of this shape, a function of `key` alone: standard normal (Box-Muller), or uniform in [0, 1)."""
    count = math.prod(shape)
    half = (count + 1) // 2
    words = _source.words((key, _FIELD), 0, 0, 0, 0, 2 * half)
    unit = (words >> np.uint64(11)) * _TO_UNIT
    if kind == "normal":
        radius = np.sqrt(-2.0 * np.log1p(-unit[:half]))
        angle = 2.0 * np.pi * unit[half:]
        unit = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])
    else:
        unit = np.floor(unit * 2.0**24) * 2.0**-24  # what a float32 can hold below 1
    return unit[:count].reshape(shape).astype(np.float32)
