"""What commands tell people: on stderr, so that stdout holds nothing but data."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from augreg.errors import AugregError, Problem, SpecError

__all__ = ["FAILED", "INVALID", "USAGE", "aligned", "print_error", "report", "unreadable"]

INVALID = 1
FAILED = 1
USAGE = 2


def print_error(*lines: object) -> None:
    """Print lines to stderr."""
    for line in lines:
        print(line, file=sys.stderr)


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines whose columns stand under each other."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def unreadable(source: str) -> int:
    """Exit code 2, said why, for what is neither a preset nor a file that can be read; else 0."""
    from augreg.registry.registry import Registry
    from augreg.spec.files import presets, read

    if source in presets() or source in Registry.installed().presets:
        return 0
    try:
        Path(source).open("rb").close()
    except FileNotFoundError:
        try:
            read(source, Registry.installed())  # names the nearest preset, or the plugin that is missing
        except SpecError as error:
            print_error(error)
    except (OSError, ValueError) as error:
        print_error(f"{source}: cannot be read: {error.strerror if isinstance(error, OSError) else error}")
    else:
        return 0
    return USAGE


def report(source: str, error: AugregError) -> int:
    """Print every problem with a spec, each with its file; returns the exit code."""
    problems = error.problems if isinstance(error, SpecError) else (Problem("", str(error)),)
    for problem in problems:
        known = problem.file or problem.path == source  # what the reader says of a file has its name for a path
        print_error(problem if known else problem._replace(file=source))
    return INVALID
