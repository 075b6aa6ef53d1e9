"""Counter-based random numbers: what a step draws depends only on its address, never on what was drawn before.

    address = (seed, domain, epoch, index, step, view)
    words   = Philox4x64-10 with key (seed, domain) and counter (block + view * 2^32, step, index, epoch)

`seed` is the pipeline's, `index` identifies the image (or the batch), `step` is the stream key of the step's path or
`uid`, and `view` numbers several augmented copies of one image. The domain separates the uses of one seed.

The rules of randomness, which the whole package follows:

1. A step finds its stream of 64-bit words by its address. No generator is shared or advanced, so the number of
   workers, the batch size, the ranks and a resumed run do not change the result.
2. Two addresses never share a stream: every part of an address has a separate 64-bit word of the key or the counter,
   except the view, which is the upper half of the word that counts the blocks. Names and string indices become
   integers by a 64-bit hash, blake2b.
3. Only the raw words of Philox come from NumPy, because NumPy guarantees of nothing else that it stays the same in
   every version. This module turns the words into floats, integers and normal variates.
4. Every step reads its own cursor, which is closed when its `sample` returns. The first word decides, against the
   step's `p`, whether the step is applied.
5. The global state of `random`, `numpy.random` and torch is never read and never changed.

Each thread has one Philox generator. A cursor sets its complete state before it reads, unless it was the last to read
and goes on where it was; so threads, forked workers and nested steps cannot affect one another.
"""

from __future__ import annotations

import functools
import hashlib
import math
import os
import threading
from collections.abc import Iterator, Sequence
from typing import Any, Final, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

__all__ = [
    "AUGMENTATION",
    "BATCH",
    "CLOSED",
    "FIELD",
    "MODEL",
    "VIEWS",
    "Address",
    "Cursor",
    "address_of",
    "as_units",
    "field",
    "field_rows",
    "frame_key",
    "fresh_seed",
    "stream_key",
]

# The domains separate the streams of one seed by what they are used for.
AUGMENTATION: Final = 1
BATCH: Final = 2
MODEL: Final = 3
VIEWS: Final = 4
FIELD: Final = 5

_WORD: Final = 1 << 64
_VIEWS: Final = 1 << 32
_TO_UNIT: Final = 2.0**-53
_PIECE: Final = 1 << 14  # numbers of a field that are made at once, 128 KiB of each array that this takes
_READ_AHEAD: Final = 8  # words read at once by a step that needs more than two
_MOST_AHEAD: Final = 256  # words read at once by a step that goes on reading, such as one that mixes a large batch
_MOST_LONG: Final = 4096
_FEW: Final = 2  # words up to which one at a time is faster than an array of them
_MANY: Final = 32  # numbers from which on an array of them is made in less time than a list
CLOSED: Final = "this cursor is closed: a transform used its rng after sample() had returned; draw inside sample()"


@functools.lru_cache(maxsize=4096)
def stream_key(text: str) -> int:
    """The 64-bit key of a name: blake2b of its UTF-8 bytes, little-endian."""
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def fresh_seed() -> int:
    """A random 64-bit seed from the operating system, for draws without an index."""
    return int.from_bytes(os.urandom(8), "little")


def _checked(name: str, value: int, bound: int = _WORD) -> int:
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{name} must be an integer, got {value!r}")
    value = value.__index__()
    if not 0 <= value < bound:
        raise ValueError(f"{name} must be from 0 to 2^{bound.bit_length() - 1} - 1, got {value}")
    return value


class Address(msgspec.Struct, frozen=True):
    """The address of all draws for one image or batch; `cursor` adds the step. Make one with `address_of`."""

    seed: int
    domain: int
    epoch: int
    index: int
    view: int

    def cursor(self, step: int) -> Cursor:
        """The random numbers of the step with this stream key."""
        return Cursor(self, step)


