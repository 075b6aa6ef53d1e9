"""Lists of millions of names: compressed, in any order or sorted, never all of them as strings at once."""

from __future__ import annotations

import hashlib
import zlib
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

__all__ = ["Names", "NamesWriter", "sort_names"]

_BLOCK: Final = 1024
"""Names in a block."""
_CHUNK: Final = 1 << 17
"""Names that are sorted at once."""
_LEVEL: Final = 1  # of zlib: three times as fast as the default, for a few percent more


class Names:
    """A list of strings in compressed blocks: file names take about 4 bytes each. It pickles, and so do its parts."""

    def __init__(self, blocks: list[bytes], skip: int, count: int) -> None:
        """`skip` names of the first block are not in the list, which has `count` of those that follow."""
        self._blocks, self._skip, self._count = blocks, skip, count
        self._unpacked: tuple[int, list[str]] = (-1, [])

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, number: int) -> str:
        """A name by its number from 0. Numbers close to the previous one are fast."""
        if not 0 <= number < self._count:
            raise IndexError(f"there is no name {number} among {self._count}")
        block, place = divmod(self._skip + number, _BLOCK)
        if self._unpacked[0] != block:
            self._unpacked = (block, _unpack(self._blocks[block]))
        return self._unpacked[1][place]

    def __iter__(self) -> Iterator[str]:
        names = (name for block in self._blocks for name in _unpack(block))
        return islice(names, self._skip, self._skip + self._count)

    def part(self, start: int, stop: int) -> Names:
        """The names from number `start` to before `stop`; it holds no others than those of its blocks."""
        first, skip = divmod(self._skip + start, _BLOCK)
        last = -(-(self._skip + stop) // _BLOCK)
        return Names(self._blocks[first:last], skip, stop - start)

    def __getstate__(self) -> tuple[list[bytes], int, int]:
        return self._blocks, self._skip, self._count

    def __setstate__(self, state: tuple[list[bytes], int, int]) -> None:
        self.__init__(*state)  # type: ignore[misc]


class NamesWriter:
    """Takes names one by one, and keeps them compressed, with a hash of the list."""

    def __init__(self, *about: str) -> None:
        """`about` goes into the hash: what lists of the same names may differ in."""
        self._blocks: list[bytes] = []
        self._last: list[str] = []
        self._hash = hashlib.sha256(repr(about).encode())

    def add(self, name: str) -> None:
        """Add a name, which has no NUL character."""
        self._last.append(name)
        if len(self._last) == _BLOCK:
            self._flush()

    def finish(self) -> tuple[Names, str]:
        """The list, and its hash in hexadecimal digits."""
        count = len(self._blocks) * _BLOCK + len(self._last)
        self._flush()
        return Names(self._blocks, 0, count), self._hash.hexdigest()

    def _flush(self) -> None:
        if self._last:
            data = _joined(self._last)
            self._hash.update(data + b"\0")
            self._blocks.append(zlib.compress(data, _LEVEL))
            self._last = []


def sort_names(names: Iterable[str]) -> Iterator[str]:
    """The names sorted. Many are sorted in chunks, which are compressed until they are merged."""
    names = iter(names)
    first = sorted(islice(names, _CHUNK))
    if len(first) < _CHUNK:
        return iter(first)
    chunks = [_packed(first)]
    while chunk := sorted(islice(names, _CHUNK)):
        chunks.append(_packed(chunk))
    return _merged(chunks)


def _packed(names: list[str]) -> list[bytes]:
    """The blocks of a chunk, the last one first: they are popped as they are needed, which frees their memory."""
    blocks = [zlib.compress(_joined(names[at : at + _BLOCK]), _LEVEL) for at in range(0, len(names), _BLOCK)]
    return blocks[::-1]


def _merged(chunks: list[list[bytes]]) -> Iterator[str]:
    """Merge sorted chunks by blocks: all names up to the lowest end of a block are sorted at once, which is faster
    than to compare names one by one."""
    heads = [_unpack(chunk.pop()) for chunk in chunks]
    while heads:
        bound = min(head[-1] for head in heads)
        taken: list[str] = []
        for number, head in enumerate(heads):
            cut = bisect_right(head, bound)
            taken += head[:cut]
            heads[number] = head[cut:] or (_unpack(chunks[number].pop()) if chunks[number] else [])
        chunks = [chunk for chunk, head in zip(chunks, heads, strict=True) if head]
        heads = [head for head in heads if head]
        taken.sort()
        yield from taken


def _joined(names: list[str]) -> bytes:
    return "\0".join(names).encode("utf-8", "surrogateescape")


def _unpack(block: bytes) -> list[str]:
    return zlib.decompress(block).decode("utf-8", "surrogateescape").split("\0")
