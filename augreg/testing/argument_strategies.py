"""Arguments for hypothesis, made from the annotations of registered classes.

A new class is drawn from the day it is registered. What its own `check` refuses is drawn again.
"""

from __future__ import annotations

import functools
import types
import typing
from collections.abc import Collection, Mapping
from dataclasses import fields
from typing import Any, Final, Literal

from msgspec import Meta

from augreg.errors import AugregError
from augreg.pipeline import Pipeline
from augreg.registry.registry import Registry
from augreg.steps.fields import MEANS, STDS, Ordered, convert_one, hints, required, shorthand_of

try:
    from hypothesis import strategies as st
except ImportError as error:
    raise ImportError("strategies need hypothesis: pip install 'augreg[testing]'") from error

__all__ = ["SECTIONS", "Stock", "arguments_from", "reads", "scheduled_now_and_then", "schedules", "values"]

SECTIONS: Final = ("image", "batch", "model", "loss")
_MOST = 24  # sides and borders in the specs, so that no image grows large
_TRIES = 5
_SELECTIONS = (
    "**",
    "layer*.**",
    "classifier.*",
    {"type": "Linear"},
    ["stem", {"name": "*.conv", "type": ["Conv2d"]}],
)


class Stock:
    """What is drawn from: the classes of a registry, or some of them, by section and by name."""

    def __init__(self, registry: Registry, names: Collection[str] | None = None) -> None:
        """`names` are the classes to draw from; without them it is all that load."""
        self.registry = registry
        self.sections: dict[str, dict[str, Any]] = {
            section: {name: cls for name, cls in registry.section(section).items() if names is None or name in names}
            for section in SECTIONS
        }
        self.every: dict[str, Any] = {
            name: cls for section in SECTIONS for name, cls in self.sections[section].items()
        }
        self._previews: dict[str, list[dict[str, Any]]] = {}

    def leaves(self, section: str = "image", kinds: Collection[str] | None = None) -> list[str]:
        """The names of a section that hold no other steps, of these kinds."""
        return [
            name
            for name, cls in self.sections[section].items()
            if not cls.__augreg__.container and (kinds is None or cls.__augreg__.kind in kinds)
        ]

    def containers(self, section: str = "image") -> list[str]:
        """The names of a section that hold other steps."""
        return [name for name, cls in self.sections[section].items() if cls.__augreg__.container]

    def makes(self, name: str, given: Any, section: str = "") -> bool:
        """Whether a spec with this step is valid."""
        section = section or self.every[name].__augreg__.sections[0]
        try:
            Pipeline.from_spec({section: [{name: given}]}, self.registry)
        except AugregError:
            return False
        return True

    def previews(self, name: str) -> list[dict[str, Any]]:
        """Arguments that ought to be good: none if none are needed, and the class's previews."""
        if name not in self._previews:
            mark = self.every[name].__augreg__
            if mark.container:
                inner: list[Any] = ["horizontal_flip", {"brightness": {"p": 0.5}}]
                self._previews[name] = [{"steps": inner}]
            else:
                self._previews[name] = [*([{}] if self.makes(name, {}) else []), *map(dict, mark.preview)]
        return self._previews[name]


# Values, from annotations.


def _number(bounds: Meta | None, whole: bool) -> st.SearchStrategy[Any]:
    low: Any = bounds.ge if bounds and bounds.ge is not None else bounds.gt if bounds else None
    high: Any = bounds.le if bounds and bounds.le is not None else bounds.lt if bounds else None
    if whole:
        start = int(low) + (bounds is not None and bounds.gt is not None) if low is not None else -4
        return st.integers(start, start + _MOST if high is None else min(int(high), start + _MOST))
    if low is None and high is None:
        # the scales that people think in: shares, factors, degrees, levels, and whole numbers of something
        return st.one_of(*(_hundredths(*ends) for ends in ((0, 1), (-0.5, 0.5), (-40, 40))), st.integers(0, 255))
    low = high - 2.0 if low is None else low
    high = low + 2.0 if high is None else high
    open_low = bounds is not None and bounds.gt is not None
    open_high = bounds is not None and bounds.lt is not None
    return _hundredths(low + 0.01 * open_low, high - 0.01 * open_high)


def _hundredths(low: float, high: float) -> st.SearchStrategy[float]:
    """Numbers in hundredths, as people write them; not the smallest float there is."""
    return st.integers(0, round((high - low) * 100)).map(lambda n: min(high, low + n / 100))