def address_of(seed: int, index: int | str, epoch: int = 0, view: int = 0, domain: int = AUGMENTATION) -> Address:
    """The address of the draws for one image.

    `index` is an integer or a string (a file name, a database key), which is hashed. Integers are from 0 to 2^64 - 1,
    `view` to 2^32 - 1. Raises TypeError for other types and ValueError for other integers.
    """
    if type(index) is type(seed) is type(epoch) is type(view) is int:  # noqa: SIM102 - nearly always
        if 0 <= index < _WORD and 0 <= seed < _WORD and 0 <= epoch < _WORD and 0 <= view < _VIEWS:
            return Address(seed, domain, epoch, index, view)
    index = stream_key(index) if isinstance(index, str) else _checked("index", index)
    return Address(_checked("seed", seed), domain, _checked("epoch", epoch), index, _checked("view", view, _VIEWS))


class _Generator:
    """The Philox generator of a thread, a state to assign to it, whose counter is set in place, and who reads it."""

    def __init__(self) -> None:
        self.philox = np.random.Philox(0)
        self.raw: Any = self.philox.random_raw
        self.counter: list[int] = [0, 0, 0, 0]
        self.key_and_counter: dict[str, Any] = {"counter": self.counter, "key": (0, 0)}
        # buffer_pos 4: the buffer of four words is used up, so none is left from the previous address
        self.state: Any = {
            "bit_generator": "Philox",
            "state": self.key_and_counter,
            "buffer": (0, 0, 0, 0),
            "buffer_pos": 4,
            "has_uint32": 0,
            "uinteger": 0,
        }
        self.address: Address | None = None  # the one that the key and the counter have
        self.first_block = 0
        self.long: set[int] = set()  # stream keys of steps that used more than two words
        self.reader: Cursor | None = None  # the cursor that can go on reading, and the number of its next word
        self.to_come = 0

    def turn_to(self, address: Address) -> None:
        """Take the key and the counter of this address, up to the step and the block."""
        self.address = None  # in case that this is interrupted
        self.first_block = address.view << 32
        self.counter[2], self.counter[3] = address.index, address.epoch
        self.key_and_counter["key"] = address.seed, address.domain
        self.address = address

    def words(self, address: Address, step: int, number: int, count: int) -> NDArray[np.uint64]:
        """`count` words of the stream of a step, from the word of this number on."""
        used = number & 3
        self.reader = None
        if address is not self.address:
            self.turn_to(address)
        self.counter[0] = self.first_block + (number >> 2)
        self.counter[1] = step
        self.philox.state = self.state
        words: NDArray[np.uint64] = self.raw(used + count)
        return words[used:]


class _OfThread(threading.local):
    """What each thread has of its own, made on first use: `numpy.random` takes a while to import."""

    generator: _Generator

    def __getattr__(self, name: str) -> Any:
        if name != "generator":
            raise AttributeError(name)
        self.generator = _Generator()
        return self.generator


_of_thread = _OfThread()
_NONE_READ: Final[list[int]] = []  # shared, and never changed


