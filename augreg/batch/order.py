"""The order in which the images of a batch are written in place, with as few copies as possible."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import NamedTuple

__all__ = ["WriteStep", "write_steps"]


class WriteStep(NamedTuple):
    """The next image to write.

    `copy` says whether to copy it first, because another image, or this one, has yet to read its old pixels; `drop`
    lists the copies that no later step reads.
    """

    image: int
    copy: bool
    drop: tuple[int, ...]


def write_steps(reads: Mapping[int, set[int]]) -> Iterator[WriteStep]:
    """Each image that changes, once; `reads` lists the images that each of them is made from.

    An image is followed by one that it has read, so a permutation is written cycle by cycle, with one copy per cycle.
    """
    unread = Counter(source for sources in reads.values() for source in sources)
    written: set[int] = set()
    for start in sorted(reads):
        image: int | None = start
        while image is not None and image not in written:
            written.add(image)
            copy = unread[image] > 0
            for source in reads[image]:
                unread[source] -= 1
            drop = tuple(sorted(source for source in reads[image] if not unread[source]))
            yield WriteStep(image, copy, drop)
            image = min(
                (source for source in reads[image] if source in reads and source not in written), default=None
            )
