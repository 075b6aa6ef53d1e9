"""`augreg stats`: print the mean and standard deviation of a folder of images, or write its mean image."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from augreg.commands import parallel
from augreg.commands.apply import positive
from augreg.commands.console import FAILED, INSTEAD, USAGE, check_readable, print_error, print_lines, print_problems
from augreg.commands.input_images import find_images
from augreg.commands.progress import progress
from augreg.errors import AugregError, ImageError, printable

if TYPE_CHECKING:
    from augreg.commands.pixel_statistics import Count, Counts, MeanImage

__all__ = ["add", "run"]


def add(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "stats",
        help="measure a folder of images, and print the normalize line for a spec",
        description="Print the mean and the standard deviation of each channel over all pixels of all images below "
        "DIR, and the normalize line for a spec; or write the mean image.",
    )
    parser.add_argument("source", metavar="DIR", type=Path, help="a folder of images")
    parser.add_argument("--mean-image", metavar="OUT.npy", type=Path, help="write the mean image instead")
    parser.add_argument("--size", metavar=("H", "W"), nargs=2, type=positive, help="resize images to this size first")
    parser.add_argument("--spec", metavar="SPEC", help="apply this spec at test time first, up to normalize")
    parser.add_argument("--channels", choices=("rgb", "gray", "keep", "rgba"), help="how to read the images (rgb)")
    parser.add_argument("--processes", metavar="N", type=positive, help="number of processes (one per processor)")
    parser.add_argument("--quiet", action="store_true", help="print the result and errors only")
    parser.set_defaults(run=run, usage_error=parser.error)


def run(arguments: argparse.Namespace) -> int:
    """Print the statistics. Returns 0 if all images were read, 1 if some were not, 2 for wrong arguments."""
    out: Path | None = arguments.mean_image
    if out is not None and (out.suffix != ".npy" or not out.parent.is_dir()):
        arguments.usage_error(f"--mean-image {out}: expected a file that ends in .npy, in a folder that exists")
    if out is not None and not (arguments.size or arguments.spec):
        arguments.usage_error("--mean-image needs images of one size: give --size H W, or --spec with a crop")
    if arguments.size and arguments.spec:
        arguments.usage_error("give --size or --spec, not both: a spec determines the size itself")
    if arguments.spec and (code := check_readable(arguments.spec)):
        return code
    try:
        spec = _spec(arguments)
    except AugregError as error:
        return print_problems(arguments.spec, error)
    try:
        sources = find_images(arguments.source, masks=True)  # a mask beside an image is not measured
    except AugregError as error:
        print_error(error)
        return USAGE
    from augreg.commands.pixel_statistics import Count, Counts, MeanImage

    total: Counts | MeanImage = Counts() if out is None else MeanImage()
    failures = dict(_collect(Count(spec, pixels=out is not None), total, sources, arguments))
    if failures:
        print_error(f"{len(failures)} of {len(sources)} images failed:")
        print_error(*(f"  {key}: {failures[key]}" for key in sorted(failures)))
    if out is not None and isinstance(total, MeanImage) and total.images:
        from augreg.commands.output_folder import write
        from augreg.images.encoding import encode

        try:
            write(out, encode(total.mean(), "npy"))
        except OSError as error:
            print_error(f"{out}: cannot be written: {error.strerror or error}")
            return USAGE
    if total.images:
        _print_statistics(total, out)
    return FAILED if failures else 0


def _spec(arguments: argparse.Namespace) -> dict[str, Any]:
    """The spec of the steps before an image is measured. Raises SpecError or PluginError."""
    spec: dict[str, Any] = {"image": [{"resize": {"size": arguments.size}}] if arguments.size else []}
    if arguments.spec:
        from augreg.pipeline import Pipeline
        from augreg.spec.one_view import check_one_view

        pipe = Pipeline.from_spec(arguments.spec)
        check_one_view(pipe, "augreg stats", INSTEAD)
        spec = pipe.to_spec()
        spec["image"] = _before_normalize(spec["image"])[0]
    if arguments.channels:
        spec["channels"] = arguments.channels
    return {**spec, "output": "numpy"}


def _before_normalize(steps: list[Any]) -> tuple[list[Any], bool]:
    """The steps before normalize, which may be inside `sequential`; and whether there is a normalize."""
    before: list[Any] = []
    for step in steps:
        ((name, arguments),) = step.items()
        if name == "normalize":
            return before, True
        if name == "sequential":
            inner, reached = _before_normalize(arguments["steps"])
            before.append({name: {**arguments, "steps": inner}})
            if reached:
                return before, True
        else:
            before.append(step)
    return before, False


def _collect(
    job: Count, total: Counts | MeanImage, sources: list[Any], arguments: argparse.Namespace
) -> Iterator[tuple[str, str]]:
    """Add all images to `total`, and yield the key of each one that failed, with the reason."""
    processes = min(arguments.processes or parallel.processors(), len(sources))
    with progress("images", len(sources), arguments.quiet) as bar:
        for source, value, failure, _ in parallel.run(job, sources, processes):
            if not failure:
                try:
                    total.add(value)
                except ImageError as error:
                    failure = str(error)
            if failure:
                yield source.key, failure.removeprefix(f"{printable(source.path)}: ")
            bar.update()


def _print_statistics(total: Any, out: Path | None) -> None:
    import json

    if out is not None:
        print_lines(f"wrote the mean of {total.images} images to {out}")
        print(f"- normalize: {{mean_image: {json.dumps(str(out))}}}")  # a JSON string is valid YAML
        return
    mean, std = total.mean_and_std()
    print(f"{total.images} image{'s' * (total.images != 1)}, {total.pixels} pixels")
    print("mean", *(f"{value:.6f}" for value in mean))
    print("std ", *(f"{value:.6f}" for value in std))
    if min(std) < 1e-6:
        print_error("a channel has the same value everywhere, so its standard deviation is 0; the line uses 1")
    shown = [f"{value:.6g}" if value >= 1e-6 else "1.0" for value in std]
    print(f"- normalize: {{mean: [{', '.join(f'{value:.6g}' for value in mean)}], std: [{', '.join(shown)}]}}")