class Cursor:
    """The random numbers of one step for one image: reads the 64-bit words of its stream in order.

    How words become numbers never changes: a float is (word >> 11) * 2^-53, an integer below n is floor(float * n),
    and a normal variate is the Box-Muller transform of two floats.
    """

    __slots__ = ("_address", "_next", "_step", "_words")

    def __init__(self, address: Address, step: int, number: int = 0) -> None:
        """Begin with the word of this number in the stream of the step with this key."""
        self._address: Address | None = address  # None once it is closed
        self._step = step
        self._words = _NONE_READ  # words that were read ahead, the next one last
        self._next = number  # the number of the word after them

    def bits(self) -> int:
        """An integer from 0 to 2^64 - 1, uniform: the next word of the stream, for example the key of a noise op.

        Raises RuntimeError, as every draw does, once the `sample` that got this cursor has returned.
        """
        word: int
        words = self._words
        if words:
            return words.pop()
        address, number = self._address, self._next
        if address is None:
            raise RuntimeError(CLOSED)
        generator = _of_thread.generator
        used = 0
        # the generator goes on where it is if this cursor was the last to read
        if generator.reader is not self or generator.to_come != number:
            if address is not generator.address:
                generator.turn_to(address)
            counter = generator.counter
            counter[0] = generator.first_block + (number >> 2)
            counter[1] = self._step
            generator.philox.state = generator.state
            generator.reader = self
            used = number & 3  # words of its block that were used up, and come again
        if number < 2 and self._step not in generator.long:  # most steps need no more than the first two words
            self._next = generator.to_come = number + 1
            if used:
                generator.raw()
            word = generator.raw()
            return word
        if number == 2 and len(generator.long) < _MOST_LONG:
            generator.long.add(self._step)
        count = _READ_AHEAD if number < _READ_AHEAD else number if number < _MOST_AHEAD else _MOST_AHEAD
        self._next = generator.to_come = number + count
        words = generator.raw(used + count).tolist()
        words.reverse()
        self._words = words
        if used:
            del words[-used:]
        word = words.pop()
        return word

    def bernoulli(self, p: float) -> bool:
        """True with probability `p`: never for 0 or less, always for 1 or more. Uses one word, whatever `p` is."""
        if 0.0 < p < 1.0:
            return (self.bits() >> 11) * _TO_UNIT < p
        self.skip(1)
        return p >= 1.0

    def random(self) -> float:
        """A float in [0, 1), uniform. Uses one word."""
        return (self.bits() >> 11) * _TO_UNIT

    def uniform(self, low: float, high: float) -> float:
        """A float in [low, high), uniform; `low` if both are equal. Uses one word."""
        return low + (high - low) * ((self.bits() >> 11) * _TO_UNIT)

    def integers(self, stop: int) -> int:
        """An integer in [0, stop), uniform. Uses one word. Raises ValueError if `stop` is less than 1."""
        if stop < 1:
            raise ValueError(f"integers() needs a stop of at least 1, got {stop}")
        return int((self.bits() >> 11) * _TO_UNIT * stop)

    def sign(self) -> int:
        """-1 or 1, equally likely. Uses one word."""
        return 1 if self.bits() >> 63 else -1

    def normal(self, mean: float = 0.0, std: float = 1.0) -> float:
        """A normal variate with this mean and standard deviation, from Box-Muller. Uses two words."""
        radius = math.sqrt(-2.0 * math.log(1.0 - self.random()))
        return mean + std * radius * math.cos(2.0 * math.pi * self.random())

    def permutation(self, count: int) -> list[int]:
        """The integers from 0 to count - 1 in random order, each order equally likely. Uses `count` words."""
        if count <= _FEW:
            few = [self.bits() for _ in range(count)]
            return sorted(range(count), key=few.__getitem__)
        keys = self.ahead(count)
        self.skip(count)
        if count > _MANY:
            order: list[int] = keys.argsort(kind="stable").tolist()
            return order
        return sorted(range(count), key=keys.tolist().__getitem__)

    def randoms(self, count: int) -> NDArray[np.float64]:
        """`count` floats in [0, 1) as an array: those that `random` would give one by one. Uses `count` words."""
        units = as_units(self.ahead(count))
        self.skip(count)
        return units

    def ahead(self, count: int) -> NDArray[np.uint64]:
        """The next `count` words as an array. They are not used up: `skip` those that were used."""
        if self._address is None:
            raise RuntimeError(CLOSED)
        number = self._next - len(self._words)
        return _of_thread.generator.words(self._address, self._step, number, count)

    def skip(self, count: int) -> None:
        """Go on after the next `count` words."""
        if self._address is None:
            raise RuntimeError(CLOSED)
        left = len(self._words) - count
        if left > 0:
            del self._words[left:]
        else:
            self._next -= left
            self._words = _NONE_READ

    def choice(self, weights: Sequence[float]) -> int:
        """An index, with probability proportional to its weight; weights need not sum to 1. Uses one word."""
        threshold = self.random() * math.fsum(weights)
        total = 0.0
        for index, weight in enumerate(weights):
            total += weight
            if threshold < total:
                return index
        return max(index for index, weight in enumerate(weights) if weight > 0)

    def close(self) -> None:
        """Close the cursor: any further draw raises RuntimeError."""
        self._address = None
        self._words = _NONE_READ


