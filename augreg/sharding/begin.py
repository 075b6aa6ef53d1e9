"""The beginning of a run: what there is to do, after checking that the output belongs to this spec and this input."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from augreg.errors import SpecError
from augreg.pipeline import Pipeline
from augreg.sharding.column_types import typed
from augreg.sharding.inputs import open_input
from augreg.sharding.inputs.dividing import share
from augreg.sharding.inputs.locations import WILD, is_url, located
from augreg.sharding.job import Job, Task
from augreg.sharding.manifest import OtherOutputError, check_empty, claim, differences, made_with, read_manifest
from augreg.sharding.outputs import check_output
from augreg.sharding.records import Column, Input, InputError, Sample
from augreg.sharding.state import Failures, State
from augreg.sharding.storage import Storage, open_storage

__all__ = ["Begun", "Request", "begin", "part_of"]

_SAMPLES: Final = 64  # that are read for the types of columns
_OUTPUT_OF: Final = {"folder": "folder", "list": "tar", "tar": "tar", "parquet": "parquet"}


@dataclass(frozen=True)
class Request:
    """What the user asks for. Without `to`, `shards` or `backend`, an earlier run or the input says."""

    pipe: Pipeline
    source: str
    out: str
    format: str
    to: str | None = None
    shards: int | None = None
    part: tuple[int, int] = (1, 1)
    """Part i of n, from 1."""
    copies: int = 1
    epoch: int = 0
    test: bool = False
    masks: bool | str = True
    columns: Mapping[str, str] = field(default_factory=dict)

    @property
    def asked(self) -> dict[str, Any]:
        """What is in the manifest whatever the input is."""
        found = {
            "shards": self.shards,
            "to": self.to,
            "format": self.format,
            "copies": self.copies,
            "side": "test" if self.test else "train",
            "epoch": self.epoch,
            "fingerprint": self.pipe.fingerprint,
        }
        return {name: value for name, value in found.items() if value is not None}


@dataclass(frozen=True)
class Begun:
    """What there is to do."""

    job: Job
    input: Input
    part: range
    """The numbers of the shards of this part."""
    finished: frozenset[int]
    """Those of them that are finished."""
    failures: Failures
    """The images that are missing in the finished shards."""
    notes: Sequence[str] = ()

    @property
    def unfinished(self) -> list[int]:
        """The numbers of the shards that this run makes."""
        return [shard for shard in self.part if shard not in self.finished]

    def tasks(self) -> Iterator[Task]:
        """The tasks for the unfinished shards, made one by one."""
        for shard in self.unfinished:
            yield Task(shard, self.input.piece(shard, self.job.shards))

    def images(self, shards: Sequence[int]) -> int | None:
        """How many images these shards have; None if that is known only after reading them."""
        count = self.input.count
        if count is None:
            return None
        return sum(stop - start for start, stop in (share(count, shard, self.job.shards) for shard in shards))


def begin(request: Request, *, write: bool = True, retry_failed: bool = False) -> Begun:
    """Open the input and the output, and find out what is left to do.

    With `write`, the output becomes this job's if it is new, and with `retry_failed` finished shards with failures
    become unfinished. Raises OtherOutputError, InputError, SpecError and OSError.
    """
    storage = open_storage(request.out)
    _check_apart(request.source, storage)
    before = read_manifest(storage)
    if before is None:
        before = check_empty(storage)
    outputs: list[Path] = []
    input = open_input(
        request.source,
        columns=request.columns,
        masks=request.masks,
        leave_out=request.out,
        targets=request.pipe.options.targets,
        outputs=outputs,
    )
    job = _job(request, storage, input, before)
    check_output(job.to, job.format, job.classes, job.columns)
    manifest = _manifest(request, job, input)
    if write:
        storage.make()
        notes = claim(storage, manifest)
    else:
        notes = [] if before is None else differences(storage.location, before, manifest)
    notes += [f"{folder} is left out: augreg apply wrote it" for folder in outputs]
    state = State(storage)
    part = part_of(request.part, job.shards)
    finished = state.finished().intersection(part)
    failures = Failures()
    for shard in sorted(state.failed() & finished):
        record = state.record(shard)
        if record is None or not record.failures:
            continue
        if retry_failed:
            finished.discard(shard)
            if write:
                state.forget(shard)
        else:
            failures.add(record.failures)
    return Begun(job, input, part, frozenset(finished), failures, notes)


def part_of(part: tuple[int, int], shards: int) -> range:
    """The numbers of the shards in part i of n."""
    number, parts = part
    return range(*share(shards, number - 1, parts))


def _job(request: Request, storage: Storage, input: Input, before: Mapping[str, Any] | None) -> Job:
    """The job, with the backend, the number of shards and the kind of output of an earlier run."""
    pipe, earlier = request.pipe, before or {}
    backend = earlier.get("backend", pipe.backend)
    if pipe.options.backend == "auto" and backend != pipe.backend:
        try:
            pipe = pipe.replace(backend=backend)
        except SpecError as error:
            raise OtherOutputError(
                f"{storage.location} was begun with the backend {backend}, which is not available here: {error}"
            ) from None
    to = request.to or earlier.get("to") or _OUTPUT_OF[input.kind]
    shards = request.shards or earlier.get("shards") or input.default_shards
    return Job(
        {**pipe.to_spec(), "output": "auto", "backend": pipe.backend},
        storage,
        to,
        request.format,
        shards,
        request.copies,
        request.epoch,
        request.test,
        input.classes,
        _columns(input, to, shards, earlier),
        () if input.kind == "folder" and request.masks is True else _masks(input),
        to == "folder" or shards < input.names,
    )


def _masks(input: Input) -> tuple[str, ...]:
    return tuple(column.name for column in input.columns if column.kind == "mask")


def _columns(input: Input, to: str, shards: int, earlier: Mapping[str, Any]) -> tuple[Column, ...]:
    """The columns of the output. In Parquet they have types, by the first samples if the input does not say them."""
    if "columns" in earlier:
        return tuple(Column(*column) for column in earlier["columns"])
    if to != "parquet" or all(column.type or column.kind not in ("targets", "carried") for column in input.columns):
        return input.columns
    return typed(input.columns, itertools.islice(_first_samples(input, shards), _SAMPLES))


def _first_samples(input: Input, shards: int) -> Iterator[Sample]:
    """The samples of the first shards. What is damaged is said when it is to be made."""
    for shard in range(min(shards, _SAMPLES)):
        with contextlib.suppress(InputError):
            yield from input.piece(shard, shards).samples()


def _manifest(request: Request, job: Job, input: Input) -> dict[str, Any]:
    masks = "beside the images" if request.masks is True else "in a folder" if request.masks else "taken for images"
    return {
        "shards": job.shards,
        "to": job.to,
        **request.asked,
        "masks": masks,
        "named parts": dict(sorted(request.columns.items())),
        "backend": job.spec["backend"],
        "input": {
            "kind": input.kind,
            "names": input.names,
            "count": input.count,
            "fingerprint": input.fingerprint,
            "classes": list(input.classes),
        },
        "columns": [list(column) for column in job.columns],
        "location": _absolute(request.source)
        + (f" with masks of {_absolute(request.masks)}" if isinstance(request.masks, str) else ""),
        "made_with": dict(made_with(job.spec["backend"], job.to)),
        "spec": request.pipe.to_spec(),
    }


def _absolute(location: str) -> str:
    return location if is_url(location) else str(Path(location).resolve())


def _check_apart(source: str, storage: Storage) -> None:
    """Raise OtherOutputError if the output would be written among the inputs."""
    out, source = storage.local, located(source)
    if out is None or is_url(source):
        return
    place = Path(source)
    if not place.is_dir():
        parts = place.parts
        wild = next((number for number, part in enumerate(parts) if set(part) & set(WILD)), len(parts))
        place = Path(*parts[: min(wild, len(parts) - 1)])
    if place.resolve().is_relative_to(out.resolve()):
        raise OtherOutputError(f"{storage.location} contains the input; choose another folder")
