"""`augreg apply --verify` and `--dry-run`: what is there, and what would be."""

from __future__ import annotations

import argparse
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from augreg.commands import parallel
from augreg.commands.console import FAILED, print_error, print_failures, print_lines
from augreg.commands.progress import progress

if TYPE_CHECKING:
    from augreg.sharding.begin import Begun, Request
    from augreg.sharding.storage import Storage
    from augreg.sharding.verify import Check, Checked

__all__ = ["dry_run", "verify"]


@dataclass(frozen=True)
class _Check:
    """Checks a shard; pickled for the worker processes."""

    storage: Storage
    to: str

    def __call__(self, task: Check) -> Checked:
        from augreg.sharding.verify import check_shard

        return check_shard(self.storage, self.to, task)


def verify(arguments: argparse.Namespace, request: Request) -> int:
    """Compare an output with its manifest; with --verify-inputs, its input too. Returns 0 if all is well, else 1."""
    from augreg.sharding.state import Failures
    from augreg.sharding.storage_names import FOLDER, shard_name
    from augreg.sharding.verify import open_output, strays

    output = open_output(request, inputs=arguments.verify_inputs)
    print_error(*output.notes)
    processes = min(arguments.processes or parallel.processors(), max(1, len(output.part)))
    problems, failures, images, copies = [], Failures(), 0, 0
    run = parallel.run(_Check(output.storage, output.to), output.tasks(), processes)
    with progress("shards", len(output.part), arguments.quiet) as bar, closing(run) as outcomes:
        for outcome in outcomes:
            record, problem = outcome.value or (None, outcome.failure)
            if problem:
                problems.append((outcome.task.shard, problem))
            if record is not None:
                failures.add(record.failures)
                images, copies = images + record.images, copies + record.copies
            bar.update()
    where = output.storage.location
    print_error(*(f"{where}: shard {shard} {problem}" for shard, problem in sorted(problems)))
    if problems:
        record = f"{where}/{FOLDER}/shards/{shard_name(min(problems)[0])}.json"
        print_error(
            "the command without --verify makes what is not finished; what is finished is made again once its record "
            f"is removed, such as {record}"
        )
    stray = strays(output)
    print_error(*(f"{where}/{name}: {what}" for name, what in stray))
    print_failures(failures, "images failed")
    whole = len(output.part) - len(problems)
    if not arguments.quiet:
        print_error(f"{where}: {whole} of {len(output.part)} shards are whole: {copies} copies of {images} images")
    return FAILED if problems or stray or failures.count else 0


def dry_run(begun: Begun) -> int:
    """Print what a run would do and how much space it takes. Returns 0, or 1 if it does not fit or samples fail."""
    from augreg.sharding.estimate import estimate

    found, job, source = estimate(begun), begun.job, begun.input
    about = "" if found.exact else "about "
    count = f"{source.count} samples" if source.count is not None else "samples that are counted as they are read"
    lines = [
        f"input: {source.kind}, {count}",
        f"output: {job.storage.location}, {job.shards} shards of {job.to} with {job.format} images, "
        f"{job.copies} copies of each",
        f"this part: {len(begun.part)} shards, {len(begun.finished)} of them finished, {found.shards} left",
        f"left: {about}{found.images} images, about {_size(found.bytes)}"
        + ("" if found.free is None else f" of {_size(found.free)} that are free"),
    ]
    print_lines(*lines)
    print_error(*(f"{key}: {reason}" for key, reason in found.failures.items()))
    if not found.fits:
        print_error(f"this does not fit: {_size(found.bytes - (found.free or 0))} are missing")
    return FAILED if found.failures or not found.fits else 0


def _size(count: int) -> str:
    """A number of bytes for people."""
    size = float(count)
    for unit in ("bytes", "KB", "MB", "GB", "TB"):
        if size < 1000 or unit == "TB":
            break
        size /= 1000
    return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
