"""`augreg apply` in shards: the options, and the run over the shards that are left, in processes or on Ray."""

from __future__ import annotations

import argparse
import functools
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from augreg.commands import parallel
from augreg.commands.console import FAILED, USAGE, print_error, print_failures
from augreg.commands.progress import progress
from augreg.errors import AugregError
from augreg.files.locks import BusyError

if TYPE_CHECKING:
    from augreg.pipeline import Pipeline
    from augreg.sharding.begin import Begun
    from augreg.sharding.job import Job, Task
    from augreg.sharding.state import ShardRecord

__all__ = ["add_options", "in_shards", "run"]

_RESUME = "stopping; run the command again to resume"
_MOST_SHARDS = 1_000_000  # each is a file, its record another


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options of outputs in shards."""
    group = parser.add_argument_group("output in shards (docs/scale.md)")
    group.add_argument("--to", choices=("tar", "parquet", "folder"), help="kind of output (that of the input)")
    group.add_argument("--shards", metavar="N", type=_shards, help="number of output shards (by the input)")
    group.add_argument("--part", metavar="I/N", type=_part, help="make part I of N of the shards, I from 1 to N")
    group.add_argument(
        "--columns",
        metavar="NAMES",
        type=_columns,
        help="what is what in a sample: image=jpg,mask=seg.png,boxes=bbox,label=cls,id=name",
    )
    group.add_argument("--dry-run", action="store_true", help="print what would be done and how much space it takes")
    group.add_argument("--verify", action="store_true", help="compare a finished output with its manifest")
    group.add_argument("--verify-inputs", action="store_true", help="with the input too, which is read again")
    group.add_argument("--retry-failed", action="store_true", help="make shards with failed images again")
    group.add_argument("--engine", choices=("local", "ray"), help="processes of this machine (local), or Ray")
    group.add_argument("--address", metavar="ADDRESS", help="address of a Ray cluster (one on this machine)")


def _shards(text: str) -> int:
    if text.isdecimal() and 1 <= int(text) <= _MOST_SHARDS:
        return int(text)
    raise argparse.ArgumentTypeError(f"expected a whole number from 1 to {_MOST_SHARDS:,}, got {text!r}")


def _part(text: str) -> tuple[int, int]:
    first, slash, last = text.partition("/")
    if slash and first.isdecimal() and last.isdecimal() and 1 <= int(first) <= int(last) < 2**31:
        return int(first), int(last)
    raise argparse.ArgumentTypeError(f"expected I/N with I from 1 to N, such as 1/4, got {text!r}")


def _columns(text: str) -> dict[str, str]:
    pairs = [pair.partition("=") for pair in text.split(",")]
    found = {name: column for name, _, column in pairs}
    if len(found) == len(pairs) and all(map(all, pairs)):
        return found
    raise argparse.ArgumentTypeError(f"expected names such as image=jpg,label=cls, each once, got {text!r}")


def in_shards(arguments: argparse.Namespace) -> bool:
    """Whether a call is for an output in shards: by its options, or by the input."""
    asked = (
        "to", "shards", "part", "columns", "dry_run", "verify", "verify_inputs", "retry_failed", "engine", "address"
    )  # fmt: skip
    if any(getattr(arguments, name) for name in asked):
        return True
    from augreg.sharding.inputs import kind_of
    from augreg.sharding.inputs.locations import WILD, is_url
    from augreg.sharding.records import InputError

    if is_url(arguments.source) or is_url(arguments.out):
        return True
    try:
        return kind_of(arguments.source) != "folder"
    except InputError:  # what plain apply says is shorter, but it knows no patterns
        return any(letter in arguments.source for letter in WILD)


def run(arguments: argparse.Namespace, pipe: Pipeline, format: str) -> int:
    """Make the shards that are left. Returns 0 if all is there, 1 if something failed, 2 for wrong arguments."""
    if arguments.overwrite:
        arguments.usage_error("--overwrite is not for an output in shards: remove it, or choose another folder")
    if arguments.address and arguments.engine != "ray":
        arguments.usage_error("--address is that of a Ray cluster: add --engine ray")
    from augreg.sharding.begin import Request, begin
    from augreg.sharding.manifest import OtherOutputError

    request = Request(
        pipe,
        arguments.source,
        arguments.out,
        format,
        arguments.to,
        arguments.shards,
        arguments.part or (1, 1),
        arguments.copies,
        arguments.epoch or 0,
        arguments.test,
        str(arguments.masks) if arguments.masks else not arguments.no_masks,
        arguments.columns or {},
    )
    try:
        if arguments.verify or arguments.verify_inputs:
            from augreg.commands.verify_shards import verify

            return verify(arguments, request)
        begun = begin(request, write=not arguments.dry_run, retry_failed=arguments.retry_failed)
        print_error(*begun.notes)
        if arguments.dry_run:
            from augreg.commands.verify_shards import dry_run

            return dry_run(begun)
        return _run(arguments, begun)
    except (OtherOutputError, BusyError, AugregError) as error:
        print_error(error)
        return USAGE
    except parallel.StopError as error:
        print_error(error, "run the command again to resume")
        return FAILED
    except OSError as error:
        print_error(f"{arguments.out}: cannot be written to: {error.strerror or error}")
        return USAGE


def _run(arguments: argparse.Namespace, begun: Begun) -> int:
    from augreg.sharding.state import Failures, State

    job, unfinished = begun.job, begun.unfinished
    failures = begun.failures
    lost: dict[int, str] = {}
    busy, copies, images, made = [], 0, 0, 0
    total = begun.images(unfinished)
    unit, most = ("shards", len(unfinished)) if total is None else ("images", total)
    with progress(unit, most, arguments.quiet) as bar, closing(_outcomes(arguments, begun)) as outcomes:
        for outcome in outcomes:
            if outcome.stop:
                raise parallel.StopError(outcome.failure)
            shard, record = outcome.task.shard, outcome.value
            if outcome.failure:
                lost[shard] = outcome.failure
            elif record is None:
                busy.append(shard)
            else:
                failures.add(record.failures)
                copies, images, made = copies + record.copies, images + record.images, made + 1
            bar.update(1 if total is None else (begun.images([shard]) or 0))
    State(job.storage).clean_up(job.shards)
    if not arguments.quiet:
        existed = f", {len(begun.finished)} of {len(begun.part)} shards existed already" * bool(begun.finished)
        print_error(f"{copies} copies of {images} images written to {job.storage.location} in {made} shards{existed}")
    print_failures(failures, "images failed; --retry-failed makes their shards again")
    of_shards = Failures()
    of_shards.add({f"shard {shard}": reason for shard, reason in lost.items()})
    print_failures(of_shards, "shards failed, and are not finished")
    if busy:
        print_error(
            f"{len(busy)} shards are being made by another run, the first of them shard {min(busy)}: run the "
            "command again when it has ended"
        )
    return FAILED if failures.count or lost or busy else 0


def _outcomes(arguments: argparse.Namespace, begun: Begun) -> Generator[parallel.Outcome, None, None]:
    from augreg.sharding.manifest import made_with

    make, tasks = MakeShards(begun.job), begun.tasks()
    if arguments.engine == "ray":
        from augreg.sharding import on_ray

        return on_ray.run(
            make,
            tasks,
            address=arguments.address,
            processes=arguments.processes,
            versions=functools.partial(made_with, begun.job.pipeline.backend, begun.job.to),
            sees=_local_places(arguments, begun),
            tell=print_error,
            message=_RESUME,
        )
    processes = min(arguments.processes or parallel.processors(), max(1, len(begun.unfinished)))
    return parallel.run(make, tasks, processes, _RESUME)


def _local_places(arguments: argparse.Namespace, begun: Begun) -> list[Path]:
    """The files and folders of this machine that every node of a cluster must see under the same path."""
    from augreg.sharding.manifest import MANIFEST

    out = begun.job.storage.local
    manifest = None if out is None else out / MANIFEST  # a node may have another folder of this name
    places = [manifest, Path(arguments.source).absolute(), arguments.masks and arguments.masks.absolute()]
    return [place for place in places if place is not None and place.exists()]


@dataclass(frozen=True)
class MakeShards:
    """Makes the shard of a task; pickled for the worker processes."""

    job: Job

    def __call__(self, task: Task) -> ShardRecord | None:
        """The record of the finished shard; None if another run is making it, or if this one is stopping."""
        from augreg.sharding.shard import make_shard

        try:
            return make_shard(self.job, task, parallel.stopping)
        except BusyError:
            return None
