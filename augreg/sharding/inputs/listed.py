"""What the kinds of inputs share: their fields, and how samples are divided among output shards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from augreg.sharding.records import Column, Piece

__all__ = ["Listed", "Seen", "default_shards", "shards_of_files", "share"]

_SAMPLES = 1_000
"""Samples in an output shard, if the user does not say."""
_BYTES = 100_000
"""Bytes of a sample, about."""
_FEW = 100
"""The fewest of them, where there would be less than 16 shards to share among processes."""


@dataclass
class Listed:
    """An input: see `augreg.sharding.records.Input`."""

    kind: str
    fingerprint: str
    count: int | None
    names: int
    classes: tuple[str, ...]
    columns: tuple[Column, ...]
    default_shards: int

    def piece(self, shard: int, shards: int) -> Piece:
        """What output shard `shard` of `shards` reads."""
        raise NotImplementedError


def share(count: int, shard: int, shards: int) -> tuple[int, int]:
    """The first of the samples of a shard, and the one after the last."""
    if not 0 <= shard < shards:
        raise ValueError(f"there is no shard {shard} of {shards}")
    return shard * count // shards, (shard + 1) * count // shards


def default_shards(count: int) -> int:
    """How many output shards to make of this many samples."""
    return max(1, -(-count // _SAMPLES), min(16, -(-count // _FEW)))


def shards_of_files(sizes: Sequence[int]) -> int:
    """How many output shards to make of files of these sizes, whose samples are not counted: as many of each."""
    return len(sizes) * max(1, round(default_shards(sum(sizes) // _BYTES) / len(sizes)))


class Seen:
    """The keys of the samples so far, by their hashes: a key that was there before is found, whatever its length."""

    def __init__(self) -> None:
        self._hashes: set[int] = set()

    def again(self, key: str) -> bool:
        """Whether this key was given before."""
        before = len(self._hashes)
        self._hashes.add(hash(key))
        return len(self._hashes) == before
