"""The JSON Schema of what an annotation takes: msgspec's, with short forms, schedules and descriptions added."""

from __future__ import annotations

import functools
import typing
from dataclasses import fields, is_dataclass
from typing import Any

import msgspec

from augreg.steps.describe import takes
from augreg.steps.fields import (
    MEANS,
    STDS,
    Shorthand,
    convert_one,
    hints,
    plain,
    plain_default,
    required,
    shorthand_of,
    without_none,
)
from augreg.steps.schedules import FORMS
from augreg.steps.selectors import At

__all__ = ["SCHEDULE", "Schema", "defaults", "hinted", "in_draft_7", "mapping", "schedule", "with_references_to"]

Schema = dict[str, Any]
SCHEDULE: Schema = {"$ref": "#/$defs/schedule"}


def schedule() -> Schema:
    """The schema of schedules; whether their numbers are within an argument's bounds is left to `augreg validate`."""
    about = {
        "linear": "Numbers and the epochs in which they are reached, with straight lines in between.",
        "cosine": "Numbers and the epochs in which they are reached, with half cosine waves in between, flat at both "
        "ends.",
        "step": "Numbers, one more than there are epochs: from each epoch on, the next number is used.",
    }
    numbers = {"type": "array", "items": {"type": "number"}, "minItems": 2}
    epochs = {
        "type": "array",
        "items": {"type": "number", "minimum": 0},
        "description": "Epochs, in increasing order.",
    }
    forms = [
        {
            "type": "object",
            "title": form,
            "description": about[form],
            "properties": {form: numbers, key: {**epochs, "minItems": 1 if form == "step" else 2}},
            "required": [form, key],
            "additionalProperties": False,
        }
        for form, key in FORMS.items()
    ]
    text = "A number that changes with the epoch: {linear: [0, 0.5], over: [0, 30]}."
    return {"title": "schedule", "description": text, "anyOf": forms}


