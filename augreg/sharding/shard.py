"""Make one output shard: a function of the job and the piece alone, so that it may be made anywhere, and again."""

from __future__ import annotations

import errno
import hashlib
import json
from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np

from augreg.errors import AugregError, ImageError, printable
from augreg.images.codecs import to_array
from augreg.images.encoding import decode_mask, encode, encode_mask
from augreg.sharding.job import Job, Task
from augreg.sharding.journal import Copy, Journal
from augreg.sharding.manifest import MANIFEST
from augreg.sharding.outcome import StopError
from augreg.sharding.outputs import Output, OutputError, Writer, open_writer, shard_file
from augreg.sharding.records import InputError, Piece, Sample
from augreg.sharding.state import ShardRecord, State
from augreg.sharding.storage_names import shard_name

__all__ = ["input_digest", "make_shard", "outputs"]

_NO_MORE: Final = (
    errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG, errno.ENOENT, errno.ENOTDIR
)  # fmt: skip
_MOST_REASON: Final = 300  # letters of a reason in a record


def make_shard(job: Job, task: Task, stopping: Callable[[], bool] = lambda: False) -> ShardRecord | None:
    """Make a shard and record it, unless it is finished. Returns its record; None if `stopping()` became true.

    Raises BusyError if another run is making it, InputError if its piece cannot be read, OutputError if it cannot be
    written, and StopError if nothing else can be either. Then the shard is as unfinished as before.
    """
    storage, state = job.storage, State(job.storage)
    try:
        job.pipeline  # noqa: B018 - or each image would fail for it
    except AugregError as error:
        raise StopError(f"the spec cannot be used in this process: {error}") from None
    try:
        _check_place(job)
        with storage.lock(shard_name(task.shard)):
            record = state.record(task.shard)
            if record is None:
                with Journal(storage, task.shard, job.digest) as journal:
                    if journal.left:  # to look for them in a folder of many shards takes time
                        storage.remove_temporary(shard_file(job.to, task.shard))
                        state.remove_temporary(task.shard)
                    record = _make(job, task, journal, stopping)
                    if record is None:
                        return None
                    _check_place(job)
                    state.write(record)
                    journal.remove()
            return record
    except OSError as error:
        why = f"{storage.location}: cannot be written to: {error.strerror or error}"
        raise (StopError if error.errno in _NO_MORE else OutputError)(why) from None


def _check_place(job: Job) -> None:
    """Raise StopError if the output is no longer where it was: another folder of its name gets no double."""
    if not job.storage.exists(MANIFEST):
        raise StopError(f"{job.storage.location} was moved, removed or replaced during the run; put it back")


def _make(job: Job, task: Task, journal: Journal, stopping: Callable[[], bool]) -> ShardRecord | None:
    writer = open_writer(
        job.to,
        job.storage,
        task.shard,
        format=job.format,
        classes=job.classes,
        columns=job.columns,
        masks=job.masks,
    )
    digest, failures, images, copies = hashlib.sha256(), {}, 0, 0
    try:
        for sample in _read(task.piece):
            if stopping():
                writer.abort()
                return None
            images += 1
            given = input_digest(sample)
            digest.update(given)
            made, reason = _write_copies(_copies(job, sample, given, journal), writer)
            copies += made
            if reason:
                key = f"{sample.source}/{sample.key}" if sample.source else sample.key
                key = f"{key} (image {images} of the shard)" if key in failures else key
                failures[key] = reason[:_MOST_REASON]
        size, sha256 = writer.close()
    except BaseException:
        writer.abort()
        raise
    return ShardRecord(task.shard, images, copies, size, sha256, digest.hexdigest(), failures)


def _read(piece: Piece) -> Iterator[Sample]:
    try:
        yield from piece.samples()
    except OSError as error:  # else it would be taken for one of the output
        raise InputError(f"{error.filename or 'the input'}: cannot be read: {error.strerror or error}") from None


def _write_copies(copies: Iterator[Output], writer: Writer) -> tuple[int, str]:
    """Write the copies of a sample. Returns how many there are, and why the rest is missing."""
    made = 0
    while True:
        try:
            output = next(copies, None)
        except AugregError as error:
            return made, printable(str(error))
        except Exception as error:  # a damaged file or a plugin may raise anything
            return made, printable(f"{type(error).__name__}: {error}")
        if output is None:
            return made, ""
        try:
            writer.add(output)
        except ImageError as error:
            return made, printable(str(error))
        made += 1


def _copies(job: Job, sample: Sample, given: bytes, journal: Journal) -> Iterator[Output]:
    """The copies of a sample: those that a killed run made are in the journal, all others are made."""
    view = 0
    while view < job.copies and (copy := journal.copy(given, view)):
        yield _output(job, sample, view, copy)
        view += 1
    for copy in augment(job, sample, view) if view < job.copies else ():
        journal.add(given, view, copy)
        yield _output(job, sample, view, copy)
        view += 1


def outputs(job: Job, sample: Sample) -> Iterator[Output]:
    """The copies of a sample, encoded, one by one. Raises whatever the image or a step raises."""
    for view, copy in enumerate(augment(job, sample)):
        yield _output(job, sample, view, copy)


def augment(job: Job, sample: Sample, first: int = 0) -> Iterator[Copy]:
    """What the pipeline makes of a sample, from this copy on. Raises whatever the image or a step raises."""
    if sample.failure:
        raise ImageError(sample.failure)
    try:
        read = to_array(sample.image, job.pipeline.options.channels)
    except ImageError as error:  # the key is said already
        raise ImageError(str(error).removeprefix(f"image of {len(sample.image)} bytes: ")) from None
    pipeline = job.pipeline
    masks = {name: decode_mask(data, name) for name, data in sample.masks.items()}
    followers = {**{name: mask for name, (mask, _) in masks.items()}, **sample.targets}
    given = {"image": read, **followers} if followers else read
    for view in range(first, job.copies):
        if job.test:
            found = pipeline.test(given)
        else:
            found = pipeline.train(given, index=sample.index, epoch=job.epoch, view=view)
        found = found if followers else {"image": found}
        yield Copy(
            encode(found["image"], job.format),
            {name: encode_mask(found[name], palette) for name, (_, palette) in masks.items()},
            {name: _plain(found[name]) for name in sample.targets},
        )


def _output(job: Job, sample: Sample, view: int, copy: Copy) -> Output:
    stem = job.name_of(sample)
    return Output(
        name=stem if job.test else f"{stem}-{view}",
        image=copy.image,
        masks=copy.masks,
        targets=copy.targets,
        label=sample.label,
        carried=sample.carried,
    )


def _plain(value: Any) -> Any:
    """Numbers as Python has them: a step may return arrays."""
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def input_digest(sample: Sample) -> bytes:
    """A hash of all that a sample has."""
    digest = hashlib.sha256()
    files = {f".{name}": data for name, data in sample.carried.items() if isinstance(data, bytes)}
    values = {name: value for name, value in sample.carried.items() if not isinstance(value, bytes)}
    rest = json.dumps([sample.targets, sample.label, values], sort_keys=True, default=str)
    for part in (sample.key, str(sample.index), sample.failure, rest):
        data = part.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "little") + data)
    for name, data in (("", sample.image), *sample.masks.items(), *sorted(files.items())):
        digest.update(f"{name}:{len(data)}:".encode())
        digest.update(data)
    return digest.digest()
