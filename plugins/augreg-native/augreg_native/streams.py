"""The words of many streams at once, for the draws of a batch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from augreg.columns.philox import Addresses, Words
from augreg_native._cursor import read_words

__all__ = ["words"]


def words(addresses: Addresses, steps: Sequence[int], first: int, count: int) -> Words:
    """What `augreg.columns.philox.words` returns."""
    out = np.empty((len(steps), count, len(addresses)), np.uint64)
    read_words(np.ascontiguousarray(addresses.parts), np.array(steps, np.uint64), out, first, count)
    return out
