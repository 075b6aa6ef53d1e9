"""`augreg schema`: the JSON Schema of specs, made from the registry, so that an editor completes and checks them.

What a schema cannot say is left to `augreg validate`: an order of two numbers, what a transform's own check wants,
and where normalize may stand.
"""

from __future__ import annotations

import argparse
import functools
import inspect
import json
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, Literal

from msgspec import Meta

from augreg.errors import AugregError

__all__ = ["add", "run", "schema"]

Schema = dict[str, Any]
_STEP: Schema = {"$ref": "#/$defs/step"}
_STEPS: Schema = {"$ref": "#/$defs/steps"}
_BOUNDS = (
    ("ge", "minimum"), ("gt", "exclusiveMinimum"), ("le", "maximum"), ("lt", "exclusiveMaximum"),
    ("multiple_of", "multipleOf"), ("pattern", "pattern"),
)  # fmt: skip


def add(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "schema",
        help="print the JSON Schema of specs, for your editor",
        description="Print the JSON Schema of specs with every installed transform. Write it beside your specs, and "
        "begin them with: # yaml-language-server: $schema=augreg.schema.json",
    )
    parser.add_argument("--built-in", action="store_true", help="without the transforms of plugins")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the schema on stdout, and the plugins that failed on stderr."""
    from augreg.commands.telling import complain
    from augreg.registry import Registry

    registry = Registry.installed()
    found: dict[str, Any] = {}
    for name in registry:
        if not (arguments.built_in and "/" in name):
            try:
                found[name] = registry[name]
            except AugregError as error:
                complain(f"{name} is left out: {error}")
    print(json.dumps(schema(found), indent=1))
    return 0


def schema(transforms: Mapping[str, Any]) -> Schema:
    """The JSON Schema (2020-12) of specs that use these transforms."""
    from augreg.spec import Options

    sections: Schema = _mapping(Options)["properties"]
    whole: Schema = {
        "type": "object",
        "properties": {
            **sections,
            "image": {**_STEPS, "description": "What is done to a picture, in this order."},
        },
        "anyOf": [{"required": [name]} for name in ("image",)],
        "additionalProperties": False,
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "augreg spec",
        "description": "A pipeline of augreg: a mapping of options and sections, or the list of image steps alone.",
        # the mapping first: what an editor offers in an empty file
        "anyOf": [whole, {"type": "array", "items": _STEP}],
        "$defs": {
            "step": _step(transforms),
            "steps": {"anyOf": [{"type": "array", "items": _STEP}, {"type": "null"}]},
            **{_key(name): _transform(cls) for name, cls in transforms.items()},
        },
    }


def _key(name: str) -> str:
    return f"transform.{name.replace('/', '.')}"


def _step(transforms: Mapping[str, Any]) -> Schema:
    """A step: a name, a mapping of one name to its arguments, or a list of steps."""
    alone = [name for name, cls in transforms.items() if _made_without_arguments(cls)]
    return {
        "anyOf": [
            {
                "type": "object",
                "properties": {name: {"$ref": f"#/$defs/{_key(name)}"} for name in transforms},
                "additionalProperties": False,
                "minProperties": 1,
                "maxProperties": 1,
            },
            {"enum": alone},
            {"type": "array", "items": _STEP, "description": "These steps in order: short for `sequential`."},
        ]
    }


def _made_without_arguments(cls: Any) -> bool:
    try:
        cls()
    except (AugregError, TypeError):
        return False
    return True


def _transform(cls: Any) -> Schema:
    """What may stand behind a transform's name: its arguments, its first argument alone, or nothing."""
    mark = cls.__augreg__
    known = [field for field in fields(cls) if field.init]
    properties: dict[str, Schema] = {}
    for field in known:
        steps = mark.container and field.name == "steps"
        properties[field.name] = dict(_STEPS) if steps else hinted(_hints(cls)[field.name])
    for name, value in _defaults(cls).items():
        properties[name]["default"] = value
    needs = [field.name for field in known if field.default is MISSING and field.default_factory is MISSING]
    arguments = {
        "type": "object",
        "properties": {**properties, **_common(mark)},
        "required": needs,
        "additionalProperties": False,
    }
    forms: list[Schema] = [arguments]
    if known and needs in ([], [known[0].name]):
        forms.append({**properties[known[0].name], "description": f"Stands for `{known[0].name}`."})
    if _made_without_arguments(cls):
        forms.append({"type": "null"})
    return {"description": inspect.getdoc(cls) or "", "anyOf": forms}


