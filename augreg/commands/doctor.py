"""`augreg doctor`: reports what is wrong with an installation or with data loaders, and how to fix it."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Mapping
from typing import Any

from augreg.commands import installation
from augreg.commands.apply import positive
from augreg.commands.console import USAGE, print_error
from augreg.commands.imported_functions import imported_function, module_and_function
from augreg.commands.progress import stages
from augreg.errors import printable

__all__ = ["add", "run"]

_FOUND = 1
_OPTIONS = ("classes", "pipeline", "ignore_index")


def add(commands: Any) -> None:
    """Add the command: alone it examines the installation, its subcommands examine other things."""
    doctor = commands.add_parser(
        "doctor",
        help="report what is wrong with plugins or data loaders, and how to fix it",
        description="Without a subcommand: list what is installed, and how to fix plugins that failed. The exit code "
        "is 0 if no plugin failed, and 1 otherwise.",
    )
    doctor.add_argument("--json", action="store_true", help="print the report as JSON")
    doctor.set_defaults(run=installation.run)
    subparsers = doctor.add_subparsers(title="subcommands", metavar="COMMAND")
    parser = subparsers.add_parser(
        "loader",
        help="examine data loaders: repeated draws, random validation, pixel values, labels",
        description="Run samples through torch DataLoaders and report what is wrong. FUNCTION returns a DataLoader, "
        "a pair (train, validation), a triple with a test loader, a Lightning DataModule, or a mapping with train, "
        "validation, test, classes, pipeline, ignore_index. The exit code is 0 if there are no findings, or only "
        "notes, and 1 otherwise.",
    )
    parser.add_argument("source", metavar="MODULE:FUNCTION", help="imported with the current folder on the path")
    parser.add_argument("--samples", metavar="N", type=positive, default=256, help="number of images (256)")
    parser.add_argument("--epochs", metavar="N", type=positive, default=2, help="number of epochs to compare (2)")
    parser.add_argument(
        "--time-limit",
        metavar="SECONDS",
        type=positive_seconds,
        help="report what was examined until then (no limit)",
    )
    parser.add_argument("--quiet", action="store_true", help="show no progress")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.set_defaults(run=run, usage_error=parser.error)


def positive_seconds(text: str) -> float:
    """A number of seconds above 0. Raises ArgumentTypeError for another text."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a number of seconds above 0, got {text!r}")
    return seconds


def run(arguments: argparse.Namespace) -> int:
    """Print the report. Return 0 if there are only notes, 1 if there are other findings, 2 for invalid arguments."""
    module, function = module_and_function(arguments, "loaders")
    from augreg.doctor import examination
    from augreg.doctor.findings import Findings, guarded

    with contextlib.redirect_stdout(sys.stderr):  # keep the output of the user's code out of the report
        make = imported_function(module, function)
        if make is None:
            return USAGE
        findings = Findings()
        made = guarded(findings, "both", f"{arguments.source}()", make)
        report = findings.report()
        if report.ok:
            try:
                with stages(arguments.quiet) as progress:
                    report = examination.loader(
                        **_loaders(made),
                        samples=arguments.samples,
                        epochs=arguments.epochs,
                        time_limit=arguments.time_limit,
                        progress=progress,
                    )
            except (TypeError, ValueError, ImportError) as error:
                print_error(f"{arguments.source}: {error}")
                return USAGE
    if arguments.json:
        import json

        print(json.dumps(report.as_dict(), indent=2))
    else:
        print(printable(report, lines=True))
    return 0 if report.ok else _FOUND


def _loaders(made: Any) -> dict[str, Any]:
    """The arguments of `augreg.doctor.loader`. Raises ValueError for a wrong mapping or tuple."""
    if isinstance(made, Mapping):
        from augreg.doctor.unwrapping import SIDE_NAMES

        names = SIDE_NAMES | {name: name for name in _OPTIONS}
        unknown = [name for name in made if name not in names]
        if unknown:
            raise ValueError(f"the mapping has {unknown[0]!r}; expected names from {', '.join(names)}")
        return {names[name]: value for name, value in made.items()}
    if isinstance(made, tuple | list):
        if len(made) not in (2, 3):
            raise ValueError(f"expected (train, validation) or (train, validation, test), got {len(made)} values")
        return dict(zip(("train", "validation", "test"), made, strict=False))
    return {"train": made}
