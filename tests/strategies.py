"""Hypothesis strategies for valid specs and for pictures.

Arguments are made from the annotations of the registered transforms, so a new transform is drawn from the day it
is registered. What a transform's own check refuses is drawn again.
"""

from __future__ import annotations

import functools
import itertools
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any, Literal

import numpy as np
from hypothesis import strategies as st
from msgspec import Meta

from augreg.errors import AugregError
from augreg.fields import MEANS, STDS, Ordered, convert_one, hints, required, short_form
from augreg.registry import Registry

REGISTRY = Registry.installed()
CLASSES: Mapping[str, Any] = REGISTRY.section("image")
OTHERS: Mapping[str, Mapping[str, Any]] = {name: REGISTRY.section(name) for name in ("batch", "model", "loss")}
EVERY: Mapping[str, Any] = {**CLASSES, **{name: cls for found in OTHERS.values() for name, cls in found.items()}}
LEAVES = [name for name, cls in CLASSES.items() if not cls.__augreg__.container]
CONTAINERS = [name for name, cls in CLASSES.items() if cls.__augreg__.container]
_AFTER_NORMALIZE = [name for name in LEAVES if CLASSES[name].__augreg__.kind in ("geometry", "erasing", "texture")]
_MOST = 24  # sides and borders in the specs, so that no picture grows large
_TRIES = 5
_SELECTIONS = (
    "**",
    "layer*.**",
    "classifier.*",
    {"type": "Linear"},
    ["stem", {"name": "*.conv", "type": ["Conv2d"]}],
)


# Arguments, from annotations.


def _number(bounds: Meta | None, whole: bool) -> st.SearchStrategy[Any]:
    low = bounds.ge if bounds and bounds.ge is not None else bounds.gt if bounds else None
    high = bounds.le if bounds and bounds.le is not None else bounds.lt if bounds else None
    if whole:
        start = int(low) + (bounds is not None and bounds.gt is not None) if low is not None else -4
        return st.integers(start, start + _MOST if high is None else min(int(high), start + _MOST))
    if low is None and high is None:
        # the scales that people think in: shares, factors, degrees, levels, and whole numbers of something
        return st.one_of(*(_hundredths(*ends) for ends in ((0, 1), (-0.5, 0.5), (-40, 40))), st.integers(0, 255))
    low = high - 2.0 if low is None else low
    high = low + 2.0 if high is None else high
    open_low, open_high = bounds.gt is not None, bounds.lt is not None
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
    if origin in (typing.Union, types.UnionType):
        found = st.one_of(*map(values, parts))
    elif origin is Literal:
        found = st.sampled_from(parts)
    elif origin is tuple and parts[-1:] == (...,):
        member = values(parts[0])
        # one for all channels, or three: what fits most pictures
        fits = [n for n in (1, 3) if bounds is None or (bounds.min_length or 0) <= n <= (bounds.max_length or n)]
        found = st.sampled_from(fits).flatmap(lambda n: st.lists(member, min_size=n, max_size=n))
        rows = typing.get_origin(parts[0]) is not None and not getattr(parts[0], "__metadata__", ())
        found = st.nothing() if member.is_empty or rows or not fits else found  # rows must fit a picture's size
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
    short = short_form(hint)
    if short is not None and short.expand.__module__ == "augreg.selection":
        return st.sampled_from(_SELECTIONS)
    if short is not None and not found.is_empty:
        names = st.sampled_from(sorted({*MEANS} & {*STDS}))
        brief = st.one_of(st.integers(0, 30), _hundredths(0, 1), names)
        found = st.one_of(found, brief.filter(lambda value: reads(hint, value)))
    return found


def reads(hint: Any, value: Any) -> bool:
    """Whether an annotation takes a value."""
    try:
        convert_one(hint, value)
    except ValueError:
        return False
    return True


@functools.cache
def previews(name: str) -> list[dict[str, Any]]:
    """Arguments that ought to be good: none if none are needed, and the transform's previews."""
    if EVERY[name].__augreg__.container:
        return [{"steps": ["horizontal_flip", {"brightness": {"p": 0.5}}]}]
    return [*([{}] if _makes(name, {}) else []), *map(dict, EVERY[name].__augreg__.preview)]


