"""The JSON Schema of specs, made from the classes of their steps.

A schema cannot express everything: `augreg validate` also checks the order of two numbers, the `check` of a class,
and where normalize is allowed.

It is written for the messages and completions of editors: the forms of a step stand side by side in one schema, as
keywords for objects, strings and lists do not meet. Behind an `anyOf`, editors would only say that no form fits.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

from augreg.errors import AugregError
from augreg.named_views.declared import PatchMasking
from augreg.spec.arguments_schema import (
    SCHEDULE,
    Schema,
    defaults,
    hinted,
    in_draft_7,
    mapping,
    schedule,
    with_references_to,
)
from augreg.spec.options import SECTIONS, Options
from augreg.steps.declare import TransformInfo
from augreg.steps.fields import convert, hints, required

__all__ = ["schema"]

_DRAFTS = {"2020-12": "https://json-schema.org/draft/2020-12/schema", "7": "http://json-schema.org/draft-07/schema#"}
_STRING: Schema = {"type": "string"}
_ABOUT_SCHEMA = "The JSON Schema of this file, for your editor. It has no effect on the pipeline."

_ABOUT = {
    "image": "What is done to an image, in this order.",
    "batch": "How the images of a batch are mixed in training, in this order.",
    "model": "What is attached to the model.",
    "loss": "What is added to the loss, or changes its target or the weights.",
}


def schema(transforms: Mapping[str, Any], draft: str = "2020-12", address: str = "") -> Schema:
    """The JSON Schema of specs that use these transforms and regularizers, in draft `2020-12` or `7`.

    As a part of another schema it needs an `address`, a URI, to which its references refer.
    """
    options: Schema = mapping(Options)["properties"]
    # the type stands here too: editors do not look for it behind the reference
    sections = {name: {**_steps(name), "description": _ABOUT[name]} for name in SECTIONS}
    definitions: Schema = {"schedule": schedule()}
    for section in SECTIONS:
        allowed = {name: cls for name, cls in transforms.items() if section in cls.__augreg__.sections}
        definitions[f"{section}.step"] = _any_step(allowed, section)
        definitions[f"{section}.steps"] = _steps(section)
        definitions.update((_key(name, section), _arguments(cls, section)) for name, cls in allowed.items())
    whole: Schema = {
        "$schema": _DRAFTS[draft],
        "title": "augreg spec",
        "description": "A pipeline of augreg: a mapping of options and sections, or the list of image steps alone.",
        "type": ["object", "array"],
        "properties": {
            "$schema": {"type": "string", "description": _ABOUT_SCHEMA},
            **sections,
            "views": _views(),
            **options,
        },
        "additionalProperties": False,
        "if": {"type": "object"},
        "then": {"anyOf": [{"required": [name]} for name in (*SECTIONS, "views")]},
        "items": _ref("image.step"),
        "$defs": definitions,
    }
    if address:
        whole = {"$id": address, **with_references_to(address, whole)}
    return whole if draft == "2020-12" else in_draft_7(whole)


def _ref(key: str) -> Schema:
    return {"$ref": f"#/$defs/{key}"}


def _key(name: str, section: str) -> str:
    """The key of the schema of a step's arguments; it depends on the section, as containers take steps of theirs."""
    return f"{section}:{name.replace('/', '.')}"


def _steps(section: str) -> Schema:
    return {"title": f"{section} steps", "type": ["array", "null"], "items": _ref(f"{section}.step")}


def _views() -> Schema:
    """The section `views`: a mapping of names to views, each with its steps, or the list of these alone."""
    of_view: Schema = {"title": "a view", "type": ["string", "null"], "minLength": 1}
    steps = _steps("image")
    patches = mapping(PatchMasking)
    side = patches["properties"]["size"]
    given = {**patches, "type": "object", "required": ["size"]}
    view: Schema = {
        "title": "view",
        "type": ["object", "array", "null"],
        "properties": {
            "steps": {**steps, "description": "Its steps, after those of `image`."},
            "count": {
                "title": "count", "type": ["integer", "null"], "minimum": 1, "maximum": 256,
                "description": "How many of them there are, numbered from 1: `global_1`.",
            },
            "geometry": {**of_view, "description": "The view whose steps that move pixels come first, as drawn."},
            "draws": {**of_view, "description": "The view whose numbers steps of the same name draw."},
            "patches": {
                "title": "patches", "anyOf": [given, side, {"type": "null"}],
                "description": "Which patches are masked.",
            },
        },
        "additionalProperties": False,
        "items": _ref("image.step"),
    }  # fmt: skip
    about = "Several views of one image, by name: the steps of `image`, then their own."
    names = {"pattern": "^[A-Za-z][A-Za-z0-9_]{0,63}$", "not": {"const": "image"}}
    return {
        "title": "views", "type": ["object", "null"], "description": about, "propertyNames": names,
        "additionalProperties": view,
    }  # fmt: skip


