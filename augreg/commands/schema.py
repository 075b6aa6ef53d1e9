"""`augreg schema`: the JSON Schema of specs, made from the registry, so that an editor completes and checks them.

What a schema cannot say is left to `augreg validate`: an order of two numbers, what a transform's own check wants,
and where normalize may stand.
"""

from __future__ import annotations

import argparse
import inspect
import json
from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any

from augreg.commands.arguments_schema import SCHEDULE, Schema, defaults, hinted, mapping, schedule
from augreg.errors import AugregError

__all__ = ["add", "run", "schema"]

_ABOUT = {
    "image": "What is done to an image, in this order.",
    "batch": "How the images of a batch are mixed in training, in this order.",
    "model": "What is attached to the model.",
    "loss": "What is added to the loss, or done to its target or to the weights.",
}


def add(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "schema",
        help="print the JSON Schema of specs, for your editor",
        description="Print the JSON Schema of specs with all that is installed. Write it beside your specs, and "
        "begin them with: # yaml-language-server: $schema=augreg.schema.json",
    )
    parser.add_argument("--built-in", action="store_true", help="without those of plugins")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the schema on stdout, and the plugins that failed on stderr."""
    from augreg.commands.console import print_error
    from augreg.registry.registry import Registry

    registry = Registry.installed()
    found: dict[str, Any] = {}
    for name in registry:
        if not (arguments.built_in and "/" in name):
            try:
                found[name] = registry[name]
            except AugregError as error:
                print_error(f"{name} is left out: {error}")
    print(json.dumps(schema(found), indent=1))
    return 0


def schema(transforms: Mapping[str, Any]) -> Schema:
    """The JSON Schema (2020-12) of specs that use these transforms and regularizers."""
    from augreg.spec.options import SECTIONS, Options

    options: Schema = mapping(Options)["properties"]
    sections = {name: {**_steps(name), "description": _ABOUT[name]} for name in SECTIONS}
    whole: Schema = {
        "type": "object",
        "properties": {**options, **sections},
        "anyOf": [{"required": [name]} for name in SECTIONS],
        "additionalProperties": False,
    }
    defined: Schema = {"schedule": schedule()}
    for section in SECTIONS:
        found = {name: cls for name, cls in transforms.items() if section in cls.__augreg__.sections}
        defined[f"{section}.step"] = _any_step(found, section)
        defined[f"{section}.steps"] = {"anyOf": [{"type": "array", "items": _step(section)}, {"type": "null"}]}
        defined.update((_key(name, section), _arguments(cls, section)) for name, cls in found.items())
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "augreg spec",
        "description": "A pipeline of augreg: a mapping of options and sections, or the list of image steps alone.",
        # the mapping first: what an editor offers in an empty file
        "anyOf": [whole, {"type": "array", "items": _step("image")}],
        "$defs": defined,
    }


def _step(section: str) -> Schema:
    return {"$ref": f"#/$defs/{section}.step"}


def _steps(section: str) -> Schema:
    return {"$ref": f"#/$defs/{section}.steps"}


def _key(name: str, section: str) -> str:
    """Where the schema of a name's arguments stands; containers hold the steps of their section."""
    return f"{section}:{name.replace('/', '.')}"


def _any_step(found: Mapping[str, Any], section: str) -> Schema:
    """A step of a section: a name, a mapping of one name to its arguments, or a list of steps."""
    alone = [name for name, cls in found.items() if _made_without_arguments(cls)]
    forms: list[Schema] = [
        {
            "type": "object",
            "properties": {name: {"$ref": f"#/$defs/{_key(name, section)}"} for name in found},
            "additionalProperties": False,
            "minProperties": 1,
            "maxProperties": 1,
        }
    ]
    if alone:
        forms.append({"enum": alone})
    if "sequential" in found:
        about = "These steps in order: short for `sequential`."
        forms.append({"type": "array", "items": _step(section), "description": about})
    return {"anyOf": forms}


def _made_without_arguments(cls: Any) -> bool:
    try:
        cls()
    except (AugregError, TypeError):
        return False
    return True


def _arguments(cls: Any, section: str) -> Schema:
    """What may stand behind a name: its arguments, its first argument alone, or nothing."""
    from augreg.steps.fields import hints

    mark = cls.__augreg__
    known = [field for field in fields(cls) if field.init]
    properties: dict[str, Schema] = {}
    for field in known:
        steps = mark.container and field.name == "steps"
        properties[field.name] = _steps(section) if steps else hinted(hints(cls)[field.name], scheduled=True)
        properties[field.name] = _with_word_and_number(cls, field.name, properties[field.name])
    for name, value in defaults(cls).items():
        properties[name]["default"] = value
    needs = [field.name for field in known if field.default is MISSING and field.default_factory is MISSING]
    arguments = {
        "type": "object",
        "properties": {**properties, **_common(mark, section)},
        "required": needs,
        "additionalProperties": False,
    }
    forms: list[Schema] = [arguments]
    if known and needs in ([], [known[0].name]):
        forms.append({**properties[known[0].name], "description": f"Stands for `{known[0].name}`."})
    if _made_without_arguments(cls):
        forms.append({"type": "null"})
    return {"description": inspect.getdoc(cls) or "", "anyOf": forms}


def _with_word_and_number(cls: Any, name: str, found: Schema) -> Schema:
    """The schema of an argument, with `{word: number}` for its words that `complete` reads so, as in init's rule."""
    from augreg.steps.fields import convert, hints

    if not hasattr(cls, "complete"):
        return found
    words = [
        word
        for word in found.get("enum", ())
        if not convert(cls, "", {name: {word: 1.0}}, "", optional=hints(cls))[1]
    ]
    if not words:
        return found
    rest = {key: value for key, value in found.items() if key != "enum"}
    pair = {
        "type": "object",
        "properties": {word: {"type": "number"} for word in words},
        "additionalProperties": False,
        "minProperties": 1,
    }
    return {**rest, "anyOf": [{"enum": found["enum"]}, pair]}


def _common(mark: Any, section: str) -> dict[str, Schema]:
    """What every step of a section takes; those of `model` and `loss` have nothing in common."""
    if section in ("model", "loss"):
        return {}
    chance: Schema = {"type": "number", "minimum": 0, "maximum": 1}
    common: dict[str, Schema] = {
        "p": {
            "anyOf": [chance, SCHEDULE], "default": mark.p,
            "description": "The chance that the step is applied; or a schedule of it.",
        },
        "uid": {
            "type": ["string", "null"], "minLength": 1, "description": "A name for its stream of random numbers.",
        },
    }  # fmt: skip
    if section == "image":
        rules = ["off", "identity", "same"] + [mark.rule] * (mark.rule not in ("identity", "same"))
        common["test"] = {
            "description": "What is done at test time instead: off, a rule's name, or steps.",
            "anyOf": [{"enum": [*rules, False, None]}, _step("image")],
        }
    return common
