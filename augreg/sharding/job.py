"""A job: all that says how the samples of a piece become an output shard, except the piece itself."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from augreg.pipeline import Pipeline
from augreg.sharding.records import Column, Piece, Sample
from augreg.sharding.storage import Storage

__all__ = ["Job", "Task"]


class Task(NamedTuple):
    """An output shard to make, and what it reads. It is small and pickles: a list of all names never travels."""

    shard: int
    piece: Piece


@dataclass(frozen=True)
class Job:
    """How samples become the shards of an output. It pickles, and means the same in every process, on every host."""

    spec: Mapping[str, Any]
    """The canonical spec, which names the backend."""
    storage: Storage
    to: str
    """The kind of output: tar, parquet or folder."""
    format: str
    """The format of the images: png, jpg, webp or npy."""
    shards: int
    copies: int = 1
    epoch: int = 0
    test: bool = False
    classes: tuple[str, ...] = ()
    columns: tuple[Column, ...] = ()
    masks: tuple[str, ...] = ()
    """The masks that are not beside the images of a folder, where no image has the name of one."""
    with_source: bool = False
    """Whether names begin with that of the file of the input, which alone makes them differ."""

    @functools.cached_property
    def pipeline(self) -> Pipeline:
        """The pipeline of the spec; made once in each process."""
        return Pipeline.from_spec(self.spec)

    @functools.cached_property
    def digest(self) -> bytes:
        """A hash of all that says what is made of a sample."""
        what = [self.pipeline.fingerprint, self.spec["backend"], self.format, self.epoch, self.test]
        return hashlib.sha256(json.dumps(what).encode()).digest()

    def name_of(self, sample: Sample) -> str:
        """The name of the copies of a sample, without the number of the copy."""
        return f"{sample.source}/{sample.name}" if self.with_source and sample.source else sample.name

    def __getstate__(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}
