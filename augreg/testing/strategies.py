"""Hypothesis strategies for a plugin's own tests: images, samples, arguments and whole specs.

from hypothesis import given
from augreg.testing.strategies import images, specs

@given(specs(having="rain/drops"), images(most=24))
def test_anything_goes_with_drops(spec, image):
    pipe = Pipeline.from_spec(spec)
    ...
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any

from augreg.registry.registry import Registry
from augreg.steps.fields import hints
from augreg.testing.argument_strategies import (
    SECTIONS,
    Stock,
    arguments_from,
    scheduled_now_and_then,
    schedules,
    values,
)
from augreg.testing.image_strategies import images, samples
from augreg.testing.subjects import subject

try:
    from hypothesis import strategies as st
except ImportError as error:
    raise ImportError("strategies need hypothesis: pip install 'augreg[testing]'") from error

__all__ = ["arguments", "images", "samples", "specs", "specs_from", "values"]

_AFTER_NORMALIZE = ("geometry", "erasing", "texture")


def arguments(
    cls: Any, *, name: str | None = None, registry: Registry | None = None
) -> st.SearchStrategy[dict[str, Any]]:
    """Arguments of a transform, a batch transform or a regularizer, as a spec has them.

    They come from its annotations, short forms included, and its own `check` has the last word. Arguments of a kind
    that has no general example (text, say) come from its previews. `cls` is a class marked by @augreg.transform or
    its like, or its name in a spec; a class that the registry does not know is added to it, as `name` if that is
    given. Raises ValueError for an unknown name.
    """
    registry = Registry.installed() if registry is None else registry
    if isinstance(cls, str):
        if cls not in registry:
            raise ValueError(registry.unknown(cls))
        name, cls = cls, registry[cls]
    tested = subject(cls, None, name, registry)
    return arguments_from(Stock(tested.registry), tested.name)


def specs(
    registry: Registry | None = None, *, names: Collection[str] | None = None, having: str | None = None
) -> st.SearchStrategy[dict[str, Any]]:
    """Valid specs over everything that is registered, or over the steps of these `names`.

    Steps are written in all ways: a name, a bare value, a mapping with p, test and uid, in containers, with
    schedules; the other sections and options come and go. With `having` a step of that name is always there, alone or
    among others. Raises ValueError for a name that is unknown, and PluginError for one that does not load.
    """
    stock = Stock(Registry.installed() if registry is None else registry, names)
    wanted = [*(names or ()), *([having] if having is not None else [])]
    for name in wanted:
        if name not in stock.registry:
            raise ValueError(stock.registry.unknown(name))
        stock.registry[name]  # raises PluginError where it does not load
        if name not in stock.every:
            raise ValueError(f"{name!r} must be there, and it is not among the names to draw from")
    return specs_from(stock, having)


@st.composite
def _steps(draw: st.DrawFn, stock: Stock, names: Sequence[str], depth: int = 1, normalizes: bool = False) -> Any:
    """A step in one of the ways of writing it: a name, a bare value, or a mapping with p, test and uid."""
    if depth and stock.containers() and draw(st.integers(0, 4)) == 0:
        return draw(_containers(stock, draw(st.sampled_from(stock.containers())), names, depth))
    name = draw(st.sampled_from(names))
    if stock.every[name].__augreg__.kind == "normalize" and not normalizes:
        followers = stock.leaves(kinds=_AFTER_NORMALIZE)
        return draw(_steps(stock, followers, 0)) if followers else []
    return draw(_leaf(stock, name, normalizes))


@st.composite
def _leaf(draw: st.DrawFn, stock: Stock, name: str, sure: bool = False) -> Any:
    given = draw(scheduled_now_and_then(stock, name, draw(arguments_from(stock, name))))
    if not given and draw(st.booleans()):
        return name
    taken = [field.name for field in fields(stock.every[name]) if field.init]
    if taken and list(given) == taken[:1] and not isinstance(given[taken[0]], Mapping) and draw(st.booleans()):
        return {name: given[taken[0]]}
    return {name: given | draw(_common(stock, name, sure))}


@st.composite
def _common(draw: st.DrawFn, stock: Stock, name: str, sure: bool = False) -> dict[str, Any]:
    """`p`, `test` and `uid`, each in some of the cases."""
    rule = stock.every[name].__augreg__.rule
    given: dict[str, Any] = {}
    if not sure and draw(st.booleans()):
        given["p"] = draw(st.one_of(st.sampled_from([0, 0.25, 0.5, 1, 1.0]), schedules(0.25, 1), schedules(1, 0)))
    if not sure and draw(st.integers(0, 3)) == 0:
        own = [] if rule == "identity" else [rule]
        simple = st.sampled_from(["off", *own])
        steps = [name for name in ("resize", "center_crop", "rotate") if name in stock.every]
        tests = st.lists(_steps(stock, steps, 0), max_size=2) if steps else st.just([])
        given["test"] = draw(st.one_of(simple, tests))
    if draw(st.integers(0, 7)) == 0:
        given["uid"] = draw(st.text("abcxyz", min_size=1, max_size=4))
    return given


@st.composite
def _containers(draw: st.DrawFn, stock: Stock, name: str, names: Sequence[str], depth: int) -> Any:
    """A step that holds others."""
    inner = draw(st.lists(_steps(stock, names, depth - 1), min_size=1, max_size=3)) if names else []
    if name == "sequential" and draw(st.booleans()):
        return inner
    if draw(st.booleans()) and stock.makes(name, {"steps": inner}):
        return {name: inner}
    given: dict[str, Any] = {"steps": inner}
    for field in fields(stock.every[name]):
        if field.name != "steps":
            value = draw(values(hints(stock.every[name])[field.name]))
            given |= {field.name: value} if stock.makes(name, given | {field.name: value, "test": "off"}) else {}
    given |= draw(_common(stock, name))
    if not stock.makes(name, given):
        given["test"] = "off"  # its children leave different sizes, and it must say what is done at test time
    return {name: given}


@st.composite
def _others(draw: st.DrawFn, stock: Stock, section: str, depth: int = 1, having: str | None = None) -> Any:
    """A step of the batch, model or loss section: whatever is registered for it."""
    if depth and having is None and section == "batch" and stock.containers() and draw(st.integers(0, 3)) == 0:
        inner = draw(st.lists(_others(stock, section, 0), min_size=1, max_size=3))
        given = {"steps": inner, **({"p": draw(schedules(1, 0))} if draw(st.booleans()) else {})}
        able = [name for name in stock.containers() if stock.makes(name, given, section)]
        if able:
            return {draw(st.sampled_from(able)): given}
    name = having if having is not None else draw(st.sampled_from(stock.leaves(section)))
    given = draw(scheduled_now_and_then(stock, name, draw(arguments_from(stock, name))))
    if section == "batch":
        given |= draw(st.fixed_dictionaries({}, optional={"p": st.one_of(st.just(0.5), schedules(1, 0))}))
    return name if not given else {name: given}


def _section(stock: Stock, name: str) -> st.SearchStrategy[Any]:
    """A section other than `image`, often empty."""
    empty: st.SearchStrategy[Any] = st.sampled_from([None, []])
    return st.one_of(empty, st.lists(_others(stock, name), min_size=1, max_size=2)) if stock.leaves(name) else empty


@st.composite
def specs_from(draw: st.DrawFn, stock: Stock, having: str | None = None) -> dict[str, Any]:
    """Valid specs over a stock: color first, then perhaps normalize and what may follow it."""
    mark = None if having is None else stock.every[having].__augreg__
    home = "" if mark is None else mark.sections[0]
    kind = "" if mark is None else mark.kind
    leaves = stock.leaves()
    image = draw(st.lists(_steps(stock, leaves, depth=2), max_size=6)) if leaves else []
    if home == "image" and kind != "normalize":
        assert having is not None and mark is not None
        own = _containers(stock, having, leaves, 1) if mark.container else _leaf(stock, having)
        image.insert(draw(st.integers(0, len(image))), draw(own))
    normalizing = [having] if kind == "normalize" and having else stock.leaves(kinds=("normalize",))
    if normalizing and (kind == "normalize" or draw(st.booleans())):
        image.append(draw(_steps(stock, normalizing, 0, True)))
        followers = stock.leaves(kinds=_AFTER_NORMALIZE)
        image += draw(st.lists(_steps(stock, followers), max_size=2)) if followers else []
    options: dict[str, st.SearchStrategy[Any]] = {
        "version": st.just(1),
        "seed": st.integers(0, 2**63 - 1),
        "approximate": st.booleans(),
        "backend": st.sampled_from(["auto", "pillow"]),
        "channels": st.sampled_from(["rgb", "gray", "keep"]),
        "output": st.sampled_from(["auto", "numpy"]),
        "classes": st.one_of(st.none(), st.integers(1, 1000)),
        **{name: _section(stock, name) for name in SECTIONS if name not in ("image", home)},
    }
    _number_uids(image, itertools.count())
    own_section = {}
    if home not in ("", "image"):
        others = draw(st.lists(_others(stock, home), max_size=1))
        own_section = {home: [*others, draw(_others(stock, home, having=having))]}
    return {"image": image, **own_section} | draw(st.fixed_dictionaries({}, optional=options))


def _number_uids(data: Any, numbers: Iterator[int]) -> None:
    """Make each uid the only one of its name, as a spec must."""
    if isinstance(data, dict):
        if "uid" in data:
            data["uid"] += str(next(numbers))
        data = list(data.values())
    if isinstance(data, list):
        for item in data:
            _number_uids(item, numbers)
