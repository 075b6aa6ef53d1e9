"""The order in which the pictures of a batch can be blended in place, with few copies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import NamedTuple

__all__ = ["Turn", "turns"]


class Turn(NamedTuple):
    """It is this picture's turn to be written.

    `keep` says whether a copy of it must be made first, as another picture, or this one, still reads what it was;
    `drop` names the copies that nobody reads any more once it is written.
    """

    picture: int
    keep: bool
    drop: tuple[int, ...]


def turns(reads: Mapping[int, set[int]]) -> Iterator[Turn]:
    """Each picture that changes, once. `reads` says for each of them which pictures it is made from.

    After a picture comes one that it has read. So a permutation is done cycle by cycle, with one copy for each.
    """
    waiting = Counter(source for sources in reads.values() for source in sources)
    done: set[int] = set()
    for start in sorted(reads):
        picture: int | None = start
        while picture is not None and picture not in done:
            done.add(picture)
            keep = waiting[picture] > 0
            for source in reads[picture]:
                waiting[source] -= 1
            drop = tuple(sorted(source for source in reads[picture] if not waiting[source]))
            yield Turn(picture, keep, drop)
            following = sorted(source for source in reads[picture] if source in reads and source not in done)
            picture = following[0] if following else None
