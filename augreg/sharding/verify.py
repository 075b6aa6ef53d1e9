"""Check an output against its manifest and its records, and with the inputs, against what it was made from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from augreg.sharding.begin import Request, begin, part_of
from augreg.sharding.manifest import MANIFEST, OtherOutputError, check_equal, read_manifest
from augreg.sharding.outputs import digest_of, shard_file
from augreg.sharding.records import Input, InputError, Piece
from augreg.sharding.shard import input_digest
from augreg.sharding.state import ShardRecord, State
from augreg.sharding.storage import Storage, open_storage
from augreg.sharding.storage_names import FOLDER

__all__ = ["Check", "Checked", "OutputToCheck", "check_shard", "open_output", "strays"]


class Check(NamedTuple):
    """A shard to check, and what it was made from, unless that is not to be read."""

    shard: int
    piece: Piece | None


class Checked(NamedTuple):
    """A shard that was checked: its record, if it is finished, and what is wrong with it."""

    record: ShardRecord | None
    problem: str = ""


@dataclass(frozen=True)
class OutputToCheck:
    """An output, and the part of it that is to be checked; `input` only if it is to be read again."""

    storage: Storage
    to: str
    shards: int
    part: range
    input: Input | None = None
    notes: Sequence[str] = ()

    def tasks(self) -> Iterator[Check]:
        """The shards to check."""
        for shard in self.part:
            yield Check(shard, None if self.input is None else self.input.piece(shard, self.shards))


def open_output(request: Request, inputs: bool) -> OutputToCheck:
    """Open an output that must be there. Raises OtherOutputError if it is missing, or that of another run."""
    storage = open_storage(request.out)
    manifest = read_manifest(storage)
    if manifest is None:
        raise OtherOutputError(f"{storage.location}: there is no output of augreg apply; make it first")
    if inputs:
        begun = begin(request, write=False)
        return OutputToCheck(storage, begun.job.to, begun.job.shards, begun.part, begun.input, begun.notes)
    check_equal(storage.location, manifest, request.asked)
    return OutputToCheck(storage, manifest["to"], manifest["shards"], part_of(request.part, manifest["shards"]))


def check_shard(storage: Storage, to: str, task: Check) -> Checked:
    """Compare the data of a shard with its record; and its piece, if the task has one, with what it was made from."""
    record = State(storage).record(task.shard)
    if record is None:
        return Checked(None, "is not finished")
    try:
        size, sha256 = digest_of(to, storage, task.shard)
    except OSError as error:
        return Checked(record, f"cannot be read: {error.strerror or error}")
    if size != record.bytes:
        return Checked(record, f"has {size} bytes, and its record says {record.bytes}")
    if sha256 != record.sha256:
        return Checked(record, "has other bytes than its record says")
    return Checked(record, "" if task.piece is None else _input_problem(task.piece, record))


def _input_problem(piece: Piece, record: ShardRecord) -> str:
    digest, images = hashlib.sha256(), 0
    try:
        for sample in piece.samples():
            digest.update(input_digest(sample))
            images += 1
    except InputError as error:
        return f"was made from what cannot be read: {error}"
    if images != record.images:
        return f"was made from {record.images} images, and there are {images}"
    return "" if digest.hexdigest() == record.inputs else "was made from other images than there are"


def strays(output: OutputToCheck) -> list[tuple[str, str]]:
    """Files in the output that are not part of it, each with what it is. In a folder of images, none is known."""
    storage = output.storage
    found = [(name, "a temporary file of a run that was killed, or goes on") for name in storage.names("", True)]
    if output.to != "folder":
        known = {shard_file(output.to, shard) for shard in range(output.shards)} | {MANIFEST}
        others = (name for name in storage.names("") if name not in known and not name.startswith(f"{FOLDER}/"))
        found += [(name, "does not belong to this output") for name in others]
    return found
