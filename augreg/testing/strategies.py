"""Hypothesis strategies for tests of plugins: images, samples, arguments and whole specs.

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
    Catalog,
    arguments_from,
    maybe_scheduled,
    schedules,
    values,
)
from augreg.testing.image_strategies import images, samples
from augreg.testing.step_under_test import step_under_test

try:
    from hypothesis import strategies as st
except ImportError as error:
    raise ImportError("strategies need hypothesis: pip install 'augreg[testing]'") from error

__all__ = ["arguments", "images", "samples", "specs", "specs_from", "values"]

_AFTER_NORMALIZE = ("geometry", "erasing", "texture")


def arguments(
    cls: type | str, *, name: str | None = None, registry: Registry | None = None
) -> st.SearchStrategy[dict[str, Any]]:
    """Arguments of a transform, a batch transform or a regularizer, as written in a spec.

    They are made from its annotations, including short forms, and accepted by its `check`. Arguments of a type
    without a general example, such as text, are taken from its previews. `cls` is a class decorated with
    @augreg.transform or similar, or its name in a spec; a class that the registry does not have is added to it, as
    `name` if given. Raises ValueError for an unknown name.
    """
    registry = Registry.installed() if registry is None else registry
    if isinstance(cls, str):
        if cls not in registry:
            raise ValueError(registry.unknown(cls))
        name, cls = cls, registry[cls]
    tested = step_under_test(cls, None, name, registry)
    return arguments_from(Catalog(tested.registry), tested.name)


def specs(
    registry: Registry | None = None, *, names: Collection[str] | None = None, having: str | None = None
) -> st.SearchStrategy[dict[str, Any]]:
    """Valid specs over all registered steps, or over the steps of these `names`.

    Steps are written in all ways: a name, a single value, a mapping with p, test and uid, in containers, with
    schedules; other sections and options are included in some specs. With `having`, each spec has a step of that
    name. Raises ValueError for an unknown name, and PluginError for one that does not load.
    """
    catalog = Catalog(Registry.installed() if registry is None else registry, names)
    for name in [*(names or ()), *([having] if having is not None else [])]:
        if name not in catalog.registry:
            raise ValueError(catalog.registry.unknown(name))
        catalog.registry[name]  # raises PluginError if it does not load
        if name not in catalog.every:
            raise ValueError(f"having={name!r} is not one of the names to draw from")
    return specs_from(catalog, having)


@st.composite
def _steps(draw: st.DrawFn, catalog: Catalog, names: Sequence[str], depth: int = 1, normalizes: bool = False) -> Any:
    """A step written as a name, with a single value, or as a mapping with p, test and uid."""
    if depth and catalog.containers() and draw(st.integers(0, 4)) == 0:
        return draw(_containers(catalog, draw(st.sampled_from(catalog.containers())), names, depth))
    name = draw(st.sampled_from(names))
    if catalog.every[name].__augreg__.kind == "normalize" and not normalizes:
        followers = catalog.leaves(kinds=_AFTER_NORMALIZE)
        return draw(_steps(catalog, followers, 0)) if followers else []
    return draw(_leaf(catalog, name, normalizes))


@st.composite
def _leaf(draw: st.DrawFn, catalog: Catalog, name: str, sure: bool = False) -> Any:
    given = draw(maybe_scheduled(catalog, name, draw(arguments_from(catalog, name))))
    if not given and draw(st.booleans()):
        return name
    taken = [field.name for field in fields(catalog.every[name]) if field.init]
    if taken and list(given) == taken[:1] and not isinstance(given[taken[0]], Mapping) and draw(st.booleans()):
        return {name: given[taken[0]]}
    return {name: given | draw(_common(catalog, name, sure))}


@st.composite
def _common(draw: st.DrawFn, catalog: Catalog, name: str, sure: bool = False) -> dict[str, Any]:
    """`p`, `test` and `uid`, each sometimes."""
    rule = catalog.every[name].__augreg__.rule
    given: dict[str, Any] = {}
    if not sure and draw(st.booleans()):
        given["p"] = draw(st.one_of(st.sampled_from([0, 0.25, 0.5, 1, 1.0]), schedules(0.25, 1), schedules(1, 0)))
    if not sure and draw(st.integers(0, 3)) == 0:
        own = [] if rule == "identity" else [rule]
        simple = st.sampled_from(["off", *own])
        steps = [name for name in ("resize", "center_crop", "rotate") if name in catalog.every]
        tests = st.lists(_steps(catalog, steps, 0), max_size=2) if steps else st.just([])
        given["test"] = draw(st.one_of(simple, tests))
    # a size that changes by chance needs a rule
    if given.get("p") not in (None, 0, 1) and rule in ("same", "center"):
        given["test"] = draw(st.sampled_from(["off", rule]))
    if draw(st.integers(0, 7)) == 0:
        given["uid"] = draw(st.text("abcxyz", min_size=1, max_size=4))
    return given


@st.composite
def _containers(draw: st.DrawFn, catalog: Catalog, name: str, names: Sequence[str], depth: int) -> Any:
    """A step that contains others."""
    inner = draw(st.lists(_steps(catalog, names, depth - 1), min_size=1, max_size=3)) if names else []
    if name == "sequential" and draw(st.booleans()):
        return inner
    if draw(st.booleans()) and catalog.is_valid(name, {"steps": inner}):
        return {name: inner}
    given: dict[str, Any] = {"steps": inner}
    for field in fields(catalog.every[name]):
        if field.name != "steps":
            value = draw(values(hints(catalog.every[name])[field.name]))
            given |= {field.name: value} if catalog.is_valid(name, given | {field.name: value, "test": "off"}) else {}
    given |= draw(_common(catalog, name))
    if not catalog.is_valid(name, given):
        given["test"] = "off"  # its children may have different output sizes, so a test rule is required
    return {name: given}


@st.composite
def _others(draw: st.DrawFn, catalog: Catalog, section: str, depth: int = 1, having: str | None = None) -> Any:
    """A step of the batch, model or loss section."""
    if depth and having is None and section == "batch" and catalog.containers() and draw(st.integers(0, 3)) == 0:
        inner = draw(st.lists(_others(catalog, section, 0), min_size=1, max_size=3))
        given = {"steps": inner, **({"p": draw(schedules(1, 0))} if draw(st.booleans()) else {})}
        accepting = [name for name in catalog.containers() if catalog.is_valid(name, given, section)]
        if accepting:
            return {draw(st.sampled_from(accepting)): given}
    name = having if having is not None else draw(st.sampled_from(catalog.leaves(section)))
    given = draw(maybe_scheduled(catalog, name, draw(arguments_from(catalog, name))))
    if section == "batch":
        given |= draw(st.fixed_dictionaries({}, optional={"p": st.one_of(st.just(0.5), schedules(1, 0))}))
    return name if not given else {name: given}


def _section(catalog: Catalog, name: str) -> st.SearchStrategy[Any]:
    """A section other than `image`, often empty."""
    empty: st.SearchStrategy[Any] = st.sampled_from([None, []])
    return (
        st.one_of(empty, st.lists(_others(catalog, name), min_size=1, max_size=2)) if catalog.leaves(name) else empty
    )


@st.composite
def specs_from(draw: st.DrawFn, catalog: Catalog, having: str | None = None) -> dict[str, Any]:
    """Valid specs over a catalog: image steps, then maybe normalize and steps that may follow it."""
    info = None if having is None else catalog.every[having].__augreg__
    home = "" if info is None else info.sections[0]
    kind = "" if info is None else info.kind
    leaves = catalog.leaves()
    image = draw(st.lists(_steps(catalog, leaves, depth=2), max_size=6)) if leaves else []
    if home == "image" and kind != "normalize":
        assert having is not None and info is not None
        own = _containers(catalog, having, leaves, 1) if info.container else _leaf(catalog, having)
        image.insert(draw(st.integers(0, len(image))), draw(own))
    normalizing = [having] if kind == "normalize" and having else catalog.leaves(kinds=("normalize",))
    if normalizing and (kind == "normalize" or draw(st.booleans())):
        image.append(draw(_steps(catalog, normalizing, 0, True)))
        followers = catalog.leaves(kinds=_AFTER_NORMALIZE)
        image += draw(st.lists(_steps(catalog, followers), max_size=2)) if followers else []
    options: dict[str, st.SearchStrategy[Any]] = {
        "version": st.just(1),
        "seed": st.integers(0, 2**63 - 1),
        "approximate": st.booleans(),
        "backend": st.sampled_from(["auto", "pillow"]),
        "channels": st.sampled_from(["rgb", "gray", "keep", "rgba"]),
        "output": st.sampled_from(["auto", "numpy"]),
        "classes": st.one_of(st.none(), st.integers(1, 1000)),
        **{name: _section(catalog, name) for name in SECTIONS if name not in ("image", home)},
    }
    _number_uids(image, itertools.count())
    own_section = {}
    if home not in ("", "image"):
        others = draw(st.lists(_others(catalog, home), max_size=1))
        own_section = {home: [*others, draw(_others(catalog, home, having=having))]}
    return {"image": image, **own_section} | draw(st.fixed_dictionaries({}, optional=options))


def _number_uids(data: Any, numbers: Iterator[int]) -> None:
    """Make all uids unique, as a spec requires."""
    if isinstance(data, dict):
        if "uid" in data:
            data["uid"] += str(next(numbers))
        data = list(data.values())
    if isinstance(data, list):
        for item in data:
            _number_uids(item, numbers)
