"""The JSON Schema of specs, made from the classes of their steps.

A schema cannot express everything: `augreg validate` also checks the order of two numbers, the `check` of a class,
and where normalize is allowed.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from augreg.commands.arguments_schema import SCHEDULE, Schema, defaults, hinted, mapping, schedule
from augreg.errors import AugregError
from augreg.spec.options import SECTIONS, Options
from augreg.steps.declare import TransformInfo
from augreg.steps.fields import convert, hints, required

__all__ = ["schema"]

_ABOUT = {
    "image": "What is done to an image, in this order.",
    "batch": "How the images of a batch are mixed in training, in this order.",
    "model": "What is attached to the model.",
    "loss": "What is added to the loss, or changes its target or the weights.",
}


def schema(transforms: Mapping[str, Any]) -> Schema:
    """The JSON Schema (2020-12) of specs that use these transforms and regularizers."""
    options: Schema = mapping(Options)["properties"]
    sections = {name: {**_ref(f"{name}.steps"), "description": _ABOUT[name]} for name in SECTIONS}
    whole: Schema = {
        "type": "object",
        "properties": {**options, **sections},
        "anyOf": [{"required": [name]} for name in SECTIONS],
        "additionalProperties": False,
    }
    definitions: Schema = {"schedule": schedule()}
    for section in SECTIONS:
        allowed = {name: cls for name, cls in transforms.items() if section in cls.__augreg__.sections}
        definitions[f"{section}.step"] = _any_step(allowed, section)
        definitions[f"{section}.steps"] = {
            "anyOf": [{"type": "array", "items": _ref(f"{section}.step")}, {"type": "null"}]
        }
        definitions.update((_key(name, section), _arguments(cls, section)) for name, cls in allowed.items())
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "augreg spec",
        "description": "A pipeline of augreg: a mapping of options and sections, or the list of image steps alone.",
        # the mapping first: an editor offers it in an empty file
        "anyOf": [whole, {"type": "array", "items": _ref("image.step")}],
        "$defs": definitions,
    }


def _ref(key: str) -> Schema:
    return {"$ref": f"#/$defs/{key}"}


def _key(name: str, section: str) -> str:
    """The key of the schema of a step's arguments; it depends on the section, as containers take steps of theirs."""
    return f"{section}:{name.replace('/', '.')}"


def _any_step(transforms: Mapping[str, Any], section: str) -> Schema:
    """A step of a section: a name, a mapping of one name to its arguments, or a list of steps."""
    without_arguments = [name for name, cls in transforms.items() if _needs_no_arguments(cls)]
    forms: list[Schema] = [
        {
            "type": "object",
            "properties": {name: _ref(_key(name, section)) for name in transforms},
            "additionalProperties": False,
            "minProperties": 1,
            "maxProperties": 1,
        }
    ]
    if without_arguments:
        forms.append({"enum": without_arguments})
    if "sequential" in transforms:
        about = "These steps in order: short for `sequential`."
        forms.append({"type": "array", "items": _ref(f"{section}.step"), "description": about})
    return {"anyOf": forms}


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
        properties[field.name] = _with_name_and_number(cls, field.name, properties[field.name])
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
        forms.append({**properties[known[0].name], "description": f"The argument `{known[0].name}`."})
    if _needs_no_arguments(cls):
        forms.append({"type": "null"})
    return {"description": inspect.getdoc(cls) or "", "anyOf": forms}


def _with_name_and_number(cls: Any, argument: str, found: Schema) -> Schema:
    """The schema of an argument, with `{name: number}` for the names of its enum that `complete` reads so."""
    names = found.get("enum", ()) if hasattr(cls, "complete") else ()
    names = [name for name in names if not convert(cls, "", {argument: {name: 1.0}}, "", optional=hints(cls))[1]]
    if not names:
        return found
    numbers = {name: {"type": "number"} for name in names}
    pair = {"type": "object", "properties": numbers, "additionalProperties": False, "minProperties": 1}
    rest = {key: value for key, value in found.items() if key != "enum"}
    return {**rest, "anyOf": [{"enum": found["enum"]}, pair]}


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
