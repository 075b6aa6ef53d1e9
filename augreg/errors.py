"""The errors of augreg.

AugregError
├── SpecError      a spec, or an argument of a step, is wrong (also a ValueError)
├── PluginError    a plugin is missing, cannot be loaded, or conflicts with another
└── ImageError     an image cannot be read, or a step cannot be applied to it (also a ValueError)
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

__all__ = ["AugregError", "ImageError", "PluginError", "Problem", "SpecError", "printable"]


def printable(text: object, lines: bool = False) -> str:
    """Text from outside for a message or a terminal: line ends and all else that does not print are escaped.

    So the name of a file can neither forge a line nor steer a terminal. With `lines`, line ends are kept: for text
    that has several lines of its own.
    """
    text = str(text)
    if lines:
        return "\n".join(map(printable, text.split("\n")))
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


class AugregError(Exception):
    """Base class of the errors of augreg."""


class Problem(NamedTuple):
    """One problem in a spec: its location and a message."""

    path: str
    message: str
    file: str | None = None
    line: int | None = None

    def __str__(self) -> str:
        file = self.file or ""
        if file and self.line is not None:
            file += f":{self.line}"
        return printable(": ".join(part for part in (file, self.path, self.message) if part))


class SpecError(AugregError, ValueError):
    """A spec is wrong. `problems` lists all problems in it, each with its path, file and line."""

    def __init__(self, problems: Iterable[Problem] | str, message: str | None = None) -> None:
        if isinstance(problems, str):
            problems = [Problem(problems, message) if message is not None else Problem("", problems)]
        self.problems: tuple[Problem, ...] = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))

    def __reduce__(self) -> tuple[type[SpecError], tuple[tuple[Problem, ...]]]:
        return type(self), (self.problems,)


class PluginError(AugregError):
    """A plugin is missing, cannot be loaded, or conflicts with another."""


class ImageError(AugregError, ValueError):
    """An image cannot be read or used; the message says which image and why."""