@st.composite
def arguments(draw: Any, name: str) -> dict[str, Any]:
    """Arguments that a transform or a regularizer takes: its own check has the last word."""
    cls = EVERY[name]
    for _ in range(_TRIES):
        given: dict[str, Any] = dict(previews(name)[0]) if cls.__augreg__.container else {}
        for field in fields(cls):
            found = values(hints(cls)[field.name])
            if field.init and not found.is_empty and (required(field) or draw(st.booleans())):
                given[field.name] = draw(found)
        if _makes(name, given):
            return given
    return draw(st.sampled_from(previews(name)))


def _makes(name: str, given: Any, section: str = "") -> bool:
    from augreg.pipeline import Pipeline

    try:
        Pipeline.from_spec({section or EVERY[name].__augreg__.sections[0]: [{name: given}]})
    except AugregError:
        return False
    return True


@st.composite
def schedules(draw: Any, first: float, second: float) -> dict[str, list[float]]:
    """A schedule between two numbers, in epochs that a test may or may not reach."""
    start, length = draw(st.integers(0, 3)), draw(st.sampled_from([1, 2, 30]))
    form = draw(st.sampled_from(["linear", "cosine", "step"]))
    if form == "step":
        return {"step": [first, second], "at": [start]}
    return {form: [first, second], "over": [start, start + length]}


@st.composite
def _now_and_then_scheduled(draw: Any, name: str, given: dict[str, Any]) -> dict[str, Any]:
    """The arguments, sometimes with a schedule in place of a number, alone or in a list."""
    numeric = [key for key in given if key != "steps" and _numbers(given[key])]
    if not numeric or draw(st.integers(0, 4)):
        return given
    key = draw(st.sampled_from(numeric))
    other = draw(values(hints(EVERY[name])[key]))
    if not _numbers(other) or isinstance(other, list) != isinstance(given[key], list):
        return given
    if isinstance(other, list):
        if len(other) != len(given[key]):
            return given
        changed = [draw(schedules(*pair)) for pair in zip(given[key], other, strict=True)]
    else:
        changed = draw(schedules(given[key], other))
    found = {**given, key: changed}
    return found if _makes(name, found) else given


def _numbers(value: Any) -> bool:
    """Whether it is a number or a list of some."""
    if isinstance(value, list):
        return bool(value) and all(_numbers(item) and not isinstance(item, list) for item in value)
    return isinstance(value, int | float) and not isinstance(value, bool)


# Steps and specs.


@st.composite
def steps(draw: Any, names: Sequence[str] = tuple(LEAVES), depth: int = 1, normalizes: bool = False) -> Any:
    """A step in one of the ways of writing it: a name, a bare value, or a mapping with p, test and uid."""
    if depth and draw(st.integers(0, 4)) == 0:
        return draw(_containers(names, depth))
    name = draw(st.sampled_from(names))
    if CLASSES[name].__augreg__.kind == "normalize" and not normalizes:
        return draw(steps(_AFTER_NORMALIZE, 0))
    given = draw(_now_and_then_scheduled(name, draw(arguments(name))))
    if not given and draw(st.booleans()):
        return name
    taken = [field.name for field in fields(CLASSES[name]) if field.init]
    if taken and list(given) == taken[:1] and not isinstance(given[taken[0]], Mapping) and draw(st.booleans()):
        return {name: given[taken[0]]}
    return {name: given | draw(_common(name, sure=normalizes))}


@st.composite
def _common(draw: Any, name: str, sure: bool = False) -> dict[str, Any]:
    """`p`, `test` and `uid`, each in some of the cases."""
    rule = CLASSES[name].__augreg__.rule
    given: dict[str, Any] = {}
    if not sure and draw(st.booleans()):
        given["p"] = draw(st.one_of(st.sampled_from([0, 0.25, 0.5, 1, 1.0]), schedules(0.25, 1), schedules(1, 0)))
    if not sure and draw(st.integers(0, 3)) == 0:
        own = [] if rule == "identity" else [rule]
        simple = st.sampled_from(["off", *own])
        given["test"] = draw(st.one_of(simple, st.lists(steps(["resize", "center_crop", "rotate"], 0), max_size=2)))
    if draw(st.integers(0, 7)) == 0:
        given["uid"] = draw(st.text("abcxyz", min_size=1, max_size=4))
    return given


