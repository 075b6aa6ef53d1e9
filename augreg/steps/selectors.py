"""Selecting modules and parameters of a model, by name pattern, type name or both: the field `at` of regularizers.

    at: classifier.*                        names; `*` stands for anything but a dot, `**` for anything
    at: {type: Conv2d}                      types, by the name of the class or of one that it derives from
    at: {name: layer*.**, type: [Conv2d]}   both must hold
    at: [stem, {type: Linear}]              any of these

It knows names only, so that specs are read where there is no torch.
"""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias

from msgspec import Meta

from augreg.steps.fields import Shorthand

__all__ = ["At", "Selector", "nearest_names", "selects"]


@dataclass(frozen=True)
class Selector:
    """A name pattern, and the type names of which one must fit; no type name means any type."""

    name: str = "**"
    type: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.name} of type {' or '.join(self.type)}" if self.type else self.name


def _selectors(value: Any) -> Any:
    given = [value] if isinstance(value, str | Mapping) else value
    return [_selector(item) for item in given] if isinstance(given, list | tuple) else given


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
    Annotated[tuple[Selector, ...], Meta(min_length=1)],
    Shorthand(_selectors, "name pattern, {name: pattern, type: class names}, or a list of these"),
]
"""Which modules, or which parameters."""


def selects(at: Iterable[Selector], name: str, types: Iterable[str]) -> bool:
    """Whether one of the selectors takes what has this name, and a type of these names."""
    known = frozenset(types)
    return any(
        (not selector.type or not known.isdisjoint(selector.type)) and _pattern(selector.name).fullmatch(name)
        for selector in at
    )


@functools.lru_cache(maxsize=256)
def _pattern(pattern: str) -> re.Pattern[str]:
    parts = {"**": ".*", "*": r"[^.]*"}
    return re.compile("".join(parts.get(part, re.escape(part)) for part in re.split(r"(\*\*|\*)", pattern)))


def nearest_names(at: Iterable[Selector], names: Iterable[str], most: int = 5) -> list[str]:
    """The names most like the patterns, for the message when nothing was selected."""
    known = sorted(names)
    wanted = " ".join(selector.name.replace("*", "") for selector in at)
    return difflib.get_close_matches(wanted, known, n=most, cutoff=0.3) or known[:most]
