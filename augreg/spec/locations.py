"""Where a problem of a spec is: its path in messages, and its line in the file."""

from __future__ import annotations

from collections.abc import Container, Mapping

from augreg.errors import Problem
from augreg.steps.fields import brief
from augreg.steps.step import Location

__all__ = ["path_of", "with_lines"]


def with_lines(
    problems: list[tuple[Location, Problem]], name: str | None, lines: Mapping[Location, int], changes: Container[str]
) -> list[Problem]:
    """The problems with file and line, in the order of the file; those of `changes` are not in the file."""
    result = []
    for location, problem in problems:
        if location and location[0] in changes:
            result.append(problem)
            continue
        while location and location not in lines:  # what is missing has no line: take that of its parent
            location = location[:-1]
        result.append(problem._replace(file=name, line=lines.get(location) if name else None))
    return sorted(result, key=lambda problem: problem.line or 0)


def path_of(location: Location) -> str:
    """A location as messages show it, such as `image[2].rotate.degrees`."""
    text = ""
    for part in location:
        text += f"[{brief(part)}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text