def in_draft_7(schema: Any) -> Any:
    """A schema of draft 2020-12 in draft 7, which has other names for definitions and for lists of items."""
    if isinstance(schema, list):
        return [in_draft_7(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    result: Schema = {}
    for key, value in schema.items():
        if key in ("properties", "$defs"):
            result["definitions" if key == "$defs" else key] = {
                name: in_draft_7(part) for name, part in value.items()
            }
        elif key == "$ref":
            result[key] = value.replace("#/$defs/", "#/definitions/")
        elif key == "prefixItems":
            result["items"] = in_draft_7(value)
        elif key == "items" and "prefixItems" in schema:
            result["additionalItems"] = value
        else:
            result[key] = value if key in ("enum", "default") else in_draft_7(value)
    return result


def with_references_to(address: str, schema: Any) -> Any:
    """A schema whose references begin with an address."""
    if isinstance(schema, list):
        return [with_references_to(address, part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: f"{address}{part}" if key == "$ref" and isinstance(part, str) else with_references_to(address, part)
        for key, part in schema.items()
    }


def mapping(cls: Any) -> Schema:
    """The schema of a dataclass as a mapping of its fields."""
    properties = {name: {"title": name, **hinted(hint)} for name, hint in hints(cls).items()}
    for name, value in defaults(cls).items():
        properties[name]["default"] = value
    return {"type": "object", "properties": properties, "additionalProperties": False}


def defaults(cls: Any) -> dict[str, Any]:
    """The defaults of a dataclass's fields, as JSON has them."""
    known = {field.name: plain_default(field) for field in fields(cls) if field.init and not required(field)}
    return {name: plain(value) for name, value in known.items() if value is not None and not is_dataclass(value)}


def hinted(hint: Any, scheduled: bool = False) -> Schema:
    """The schema of what an annotation takes, short forms included; `scheduled` also takes schedules for numbers."""
    bare, short = without_none(hint), shorthand_of(hint)
    if bare == At:
        forms = [*_selectors(), *([] if bare is hint else [{"type": "null"}])]
    else:
        forms = [_canonical(hint, scheduled), *(_short_forms(bare, short, scheduled) if short else ())]
    return {"description": takes(hint), **(forms[0] if len(forms) == 1 else {"anyOf": forms})}


def _canonical(hint: Any, scheduled: bool) -> Any:
    """The schema of an annotation without its short form."""
    if is_dataclass(hint):
        return {"anyOf": [mapping(hint), {"type": "null"}]}
    (found,), components = msgspec.json.schema_components((hint,), ref_template="{name}", schema_hook=lambda _: {})
    return _expand(found, components, scheduled)


def _expand(schema: Any, components: Schema, scheduled: bool) -> Any:
    """A schema of msgspec with its references replaced, and with schedules for numbers if they are allowed."""
    if not isinstance(schema, dict):
        return schema
    schema = dict(components.get(schema.get("$ref", ""), schema))
    if "items" in schema:
        schema["items"] = _expand(schema["items"], components, scheduled)
    if "additionalProperties" in schema:
        schema["additionalProperties"] = _expand(schema["additionalProperties"], components, scheduled)
    if "properties" in schema:
        found = schema["properties"].items()
        schema["properties"] = {name: _expand(part, components, scheduled) for name, part in found}
    for key in schema.keys() & {"anyOf", "prefixItems"}:
        schema[key] = [_expand(part, components, scheduled) for part in schema[key]]
    return _or_schedule(schema) if scheduled else schema


def _or_schedule(schema: Schema) -> Schema:
    """A schema, or a schedule if it takes numbers."""
    whole = any(isinstance(value, int) and not isinstance(value, bool) for value in schema.get("enum", ()))
    return {"anyOf": [schema, SCHEDULE]} if whole or schema.get("type") in ("number", "integer") else schema


def _short_forms(hint: Any, short: Shorthand, scheduled: bool) -> list[Schema]:
    """The schemas of the short forms of an annotation, found by trying numbers and the known names."""
    reader = getattr(short.expand, "func", short.expand)
    if reader.__module__ != "augreg.steps.fields":  # a notation that only its own code reads
        named = any(typing.get_args(getattr(part, "__origin__", None)) == (str, ...) for part in _parts(hint))
        return [{"type": "string"}, {"type": "array", "items": {"type": "string"}} if named else {"type": "array"}]
    forms: list[Schema] = []
    if _reads(hint, 0.5) or _reads(hint, 2):
        repeats = not _reads(hint, 2) or all(item == 2 for item in convert_one(hint, 2))
        # a number that is repeated has the bounds of an item; a distance from the middle is not negative
        item = typing.get_args(hint.__origin__)[0]
        distance: Schema = {"type": "number", "minimum": 0}
        forms.append(_canonical(item, scheduled) if repeats else _or_schedule(distance) if scheduled else distance)
    words = [word for word in sorted({*MEANS, *STDS}) if _reads(hint, word)]
    if words:
        forms.append({"enum": words})
    return forms


def _parts(hint: Any) -> tuple[Any, ...]:
    """The annotation, and those that it is a union of."""
    return hint, *(typing.get_args(hint) if getattr(hint, "__metadata__", None) is None else ())


def _selectors() -> list[Schema]:
    """The ways to write `at`: a pattern, a mapping of name, type and what is left out, or a list of both."""
    name = {"type": "string", "description": "A name; * matches anything but a dot, ** matches anything."}
    type_ = {"type": "string", "description": "The name of a class, such as Conv2d, or of one of its base classes."}
    properties: Schema = {
        "name": {**name, "default": "**"},
        "type": {"anyOf": [type_, {"type": "array", "items": type_}], "default": []},
    }

    def forms(known: Schema) -> list[Schema]:
        both = {"type": "object", "properties": known, "additionalProperties": False}
        return [name, both, {"type": "array", "items": {"anyOf": [name, both]}, "minItems": 1}]

    left_out = {"description": "What is left out, with everything in it.", "anyOf": forms(properties)}
    return forms({**properties, "not": left_out})


@functools.cache
def _reads(hint: Any, value: Any) -> bool:
    try:
        convert_one(hint, value)
    except ValueError:
        return False
    return True