@st.composite
def _containers(draw: Any, names: Sequence[str], depth: int) -> Any:
    name = draw(st.sampled_from(CONTAINERS))
    inner = draw(st.lists(steps(names, depth - 1), min_size=1, max_size=3))
    if name == "sequential" and draw(st.booleans()):
        return inner
    if draw(st.booleans()) and _makes(name, {"steps": inner}):
        return {name: inner}
    given: dict[str, Any] = {"steps": inner}
    for field in fields(CLASSES[name]):
        if field.name != "steps":
            value = draw(values(hints(CLASSES[name])[field.name]))
            given |= {field.name: value} if _makes(name, given | {field.name: value, "test": "off"}) else {}
    given |= draw(_common(name))
    if not _makes(name, given):
        given["test"] = "off"  # its children leave different sizes, and it must say what is done at test time
    return {name: given}


@st.composite
def others(draw: Any, section: str, depth: int = 1) -> Any:
    """A step of the batch, model or loss section: whatever is registered for it."""
    found = OTHERS[section]
    leaves = [name for name, cls in found.items() if not cls.__augreg__.container]
    if depth and section == "batch" and draw(st.integers(0, 3)) == 0:
        inner = draw(st.lists(others(section, 0), min_size=1, max_size=3))
        given = {"steps": inner, **({"p": draw(schedules(1, 0))} if draw(st.booleans()) else {})}
        return {draw(st.sampled_from([name for name in CONTAINERS if _makes(name, given, section)])): given}
    name = draw(st.sampled_from(leaves))
    given = draw(_now_and_then_scheduled(name, draw(arguments(name))))
    if section == "batch":
        given |= draw(st.fixed_dictionaries({}, optional={"p": st.one_of(st.just(0.5), schedules(1, 0))}))
    return name if not given else {name: given}


def _section(name: str) -> st.SearchStrategy[Any]:
    """A section other than `image`, often empty."""
    empty = st.sampled_from([None, []])
    leaves = any(not cls.__augreg__.container for cls in OTHERS[name].values())
    return st.one_of(empty, st.lists(others(name), min_size=1, max_size=2)) if leaves else empty


@st.composite
def specs(draw: Any) -> dict[str, Any]:
    """Valid specs over everything that is registered: colour first, then perhaps normalize and what may follow it."""
    image = draw(st.lists(steps(depth=2), max_size=6))
    if draw(st.booleans()):
        image.append(draw(steps([name for name in LEAVES if CLASSES[name].__augreg__.kind == "normalize"], 0, True)))
        image += draw(st.lists(steps(_AFTER_NORMALIZE), max_size=2))
    options = {
        "version": st.just(1),
        "seed": st.integers(0, 2**63 - 1),
        "approximate": st.booleans(),
        "backend": st.sampled_from(["auto", "pillow"]),
        "channels": st.sampled_from(["rgb", "gray", "keep"]),
        "output": st.sampled_from(["auto", "numpy"]),
        "classes": st.one_of(st.none(), st.integers(1, 1000)),
        **{name: _section(name) for name in OTHERS},
    }
    _number_uids(image, itertools.count())
    return {"image": image} | draw(st.fixed_dictionaries({}, optional=options))


def _number_uids(data: Any, numbers: Iterator[int]) -> None:
    """Make each uid the only one of its name, as a spec must."""
    if isinstance(data, dict):
        if "uid" in data:
            data["uid"] += str(next(numbers))
        data = list(data.values())
    if isinstance(data, list):
        for item in data:
            _number_uids(item, numbers)


@st.composite
def pictures(draw: Any, channels: Sequence[int] = (1, 3, 4), most: int = 40) -> np.ndarray:
    """Pictures of one pixel and more, bytes and floats, some of them views of other memory."""
    side = st.one_of(st.sampled_from([1, 2, 3]), st.integers(1, most))
    height, width, count = draw(side), draw(side), draw(st.sampled_from(channels))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    picture = rng.integers(0, 256, (2 * height, 2 * width, count), dtype=np.uint8)
    if draw(st.booleans()):
        picture = picture.astype(np.float32) / np.float32(255)
    form = draw(st.sampled_from(["own", "strided", "reversed", "planar"]))
    if form == "own":
        return picture[:height, :width].copy()
    if form == "planar":
        return np.ascontiguousarray(picture[:height, :width].transpose(2, 0, 1)).transpose(1, 2, 0)
    return picture[::2, ::2] if form == "strided" else picture[height - 1 :: -1, width - 1 :: -1]
