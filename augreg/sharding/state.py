"""Which shards of an output are finished: a small record for each, written after its data.

A shard without a record is not finished, whatever else is there. Records of shards with failures have a marker beside
them, so that a run reads those few and no others.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from augreg.sharding.storage import Storage
from augreg.sharding.storage_names import FOLDER, shard_name

__all__ = ["Failures", "ShardRecord", "State"]

_RECORD: Final = re.compile(r"(?:.*/)?(\d{6,})\.json\Z", re.ASCII)
_MARKER: Final = re.compile(r"(?:.*/)?(\d{6,})\Z", re.ASCII)
_DIGITS: Final = re.compile(r"(\d+)", re.ASCII)
_FIRST: Final = 20
"""Failures of which the reasons are kept."""
_RECORDS: Final = f"{FOLDER}/shards/"
_MARKERS: Final = f"{FOLDER}/failed/"


class ShardRecord(msgspec.Struct, frozen=True):
    """What a finished shard holds. `sha256` is that of its data, `inputs` that of all that was read for it.

    `images` were read, `copies` were written, and `failures` are the reasons why others were not, by key.
    """

    shard: int
    images: int
    copies: int
    bytes: int
    sha256: str
    inputs: str
    failures: Mapping[str, str] = {}


class Failures:
    """Images that failed: how many, and why the first of them did, by key. There may be more than fit in memory.

    Whatever the order in which shards are done, the first are the same.
    """

    def __init__(self) -> None:
        self.count = 0
        self.first: dict[str, str] = {}

    def add(self, failures: Mapping[str, str]) -> None:
        """Add those of a shard."""
        self.count += len(failures)
        self.first = dict(heapq.nsmallest(_FIRST, (self.first | dict(failures)).items(), key=_order))


def _order(failure: tuple[str, str]) -> list[object]:
    """Keys in the order of the numbers in them: 9 before 10."""
    parts = _DIGITS.split(failure[0])
    return [(len(part), part) if number % 2 else part for number, part in enumerate(parts)]


class State:
    """The records in an output."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def finished(self) -> set[int]:
        """The numbers of the finished shards, by the names of their records alone."""
        return _numbers(self._storage.names(_RECORDS), _RECORD)

    def failed(self) -> set[int]:
        """The numbers of shards that may have failures."""
        return _numbers(self._storage.names(_MARKERS), _MARKER)

    def record(self, shard: int) -> ShardRecord | None:
        """The record of a shard; None if it is not finished, or if the record cannot be one."""
        name = f"{_RECORDS}{shard_name(shard)}.json"
        if not self._storage.exists(name):
            return None
        try:
            found = msgspec.json.decode(self._storage.read(name), type=ShardRecord)
        except (FileNotFoundError, msgspec.DecodeError, UnicodeDecodeError):
            return None  # gone meanwhile, or empty after a power cut
        return found if found.shard == shard else None

    def write(self, record: ShardRecord) -> None:
        """Record that a shard is finished; its data must be in place. Call it under the lock of the shard."""
        name = f"{_RECORDS}{shard_name(record.shard)}.json"
        if record.failures:
            self._storage.write(f"{_MARKERS}{shard_name(record.shard)}", b"")
        self._storage.write(name, msgspec.json.encode(record))

    def remove_temporary(self, shard: int) -> None:
        """Remove what a killed run left of a record that it was writing."""
        self._storage.remove_temporary(f"{_RECORDS}{shard_name(shard)}.json")

    def clean_up(self, shards: int) -> None:
        """Remove what killed runs left half-written, if all shards are finished: then no run is writing."""
        if len(self.finished()) == shards:
            for name in self._storage.names("", temporary=True):
                self._storage.remove(name)

    def forget(self, shard: int) -> None:
        """Make a shard unfinished."""
        self._storage.remove(f"{_RECORDS}{shard_name(shard)}.json")
        self._storage.remove(f"{_MARKERS}{shard_name(shard)}")


def _numbers(names: Iterable[str], pattern: re.Pattern[str]) -> set[int]:
    return {int(match[1]) for name in names if (match := pattern.match(name))}
