"""Specs with objects in them: transforms and Steps become plain data, and their classes become known by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from augreg.errors import AugregError, PluginError, SpecError
from augreg.registry.registry import Registry
from augreg.spec.options import Options, Spec
from augreg.spec.write import unparse
from augreg.steps.sizes import check_size
from augreg.steps.step import Step, as_step, children, with_arguments

__all__ = ["without_objects"]


def without_objects(source: Any, registry: Registry) -> tuple[Any, Registry]:
    """A spec whose transforms and Steps, at any depth, are plain data, and the registry with their classes.

    Raises SpecError.
    """
    if not isinstance(source, Mapping | list | tuple):
        return source, registry
    try:
        check_size(source, levels=False)
        return _without_objects(source, registry)
    except RecursionError:  # parsing says where
        return source, registry
    except AugregError:
        raise
    except ValueError as error:  # too many values
        raise SpecError(f"the spec cannot be read: {error}") from None
    except Exception as error:  # a mapping of another library may raise anything
        raise SpecError(f"the spec cannot be read: {type(error).__name__}: {error}") from error


def _without_objects(data: Any, registry: Registry) -> tuple[Any, Registry]:
    if isinstance(data, Step) or hasattr(data if isinstance(data, type) else type(data), "__augreg__"):
        (step,), registry = _named([as_step(data)], registry)
        return unparse(Spec(Options(), (step,)))["image"][0], registry
    if not isinstance(data, Mapping | list | tuple):
        return data, registry
    copy: Any = dict(data) if isinstance(data, Mapping) else list(data)
    for key in data if isinstance(data, Mapping) else range(len(copy)):
        copy[key], registry = _without_objects(copy[key], registry)
    return copy, registry


def _named(steps: Iterable[Step], registry: Registry) -> tuple[tuple[Step, ...], Registry]:
    """Steps with the names that the registry has for their classes, and the registry with the classes it lacked."""
    named: list[Step] = []
    for step in steps:
        if isinstance(step.test, tuple):
            test, registry = _named(step.test, registry)
            step = replace(step, test=test)
        if children(step.transform):
            inner, registry = _named(children(step.transform), registry)
            step = replace(step, transform=with_arguments(step.transform, steps=inner))
        if functions := getattr(step.transform, "functions", ()):  # code that names a function allows it
            registry = registry.allow(*functions)
        cls = type(step.transform)
        own = cls.__augreg__.name
        same = (known for known in registry if known.rpartition("/")[2] == own)
        name = next((known for known in same if _is(registry, known, cls)), None)
        if name is None and own in registry:
            where = f"{cls.__module__}.{cls.__qualname__}"
            raise SpecError(
                own,
                f"another class than {where} is registered as {own!r}: give it another name, or add it to a registry "
                f"as 'mine/{own}' and pass that registry",
            )
        if name is None:
            name, registry = own, registry.add(cls)
        named.append(replace(step, name=name))
    return tuple(named), registry


def _is(registry: Registry, name: str, cls: type) -> bool:
    """Whether a registry has this class under this name; a plugin that does not load has another one."""
    try:
        return registry[name] is cls
    except PluginError:
        return False