def _common(mark: Any) -> dict[str, Schema]:
    """What every step takes."""
    rules = ["off", "identity", "same"] + [mark.rule] * (mark.rule not in ("identity", "same"))
    return {
        "p": {
            "type": "number", "minimum": 0, "maximum": 1, "default": mark.p,
            "description": "The chance that the step is applied.",
        },
        "test": {
            "description": "What is done at test time instead: off, a rule's name, or steps.",
            "anyOf": [{"enum": [*rules, False, None]}, _STEP],
        },
        "uid": {
            "type": ["string", "null"], "minLength": 1, "description": "A name for its stream of random numbers.",
        },
    }  # fmt: skip


def _mapping(cls: Any) -> Schema:
    """The schema of a dataclass as a mapping of its fields."""
    properties = {name: hinted(hint) for name, hint in _hints(cls).items()}
    for name, value in _defaults(cls).items():
        properties[name]["default"] = value
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _hints(cls: Any) -> dict[str, Any]:
    from augreg.fields import hints

    return hints(cls)


def _defaults(cls: Any) -> dict[str, Any]:
    """The defaults of a dataclass's fields, as JSON has them."""
    from augreg.fields import plain

    return {
        field.name: plain(field.default)
        for field in fields(cls)
        if field.init and field.default not in (MISSING, None) and not is_dataclass(field.default)
    }


def hinted(hint: Any) -> Schema:
    """The schema of what an annotation takes, short forms included."""
    from augreg.fields import Short
    from augreg.reference import takes

    marks = getattr(hint, "__metadata__", ())
    found = _bounded(_bare(hint), marks)
    short = next((mark for mark in marks if isinstance(mark, Short)), None)
    if short is not None:
        found = {"anyOf": [found, *_short_forms(hint, short, found)]}
    return {"description": takes(hint), **found}


def _bare(hint: Any) -> Schema:
    """The schema of the type that an annotation is at its root."""
    bare = hint.__origin__ if getattr(hint, "__metadata__", ()) else hint
    origin, parts = typing.get_origin(bare), typing.get_args(bare)
    if is_dataclass(bare):
        return {"anyOf": [_mapping(bare), {"type": "null"}]}
    if origin in (typing.Union, types.UnionType):
        return {"anyOf": [_inner(part) for part in parts]}
    if origin is Literal:
        return {"enum": list(parts)}
    if origin is tuple and parts[-1:] != (...,):
        return {
            "type": "array", "prefixItems": [_inner(part) for part in parts], "items": False, "minItems": len(parts),
        }  # fmt: skip
    if origin in (tuple, list, Sequence):
        return {"type": "array", "items": _inner(parts[0])}
    if origin in (dict, Mapping) and len(parts) == 2:
        return {"type": "object", "additionalProperties": _inner(parts[1])}
    plain = {int: "integer", float: "number", str: "string", bool: "boolean", type(None): "null", dict: "object"}
    return {"type": plain[bare]} if bare in plain else {}


def _inner(hint: Any) -> Schema:
    """The schema of a part of an annotation, without a description of its own."""
    found = hinted(hint)
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


def _short_forms(hint: Any, short: Any, canonical: Schema) -> list[Schema]:
    """The schemas of the short forms, found by trying: numbers, and the words that are known."""
    from augreg.fields import MEANS, STDS

    reader = getattr(short.expand, "func", short.expand)
    if reader.__module__ != "augreg.fields":  # a notation of its own, which only its reader knows
        return [{"type": ["string", "array"]}]
    forms: list[Schema] = []
    member = canonical.get("prefixItems", [canonical.get("items", {})])[0]
    if _reads(hint, 0.5) or _reads(hint, 2):
        repeats = all(part == 2 for part in _expanded(hint, 2))
        # a number that stands for itself has a member's bounds; a distance from the middle is not negative
        forms.append(dict(member) if repeats else {"type": "number", "minimum": 0})
    words = [word for word in sorted({*MEANS, *STDS}) if _reads(hint, word)]
    if words:
        forms.append({"enum": words})
    return forms


def _expanded(hint: Any, value: Any) -> tuple[Any, ...]:
    from augreg.fields import convert_one

    try:
        return tuple(convert_one(hint, value))
    except ValueError:
        return (value,)


@functools.cache
def _reads(hint: Any, value: Any) -> bool:
    from augreg.fields import convert_one

    try:
        convert_one(hint, value)
    except ValueError:
        return False
    return True
