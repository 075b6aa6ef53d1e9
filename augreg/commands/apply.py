"""`augreg apply`: augmented copies of a folder of images, by several processes, taken up again where it stopped."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from augreg.commands import output_folder, parallel
from augreg.commands.console import FAILED, USAGE, print_error, print_problems, check_readable
from augreg.commands.input_images import Source, find
from augreg.commands.progress import progress
from augreg.errors import AugregError
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
        description="Write augmented copies of every image below IN to the same place below OUT. A run that was "
        "stopped goes on where it was, and the result is the same, byte for byte.",
    )
    parser.add_argument("spec", metavar="SPEC", help="a file, or the name of a preset")
    parser.add_argument("source", metavar="IN", type=Path, help="a folder of images, or one image")
    parser.add_argument("out", metavar="OUT", type=Path, help="the folder for the copies; made if there is none")
    parser.add_argument("--copies", metavar="N", type=positive, default=1, help="copies of each image (1)")
    parser.add_argument("--processes", metavar="N", type=positive, help="how many work (one for each processor)")
    parser.add_argument("--epoch", metavar="E", type=_whole, help="draw as in this epoch (0)")
    parser.add_argument("--format", choices=_FORMATS, help="of the copies (png; npy where the spec normalizes)")
    masks = parser.add_mutually_exclusive_group()
    masks.add_argument(
        "--masks", metavar="DIR", type=Path, help="masks at the same paths (else photo_mask.png in IN)"
    )
    masks.add_argument("--no-masks", action="store_true", help="take photo_mask.png for an image like any other")
    parser.add_argument("--test", action="store_true", help="do what the spec does at test time; one copy")
    parser.add_argument("--overwrite", action="store_true", help="replace what is there, of this spec or another")
    parser.add_argument("--quiet", action="store_true", help="say nothing but what went wrong")
    parser.set_defaults(run=run, usage_error=parser.error)


def positive(text: str) -> int:
    """A whole number from 1, for argparse."""
    if text.isdecimal() and 1 <= int(text) < 2**31:
        return int(text)
    raise argparse.ArgumentTypeError(f"expected a whole number from 1, got {text!r}")


def _whole(text: str) -> int:
    if text.isdecimal() and int(text) < 2**31:
        return int(text)
    raise argparse.ArgumentTypeError(f"expected a whole number from 0, got {text!r}")


def run(arguments: argparse.Namespace) -> int:
    """Write the copies. 0 if all were written, 1 if some images could not be, 2 for a wrong call."""
    if arguments.test and (arguments.copies > 1 or arguments.epoch is not None):
        arguments.usage_error("--test draws nothing: it goes with neither --copies nor --epoch")
    code = check_readable(arguments.spec)
    if code:
        return code
    from augreg.pipeline import Pipeline

    try:
        pipe = Pipeline.from_spec(arguments.spec)
    except AugregError as error:
        return print_problems(arguments.spec, error)
    normalizes = _normalizes(pipe.steps)
    format = arguments.format or ("npy" if normalizes else "png")
    if normalizes and format != "npy":
        arguments.usage_error(
            f"{arguments.spec} normalizes, so it makes floats, which {format} cannot hold: write --format npy, or "
            "take normalize out of the spec"
        )
    try:
        sources = find(arguments.source, arguments.masks or not arguments.no_masks, leave_out=arguments.out)
    except AugregError as error:
        print_error(error)
        return USAGE
    return _apply(arguments, pipe, format, sources)


def _normalizes(steps: Iterable[Any]) -> bool:
    return any(
        step.transform.__augreg__.kind == "normalize" or _normalizes(children(step.transform)) for step in steps
    )


def _apply(arguments: argparse.Namespace, pipe: Pipeline, format: str, sources: Sequence[Source]) -> int:
    out: Path = arguments.out
    try:
        if arguments.source.resolve().is_relative_to(out.resolve()):  # a copy could have an image's own name
            raise output_folder.OtherOutputError(f"{out} holds the images themselves; give another folder for the copies")
        out.mkdir(parents=True, exist_ok=True)
        with output_folder.hold(out):
            output_folder.sweep(out)
            tasks = _tasks(sources, out, arguments.copies, format, arguments.test)
            _claim(arguments, pipe, format, sources, tasks)
            missing = [task for task in map(_unfinished, tasks) if task.copies]
            _refuse_renamed(arguments, format, tasks, missing)
            failures = _work(arguments, pipe, format, missing)
            output_folder.sweep(out)  # a process that outlived a killed run may have left something since
    except (output_folder.OtherOutputError, output_folder.BusyError) as error:
        print_error(error)
        return USAGE
    except OSError as error:
        print_error(f"{out}: cannot be written to: {error.strerror or error}")
        return USAGE
    if not arguments.quiet:
        written = sum(len(task.copies) for task in missing if task.key not in failures)
        there = sum(len(task.copies) for task in tasks) - sum(len(task.copies) for task in missing)
        print_error(f"{written} written to {out}" + f", {there} were there already" * bool(there))
    if failures:
        print_error(f"{len(failures)} of {len(sources)} images failed:")
        print_error(*(f"  {key}: {failures[key]}" for key in sorted(failures)))
    return FAILED if failures else 0


def _claim(
    arguments: argparse.Namespace, pipe: Pipeline, format: str, sources: Sequence[Source], tasks: Sequence[Task]
) -> None:
    """Make sure that what OUT holds under the names of copies is what this run would have made."""
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
        before = output_folder.known(out)
        growing["copies"] = max(arguments.copies, _copies(before))
        _clear(path for task in tasks for copy in task.copies for path in copy[1:] if path is not None)
        if before:
            _clear(_of_before(sources, out, before))
        growing["left_over"] = output_folder.others(out)
        output_folder.replace_manifest(out, {**manifest, **growing}, _made_with(pipe))
    for note in output_folder.claim(out, {**manifest, **growing}, _made_with(pipe)):
        print_error(note)
    _grow(out, arguments.copies, tasks)


def _grow(out: Path, copies: int, tasks: Iterable[Task]) -> None:
    """Note the most copies ever made; what an --overwrite left over under a name that is now wanted makes room."""
    known = output_folder.known(out)
    left = set(known.get("left_over", ()))
    if left:
        wanted = {path for task in tasks for copy in task.copies for path in copy[1:] if path is not None}
        in_the_way = {name for name in left if out / name in wanted}
        _clear(out / name for name in in_the_way)
        left -= in_the_way
    grown = {**known, "copies": max(copies, _copies(known)), "left_over": sorted(left)}
    if grown != known:
        output_folder.replace_manifest(out, grown, known.get("made_with", {}))


def _copies(manifest: Mapping[str, Any]) -> int:
    copies = manifest.get("copies")
    return copies if isinstance(copies, int) else 1


def _made_with(pipe: Pipeline) -> Mapping[str, str]:
    """The versions on which bytes depend."""
    import importlib.metadata

    from augreg import __version__

    names = ["numpy", "pillow"] + ["opencv-python-headless"] * (pipe.backend == "opencv")
    found = {"augreg": __version__}
    for name in names:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:  # another distribution of the same module
            found[name] = "of another distribution"
    return found


def _tasks(sources: Sequence[Source], out: Path, copies: int, format: str, test: bool) -> list[Task]:
    """What is to be made of each image: `cat/photo.jpg` becomes `cat/photo-0.png` and so on.

    Images that differ only by their suffix keep it: `photo.jpg-0.png`. Raises OtherOutputError where even that is
    not enough.
    """
    from augreg.commands.write_copies import Task

    # casefold: some file systems take Photo and photo for the same
    twins = Counter(str(source.place).casefold() for source in sources)
    tasks = []
    names: set[str] = set()
    for source in sources:
        place = source.place if twins[str(source.place).casefold()] == 1 else Path(source.key)
        planned = []
        for view in range(copies):
            stem = place.name if test else f"{place.name}-{view}"
            to = out / place.parent / f"{stem}.{format}"
            planned.append((view, to, to.with_name(f"{stem}_mask.png") if source.mask else None))
            files = {str(path).casefold() for path in planned[-1][1:] if path is not None}
            if names & files:
                raise output_folder.OtherOutputError(
                    f"{source.path}: {to} would be the copy of another image too; rename one"
                )
            names |= files
        tasks.append(Task(source.path, source.key, source.mask, tuple(planned)))
    return tasks


def _clear(paths: Iterable[Path]) -> None:
    """Remove what is to be made anew before the manifest says that it is: a run killed here is not taken up."""
    for path in paths:
        path.unlink(missing_ok=True)


def _of_before(sources: Iterable[Source], out: Path, before: Mapping[str, Any]) -> Iterator[Path]:
    """Whatever the run of another manifest may have made of these images."""
    format = before.get("format")
    if format not in _FORMATS:
        return
    for source in sources:
        for to in _names(source.key, out, range(_copies(before)), format, before.get("side") == "test"):
            yield to
            yield to.with_name(f"{to.name.removesuffix(f'.{format}')}_mask.png")


def _names(key: str, out: Path, views: Iterable[int], format: str, test: bool) -> Iterator[Path]:
    """What the copies of an image may be called: without its suffix, and with it."""
    for place in (Path(key).with_suffix(""), Path(key)):
        stems = [place.name] if test else [f"{place.name}-{view}" for view in views]
        yield from (out / place.parent / f"{stem}.{format}" for stem in stems)


def _refuse_renamed(
    arguments: argparse.Namespace, format: str, tasks: Iterable[Task], missing: Iterable[Task]
) -> None:
    """Raises OtherOutputError where copies are there under another name: a twin of the image came or went."""
    out: Path = arguments.out
    known = output_folder.known(out)
    left = {out / name for name in known.get("left_over", ())}
    made = {to for task in tasks for _, to, _ in task.copies}
    for task in missing:
        for path in _names(task.key, out, range(_copies(known)), format, arguments.test):
            if path not in made and path not in left and output_folder.finished(path):
                raise output_folder.OtherOutputError(
                    f"{path} was made before an image came or went that differs from {task.image} only by its "
                    f"suffix; its copies are called {task.copies[0][1].name} now; undo that in {arguments.source}, "
                    "or remove the old copies, or --overwrite"
                )


def _unfinished(task: Task) -> Task:
    from dataclasses import replace

    left = [
        (view, to, mask_to)
        for view, to, mask_to in task.copies
        if not output_folder.finished(to) or (mask_to is not None and not output_folder.finished(mask_to))
    ]
    return replace(task, copies=tuple(left))


def _work(arguments: argparse.Namespace, pipe: Pipeline, format: str, tasks: Sequence[Task]) -> dict[str, str]:
    """Do the tasks; returns why images failed, by key."""
    from augreg.commands.write_copies import Augment

    # plain arrays, whatever the spec wants for training: workers need no torch to write a file
    job = Augment({**pipe.to_spec(), "output": "numpy"}, format, arguments.epoch or 0, arguments.test)
    failures = {}
    processes = min(arguments.processes or parallel.processors(), max(1, len(tasks)))
    run = parallel.run(job, tasks, processes, "stopping; run again to go on")
    with progress("images", len(tasks), arguments.quiet) as bar, closing(run) as outcomes:
        for outcome in outcomes:
            if outcome.failure:
                failures[outcome.task.key] = outcome.failure.removeprefix(f"{outcome.task.image}: ")
            bar.update()
    return failures
