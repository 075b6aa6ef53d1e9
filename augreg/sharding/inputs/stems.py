"""The stems of outputs: the path without suffix, or with it for images that differ only in their suffix.

Millions of paths are compared by hashes of 64 bits, first by those of Python, which are fast, and what these say is
equal by others, so that the names of outputs are the same on every machine.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import compress

import numpy as np
from numpy.typing import NDArray

from augreg.sharding.inputs.names import Names
from augreg.sharding.records import InputError

__all__ = ["ByStem", "Stems", "first_twice"]

_AT_ONCE = 1 << 16


class Stems:
    """Takes the stem of every sample, and says which of them occur several times."""

    def __init__(self) -> None:
        self._hashes = array("q")

    def add(self, stem: str) -> None:
        """Add the stem of the next sample."""
        # casefold: on some file systems Photo and photo are the same file
        self._hashes.append(hash(stem.casefold()))

    def twins(self, names: Callable[[], Iterable[tuple[str, str]]]) -> NDArray[np.bool_] | None:
        """Which samples need their longer name, by number; None if none does.

        `names` is called for the stem and the longer name of every sample. Raises InputError if two names would
        still be equal.
        """
        hashes = np.frombuffer(self._hashes, np.int64)
        repeated = _repeated(hashes)
        if not len(repeated):
            return None
        twins = _among(hashes, repeated)
        numbers = np.flatnonzero(twins)
        stems = _hashed(stem for stem, _ in compress(names(), twins))
        twins[numbers] = _among(stems, _repeated(stems))
        longer = np.fromiter(
            (hash(long.casefold()) for _, long in compress(names(), twins)), np.int64, int(twins.sum())
        )
        clashes = _repeated(np.concatenate([longer, hashes[~twins]]))
        if len(clashes):
            self._check(names, twins, set(clashes.tolist()))
        return twins if len(longer) else None

    def _check(
        self, names: Callable[[], Iterable[tuple[str, str]]], twins: NDArray[np.bool_], clashes: set[int]
    ) -> None:
        """Raise InputError for a name of an output that occurs twice, among those with such hashes."""
        seen = set()
        for (stem, long), twin in zip(names(), twins, strict=True):
            name = (long if twin else stem).casefold()
            if hash(name) in clashes:
                if name in seen:
                    raise InputError(
                        f"{long if twin else stem}: the outputs of two samples would have this name; rename or "
                        "remove one of them, or give the samples ids (--columns id=NAME)"
                    )
                seen.add(name)


class ByStem:
    """Finds a path by its stem; of several with one stem, the last. It holds 12 bytes for each path."""

    def __init__(self, names: Names, stem: Callable[[str], str]) -> None:
        hashes = np.fromiter((hash(stem(name)) for name in names), np.int64, len(names))
        order = np.argsort(hashes, kind="stable")
        self._names, self._stem = names, stem
        self._hashes, self._numbers = hashes[order], order.astype(np.uint32)

    def find(self, stems: Sequence[str]) -> Iterator[str | None]:
        """The path of each stem, or None. It is fast for stems in about the order of the paths."""
        wanted = np.fromiter(map(hash, stems), np.int64, len(stems))
        places = np.searchsorted(self._hashes, wanted, side="right") - 1  # the last of equal ones
        for stem, found, place in zip(stems, (wanted == self._hashes[places]).tolist(), places.tolist(), strict=True):
            yield self._exact(stem, place) if found else None

    def _exact(self, stem: str, place: int) -> str | None:
        """The last of the paths with one hash that has this stem."""
        hashed = self._hashes[place]
        while place >= 0 and self._hashes[place] == hashed:
            name = self._names[int(self._numbers[place])]
            if self._stem(name) == stem:
                return name
            place -= 1
        return None


def first_twice(names: Callable[[], Iterable[str]]) -> str | None:
    """The first name that was there before; None if each is there once. It holds 8 bytes for each."""
    repeated = set(_repeated(np.fromiter(map(hash, names()), np.int64)).tolist())
    seen = set()
    for name in names() if repeated else ():
        if hash(name) in repeated:
            if name in seen:
                return name
            seen.add(name)
    return None


def _hashed(texts: Iterable[str]) -> NDArray[np.int64]:
    """Hashes of texts without regard to case, other ones than those of Python."""
    digests = bytearray()
    for text in texts:
        digests += hashlib.blake2b(text.casefold().encode("utf-8", "surrogateescape"), digest_size=8).digest()
    return np.frombuffer(digests, np.int64)


def _repeated(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """The values that occur more than once, sorted."""
    ordered = np.sort(values)
    repeated: NDArray[np.int64] = ordered[1:][ordered[1:] == ordered[:-1]]
    return repeated


def _among(values: NDArray[np.int64], ordered: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which values are among sorted ones."""
    if not len(ordered):
        return np.zeros(len(values), np.bool_)
    found = np.empty(len(values), np.bool_)
    for at in range(0, len(values), _AT_ONCE):
        some = values[at : at + _AT_ONCE]
        found[at : at + _AT_ONCE] = ordered[np.minimum(np.searchsorted(ordered, some), len(ordered) - 1)] == some
    return found
