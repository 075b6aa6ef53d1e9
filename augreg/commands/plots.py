"""`augreg plots`: the plots of a lecture on training networks, as SVG files."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from augreg.commands.console import FAILED, USAGE, align_columns, print_error, print_lines
from augreg.inspect.plots.lecture import LECTURE
from augreg.steps.suggestions import nearest

__all__ = ["add", "run"]


def add(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "plots",
        help="draw the plots of a lecture on training networks",
        description="Draw what a lecture on training networks shows (activations, initial weights, dropout, "
        "mixup, ..) with augreg's own steps, each plot as an SVG file. docs/lecture/README.md explains them. It "
        "needs matplotlib and torch.",
    )
    parser.add_argument("names", metavar="NAME", nargs="*", help="the plots to draw (all)")
    parser.add_argument(
        "--out", metavar="DIR", type=Path, help="the folder to write to; it is made if it is not there"
    )
    parser.add_argument("--list", action="store_true", help="print the names and the titles, and draw nothing")
    parser.set_defaults(run=run, usage_error=parser.error)


def run(arguments: argparse.Namespace) -> int:
    """Write the plots and print their paths. Returns 0, 1 if a file cannot be written, 2 without a library."""
    if arguments.list:
        print_lines(*align_columns([(drawing.name, drawing.title) for drawing in LECTURE]))
        return 0
    known = [drawing.name for drawing in LECTURE]
    for name in arguments.names:
        if name not in known:
            arguments.usage_error(f"there is no plot {name!r}{nearest(name, known)}; --list prints their names")
    if arguments.out is None:
        arguments.usage_error("give the folder to write to, --out DIR, or --list")
    out: Path = arguments.out
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        arguments.usage_error(f"--out {out}: {error.strerror}; expected a folder, or the name of a new one")
    for drawing in LECTURE:
        if drawing.name in arguments.names or not arguments.names:
            try:
                print_lines(drawing.save(out))
            except ImportError as error:
                print_error(error)
                return USAGE
            except OSError as error:
                print_error(f"{out / drawing.file}: cannot be written: {error.strerror}")
                return FAILED
    return 0
