"""The words of many streams at once: those of `augreg.rng`, by arithmetic on arrays of NumPy.

Philox4x64-10 by Salmon et al. 2011. A round multiplies two words of the counter by constants and keeps all 128 bits
of both products; arrays of 64-bit integers keep the lower half only, so the upper one comes from halves of 32 bits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from augreg.rng import AUGMENTATION, Address, address_of

__all__ = ["Addresses", "ReadWords", "Words", "addresses_of", "words"]

Words: TypeAlias = NDArray[np.uint64]

_ROUNDS: Final = 10
_FACTORS: Final = np.array([0xD2E7470EE14C6C93, 0xCA5A826395121157], np.uint64).reshape(2, 1, 1, 1)
_KEY_STEPS: Final = np.array([0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B], np.uint64).reshape(2, 1, 1, 1)
_HALF: Final = np.uint64(32)
_LOWER: Final = np.uint64(0xFFFFFFFF)
_LOWER_FACTORS: Final = _FACTORS & _LOWER
_UPPER_FACTORS: Final = _FACTORS >> _HALF


class Addresses(msgspec.Struct, frozen=True, eq=False):
    """The addresses of N images. `parts` has five rows of N words: seed, domain, epoch, index and view."""

    parts: Words

    def __len__(self) -> int:
        return len(self.parts[0])

    def taken(self, rows: NDArray[np.intp]) -> Addresses:
        """The addresses of these images."""
        return Addresses(self.parts.take(rows, axis=1))

    def at(self, row: int) -> Address:
        """The address of one image."""
        return Address(*self.parts[:, row].tolist())


ReadWords: TypeAlias = Callable[[Addresses, Sequence[int], int, int], Words]
"""The function `words`, or one that gives the same in less time."""


def addresses_of(
    seed: int, indices: Sequence[int | str], epoch: int = 0, view: int = 0, domain: int = AUGMENTATION
) -> Addresses:
    """The addresses of images that share all parts but the index. Raises what `augreg.rng.address_of` does."""
    checked = address_of(seed, 0, epoch, view, domain)
    parts = np.empty((5, len(indices)), np.uint64)
    parts[0], parts[1], parts[2], parts[4] = checked.seed, checked.domain, checked.epoch, checked.view
    parts[3] = [address_of(seed, index).index for index in indices]
    return Addresses(parts)


def words(addresses: Addresses, steps: Sequence[int], first: int, count: int) -> Words:
    """Words `first` to `first + count - 1` of the streams of S steps at N addresses; the shape is (S, count, N).

    `steps` are stream keys.
    """
    seed, domain, epoch, index, view = addresses.parts
    blocks = np.arange(first >> 2, (first + count + 3) >> 2, dtype=np.uint64)[:, None]
    shape = len(steps), len(blocks), len(addresses)
    # the pairs (a, c) and (b, d) of the four words of a counter; NumPy counts up before it computes a block
    left, right = np.empty((2, *shape), np.uint64), np.empty((2, *shape), np.uint64)
    left[0] = (view << _HALF) + blocks + np.uint64(1)
    left[1] = index
    right[0] = np.array(steps, np.uint64).reshape(-1, 1, 1)
    right[1] = epoch
    keys = np.stack([seed, domain]).reshape(2, 1, 1, -1)
    lower, upper, middle, other = (np.empty_like(left) for _ in range(4))
    for _ in range(_ROUNDS):
        _multiply(left, lower, upper, middle, other)
        np.bitwise_xor(upper[::-1], right, out=left)
        left ^= keys
        lower, right = right, lower  # the lower halves are the next (d, b); what was there is used up
        right = right[::-1]
        keys = keys + _KEY_STEPS
    found = np.stack([left[0], right[0], left[1], right[1]], axis=2).reshape(shape[0], 4 * shape[1], shape[2])
    return found[:, first & 3 : (first & 3) + count]


def _multiply(factor: Words, lower: Words, upper: Words, middle: Words, other: Words) -> None:
    """The lower and upper 64 bits of the products with the constants; `middle` and `other` are for partial sums."""
    np.bitwise_and(factor, _LOWER, out=lower)
    np.right_shift(factor, _HALF, out=upper)
    np.multiply(lower, _LOWER_FACTORS, out=middle)
    middle >>= _HALF
    np.multiply(upper, _LOWER_FACTORS, out=other)
    middle += other
    np.multiply(lower, _UPPER_FACTORS, out=other)
    np.bitwise_and(middle, _LOWER, out=lower)
    other += lower
    other >>= _HALF
    middle >>= _HALF
    upper *= _UPPER_FACTORS
    upper += middle
    upper += other
    np.multiply(factor, _FACTORS, out=lower)
