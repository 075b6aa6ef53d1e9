"""The field `at` of regularizers: selects modules and parameters of a model by name pattern, type name or both.

    at: classifier.*                        names; `*` matches anything without a dot, `**` anything
    at: {type: Conv2d}                      types, by the name of the class or of a base class
    at: {name: layer*.**, type: [Conv2d]}   both must match
    at: {type: Linear, not: head}           all but what `not` selects, and everything in it
    at: [stem, {type: Linear}]              one of these must match

Selectors contain only names, so specs can be read without torch.
"""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeAlias

from msgspec import Meta

from augreg.steps.fields import Converted, Shorthand
from augreg.steps.wording import shortened

__all__ = ["At", "Named", "Selector", "around", "listed", "nearest_names", "selects", "without_match"]

_LONGEST = 200  # of a pattern for which similar names are looked for
Named: TypeAlias = tuple[str, Iterable[str]]
"""A module or parameter as selectors see it: its name, and the names of its class and base classes."""


@dataclass(frozen=True)
class Selector:
    """A name pattern, and type names of which one must match; no type name means any type.

    It does not select what a selector in `exclude` matches, nor anything in that. A spec says `not` for `exclude`.
    """

    name: str = "**"
    type: tuple[str, ...] = ()
    exclude: tuple[Selector, ...] = field(default=(), metadata={"key": "not", "optional": True})

    def __str__(self) -> str:
        text = shortened(self.name) if self.name else "''"
        text = f"{text} of type {shortened(_either(self.type))}" if self.type else text
        return f"{text}, not {' or '.join(map(str, self.exclude))}" if self.exclude else text


def listed(at: Iterable[Selector], between: str = ", ") -> str:
    """The selectors for a message; of many, the first five."""
    shown = [*map(str, at)]
    more = [f"{len(shown) - 5} more"] if len(shown) > 5 else []
    return between.join(shown[:5] + more)


def _either(names: tuple[str, ...], most: int = 8) -> str:
    more = [f"{len(names) - most + 1} more"] if len(names) > most else []
    return " or ".join([*names[: most - 1 if more else most], *more])


def _selectors(value: Any, keys: tuple[str, ...] = ("name", "type", "not")) -> Any:
    items = [value] if isinstance(value, str | Mapping) else value
    return [_selector(item, keys) for item in items] if isinstance(items, list | tuple) else items


def _selector(value: Any, keys: tuple[str, ...]) -> Any:
    if isinstance(value, str):
        return {"name": value}
    if isinstance(value, Mapping):
        unknown = sorted(set(map(str, value)) - set(keys))
        if unknown:
            where = "a selection" if "not" in keys else "what stands after 'not'"
            known = f"{', '.join(map(repr, keys[:-1]))} and {keys[-1]!r}"
            raise ValueError(f"{where} takes {known}, got {unknown[0]!r}")
        result = {key: item for key, item in value.items() if key != "not"}
        if isinstance(value.get("type"), str):
            result["type"] = [value["type"]]
        if value.get("not") is not None:
            result["exclude"] = _left_out(value["not"])
        return result
    return value


def _left_out(value: Any) -> Any:
    """The selectors after `not`. They are checked here, where the error can say `not`, as the spec does."""
    result = _selectors(value, ("name", "type"))
    items = result if isinstance(result, list) else [result]
    for item in items:
        types = item.get("type", []) if isinstance(item, Mapping) else None
        names = [item.get("name", ""), *types] if isinstance(types, list | tuple) else [None]
        if not all(isinstance(name, str) for name in names):
            raise ValueError(
                f"'not' takes a name pattern, {{name: pattern, type: class names}}, or a list of these, got {value!r}"
            )
    return items


At: TypeAlias = Annotated[
    Annotated[Converted[tuple[Selector, ...]], Meta(min_length=1)],
    Shorthand(_selectors, "name pattern, {name: pattern, type: class names, not: the same}, or a list of these"),
]
"""Selects modules or parameters."""


def selects(
    at: Iterable[Selector], name: str, types: Iterable[str], within: Callable[[], Iterable[Named]] = tuple
) -> bool:
    """Whether one of the selectors matches an object with this name and these type names.

    `within` gives the modules that contain the object; it is called only if a selector excludes something.
    """
    known = frozenset(types)
    return any(
        _matches_both(selector, name, known)
        and not (selector.exclude and _excluded(selector.exclude, name, known, within()))
        for selector in at
    )


def _matches_both(selector: Selector, name: str, types: frozenset[str]) -> bool:
    return (not selector.type or not types.isdisjoint(selector.type)) and _matches(selector.name, name)


def _excluded(exclude: tuple[Selector, ...], name: str, types: frozenset[str], within: Iterable[Named]) -> bool:
    candidates = [(name, types), *((outer, frozenset(names)) for outer, names in within if outer)]
    return any(_matches_both(selector, *candidate) for selector in exclude for candidate in candidates)


def around(name: str, types: Mapping[str, Iterable[str]]) -> list[Named]:
    """The modules that contain a module, by its name; `types` has the types of all modules of the model by name."""
    parts = name.split(".")[:-1]
    outer = [".".join(parts[:depth]) for depth in range(len(parts), 0, -1)]
    return [(prefix, types[prefix]) for prefix in outer if prefix in types]


def without_match(at: Iterable[Selector], known: Iterable[Named]) -> list[str]:
    """An error for each selector after `not` that matches nothing: most likely it is misspelled."""
    named = [(name, frozenset(types)) for name, types in known if name]
    errors = []
    for selector in [excluded for each in at for excluded in each.exclude]:
        if any(_matches_both(selector, name, types) for name, types in named):
            continue
        near = nearest_names([selector], [name for name, _ in named])
        if selector.type:
            near = difflib.get_close_matches(selector.type[0], sorted(set().union(*(t for _, t in named))), 5, 0.3)
        errors.append(f"not: {selector} excludes nothing; nearest: {', '.join(near) or 'none'}")
    return errors


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
