"""Specs back to plain data, and the fingerprint of that data."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

from augreg import lazy
from augreg.named_views.declared import Group
from augreg.registry.foreign import Call
from augreg.registry.registry import Registry
from augreg.spec.options import SECTIONS, Options, Spec
from augreg.steps import schedules
from augreg.steps.fields import plain
from augreg.steps.step import Step, children

__all__ = ["added", "classes", "fingerprint", "unparse"]

json = lazy.module("json")

# Options that are written only if they are not the default: specs from before they existed keep their fingerprints.
# A step names such arguments in `later`.
_LATER = ("targets", "classes", "max_pixels", "decode", "layout")


def unparse(spec: Spec) -> dict[str, Any]:
    """The canonical plain data of a spec: every default written out, ready for JSON."""
    options = {
        field.name: plain(value)
        for field in fields(Options)
        if (value := getattr(spec.options, field.name)) != field.default or field.name not in _LATER
    }
    if "targets" in options:
        options["targets"] = spec.options.targets.written(options["targets"])
    sections = {name: [_unparse_step(step) for step in getattr(spec, name)] for name in SECTIONS}
    data: dict[str, Any] = {**options}
    data.update((name, steps) for name, steps in sections.items() if steps or name == "image")
    if spec.views:
        data["views"] = {group.name: _unparse_group(group) for group in spec.views}
    return data


def _unparse_group(group: Group) -> dict[str, Any]:
    """The plain data of an entry of `views`; what it does not say is left out."""
    said = {name: plain(getattr(group, name)) for name in ("count", "geometry", "draws", "patches")}
    return {
        "steps": [_unparse_step(step) for step in group.steps],
        **{name: value for name, value in said.items() if value is not None},
    }


def _unparse_step(step: Step) -> dict[str, Any]:
    info = step.transform.__augreg__
    arguments: dict[str, Any] = {}
    for field in fields(step.transform):
        value = getattr(step.transform, field.name)
        if field.name in getattr(step.transform, "later", ()) and value == field.default:
            continue
        if field.name == "steps" and info.container:
            arguments["steps"] = [_unparse_step(child) for child in value]
        else:
            arguments[field.name] = plain(value)
    if info.kind not in ("regularizer", "loss"):
        arguments["p"] = step.p
    if step.test is not None:
        arguments["test"] = step.test if isinstance(step.test, str) else [_unparse_step(child) for child in step.test]
    if step.uid is not None:
        arguments["uid"] = step.uid
    arguments.update((key, schedules.to_data(value)) for key, value in step.schedules)
    return {step.name: arguments}


def classes(spec: Spec, sections: Iterable[str] = SECTIONS) -> dict[str, type]:
    """The classes of all steps of these sections, by the names that the spec has for them."""
    return _classes(step for section in sections for step in _steps(spec, section))


def _steps(spec: Spec, section: str) -> tuple[Step, ...]:
    """The steps of a section, with those of the views for `image`."""
    steps: tuple[Step, ...] = spec.image_steps if section == "image" else getattr(spec, section)
    return steps


def _classes(steps: Iterable[Step]) -> dict[str, type]:
    found: dict[str, type] = {}
    for step in steps:
        inner = children(step.transform) + (step.test if isinstance(step.test, tuple) else ())
        found |= {step.name: type(step.transform), **_classes(inner)}
    return found


def added(spec: Spec, registry: Registry, sections: Iterable[str] = SECTIONS) -> dict[str, type]:
    """Those of the classes that were added to the registry by hand: not built in, and of no plugin."""
    by_hand = {name for name, cls in registry.added.items() if cls is not Call}
    return {name: cls for name, cls in classes(spec, sections).items() if name in by_hand} if by_hand else {}


def fingerprint(data: Mapping[str, Any], by_hand: Mapping[str, type] | None = None) -> str:
    """The sha256 of the plain data of a spec, as hexadecimal digits.

    `by_hand` has the classes that were added to the registry, by name: nothing else says what these names mean,
    so the module and the name of each class are hashed too.
    """
    data = {"decode": "exact", **data}  # hashed from before it was left out: docs/decisions/019-decode.md
    if by_hand:
        data["added"] = {name: f"{_module(cls)}:{cls.__qualname__}" for name, cls in by_hand.items()}
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _module(cls: type) -> str:
    """The module of a class; a spawned worker has the main module under another name."""
    return "__main__" if cls.__module__ == "__mp_main__" else cls.__module__
