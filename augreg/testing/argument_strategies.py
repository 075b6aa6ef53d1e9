"""Hypothesis strategies for arguments, made from the annotations of registered classes.

Every registered class is included. Arguments that its `check` refuses are drawn again.
"""

from __future__ import annotations

import functools
import types
import typing
from collections.abc import Collection
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

__all__ = ["SECTIONS", "Catalog", "arguments_from", "maybe_scheduled", "reads", "schedules", "values"]

SECTIONS: Final = ("image", "batch", "model", "loss")
_MOST = 24  # limit of sizes and borders in specs, so that images stay small
_TRIES = 5
_SELECTIONS = (
    "**",
    "layer*.**",
    "classifier.*",
    {"type": "Linear"},
    {"type": ["Linear", "Conv2d"], "not": ["head", {"type": "MultiheadAttention"}]},
    ["stem", {"name": "*.conv", "type": ["Conv2d"]}],
)


class Catalog:
    """The classes that steps are drawn from: those of a registry, or some of them, by section and by name."""

    def __init__(self, registry: Registry, names: Collection[str] | None = None) -> None:
        """`names` are the classes to include; by default all that load."""
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
        """The names in a section of steps that contain no others, of these kinds."""
        return [
            name
            for name, cls in self.sections[section].items()
            if not cls.__augreg__.container and (kinds is None or cls.__augreg__.kind in kinds)
        ]

    def containers(self, section: str = "image") -> list[str]:
        """The names in a section of steps that contain others."""
        return [name for name, cls in self.sections[section].items() if cls.__augreg__.container]

    def is_valid(self, name: str, arguments: Any, section: str = "") -> bool:
        """Whether a spec with this step is valid."""
        section = section or self.every[name].__augreg__.sections[0]
        try:
            Pipeline.from_spec({section: [{name: arguments}]}, self.registry)
        except AugregError:
            return False
        return True

    def previews(self, name: str) -> list[dict[str, Any]]:
        """Valid arguments: none if none are required, and the previews of the class."""
        if name not in self._previews:
            info = self.every[name].__augreg__
            if info.container:
                inner: list[Any] = ["horizontal_flip", {"brightness": {"p": 0.5}}]
                self._previews[name] = [{"steps": inner}]
            else:
                self._previews[name] = [*([{}] if self.is_valid(name, {}) else []), *map(dict, info.preview)]
        return self._previews[name]


# Values, from annotations.


def _number(bounds: Meta | None, whole: bool) -> st.SearchStrategy[Any]:
    low: Any = bounds.ge if bounds and bounds.ge is not None else bounds.gt if bounds else None
    high: Any = bounds.le if bounds and bounds.le is not None else bounds.lt if bounds else None
    if whole:
        start = int(low) + (bounds is not None and bounds.gt is not None) if low is not None else -4
        return st.integers(start, start + _MOST if high is None else min(int(high), start + _MOST))
    if low is None and high is None:
        # common scales: fractions, factors, degrees, pixel values and counts
        return st.one_of(*(_hundredths(*ends) for ends in ((0, 1), (-0.5, 0.5), (-40, 40))), st.integers(0, 255))
    low = high - 2.0 if low is None else low
    high = low + 2.0 if high is None else high
    open_low = bounds is not None and bounds.gt is not None
    open_high = bounds is not None and bounds.lt is not None
    return _hundredths(low + 0.01 * open_low, high - 0.01 * open_high)


def _hundredths(low: float, high: float) -> st.SearchStrategy[float]:
    """Multiples of 0.01 from low on, as people write numbers."""
    return st.integers(0, round((high - low) * 100)).map(lambda n: min(high, low + n / 100))


