"""Random numbers for steps of which some images use more than others: ops of a policy, some with a random sign."""

from __future__ import annotations

import math

import numpy as np

from augreg.columns.cursors import Cursors, Floats, Integers, Rows, exactly
from augreg.columns.philox import Words
from augreg.rng import as_units

__all__ = ["Ragged"]


class Ragged:
    """The next words of N images, each of which uses them up at its own pace: draws are for the images `rows`.

    The numbers are those of `augreg.rng.Cursor`. `count` words are read at once: as many as an image may use, or as
    most do.
    """

    def __init__(self, rng: Cursors, count: int) -> None:
        self._rng = rng
        self._words = rng.words(count)
        self._used = np.zeros(len(rng), np.intp)

    def bits(self, rows: Rows) -> Words:
        """The next word of each of these images."""
        used = self._used[rows]
        self._used[rows] = used + 1
        try:
            found: Words = self._words[used, rows]
        except IndexError:  # an image has used up all
            self._words = np.concatenate([self._words, self._rng.words(max(8, len(self._words)))])
            found = self._words[used, rows]
        return found

    def random(self, rows: Rows) -> Floats:
        """Floats in [0, 1), uniform."""
        return as_units(self.bits(rows))

    def uniform(self, ends: tuple[float, float], rows: Rows) -> Floats:
        """Floats from the first to the second of `ends`, uniform."""
        low, high = ends
        return low + (high - low) * self.random(rows)

    def bernoulli(self, p: float | Floats, rows: Rows) -> Rows:
        """Those of the images for which a draw with probability `p` is true."""
        return rows[self.random(rows) < p]

    def integers(self, stop: int | Integers, rows: Rows) -> Integers:
        """Integers in [0, stop), uniform; `stop` may be an array with one for each of these images."""
        return (self.random(rows) * stop).astype(np.int64)

    def sign(self, rows: Rows) -> Integers:
        """-1 or 1, equally likely."""
        return np.where(self.bits(rows) >> np.uint64(63), 1, -1)

    def normal(self, mean: float | Floats, std: float, rows: Rows) -> Floats:
        """Normal variates. Uses two words of each image."""
        radius = np.sqrt(-2.0 * exactly(math.log, 1.0 - self.random(rows)))
        return mean + std * radius * exactly(math.cos, 2.0 * math.pi * self.random(rows))
