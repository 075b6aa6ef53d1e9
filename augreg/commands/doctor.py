"""`augreg doctor`: what is wrong with an installation, or with data loaders, and what to do about it."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from augreg.commands import installation
from augreg.commands.apply import positive
from augreg.commands.console import USAGE, print_error

__all__ = ["add", "run"]

_FOUND = 1
_NAMES = {name: name for name in ("train", "validation", "classes", "pipeline")} | {"val": "validation"}


def add(commands: Any) -> None:
    """Declare the command: by itself it examines what is installed, and its sub-commands other things."""
    doctor = commands.add_parser(
        "doctor",
        help="say what is wrong with plugins or data loaders, and what to do about it",
        description="By itself: what is installed, and what mends the plugins that failed. The exit code is 0 if all "
        "is well and 1 if a plugin failed.",
    )
    doctor.add_argument("--json", action="store_true", help="as JSON")
    doctor.set_defaults(run=installation.run)
    patients = doctor.add_subparsers(title="what else is examined", metavar="WHAT")
    parser = patients.add_parser(
        "loader",
        help="data loaders: repeated draws, random validation, wrong levels, labels",
        description="Run samples through your own torch DataLoaders and report what is wrong. FUNCTION returns a "
        "DataLoader, a pair (train, validation), or a mapping with train, validation, classes, pipeline. The exit "
        "code is 0 if all is well, notes apart, and 1 if something was found.",
    )
    parser.add_argument("source", metavar="MODULE:FUNCTION", help="imported from the current folder")
    parser.add_argument("--samples", metavar="N", type=positive, default=256, help="how many images (256)")
    parser.add_argument("--epochs", metavar="N", type=positive, default=2, help="how many epochs are compared (2)")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.set_defaults(run=run, usage_error=parser.error)


def run(arguments: argparse.Namespace) -> int:
    """Print the report. 0 if nothing was found but notes, 1 if something was, 2 for a wrong call."""
    module, colon, function = arguments.source.partition(":")
    if not (module and colon and function):
        arguments.usage_error(f"{arguments.source!r}: expected MODULE:FUNCTION, such as train:loaders")
    from augreg.doctor import examination
    from augreg.doctor.findings import Findings, guarded

    with contextlib.redirect_stdout(sys.stderr):  # what the user's code prints is no data of ours
        make = _function(module, function)
        if make is None:
            return USAGE
        findings = Findings()
        made = guarded(findings, "both", f"{arguments.source}()", make)
        report = findings.report()
        if report.ok:
            try:
                given = _loaders(made)
                report = examination.loader(**given, samples=arguments.samples, epochs=arguments.epochs)
            except (TypeError, ValueError, ImportError) as error:
                print_error(f"{arguments.source}: {error}")
                return USAGE
    if arguments.json:
        import json

        print(json.dumps(report.as_dict(), indent=2))
    else:
        print(report)
    return 0 if report.ok else _FOUND


def _function(module: str, function: str) -> Any:
    """The function, from a module of the current folder or an installed one; None, with the reason said."""
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)  # and it stays: workers that are spawned import from there too
    try:
        found: Any = importlib.import_module(module)
    except Exception as error:  # whatever the user's module raises
        print_error(f"{module}: cannot be imported: {type(error).__name__}: {error}")
        return None
    for name in function.split("."):
        found = getattr(found, name, None)
    if not callable(found):
        print_error(f"{module}: has no function {function!r}")
        return None
    return found


def _loaders(made: Any) -> dict[str, Any]:
    """The arguments of `augreg.doctor.loader`. Raises TypeError or ValueError for what holds no loaders."""
    if isinstance(made, Mapping):
        unknown = [name for name in made if name not in _NAMES]
        if unknown:
            raise ValueError(f"the mapping has {unknown[0]!r}; expected names from {', '.join(_NAMES)}")
        return {_NAMES[name]: value for name, value in made.items()}
    if isinstance(made, tuple | list):
        if len(made) != 2:
            raise ValueError(f"expected a pair (train, validation), got {len(made)} values")
        return {"train": made[0], "validation": made[1]}
    return {"train": made}