@functools.cache
def values(hint: Any) -> st.SearchStrategy[Any]:
    """Values for an annotation, including short forms; nothing() if it has no general example."""
    marks = getattr(hint, "__metadata__", ())
    bare = hint.__origin__ if marks else hint
    bounds = next((mark for mark in marks if isinstance(mark, Meta)), None)
    origin, parts = typing.get_origin(bare), typing.get_args(bare)
    strategy: st.SearchStrategy[Any]
    if origin in (typing.Union, types.UnionType):
        strategy = st.one_of(*map(values, parts))
    elif origin is Literal:
        strategy = st.sampled_from(parts)
    elif origin is tuple and parts[-1:] == (...,):
        strategy = _row(parts[0], bounds)
    elif origin is tuple:
        strategy = st.tuples(*map(values, parts)).map(list)
        if any(isinstance(mark, Ordered) for mark in marks):
            strategy = strategy.map(sorted)
    elif bare is bool:
        strategy = st.booleans()
    elif bare in (int, float):
        strategy = _number(bounds, bare is int)
    elif bare is type(None):
        strategy = st.none()
    else:
        strategy = st.nothing()
    short = shorthand_of(hint)
    if short is not None and short.expand.__module__ == "augreg.steps.selectors":
        return st.sampled_from(_SELECTIONS)
    if short is not None and not strategy.is_empty:
        written: list[list[Any]] = [[*range(31)], [n / 100 for n in range(101)], sorted({*MEANS} & {*STDS})]
        brief = [[value for value in each if reads(hint, value)] for each in written]
        strategy = st.one_of(strategy, *(st.sampled_from(each) for each in brief if each))
    return strategy


def _row(of: Any, bounds: Meta | None) -> st.SearchStrategy[Any]:
    """Lists of one number for all channels, or of three, which fit most images."""
    member = values(of)
    fits = [n for n in (1, 3) if bounds is None or (bounds.min_length or 0) <= n <= (bounds.max_length or n)]
    of_rows = typing.get_origin(of) is not None and not getattr(of, "__metadata__", ())
    if member.is_empty or of_rows or not fits:  # the number of rows would have to match the image
        return st.nothing()
    return st.sampled_from(fits).flatmap(lambda n: st.lists(member, min_size=n, max_size=n))


def reads(hint: Any, value: Any) -> bool:
    """Whether a value is valid for an annotation."""
    try:
        convert_one(hint, value)
    except ValueError:
        return False
    return True


# Arguments and schedules.


@st.composite
def arguments_from(draw: st.DrawFn, catalog: Catalog, name: str) -> dict[str, Any]:
    """Arguments that the `check` of a class accepts. Raises ValueError if none are strategy."""
    cls = catalog.every[name]
    for _ in range(_TRIES):
        given: dict[str, Any] = dict(catalog.previews(name)[0]) if cls.__augreg__.container else {}
        for field in fields(cls):
            strategy = values(hints(cls)[field.name])
            if field.init and not strategy.is_empty and (required(field) or draw(st.booleans())):
                given[field.name] = draw(strategy)
        if catalog.is_valid(name, given):
            return given
    if not catalog.previews(name):
        raise ValueError(f"no valid arguments of {name} were found: add preview=(..) to its decorator")
    return draw(st.sampled_from(catalog.previews(name)))


@st.composite
def schedules(draw: st.DrawFn, first: float, second: float) -> dict[str, list[float]]:
    """A schedule between two numbers, over epochs that a test may not reach."""
    start, length = draw(st.integers(0, 3)), draw(st.sampled_from([1, 2, 30]))
    form = draw(st.sampled_from(["linear", "cosine", "step"]))
    if form == "step":
        return {"step": [first, second], "at": [start]}
    return {form: [first, second], "over": [start, start + length]}


@st.composite
def maybe_scheduled(draw: st.DrawFn, catalog: Catalog, name: str, given: dict[str, Any]) -> dict[str, Any]:
    """The arguments, sometimes with a schedule in place of a number or of the numbers in a list."""
    numeric = [key for key in given if key != "steps" and _numbers(given[key])]
    if not numeric or draw(st.integers(0, 4)):
        return given
    key = draw(st.sampled_from(numeric))
    other = draw(values(hints(catalog.every[name])[key]))
    if not _numbers(other) or isinstance(other, list) != isinstance(given[key], list):
        return given
    changed: Any
    if isinstance(other, list):
        if len(other) != len(given[key]):
            return given
        changed = [draw(schedules(*pair)) for pair in zip(given[key], other, strict=True)]
    else:
        changed = draw(schedules(given[key], other))
    result = {**given, key: changed}
    return result if catalog.is_valid(name, result) else given


def _numbers(value: Any) -> bool:
    """Whether a value is a number or a list of numbers."""
    if isinstance(value, list):
        return bool(value) and all(_numbers(item) and not isinstance(item, list) for item in value)
    return isinstance(value, int | float) and not isinstance(value, bool)
