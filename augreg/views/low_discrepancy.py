"""Low-discrepancy random numbers for test-time views: the draws of several views cover the range of a step evenly.

The first words of a step's stream are the coordinates of a point of an 8-dimensional Sobol sequence; the number of
the draw selects the point. So the mean of a smooth function over n draws comes closer to its expectation than over n
independent draws. The sequence is scrambled for each address (seed, image index, step): Owen's nested uniform
scrambling of the coordinates, and of the number of the draw, so that the points of two steps do not depend on one
another. Then each word is uniform and each mean is unbiased. Words after the eighth are plain Philox words.

Sobol 1967; direction numbers of Joe and Kuo 2008; Owen 1995; scrambling by hashes: Laine and Karras 2011, Burley 2020
(jcgt.org/published/0009/04/01), with the constants of Vegdahl 2022.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from augreg.rng import VIEWS, Cursor

__all__ = ["LowDiscrepancyCursor", "ViewStreams", "owen_scrambled", "sobol_point"]

_BITS: Final = 32
_MASK: Final = (1 << _BITS) - 1

# Of each dimension but the first: the primitive polynomial (degree, inner coefficients), and direction numbers.
_JOE_KUO: Final = (
    (1, 0, (1,)),
    (2, 1, (1, 3)),
    (3, 1, (1, 3, 1)),
    (3, 2, (1, 1, 1)),
    (4, 1, (1, 1, 3, 3)),
    (4, 4, (1, 3, 5, 13)),
    (5, 2, (1, 1, 5, 5, 17)),
)


def _directions(degree: int, coefficients: int, first: tuple[int, ...]) -> tuple[int, ...]:
    """The 32 direction numbers of one dimension, as 32-bit fractions."""
    numbers = [number << (_BITS - 1 - place) for place, number in enumerate(first)]
    for place in range(degree, _BITS):
        number = numbers[place - degree] ^ (numbers[place - degree] >> degree)
        for back in range(1, degree):
            if coefficients >> (degree - 1 - back) & 1:
                number ^= numbers[place - back]
        numbers.append(number)
    return tuple(numbers)


_DIRECTIONS: Final = np.array(
    [[1 << (_BITS - 1 - place) for place in range(_BITS)], *(_directions(*row) for row in _JOE_KUO)], np.uint32
).T
_DIMENSIONS: Final = _DIRECTIONS.shape[1]


def sobol_point(number: int) -> list[int]:
    """The coordinates of a point of the Sobol sequence in 8 dimensions, as 32-bit fractions."""
    places = [place for place in range(number.bit_length()) if number >> place & 1]
    point: list[int] = np.bitwise_xor.reduce(_DIRECTIONS[places], axis=0).tolist()
    return point


def owen_scrambled(fraction: int, seed: int) -> int:
    """A 32-bit fraction after nested uniform scrambling: whether a bit flips depends on the seed and higher bits."""
    x = _reversed(fraction)
    x = (x ^ x * 0x3D20ADEA) & _MASK
    x = (x + seed) * ((seed >> 16) | 1) & _MASK
    x = (x ^ x * 0x05526C56) & _MASK
    x = (x ^ x * 0x53A22864) & _MASK
    return _reversed(x)


def _reversed(bits: int) -> int:
    return int(f"{bits:032b}"[::-1], 2)


class ViewStreams(msgspec.Struct, frozen=True):
    """The random numbers of the steps for one view of an image.

    `view` is the number of the view. Views with the same `node` share a scrambled sequence, in which `draw` is the
    number of the point.
    """

    seed: int
    index: int
    view: int
    node: int
    draw: int

    def cursor(self, step: int) -> LowDiscrepancyCursor:
        """The random numbers of the step with this stream key."""
        return LowDiscrepancyCursor(self, step)


class LowDiscrepancyCursor(Cursor):
    """The random numbers of one step for one view: words of a scrambled Sobol sequence, then words of Philox."""

    __slots__ = ("_first", "_sequence")

    def __init__(self, streams: ViewStreams, step: int) -> None:
        key = streams.seed, VIEWS
        # what is shared by the views of a node, and what is not, differ in the word that has the epoch elsewhere
        shared = Cursor(key, streams.node << 32, step, streams.index, 0).ahead(_DIMENSIONS + 1).tolist()
        super().__init__(key, streams.view << 32, step, streams.index, 1)
        own = super().ahead(_DIMENSIONS).tolist()
        point = sobol_point(owen_scrambled(streams.draw & _MASK, shared[0] & _MASK))
        self._sequence = [
            owen_scrambled(fraction, word & _MASK) << _BITS | low & _MASK
            for fraction, word, low in zip(point, shared[1:], own, strict=True)
        ]
        self._first = self._block
        self._words = self._sequence
        self._block += _DIMENSIONS // 4

    def _used(self, words: list[int]) -> int:
        """How many words have been read or skipped."""
        return 4 * (self._block - self._first) - len(words) + self._position

    def ahead(self, count: int) -> NDArray[np.uint64]:
        words: NDArray[Any] = super().ahead(count)
        left = self._sequence[self._used(self._words or []) :][:count]
        words[: len(left)] = left
        return words

    def skip(self, count: int) -> None:
        if self._words is self._sequence and self._position + count < len(self._sequence):
            self._position += count
        else:
            super().skip(count)
