"""Whether the previews of a step go from weak to strong: where numbers rule its strength."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from itertools import pairwise
from typing import Any

from augreg.steps.fields import plain, plain_default, required

__all__ = ["title_of"]


def title_of(previews: Sequence[Mapping[str, Any]], cls: Any) -> str:
    """What several previews of a step are: "weak to strong", or "examples"; empty for fewer than two.

    They go from weak to strong if all arguments in which they differ are numbers, or pairs of numbers, that rise or
    fall from one preview to the next, on one side of 0, and of 1 if it is a `scale`.
    """
    if len(previews) < 2:
        return ""
    usual = {field.name: plain(plain_default(field)) for field in fields(cls) if field.init and not required(field)}
    whole = [{**usual, **preview} for preview in previews]
    names = {name for one in whole for name in one}
    columns = {name: [one.get(name) for one in whole] for name in sorted(names)}
    varied = {name: values for name, values in columns.items() if any(value != values[0] for value in values)}
    return "weak to strong" if all(_ruled(name, values) for name, values in varied.items()) else "examples"


def _ruled(name: str, values: Sequence[Any]) -> bool:
    """Whether these values of an argument are numbers in order, on one side of what changes nothing."""
    pairs = [value if isinstance(value, list | tuple) else [value] for value in values]
    if any(isinstance(item, bool) or not isinstance(item, int | float) for pair in pairs for item in pair):
        return False
    middles = [sum(pair) / len(pair) for pair in pairs]
    neutral = 1.0 if name == "scale" else 0.0
    one_side = len({middle > neutral for middle in middles if middle != neutral}) < 2
    ordered = all(a < b for a, b in pairwise(middles)) or all(a > b for a, b in pairwise(middles))
    return ordered and one_side
