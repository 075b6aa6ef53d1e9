"""Messages of the commands. They go to stderr, so that stdout carries only data."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from augreg.errors import AugregError, Problem, SpecError, printable
from augreg.images.files import read_file

if TYPE_CHECKING:
    from augreg.sharding.state import Failures

__all__ = [
    "FAILED", "INSTEAD", "INVALID", "USAGE", "align_columns", "check_readable", "print_error", "print_failures",
    "print_lines", "print_problems",
]  # fmt: skip

INVALID = 1
FAILED = 1
USAGE = 2
INSTEAD = "write the spec of one, which is {}.to_spec() in Python"
"""What to do about a spec of several views, for commands that take one image."""


def print_error(*lines: object) -> None:
    """Print lines to stderr, what is not printable in them escaped. The problems of a SpecError are lines."""
    for line in lines:
        for text in line.problems if isinstance(line, SpecError) else (line,):
            print(printable(str(text).rstrip()), file=sys.stderr)


def print_failures(failures: Failures, what: str) -> None:
    """Print how many there are of what failed, and why the first of them did."""
    if failures.count:
        print_error(f"{failures.count} {what}:")
        print_error(*(f"  {key}: {reason}" for key, reason in failures.first.items()))
        if failures.count > len(failures.first):
            print_error(f"  and {failures.count - len(failures.first)} more")


def print_lines(*lines: object) -> None:
    """Print lines to stdout, what is not printable in them escaped."""
    for line in lines:
        print(printable(line))


def align_columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Format rows of cells as lines with aligned columns; what is not printable is escaped."""
    rows = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def check_readable(source: str) -> int:
    """Return 0 if a spec is a preset or a readable file; otherwise print why not and return exit code 2."""
    from augreg.registry.registry import Registry
    from augreg.spec.files import presets, read

    if source in presets() or source in Registry.installed().presets:
        return 0
    try:
        read_file(source)
    except FileNotFoundError:
        try:
            read(source, Registry.installed())  # raises: names a similar preset or the missing plugin
        except SpecError as error:
            print_error(error)
    except (OSError, ValueError) as error:
        print_error(f"{source}: cannot be read: {error.strerror if isinstance(error, OSError) else error}")
    else:
        return 0
    return USAGE


def print_problems(source: str, error: AugregError) -> int:
    """Print every problem of a spec, each with its file, and return the exit code."""
    problems = error.problems if isinstance(error, SpecError) else (Problem("", str(error)),)
    for problem in problems:
        names_file = problem.file or problem.path == source  # an error about the file itself has its name as path
        print_error(problem if names_file else problem._replace(file=source))
    return INVALID
