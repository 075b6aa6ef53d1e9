"""Ranges that follow the results: wider where the best trials lie at a border, and narrower for a finer search.

A border counts only if the good trials lean to it: of a parameter that does not matter, the best trial lies at a
border now and then by chance.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from augreg.recipe.search.paths import refusal
from augreg.recipe.search.space import Choice, Parameter, Range, Space
from augreg.recipe.task import Task

__all__ = ["Border", "borders", "good_trials", "narrowed", "widened"]

_EDGE = 1 / 8  # of the range, in which the best trial lies
_LEANS = 1 / 3  # of the range, in which the mean of the good trials lies
_GOOD = 4  # the best fourth
_FEWEST = 3
_DECADE = 10.0
_NARROW = 0.3  # of the range, at least
_WIDE = 0.8  # of the range: what is wider than this is kept whole

Row = Mapping[str, Any]
"""A trial as plain data: its `parameters`, its `value`, None if it failed, and its validation `loss`."""


@dataclass(frozen=True)
class Border:
    """A parameter whose best values lie at an end of its range. `part` is the range to add; None if there is none."""

    end: Literal["low", "high"]
    part: Range | None


def good_trials(trials: Sequence[Row], maximize: bool) -> list[Row]:
    """The best fourth of the complete trials, and at least three, the best first; of equal ones by their losses."""
    done = [trial for trial in trials if trial["value"] is not None and trial["state"] == "complete"]
    done.sort(key=lambda trial: (-trial["value"] if maximize else trial["value"], trial.get("loss") or 0.0))
    return done[: max(_FEWEST, math.ceil(len(done) / _GOOD))]


def borders(task: Task, space: Space, best: Row, good: Sequence[Row]) -> dict[str, Border]:
    """The parameters whose best values lie at a border, with the range to add there, if the task takes its values."""
    found = {}
    for path, each in space.items():
        if isinstance(each, Choice):
            continue
        at = each.unit(best["parameters"][path])
        middle = sum(each.unit(trial["parameters"][path]) for trial in good) / len(good)
        if at < _EDGE and middle < _LEANS:
            found[path] = Border("low", _beyond(task, path, each, -1))
        elif at > 1 - _EDGE and middle > 1 - _LEANS:
            found[path] = Border("high", _beyond(task, path, each, 1))
    return found


def widened(space: Space, found: Mapping[str, Border]) -> Space:
    """The space with the parts beyond the borders in place of the ranges that end there."""
    return {path: (found[path].part or each) if path in found else each for path, each in space.items()}


def narrowed(space: Space, best: Row, good: Sequence[Row]) -> tuple[Space, dict[str, Any]]:
    """The space around the best and the other good trials, and the values of choices that need no search any more.

    A range keeps at least 0.3 of its width, or of its decades.
    """
    small: dict[str, Parameter] = {}
    fixed: dict[str, Any] = {}
    for path, each in space.items():
        values = [trial["parameters"][path] for trial in (best, *good)]
        if isinstance(each, Range):
            small[path] = _around(each, values)
            continue
        kept = tuple(value for value in each.values if value in values)
        if len(kept) > 1:
            small[path] = Choice(kept)
        else:
            fixed[path] = best["parameters"][path]
    return small, fixed


def _around(each: Range, values: Sequence[float]) -> Range:
    units = [each.unit(value) for value in values]
    low = max(0.0, min(*units, units[0] - _NARROW / 2))
    high = min(1.0, max(*units, units[0] + _NARROW / 2))
    if high - low > _WIDE or each.value(low) >= each.value(high):
        return each
    return Range(each.value(low), each.value(high), each.log, each.integer)


def _beyond(task: Task, path: str, each: Range, side: Literal[-1, 1]) -> Range | None:
    """The range to add at one end: a decade, or half the width, or as much of it as the task takes."""
    inner = each.high if side > 0 else each.low
    for part in (1.0, 0.5, 0.2):
        outer = inner * _DECADE ** (side * part) if each.log else inner + side * part * (each.high - each.low) / 2
        outer = float(f"{outer:.6g}")
        if not each.log and inner >= 0 > outer:
            outer = 0.0
        if each.integer:
            outer = round(outer)
        if outer != inner and not refusal(task, path, outer):
            return Range(min(inner, outer), max(inner, outer), each.log, each.integer)
    return None
