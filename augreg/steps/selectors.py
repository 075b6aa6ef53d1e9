"""The field `at` of regularizers: selects modules and parameters of a model by name pattern, type name or both.

    at: classifier.*                        names; `*` matches anything without a dot, `**` anything
    at: {type: Conv2d}                      types, by the name of the class or of a base class
    at: {name: layer*.**, type: [Conv2d]}   both must match
    at: [stem, {type: Linear}]              one of these must match

Selectors contain only names, so specs can be read without torch.
"""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias

from msgspec import Meta

from augreg.steps.fields import Converted, Shorthand

_LONGEST = 200  # of a pattern for which similar names are looked for

__all__ = ["At", "Selector", "listed", "nearest_names", "selects"]


@dataclass(frozen=True)
class Selector:
    """A name pattern, and type names of which one must match; no type name means any type."""

    name: str = "**"
    type: tuple[str, ...] = ()

    def __str__(self) -> str:
        name = _shortened(self.name) if self.name else "''"
        return f"{name} of type {_shortened(' or '.join(self.type))}" if self.type else name


def listed(at: Iterable[Selector], between: str = ", ") -> str:
    """The selectors for a message; of many, the first five."""
    shown = [*map(str, at)]
    more = [f"{len(shown) - 5} more"] if len(shown) > 5 else []
    return between.join(shown[:5] + more)


def _shortened(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:77]}..."


def _selectors(value: Any) -> Any:
    items = [value] if isinstance(value, str | Mapping) else value
    return [_selector(item) for item in items] if isinstance(items, list | tuple) else items


def _selector(value: Any) -> Any:
    if isinstance(value, str):
        return {"name": value}
    if isinstance(value, Mapping):
        unknown = sorted(set(map(str, value)) - {"name", "type"})
        if unknown:
            raise ValueError(f"a selection takes 'name' and 'type', got {unknown[0]!r}")
        return {**value, "type": [value["type"]]} if isinstance(value.get("type"), str) else value
    return value


At: TypeAlias = Annotated[
    Annotated[Converted[tuple[Selector, ...]], Meta(min_length=1)],
    Shorthand(_selectors, "name pattern, {name: pattern, type: class names}, or a list of these"),
]
"""Selects modules or parameters."""


def selects(at: Iterable[Selector], name: str, types: Iterable[str]) -> bool:
    """Whether one of the selectors matches an object with this name and these type names."""
    known = frozenset(types)
    return any(
        (not selector.type or not known.isdisjoint(selector.type)) and _matches(selector.name, name)
        for selector in at
    )


@functools.lru_cache(maxsize=1 << 16)  # penalties ask for the same names at every step
def _matches(pattern: str, name: str) -> bool:
    """Whether a pattern matches a whole name, in one pass over the name, without going back.

    Bit i of `reached` says that the first i parts of the pattern match what was read so far. A regular expression
    would try every way in which several stars can share a name.
    """
    literal, within, any_, length = _parts(pattern)
    stars = within | any_
    reached = 1 | (1 & stars) << 1
    for character in name:
        staying = any_ if character == "." else stars
        reached = (reached & literal.get(character, 0)) << 1 | reached & staying
        reached |= (reached & stars) << 1  # a star may match nothing
        if not reached:
            return False
    return bool(reached >> length & 1)


@functools.lru_cache(maxsize=256)
def _parts(pattern: str) -> tuple[dict[str, int], int, int, int]:
    """Where the parts of a pattern are, as bits: each character, `*`, and `**` or more; and how many parts it has."""
    literal: dict[str, int] = {}
    stars = {"*": 0, "**": 0}
    parts = re.findall(r"\*+|[^*]", pattern)
    for place, part in enumerate(parts):
        if part[0] == "*":
            stars[part[:2]] |= 1 << place
        else:
            literal[part] = literal.get(part, 0) | 1 << place
    return literal, stars["*"], stars["**"], len(parts)


def nearest_names(at: Iterable[Selector], names: Iterable[str], count: int = 5) -> list[str]:
    """The names most similar to the patterns, for the error message if nothing is selected."""
    known = sorted(names)
    pattern = " ".join(selector.name.replace("*", "") for selector in at)[:_LONGEST]
    return difflib.get_close_matches(pattern, known, n=count, cutoff=0.3) or known[:count]
