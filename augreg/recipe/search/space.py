"""The space of a search: for each parameter a range of numbers, even on a linear or a log scale, or a few choices.

    {"learning_rate": "log [1e-4, 1e-1]", "model[0].dropout.p": [0.0, 0.5], "image[1].rand_augment.n": "int [1, 3]"}

Samplers know the unit interval only: `value` maps a number from 0 to 1 to a value, `unit` maps it back.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

__all__ = ["Choice", "Parameter", "Range", "Space", "parameter", "plain_space", "shown"]

_TEXT = re.compile(r"\s*(?P<words>(?:(?:log|int|choice)\s+)*)(?P<items>\[.*\])\s*", re.DOTALL)
_DIGITS = 6
_EXPECTED = "expected [low, high], log [low, high], int [low, high] or choice [a, b, ..]"


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included: even on a log scale with `log`, whole numbers with `integer`."""

    low: float
    high: float
    log: bool = False
    integer: bool = False

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise ValueError(f"expected [low, high] with low < high, got [{self.low:g}, {self.high:g}]")
        if self.log and self.low <= 0:
            raise ValueError(f"expected a low end above 0 on a log scale, got {self.low:g}")
        if self.integer and not (float(self.low).is_integer() and float(self.high).is_integer()):
            raise ValueError(f"expected whole numbers at both ends, got [{self.low:g}, {self.high:g}]")

    def value(self, unit: float) -> float | int:
        """The value at a number from 0 to 1, with six digits."""
        if self.integer and not self.log:  # all whole numbers are equally likely
            return int(min(self.low + math.floor(unit * (self.high - self.low + 1)), self.high))
        if self.log:
            found = math.exp(math.log(self.low) + unit * (math.log(self.high) - math.log(self.low)))
        else:
            found = self.low + unit * (self.high - self.low)
        found = round(found) if self.integer else float(f"{found:.{_DIGITS}g}")
        return type(found)(min(max(found, self.low), self.high))

    def unit(self, value: float) -> float:
        """Where a value lies: below 0 or above 1 if it is outside."""
        if self.integer and not self.log:
            return (value - self.low + 0.5) / (self.high - self.low + 1)
        if not self.log:
            return (value - self.low) / (self.high - self.low)
        if value <= 0:
            return -math.inf
        return (math.log(value) - math.log(self.low)) / (math.log(self.high) - math.log(self.low))

    def as_dict(self) -> dict[str, Any]:
        """Plain data; `parameter` reads it."""
        return {"low": self.low, "high": self.high, "log": self.log, "integer": self.integer}

    def __str__(self) -> str:
        words = f"{'log ' * self.log}{'int ' * self.integer}"
        return f"{words}[{self.low:g}, {self.high:g}]"


@dataclass(frozen=True)
class Choice:
    """One of a few values, all equally likely, which have no order."""

    values: tuple[Any, ...]

    def __post_init__(self) -> None:
        if len(self.values) < 2:
            raise ValueError(f"expected at least two choices, got {list(self.values)!r}")
        if any(value in self.values[:place] for place, value in enumerate(self.values)):
            raise ValueError(f"expected choices that differ, got {list(self.values)!r}")

    def value(self, unit: float) -> Any:
        """The choice at a number from 0 to 1."""
        return self.values[min(int(unit * len(self.values)), len(self.values) - 1)]

    def unit(self, value: Any) -> float:
        """The middle of the part of the unit interval that gives this choice; outside of it for any other value."""
        return (self.values.index(value) + 0.5) / len(self.values) if value in self.values else -math.inf

    def as_dict(self) -> dict[str, Any]:
        """Plain data; `parameter` reads it."""
        return {"choices": list(self.values)}

    def __str__(self) -> str:
        return f"choice [{', '.join(map(str, self.values))}]"


Parameter = Range | Choice
Space = Mapping[str, Parameter]
"""Parameters by path."""


def parameter(given: Any) -> Parameter:
    """A parameter from what a user writes: a list, a text such as "log [1e-4, 0.1]", or the data of `as_dict`.

    A list of two numbers is a range, any other list has choices. Raises ValueError.
    """
    if isinstance(given, Range | Choice):
        return given
    if isinstance(given, Mapping) and set(given) == {"choices"}:
        return Choice(tuple(given["choices"]))
    if isinstance(given, Mapping) and {"low", "high"} <= set(given) <= {"low", "high", "log", "integer"}:
        return Range(**given)
    words: list[str] = []
    if isinstance(given, str):
        found = _TEXT.fullmatch(given)
        if found is None:
            raise ValueError(f"{_EXPECTED}, got {given!r}")
        words = found["words"].split()
        given = _items(found["items"])
    if not isinstance(given, list | tuple):
        raise ValueError(f"{_EXPECTED}, got {given!r}")
    items = [_number(item) for item in given]
    numbers = len(items) == 2 and all(isinstance(item, int | float) and not isinstance(item, bool) for item in items)
    if "choice" in words or (not words and not numbers):
        return Choice(tuple(items))
    if not numbers:
        raise ValueError(f"expected two numbers after {' '.join(words)}, got {given!r}")
    low, high = items
    return Range(low, high, log="log" in words, integer="int" in words)


def plain_space(space: Space) -> dict[str, Any]:
    """A space as plain data, for JSON."""
    return {path: each.as_dict() for path, each in space.items()}


def shown(value: Any) -> str:
    """The value of a parameter as text."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _items(text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        raise ValueError(f"{_EXPECTED}, got {text!r}") from None


def _number(item: Any) -> Any:
    """YAML reads 1e-4 as text."""
    if isinstance(item, str):
        try:
            return float(item)
        except ValueError:
            return item
    return item
