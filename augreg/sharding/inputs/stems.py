"""The stems of outputs: the path without suffix, or with it for images that differ only in their suffix.

Millions of paths are compared by hashes of 64 bits: among 10 million, the chance that two different ones are taken
for equal is 3 in a million. Their outputs then have longer names, the same on every machine.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from augreg.sharding.inputs.names import Names
from augreg.sharding.records import InputError

__all__ = ["ByStem", "Stems"]

_AT_ONCE = 1 << 16


class Stems:
    """Takes the stem of every sample, and says which of them occur several times."""

    def __init__(self) -> None:
        self._hashes = bytearray()

    def add(self, stem: str) -> None:
        """Add the stem of the next sample."""
        # casefold: on some file systems Photo and photo are the same file
        self._hashes += _hash(stem.casefold())

    def twins(self, longer: Callable[[], Iterable[str]]) -> NDArray[np.bool_] | None:
        """Which samples need their longer name, by number; None if none does. `longer` is called for these names.

        Raises InputError if two names would still be equal.
        """
        hashes = np.frombuffer(self._hashes, np.uint64)
        ordered = np.sort(hashes)
        repeated = ordered[1:][ordered[1:] == ordered[:-1]]
        if not len(repeated):
            return None
        twins = _among(hashes, repeated)
        names = np.frombuffer(
            b"".join(_hash(name.casefold()) for name, twin in zip(longer(), twins, strict=True) if twin), np.uint64
        )
        names = np.sort(np.concatenate([names, hashes[~twins]]))
        clashes = names[1:][names[1:] == names[:-1]]
        if len(clashes):
            clash = clashes[0].tobytes()
            name = next(name for name in longer() if _hash(name.casefold()) == clash)
            raise InputError(
                f"{name}: the outputs of two samples would have this name; rename or remove one of them, or give the "
                "samples ids (--columns id=NAME)"
            )
        return twins


class ByStem:
    """Finds a path by its stem; of several with one stem, the last. It holds 12 bytes for each path."""

    def __init__(self, names: Names, stem: Callable[[str], str]) -> None:
        hashes = np.frombuffer(b"".join(_hash(stem(name)) for name in names), np.uint64)
        order = np.argsort(hashes, kind="stable")
        self._names, self._stem = names, stem
        self._hashes, self._numbers = hashes[order], order.astype(np.uint32)

    def find(self, stems: Sequence[str]) -> Iterator[str | None]:
        """The path of each stem, or None. It is fast for stems in about the order of the paths."""
        wanted = np.frombuffer(b"".join(map(_hash, stems)), np.uint64)
        places = np.searchsorted(self._hashes, wanted, side="right") - 1  # the last of equal ones
        for stem, found, place in zip(stems, wanted == self._hashes[places], places, strict=True):
            name = self._names[int(self._numbers[place])] if found else None
            yield name if name is not None and self._stem(name) == stem else None


def _hash(text: str) -> bytes:
    """A hash of a text, the same in every process and on every machine."""
    return hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=8).digest()


def _among(values: NDArray[np.uint64], ordered: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Which values are among sorted ones."""
    found = np.empty(len(values), np.bool_)
    for at in range(0, len(values), _AT_ONCE):
        some = values[at : at + _AT_ONCE]
        found[at : at + _AT_ONCE] = ordered[np.minimum(np.searchsorted(ordered, some), len(ordered) - 1)] == some
    return found
