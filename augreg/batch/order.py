"""The order in which the images of a batch can be blended in place, with few copies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import NamedTuple

__all__ = ["WriteStep", "write_steps"]


class WriteStep(NamedTuple):
    """It is this image's turn to be written.

    `keep` says whether a copy of it must be made first, as another image, or this one, still reads what it was;
    `drop` names the copies that nobody reads any more once it is written.
    """

    image: int
    keep: bool
    drop: tuple[int, ...]


def write_steps(reads: Mapping[int, set[int]]) -> Iterator[WriteStep]:
    """Each image that changes, once. `reads` says for each of them which images it is made from.

    After an image comes one that it has read. So a permutation is done cycle by cycle, with one copy for each.
    """
    waiting = Counter(source for sources in reads.values() for source in sources)
    done: set[int] = set()
    for start in sorted(reads):
        image: int | None = start
        while image is not None and image not in done:
            done.add(image)
            keep = waiting[image] > 0
            for source in reads[image]:
                waiting[source] -= 1
            drop = tuple(sorted(source for source in reads[image] if not waiting[source]))
            yield WriteStep(image, keep, drop)
            following = sorted(source for source in reads[image] if source in reads and source not in done)
            image = following[0] if following else None