def _any_step(transforms: Mapping[str, Any], section: str) -> Schema:
    """A step of a section: a name, a mapping of one name to its arguments, or a list of steps."""
    without_arguments = [name for name, cls in transforms.items() if _needs_no_arguments(cls)]
    step: Schema = {
        "title": f"{section} step",
        "type": ["object"],
        "properties": {name: _ref(_key(name, section)) for name in transforms},
        "additionalProperties": False,
        "minProperties": 1,
        "maxProperties": 1,
    }
    if without_arguments:
        step["type"].append("string")
        step["pattern"] = _pattern(without_arguments)
        step["patternErrorMessage"] = f"no step of the {section} section has this name, or it needs arguments"
    if "sequential" in transforms:
        step["type"].append("array")
        step["items"] = _ref(f"{section}.step")
        step["description"] = "A name with its arguments, a name alone, or a list of steps, which is `sequential`."
    return step


def _pattern(names: Iterable[str]) -> str:
    """A pattern for names that are also properties: editors offer those of an enum as values of the property."""
    return "^({})$".format("|".join(re.sub(r"[^\w/-]", r"[\g<0>]", name) for name in names))


def _needs_no_arguments(cls: Any) -> bool:
    try:
        cls()
    except (AugregError, TypeError):
        return False
    return True


def _arguments(cls: Any, section: str) -> Schema:
    """What a name may be mapped to: its arguments, its first argument alone, or nothing."""
    info: TransformInfo = cls.__augreg__
    known = [field for field in fields(cls) if field.init]
    properties: dict[str, Schema] = {}
    for field in known:
        steps = info.container and field.name == "steps"
        properties[field.name] = _ref(f"{section}.steps") if steps else hinted(hints(cls)[field.name], scheduled=True)
        if not steps:
            found = _with_name_and_number(cls, field.name, properties[field.name])
            properties[field.name] = {"title": field.name, **found}
    for name, value in defaults(cls).items():
        properties[name]["default"] = value
    needs = [field.name for field in known if required(field)]
    arguments = {
        "type": "object",
        "properties": {**properties, **_common(info, section)},
        "required": needs,
        "additionalProperties": False,
    }
    forms: list[Schema] = [arguments]
    if known and needs in ([], [known[0].name]):
        forms.append(
            {**_first(properties[known[0].name], section), "description": f"The argument `{known[0].name}`."}
        )
    if _needs_no_arguments(cls):
        forms.append({"type": "null"})
    about = {"title": info.name, "description": inspect.getdoc(cls) or ""}
    return {**about, **forms[0]} if len(forms) == 1 else {**about, "anyOf": forms}


def _first(argument: Schema, section: str) -> Schema:
    """The schema of the first argument alone, in place of a mapping: draft 7 reads nothing beside a `$ref`."""
    form = _steps(section) if "$ref" in argument else argument
    return {key: value for key, value in form.items() if key not in ("title", "default")}


def _with_name_and_number(cls: Any, argument: str, found: Schema) -> Schema:
    """The schema of an argument, with `{name: number}` for the names of its enum that `complete` reads so."""
    names = found.get("enum", ()) if hasattr(cls, "complete") else ()
    names = [name for name in names if not convert(cls, "", {argument: {name: 1.0}}, "", optional=hints(cls))[1]]
    if not names:
        return found
    numbers = {name: {"type": "number"} for name in names}
    pair = {"type": "object", "properties": numbers, "additionalProperties": False, "minProperties": 1}
    rest = {key: value for key, value in found.items() if key != "enum"}
    others = [name for name in found["enum"] if name not in names]
    return {**rest, "anyOf": [*([{"enum": others}] if others else []), {"pattern": _pattern(names), **_STRING}, pair]}


def _common(info: TransformInfo, section: str) -> dict[str, Schema]:
    """The arguments that all steps of a section take; those of `model` and `loss` have none in common."""
    if section in ("model", "loss"):
        return {}
    chance: Schema = {"type": "number", "minimum": 0, "maximum": 1}
    common: dict[str, Schema] = {
        "p": {
            "anyOf": [chance, SCHEDULE], "default": info.p,
            "description": "The probability that the step is applied, or a schedule of it.",
        },
        "uid": {
            "type": ["string", "null"], "minLength": 1, "description": "A name for its stream of random numbers.",
        },
    }  # fmt: skip
    if section == "image":
        rules = ["off", "identity", "same"] + [info.rule] * (info.rule not in ("identity", "same"))
        common["test"] = {
            "description": "What to do at test time instead: off, the name of a rule, or steps.",
            "anyOf": [{"enum": [*rules, False, None]}, _ref("image.step")],
        }
    return common