def field(kind: Literal["normal", "uniform"], key: int, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """An array of noise, determined by `key` and the shape: standard normal (Box-Muller) or uniform in [0, 1)."""
    out = np.empty(math.prod(shape), np.float32)
    for first, rows in field_rows(kind, key, len(out), 1):
        out[first : first + len(rows)] = rows[:, 0]
    return out.reshape(shape)


def field_rows(
    kind: Literal["normal", "uniform"], key: int, count: int, width: int
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """The field of shape (count, width) in pieces: whole rows, and the number of the first of them.

    Each row comes once, in no order that a caller should rely on. A piece fits into the processor's cache, so a large
    image needs little memory, and less time than whole arrays would.
    """
    total = count * width
    half = (total + 1) // 2
    at_once = max(1, _PIECE // width)
    if kind == "uniform":
        for first in range(0, count, at_once):
            unit = _units(key, first * width, min(count - first, at_once) * width)
            # 24 bits, so that rounding to float32 cannot give 1
            yield first, (np.floor(unit * 2.0**24) * 2.0**-24).astype(np.float32).reshape(-1, width)
        return
    # Word i of the first half and word i of the second give two numbers: number i, by the cosine, and number
    # half + i, by the sine. A row of the sines begins at a pair that is later by `shift` than a row of the cosines.
    shift = -half % width
    whole = half // width
    second = (half + shift) // width
    for first in range(0, max(whole, count - second), at_once):
        start = first * width
        cosines = max(0, min(whole - first, at_once)) * width
        sines = max(0, min(count - second - first, at_once)) * width
        radius, angle = _polar(key, half, start, max(cosines, shift + sines if sines else 0))
        if cosines:
            yield first, _product(radius[:cosines], np.cos(angle[:cosines]), width)
        if sines:
            part = slice(shift, shift + sines)
            yield second + first, _product(radius[part], np.sin(angle[part]), width)
    if shift and count:  # the row that begins with cosines and ends with sines
        begun = half - whole * width
        radius, angle = _polar(key, half, half - begun, begun)
        row = [radius * np.cos(angle)]
        radius, angle = _polar(key, half, 0, min(shift, total - half))
        row.append(radius * np.sin(angle))
        yield whole, np.concatenate(row).astype(np.float32).reshape(1, width)


def _polar(key: int, half: int, start: int, count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The radius and the angle of so many pairs of the Box-Muller transform."""
    count = min(count, half - start)
    radius = np.sqrt(-2.0 * np.log1p(-_units(key, start, count)))
    return radius, 2.0 * np.pi * _units(key, half + start, count)


def _product(radius: NDArray[np.float64], wave: NDArray[np.float64], width: int) -> NDArray[np.float32]:
    wave *= radius
    return wave.astype(np.float32).reshape(-1, width)


def _units(key: int, start: int, count: int) -> NDArray[np.float64]:
    """Floats in [0, 1) from so many words of the field with this key; a block of Philox is four words."""
    return as_units(_of_thread.generator.words(Address(key, FIELD, 0, 0, 0), 0, start, count))


def as_units(words: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Words as floats in [0, 1), as `Cursor.random` makes them."""
    units: NDArray[np.float64] = np.multiply(words >> np.uint64(11), _TO_UNIT, dtype=np.float64)
    return units


def frame_key(key: int, frame: int) -> int:
    """The key of the noise of a frame: that of the first frame is `key` itself."""
    return stream_key(f"{key} {frame}") if frame else key
