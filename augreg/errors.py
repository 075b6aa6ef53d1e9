"""The errors that augreg raises on purpose.

AugregError
├── SpecError      a spec, or an argument of a step, is wrong (also a ValueError)
├── PluginError    a plugin is missing, broken, or clashes with another
└── ImageError     an image cannot be taken, or a step cannot be applied to it (also a ValueError)
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

__all__ = ["AugregError", "ImageError", "PluginError", "Problem", "SpecError"]


class AugregError(Exception):
    """Base of everything that augreg raises on purpose."""


class Problem(NamedTuple):
    """One thing that is wrong in a spec: where, and what."""

    path: str
    message: str
    file: str | None = None
    line: int | None = None

    def __str__(self) -> str:
        place = self.file or ""
        if place and self.line is not None:
            place += f":{self.line}"
        return ": ".join(part for part in (place, self.path, self.message) if part)


class SpecError(AugregError, ValueError):
    """A spec is wrong. `problems` lists everything that is, each with its path, file and line."""

    def __init__(self, problems: Iterable[Problem] | str, message: str | None = None) -> None:
        if isinstance(problems, str):
            problems = [Problem(problems, message) if message is not None else Problem("", problems)]
        self.problems: tuple[Problem, ...] = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))

    def __reduce__(self) -> tuple[type[SpecError], tuple[tuple[Problem, ...]]]:
        return type(self), (self.problems,)


class PluginError(AugregError):
    """A plugin is missing, does not import, or clashes with another."""


class ImageError(AugregError, ValueError):
    """An image cannot be taken as it is; says which image and why."""
