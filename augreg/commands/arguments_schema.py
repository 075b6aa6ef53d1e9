"""The JSON Schema of what an annotation takes: types, bounds, short forms, selections, and schedules for numbers."""

from __future__ import annotations

import functools
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, Literal

from msgspec import Meta

__all__ = ["SCHEDULE", "Schema", "defaults", "hinted", "mapping", "schedule"]

Schema = dict[str, Any]
SCHEDULE: Schema = {"$ref": "#/$defs/schedule"}
_BOUNDS = (
    ("ge", "minimum"), ("gt", "exclusiveMinimum"), ("le", "maximum"), ("lt", "exclusiveMaximum"),
    ("multiple_of", "multipleOf"), ("pattern", "pattern"),
)  # fmt: skip


def schedule() -> Schema:
    """The schema of schedules; whether their numbers are within an argument's bounds is left to `augreg validate`."""
    from augreg.steps.schedules import FORMS

    about = {
        "linear": "Numbers, and the epochs that they hold at: straight lines in between.",
        "cosine": "Numbers, and the epochs that they hold at: half cosine waves in between, gentle at both ends.",
        "step": "Numbers, one more than there are epochs: from each epoch on, the next one holds.",
    }
    forms = []
    for form, word in FORMS.items():
        least = 1 if form == "step" else 2
        numbers = {"type": "array", "items": {"type": "number"}, "minItems": 2}
        epochs = {"type": "array", "items": {"type": "number", "minimum": 0}, "minItems": least}
        forms.append(
            {
                "type": "object",
                "description": about[form],
                "properties": {form: numbers, word: {**epochs, "description": "Epochs, rising."}},
                "required": [form, word],
                "additionalProperties": False,
            }
        )
    return {"description": "A number that changes with the epoch: {linear: [0, 0.5], over: [0, 30]}.", "anyOf": forms}


def mapping(cls: Any) -> Schema:
    """The schema of a dataclass as a mapping of its fields."""
    properties = {name: hinted(hint) for name, hint in _hints(cls).items()}
    for name, value in defaults(cls).items():
        properties[name]["default"] = value
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _hints(cls: Any) -> dict[str, Any]:
    from augreg.steps.fields import hints

    return hints(cls)


def defaults(cls: Any) -> dict[str, Any]:
    """The defaults of a dataclass's fields, as JSON has them."""
    from augreg.steps.fields import plain

    return {
        field.name: plain(field.default)
        for field in fields(cls)
        if field.init and field.default not in (MISSING, None) and not is_dataclass(field.default)
    }


def hinted(hint: Any, scheduled: bool = False) -> Schema:
    """The schema of what an annotation takes, short forms included; `scheduled` also takes schedules for numbers."""
    from augreg.steps.describe import takes
    from augreg.steps.fields import Shorthand

    marks = getattr(hint, "__metadata__", ())
    found = _bounded(_bare(hint, scheduled), marks)
    short = next((mark for mark in marks if isinstance(mark, Shorthand)), None)
    if short is not None:
        found = {"anyOf": [found, *_short_forms(hint, short, found, scheduled)]}
    return {"description": takes(hint), **(_scheduled(found) if scheduled else found)}


def _scheduled(found: Schema) -> Schema:
    """A schema, or a schedule where it takes numbers."""
    whole = any(isinstance(word, int) and not isinstance(word, bool) for word in found.get("enum", ()))
    return {"anyOf": [found, SCHEDULE]} if whole or found.get("type") in ("number", "integer") else found


def _bare(hint: Any, scheduled: bool) -> Schema:
    """The schema of the type that an annotation is at its root."""
    bare = hint.__origin__ if getattr(hint, "__metadata__", ()) else hint
    origin, parts = typing.get_origin(bare), typing.get_args(bare)
    if is_dataclass(bare):
        return {"anyOf": [mapping(bare), {"type": "null"}]}
    if origin in (typing.Union, types.UnionType):
        return {"anyOf": [_inner(part, scheduled) for part in parts]}
    if origin is Literal:
        return {"enum": list(parts)}
    if origin is tuple and parts[-1:] != (...,):
        members = [_inner(part, scheduled) for part in parts]
        return {"type": "array", "prefixItems": members, "items": False, "minItems": len(parts)}
    if origin in (tuple, list, Sequence):
        return {"type": "array", "items": _inner(parts[0], scheduled)}
    if origin in (dict, Mapping) and len(parts) == 2:
        return {"type": "object", "additionalProperties": _inner(parts[1])}
    plain = {int: "integer", float: "number", str: "string", bool: "boolean", type(None): "null", dict: "object"}
    return {"type": plain[bare]} if bare in plain else {}


def _inner(hint: Any, scheduled: bool = False) -> Schema:
    """The schema of a part of an annotation, without a description of its own."""
    found = hinted(hint, scheduled)
    found.pop("description")
    return found


def _bounded(found: Schema, marks: Sequence[Any]) -> Schema:
    """The schema with the bounds of msgspec.Meta, and in its anyOf where there is one."""
    for mark in marks:
        if isinstance(mark, Meta):
            for key, word in _BOUNDS:
                if getattr(mark, key) is not None:
                    found = {**found, word: getattr(mark, key)}
            lengths = "Length" if found.get("type") == "string" else "Items"
            for key, word in (("min_length", "min"), ("max_length", "max")):
                if getattr(mark, key) is not None:
                    found = {**found, word + lengths: getattr(mark, key)}
    return found


def _short_forms(hint: Any, short: Any, canonical: Schema, scheduled: bool) -> list[Schema]:
    """The schemas of the short forms, found by trying: numbers, and the words that are known."""
    from augreg.steps.fields import MEANS, STDS

    reader = getattr(short.expand, "func", short.expand)
    if reader.__module__ == "augreg.steps.selectors":
        return _selections()
    if reader.__module__ != "augreg.steps.fields":  # a notation of its own, which only its reader knows
        return [{"type": ["string", "array"]}]
    forms: list[Schema] = []
    member = canonical.get("prefixItems", [canonical.get("items", {})])[0]
    if _reads(hint, 0.5) or _reads(hint, 2):
        repeats = all(part == 2 for part in _expanded(hint, 2))
        # a number that stands for itself has a member's bounds; a distance from the middle is not negative
        distance: Schema = {"type": "number", "minimum": 0}
        forms.append(dict(member) if repeats else _scheduled(distance) if scheduled else distance)
    words = [word for word in sorted({*MEANS, *STDS}) if _reads(hint, word)]
    if words:
        forms.append({"enum": words})
    return forms


def _selections() -> list[Schema]:
    """The ways to write `at`: a pattern, a mapping of name and type, or a list of both."""
    name = {"type": "string", "description": "A name; * stands for anything but a dot, ** for anything."}
    kinds = {"type": "string", "description": "The name of a class, such as Conv2d, or of one that it derives from."}
    both = {
        "type": "object",
        "properties": {"name": name, "type": {"anyOf": [kinds, {"type": "array", "items": kinds}]}},
        "additionalProperties": False,
    }
    return [name, both, {"type": "array", "items": {"anyOf": [name, both]}, "minItems": 1}]


def _expanded(hint: Any, value: Any) -> tuple[Any, ...]:
    from augreg.steps.fields import convert_one

    try:
        return tuple(convert_one(hint, value))
    except ValueError:
        return (value,)


@functools.cache
def _reads(hint: Any, value: Any) -> bool:
    from augreg.steps.fields import convert_one

    try:
        convert_one(hint, value)
    except ValueError:
        return False
    return True
