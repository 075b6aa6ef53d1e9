"""The numbers in the text of a spec: where each of them is, and the range of a slider for it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

import yaml

from augreg.gallery.live.nodes import nodes_of
from augreg.gallery.live.schema_walk import Schema, forms_at
from augreg.spec.locations import path_of

__all__ = ["Number", "numbers_in"]

_MOST = 60
_NUMBER = re.compile(r"[-+]?(?:\.\d+|\d+(?:\.\d*)?)(?:[eE][-+]?\d+)?")
_LEFT_OUT = ("version", "$schema")
_WIDE = 10.0  # bounds this many times as far apart as the value is large are no range for a slider


class Number(NamedTuple):
    """A number: its path in messages, its place in the text from `start` to `end`, and the range of its slider."""

    path: str
    start: int
    end: int
    value: float
    low: float
    high: float
    step: float


def numbers_in(text: str, schema: Schema) -> list[Number]:
    """The numbers of a spec in YAML or JSON, in their order; empty for other text."""
    root = nodes_of(text)
    return [] if root is None else [*islice(_numbers(root, (), schema, set()), _MOST)]


def _numbers(node: yaml.Node, location: tuple[str | int, ...], schema: Schema, seen: set[int]) -> Iterator[Number]:
    if id(node) in seen or location[:1] in [(name,) for name in _LEFT_OUT]:
        return  # an alias is a number once, where it is written
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield from _numbers(item, (*location, index), schema, seen)
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                yield from _numbers(value, (*location, key.value), schema, seen)
    elif isinstance(node, yaml.ScalarNode) and node.style is None and _NUMBER.fullmatch(node.value):
        value = float(node.value)
        if math.isfinite(value):
            low, high, step = _range(value, node.value, forms_at(schema, location))
            yield Number(path_of(location), node.start_mark.index, node.end_mark.index, value, low, high, step)


def _range(value: float, text: str, forms: Sequence[Schema]) -> tuple[float, float, float]:
    """The lowest and the highest value of a slider, and its step: the bounds of the schema, where it has some."""
    numeric = [form for form in forms if {"number", "integer"} & set(_types(form))]
    form: dict[str, Any] = numeric[0] if numeric else {}
    whole = bool(numeric) and all("number" not in _types(one) for one in numeric)
    span = max(10.0 if whole else 1.0, 2.0 * abs(value))
    low = form.get("minimum", form.get("exclusiveMinimum"))
    high = form.get("maximum", form.get("exclusiveMaximum"))
    low = (0.0 if value > 0 else -span) if low is None or low < -_WIDE * span else float(low)
    high = span if high is None or high > _WIDE * span else float(high)
    low, high = min(low, value), max(high, value)
    step = 1.0 if whole else 10.0 ** math.floor(math.log10(max(high - low, 1e-9) / 100.0))
    if low == form.get("exclusiveMinimum"):
        low += step
    if high == form.get("exclusiveMaximum"):
        high -= step
    return low, high, step


def _types(form: Schema) -> list[str]:
    types = form.get("type", ())
    return [types] if isinstance(types, str) else list(types)