@functools.cache
def values(hint: Any) -> st.SearchStrategy[Any]:
    """What a spec may give for an annotation, short forms included; nothing() for what has no general example."""
    marks = getattr(hint, "__metadata__", ())
    bare = hint.__origin__ if marks else hint
    bounds = next((mark for mark in marks if isinstance(mark, Meta)), None)
    origin, parts = typing.get_origin(bare), typing.get_args(bare)
    found: st.SearchStrategy[Any]
    if origin in (typing.Union, types.UnionType):
        found = st.one_of(*map(values, parts))
    elif origin is Literal:
        found = st.sampled_from(parts)
    elif origin is tuple and parts[-1:] == (...,):
        found = _row(parts[0], bounds)
    elif origin is tuple:
        found = st.tuples(*map(values, parts)).map(list)
        if any(isinstance(mark, Ordered) for mark in marks):
            found = found.map(sorted)
    elif bare is bool:
        found = st.booleans()
    elif bare in (int, float):
        found = _number(bounds, bare is int)
    elif bare is type(None):
        found = st.none()
    else:
        found = st.nothing()
    short = shorthand_of(hint)
    if short is not None and short.expand.__module__ == "augreg.steps.selectors":
        return st.sampled_from(_SELECTIONS)
    if short is not None and not found.is_empty:
        names = st.sampled_from(sorted({*MEANS} & {*STDS}))
        brief: st.SearchStrategy[Any] = st.one_of(st.integers(0, 30), _hundredths(0, 1), names)
        found = st.one_of(found, brief.filter(lambda value: reads(hint, value)))
    return found


def _row(of: Any, bounds: Meta | None) -> st.SearchStrategy[Any]:
    """Lists of one for all channels, or of three: what fits most images."""
    member = values(of)
    fits = [n for n in (1, 3) if bounds is None or (bounds.min_length or 0) <= n <= (bounds.max_length or n)]
    of_rows = typing.get_origin(of) is not None and not getattr(of, "__metadata__", ())
    if member.is_empty or of_rows or not fits:  # rows must fit an image's size
        return st.nothing()
    return st.sampled_from(fits).flatmap(lambda n: st.lists(member, min_size=n, max_size=n))


def reads(hint: Any, value: Any) -> bool:
    """Whether an annotation takes a value."""
    try:
        convert_one(hint, value)
    except ValueError:
        return False
    return True


# Arguments and schedules.


@st.composite
def arguments_from(draw: st.DrawFn, stock: Stock, name: str) -> dict[str, Any]:
    """Arguments that a class takes: its own check has the last word. Raises ValueError where none are known."""
    cls = stock.every[name]
    for _ in range(_TRIES):
        given: dict[str, Any] = dict(stock.previews(name)[0]) if cls.__augreg__.container else {}
        for field in fields(cls):
            found = values(hints(cls)[field.name])
            if field.init and not found.is_empty and (required(field) or draw(st.booleans())):
                given[field.name] = draw(found)
        if stock.makes(name, given):
            return given
    if not stock.previews(name):
        raise ValueError(f"no good arguments of {name} were found: show some by preview=(..) in its decorator")
    return draw(st.sampled_from(stock.previews(name)))


@st.composite
def schedules(draw: st.DrawFn, first: float, second: float) -> dict[str, list[float]]:
    """A schedule between two numbers, in epochs that a test may or may not reach."""
    start, length = draw(st.integers(0, 3)), draw(st.sampled_from([1, 2, 30]))
    form = draw(st.sampled_from(["linear", "cosine", "step"]))
    if form == "step":
        return {"step": [first, second], "at": [start]}
    return {form: [first, second], "over": [start, start + length]}


@st.composite
def scheduled_now_and_then(draw: st.DrawFn, stock: Stock, name: str, given: dict[str, Any]) -> dict[str, Any]:
    """The arguments, sometimes with a schedule in place of a number, alone or in a list."""
    numeric = [key for key in given if key != "steps" and _numbers(given[key])]
    if not numeric or draw(st.integers(0, 4)):
        return given
    key = draw(st.sampled_from(numeric))
    other = draw(values(hints(stock.every[name])[key]))
    if not _numbers(other) or isinstance(other, list) != isinstance(given[key], list):
        return given
    changed: Any
    if isinstance(other, list):
        if len(other) != len(given[key]):
            return given
        changed = [draw(schedules(*pair)) for pair in zip(given[key], other, strict=True)]
    else:
        changed = draw(schedules(given[key], other))
    found: Mapping[str, Any] = {**given, key: changed}
    return dict(found) if stock.makes(name, found) else given


def _numbers(value: Any) -> bool:
    """Whether it is a number or a list of some."""
    if isinstance(value, list):
        return bool(value) and all(_numbers(item) and not isinstance(item, list) for item in value)
    return isinstance(value, int | float) and not isinstance(value, bool)
