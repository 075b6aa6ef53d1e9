"""`augreg apply`: write augmented copies of a folder of images in several processes, and resume a stopped run."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from augreg.commands import apply_shards, output_folder, parallel
from augreg.commands.console import FAILED, INSTEAD, USAGE, check_readable, print_error, print_problems
from augreg.commands.input_images import Source, find_images
from augreg.commands.progress import progress
from augreg.errors import AugregError, SpecError, printable
from augreg.sharding.manifest import made_with
from augreg.steps.step import children

if TYPE_CHECKING:
    from augreg.commands.write_copies import Task
    from augreg.pipeline import Pipeline

__all__ = ["add", "run"]

_FORMATS = ("png", "jpg", "webp", "npy")


def add(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "apply",
        help="write augmented copies of a folder of images",
        description="Write augmented copies of every image below IN to the same place below OUT. Run the "
        "command again to resume a run that was stopped; the result is the same, byte for byte.",
    )
    parser.add_argument("spec", metavar="SPEC", help="a file, or the name of a preset")
    parser.add_argument(
        "source", metavar="IN", help="a folder of images, one image, tars, Parquet files, a list, or a URL of these"
    )
    parser.add_argument("out", metavar="OUT", help="the folder for the copies, or its URL; created if missing")
    parser.add_argument("--copies", metavar="N", type=positive, default=1, help="copies of each image (1)")
    parser.add_argument("--processes", metavar="N", type=positive, help="number of processes (one per processor)")
    parser.add_argument("--epoch", metavar="E", type=_whole, help="draw as in this epoch (0)")
    parser.add_argument("--format", choices=_FORMATS, help="format of the copies (png; npy if the spec normalizes)")
    masks = parser.add_mutually_exclusive_group()
    masks.add_argument(
        "--masks",
        metavar="DIR",
        type=Path,
        help="folder of masks at the same paths (else photo_mask.png in IN)",
    )
    masks.add_argument("--no-masks", action="store_true", help="treat photo_mask.png as an image like any other")
    parser.add_argument("--test", action="store_true", help="apply the test-time steps of the spec; one copy")
    parser.add_argument("--overwrite", action="store_true", help="replace copies, also those of another spec")
    parser.add_argument("--quiet", action="store_true", help="print errors only")
    apply_shards.add_options(parser)
    parser.set_defaults(run=run, usage_error=parser.error)


def positive(text: str) -> int:
    """An argparse type: a whole number from 1 to 2^31 - 1."""
    if text.isdecimal() and 1 <= int(text) < 2**31:
        return int(text)
    raise argparse.ArgumentTypeError(f"expected a whole number from 1, got {text!r}")


def _whole(text: str) -> int:
    if text.isdecimal() and int(text) < 2**31:
        return int(text)
    raise argparse.ArgumentTypeError(f"expected a whole number from 0, got {text!r}")


def run(arguments: argparse.Namespace) -> int:
    """Write the copies. Returns 0 if all were written, 1 if some images failed, 2 for wrong arguments."""
    if arguments.test and (arguments.copies > 1 or arguments.epoch is not None):
        arguments.usage_error("--test draws nothing, so --copies and --epoch cannot be used with it")
    code = check_readable(arguments.spec)
    if code:
        return code
    from augreg.pipeline import Pipeline
    from augreg.spec.one_view import check_one_view

    try:
        pipe = Pipeline.from_spec(arguments.spec)
        check_one_view(pipe, "augreg apply", INSTEAD)
        if pipe.options.targets.clip:
            raise SpecError("targets.clip", "augreg apply is for images; in Python, give each clip to pipe.train")
    except AugregError as error:
        return print_problems(arguments.spec, error)
    normalizes = _normalizes(pipe.steps)
    format = arguments.format or ("npy" if normalizes else "png")
    if normalizes and format != "npy":
        arguments.usage_error(
            f"{arguments.spec} normalizes, so its output is floats, which {format} cannot store: use --format npy, "
            "or remove normalize from the spec"
        )
    if apply_shards.in_shards(arguments):
        return apply_shards.run(arguments, pipe, format)
    arguments.source, arguments.out = Path(arguments.source), Path(arguments.out)
    outputs: list[Path] = []
    try:
        masks = arguments.masks or not arguments.no_masks
        sources = find_images(arguments.source, masks, leave_out=arguments.out, outputs=outputs)
    except AugregError as error:
        print_error(error)
        return USAGE
    print_error(*(f"{folder} is left out: augreg apply wrote it" for folder in outputs))
    return _apply(arguments, pipe, format, sources)


def _normalizes(steps: Iterable[Any]) -> bool:
    return any(
        step.transform.__augreg__.kind == "normalize" or _normalizes(children(step.transform)) for step in steps
    )


def _apply(arguments: argparse.Namespace, pipe: Pipeline, format: str, sources: Sequence[Source]) -> int:
    out: Path = arguments.out
    try:
        if arguments.source.resolve().is_relative_to(out.resolve()):  # a copy could replace an image
            raise output_folder.OtherOutputError(f"{out} contains the input images; choose another folder")
        out.mkdir(parents=True, exist_ok=True)
        with output_folder.lock(out):
            output_folder.remove_temporary_files(out)
            tasks = _tasks(sources, out, arguments.copies, format, arguments.test)
            _claim(arguments, pipe, format, sources, tasks)
            missing = [task for task in map(_unfinished, tasks) if task.copies]
            _refuse_renamed(arguments, format, tasks, missing)
            failures = _work(arguments, pipe, format, missing)
            output_folder.remove_temporary_files(out)  # from a process that outlived a killed run
    except (output_folder.OtherOutputError, output_folder.BusyError) as error:
        print_error(error)
        return USAGE
    except parallel.StopError as error:
        print_error(error)
        return FAILED
    except OSError as error:
        print_error(f"{out}: cannot be written to: {error.strerror or error}")
        return USAGE
    if not arguments.quiet:
        written = sum(len(task.copies) for task in missing if task.key not in failures)
        existing = sum(len(task.copies) for task in tasks) - sum(len(task.copies) for task in missing)
        print_error(f"{written} written to {out}" + f", {existing} existed already" * bool(existing))
    if failures:
        print_error(f"{len(failures)} of {len(sources)} images failed:")
        print_error(*(f"  {key}: {failures[key]}" for key in sorted(failures)))
    return FAILED if failures else 0


def _claim(
    arguments: argparse.Namespace, pipe: Pipeline, format: str, sources: Sequence[Source], tasks: Sequence[Task]
) -> None:
    """Check that the copies in OUT are those that this run would write, and keep the manifest up to date."""
    out: Path = arguments.out
    folder: Path = arguments.source.parent if arguments.source.is_file() else arguments.source
    manifest = {
        "source": str(folder.resolve()),
        "masks": "taken for images" if arguments.no_masks else "beside the images",
        "fingerprint": pipe.fingerprint,
        "side": "test" if arguments.test else "train",
        "epoch": arguments.epoch or 0,
        "format": format,
        "backend": pipe.backend,
        "spec": pipe.to_spec(),
    }
    if arguments.masks:
        manifest["masks"] = str(arguments.masks.resolve())
    growing: dict[str, Any] = {"copies": arguments.copies, "left_over": []}
    if arguments.overwrite:
        before = output_folder.read_manifest(out)
        growing["copies"] = max(arguments.copies, _copies(before))
        # before the manifest is replaced, so that a run killed in between leaves no outdated file behind
        output_folder.remove(path for task in tasks for copy in task.copies for path in copy[1:] if path is not None)
        if before:
            output_folder.remove(_previous_files(sources, out, before))
        growing["left_over"] = output_folder.other_files(out)
        output_folder.replace_manifest(out, {**manifest, **growing}, made_with(pipe.backend))
    for note in output_folder.claim(out, {**manifest, **growing}, made_with(pipe.backend)):
        print_error(note)
    _grow(out, arguments.copies, tasks)


def _grow(out: Path, copies: int, tasks: Iterable[Task]) -> None:
    """Record the largest number of copies so far; remove left-over files of an --overwrite whose names are needed."""
    manifest = output_folder.read_manifest(out)
    left = set(manifest.get("left_over", ()))
    if left:
        planned = {path for task in tasks for copy in task.copies for path in copy[1:] if path is not None}
        in_the_way = {name for name in left if out / name in planned}
        output_folder.remove(out / name for name in in_the_way)
        left -= in_the_way
    grown = {**manifest, "copies": max(copies, _copies(manifest)), "left_over": sorted(left)}
    if grown != manifest:
        output_folder.replace_manifest(out, grown, manifest.get("made_with", {}))


def _copies(manifest: Mapping[str, Any]) -> int:
    copies = manifest.get("copies")
    return copies if isinstance(copies, int) else 1


def _tasks(sources: Sequence[Source], out: Path, copies: int, format: str, test: bool) -> list[Task]:
    """The copies to write for each image: `cat/photo.jpg` becomes `cat/photo-0.png` and so on.

    Images that differ only in their suffix keep it: `photo.jpg-0.png`. Raises OtherOutputError if two copies would
    still have the same name.
    """
    from augreg.commands.write_copies import Task

    # casefold: on some file systems Photo and photo are the same file
    twins = Counter(str(source.without_suffix).casefold() for source in sources)
    tasks = []
    names: set[str] = set()
    for source in sources:
        place = source.without_suffix if twins[str(source.without_suffix).casefold()] == 1 else Path(source.key)
        planned = []
        for view in range(copies):
            stem = place.name if test else f"{place.name}-{view}"
            to = out / place.parent / f"{stem}.{format}"
            planned.append((view, to, to.with_name(f"{stem}_mask.png") if source.mask else None))
            files = {str(path).casefold() for path in planned[-1][1:] if path is not None}
            if names & files:
                raise output_folder.OtherOutputError(
                    f"{source.path}: {to} would also be the copy of another image; rename one of the images"
                )
            names |= files
        tasks.append(Task(source.path, source.key, source.mask, tuple(planned)))
    return tasks


def _previous_files(sources: Iterable[Source], out: Path, before: Mapping[str, Any]) -> Iterator[Path]:
    """Every file that the run of an earlier manifest may have written for these images."""
    format = before.get("format")
    if format not in _FORMATS:
        return
    views = _views(out, before)
    for source in sources:
        for to in _names(source.key, out, views, format, before.get("side") == "test"):
            yield to
            yield to.with_name(f"{to.name.removesuffix(f'.{format}')}_mask.png")


def _views(out: Path, manifest: Mapping[str, Any]) -> list[int]:
    """The numbers of copies that exist; the manifest may count more than anybody could go through."""
    return [number for number in output_folder.numbers(out) if number < _copies(manifest)]


def _names(key: str, out: Path, views: Iterable[int], format: str, test: bool) -> Iterator[Path]:
    """The possible paths of the copies of an image: without its suffix, and with it."""
    for place in (Path(key).with_suffix(""), Path(key)):
        stems = [place.name] if test else [f"{place.name}-{view}" for view in views]
        yield from (out / place.parent / f"{stem}.{format}" for stem in stems)


def _refuse_renamed(
    arguments: argparse.Namespace, format: str, tasks: Iterable[Task], missing: Iterable[Task]
) -> None:
    """Raise OtherOutputError if copies exist under another name because a twin of the image was added or removed."""
    out: Path = arguments.out
    manifest = output_folder.read_manifest(out)
    left = {out / name for name in manifest.get("left_over", ())}
    planned = {to for task in tasks for _, to, _ in task.copies}
    views = _views(out, manifest)
    for task in missing:
        for path in _names(task.key, out, views, format, arguments.test):
            if path not in planned and path not in left and output_folder.finished(path):
                raise output_folder.OtherOutputError(
                    f"{path} was written before an image was added or removed that differs from {task.image} only "
                    f"in its suffix; its copies are now called {task.copies[0][1].name}; undo the change in "
                    f"{arguments.source}, remove the old copies, or use --overwrite"
                )


def _unfinished(task: Task) -> Task:
    from dataclasses import replace

    remaining = [
        (view, to, mask_to)
        for view, to, mask_to in task.copies
        if not output_folder.finished(to) or (mask_to is not None and not output_folder.finished(mask_to))
    ]
    return replace(task, copies=tuple(remaining))


def _work(arguments: argparse.Namespace, pipe: Pipeline, format: str, tasks: Sequence[Task]) -> dict[str, str]:
    """Do the tasks, and return the reason for each image that failed, by key."""
    from augreg.commands.write_copies import WriteCopies

    # arrays, whatever output the spec asks for: the workers need no torch to write a file
    spec, out = {**pipe.to_spec(), "output": "numpy"}, arguments.out
    job = WriteCopies(spec, format, arguments.epoch or 0, arguments.test, out, output_folder.identity(out))
    failures = {}
    processes = min(arguments.processes or parallel.processors(), max(1, len(tasks)))
    run = parallel.run(job, tasks, processes, "stopping; run the command again to resume")
    with progress("images", len(tasks), arguments.quiet) as bar, closing(run) as outcomes:
        for outcome in outcomes:
            if outcome.stop:
                raise parallel.StopError(outcome.failure)
            if outcome.failure:
                failures[outcome.task.key] = outcome.failure.removeprefix(f"{printable(outcome.task.image)}: ")
            bar.update()
    return failures
