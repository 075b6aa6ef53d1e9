"""The dry run: what a run would do, and how much space it would take, by a few samples that are made for real."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from augreg.sharding.begin import Begun
from augreg.sharding.outputs import Output
from augreg.sharding.records import InputError
from augreg.sharding.shard import outputs

__all__ = ["Estimate", "estimate"]

_SHARDS: Final = 8  # from which samples are taken
_SAMPLES: Final = 4  # of each of them
_COUNTED: Final = 10_000  # samples of a shard that are counted where the input does not say how many it has
_BLOCK: Final = 512  # bytes of a block of a tar


@dataclass(frozen=True)
class Estimate:
    """What a run would do. Numbers of bytes and, where the input does not say it, of images are estimates."""

    shards: int
    images: int
    exact: bool
    """Whether `images` was counted rather than estimated."""
    bytes: int
    """What the shards that are left would take."""
    free: int | None
    failures: dict[str, str]
    """Why some of the samples cannot be made, by key."""

    @property
    def fits(self) -> bool:
        """Whether there is room, as far as that is known."""
        return self.free is None or self.bytes <= self.free


def estimate(begun: Begun) -> Estimate:
    """Estimate what is left to do. Nothing is written."""
    unfinished = begun.unfinished
    chosen = unfinished[:: max(1, len(unfinished) // _SHARDS)][:_SHARDS]
    sizes: list[int] = []
    counts: list[int] = []
    failures: dict[str, str] = {}
    known = begun.images(unfinished)
    for shard in chosen:
        try:
            samples = begun.input.piece(shard, begun.job.shards).samples()
            read = list(itertools.islice(samples, _SAMPLES))
            if known is None:
                counts.append(len(read) + sum(1 for _ in itertools.islice(samples, _COUNTED)))
        except InputError as error:
            failures[f"shard {shard}"] = str(error)
            continue
        for sample in read:
            try:
                sizes.append(sum(_stored(output, begun.job.to) for output in outputs(begun.job, sample)))
            except Exception as error:  # the run lists it, too
                failures[sample.key] = str(error)
    images = round(sum(counts) / len(counts) * len(unfinished)) if known is None and counts else known or 0
    size = round(sum(sizes) / len(sizes) * images) if sizes else 0
    return Estimate(len(unfinished), images, known is not None, size, begun.job.storage.free_bytes(), failures)


def _stored(output: Output, to: str) -> int:
    """About how many bytes an output takes: members of tars begin with a header, and fill blocks."""
    sizes = [len(data) for data in _files(output)]
    return sum(_BLOCK + -(-size // _BLOCK) * _BLOCK for size in sizes) if to == "tar" else sum(sizes)


def _files(output: Output) -> Iterator[bytes]:
    yield output.image
    yield from output.masks.values()
    yield from (value for value in output.carried.values() if isinstance(value, bytes))
    if output.targets:
        yield repr(output.targets).encode()
    if output.label is not None:
        yield str(output.label).encode()
