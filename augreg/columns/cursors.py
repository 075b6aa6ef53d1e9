"""Cursors: the random numbers of one step for many images, where each draw gives an array with one for each image.

The numbers are those that `augreg.rng.Cursor` gives one by one, to the last bit. So the logarithms and cosines of
`normal` come from `math`, as there: those of NumPy may round otherwise, and differ between processors.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from augreg.columns import philox
from augreg.columns.philox import Addresses, ReadWords, Words
from augreg.rng import as_units

__all__ = ["Cursors", "Floats", "Integers", "Rows", "Some", "Streams", "exactly", "rounded"]

Floats: TypeAlias = NDArray[np.float64]
Integers: TypeAlias = NDArray[np.int64]
Rows: TypeAlias = NDArray[np.intp]
"""Numbers of images in a batch, increasing."""

_BLOCK: Final = 4
_AHEAD: Final = 8  # words read at once by a step that needs more than one block
_MOST: Final = 1 << 53
"""Integers up to this one are floats too."""


class Some(NamedTuple):
    """An op or a step for some of the images that a step was sampled for."""

    rows: Rows
    item: Any


def exactly(function: Callable[[float], float], values: Floats) -> Floats:
    """A function of `math` of every number."""
    return np.fromiter(map(function, values.tolist()), np.float64, len(values))


def rounded(values: NDArray[np.floating[Any]]) -> Integers:
    """The nearest integers, half to even, as `round` gives them."""
    nearest: Integers = np.rint(values).astype(np.int64)
    return nearest


class Cursors:
    """The random numbers of one step for N images: reads the words of their streams in order, all at the same pace.

    Where some images need more words than others, `taken` goes on for those alone.
    """

    __slots__ = ("_addresses", "_first", "_next", "_read", "_step", "_words")

    def __init__(
        self,
        addresses: Addresses,
        step: int,
        number: int = 0,
        read: ReadWords = philox.words,
        ready: Words | None = None,
        first: int = 0,
    ) -> None:
        """Begin with the word of this number in each stream. `ready` are those from `first` on, at most `number`."""
        self._addresses = addresses
        self._step = step
        self._next = number
        self._read = read
        self._words: Words = np.empty((0, len(addresses)), np.uint64) if ready is None else ready
        self._first = first

    def __len__(self) -> int:
        return len(self._addresses)

    def taken(self, rows: Rows) -> Cursors:
        """The cursors of these images, at the word where these ones are. Neither moves the other."""
        ready = self._words.take(rows, axis=1)
        return Cursors(self._addresses.taken(rows), self._step, self._next, self._read, ready, self._first)

    def ready(self, count: int) -> None:
        """Read the next words, unless they were read, so that cursors that are `taken` need not read them again."""
        left = self._first + len(self._words) - self._next
        if left >= count:
            return
        left = max(0, left)  # less than 0 where words were skipped
        known = self._words[len(self._words) - left :]
        start = self._next + left
        first = start - start % _BLOCK
        # more than one block at once takes little more time
        whole = max(_AHEAD, -(-(self._next + count - first) // _BLOCK) * _BLOCK)
        found = self._read(self._addresses, (self._step,), first, whole)[0]
        self._words = np.concatenate([known, found[start - first :]])
        self._first = self._next

    def words(self, count: int) -> Words:
        """The next words of each stream: `count` rows, with a word for each image."""
        self.ready(count)
        start = self._next - self._first
        self._next += count
        return self._words[start : start + count]

    def bits(self) -> Words:
        """Integers from 0 to 2^64 - 1, uniform: the next word of each stream."""
        words: Words = self.words(1)[0]
        return words

    def bernoulli(self, p: float | Floats) -> NDArray[np.bool_]:
        """True with probability `p`, which may be an array: never for 0 or less, always for 1 or more. One word."""
        below: NDArray[np.bool_] = self.random() < p  # a unit is at least 0 and below 1
        return below

    def random(self) -> Floats:
        """Floats in [0, 1), uniform. Uses one word of each stream."""
        return as_units(self.bits())

    def uniform(self, low: float | Floats, high: float | Floats) -> Floats:
        """Floats in [low, high), uniform; both bounds may be arrays. Uses one word of each stream."""
        return low + (high - low) * self.random()

    def integers(self, stop: int | Integers) -> Integers:
        """Integers in [0, stop), uniform; `stop`, at most 2^53, may be an array. Uses one word of each stream.

        Raises ValueError if a stop is less than 1, or larger.
        """
        if np.min(stop, initial=1) < 1 or np.max(stop, initial=1) > _MOST:
            raise ValueError(f"integers() needs a stop from 1 to 2^53, got {stop}")
        return (self.random() * stop).astype(np.int64)

    def sign(self) -> Integers:
        """-1 or 1, equally likely. Uses one word of each stream."""
        return np.where(self.bits() >> np.uint64(63), 1, -1)

    def normal(self, mean: float | Floats = 0.0, std: float | Floats = 1.0) -> Floats:
        """Normal variates with this mean and standard deviation, from Box-Muller. Uses two words of each stream."""
        radius = np.sqrt(-2.0 * exactly(math.log, 1.0 - self.random()))
        return mean + std * radius * exactly(math.cos, 2.0 * math.pi * self.random())

    def permutation(self, count: int) -> NDArray[np.intp]:
        """The integers from 0 to count - 1 in random order, in each of N rows. Uses `count` words of each stream."""
        return self.words(count).argsort(axis=0, kind="stable").T

    def randoms(self, count: int) -> Floats:
        """`count` floats in [0, 1) in each of N rows. Uses `count` words of each stream."""
        return as_units(self.words(count)).T

    def skip(self, count: int) -> None:
        """Go on after the next `count` words of each stream."""
        self._next += count

    def choice(self, weights: Sequence[float]) -> NDArray[np.intp]:
        """Indices, with probabilities proportional to these weights. Uses one word of each stream."""
        thresholds = self.random() * math.fsum(weights)
        chosen = np.searchsorted(list(itertools.accumulate(weights)), thresholds, side="right")
        # a threshold can be the sum of all, where rounding makes that smaller
        return np.minimum(chosen, max(index for index, weight in enumerate(weights) if weight > 0))

    def shuffled(self, items: Sequence[Any]) -> tuple[Some, ...]:
        """All items for each image, in the order of `permutation`."""
        order = self.permutation(len(items))
        numbers = range(len(items))
        return tuple(
            [Some(np.flatnonzero(order[:, place] == one), items[one]) for place in numbers for one in numbers]
        )

    def picked(self, items: Sequence[Any], weights: Sequence[float]) -> tuple[Some, ...]:
        """One item for each image: that of `choice`."""
        chosen = self.choice(weights)
        return tuple([Some(np.flatnonzero(chosen == index), item) for index, item in enumerate(items)])

    def subset(self, items: Sequence[Any], low: int, high: int) -> tuple[Some, ...]:
        """From `low` to `high` of the items for each image, as many as `integers` gives; the first of `permutation`.

        They stay in the order given.
        """
        count = low + self.integers(high - low + 1)
        place = self.permutation(len(items)).argsort(axis=1)
        return tuple([Some(np.flatnonzero(place[:, one] < count), item) for one, item in enumerate(items)])


class Streams:
    """Opens the streams of N images; keeps the first words of those that were opened, for the next cursor on them."""

    def __init__(self, addresses: Addresses, read: ReadWords = philox.words) -> None:
        self.addresses = addresses
        self._read = read
        self._blocks: dict[int, Words] = {}

    def prepare(self, steps: Iterable[int]) -> None:
        """Read the first words of these stream keys in one call, which takes less time than one for each."""
        missing = [step for step in dict.fromkeys(steps) if step not in self._blocks]
        if missing:
            found = self._read(self.addresses, missing, 0, _BLOCK)
            self._blocks.update(zip(missing, found, strict=True))

    def cursors(self, step: int, number: int = 0, rows: Rows | None = None) -> Cursors:
        """The random numbers of the step with this stream key, from the word of this number on, for some images."""
        self.prepare((step,))
        opened = Cursors(self.addresses, step, number, self._read, self._blocks[step])
        return opened if rows is None else opened.taken(rows)
