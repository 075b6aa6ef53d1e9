"""What a spec may say about a transform: its arguments in words, and a line to copy."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Literal, NamedTuple

import msgspec
import yaml

from augreg.fields import convert_one, hints, plain, required, short_form
from augreg.steps import Step

__all__ = ["CHILDREN", "Argument", "arguments", "example", "flow", "line"]

CHILDREN = ("rotate", "solarize", "saturation")
"""What containers hold in the gallery: three steps that are easily told apart."""

_PLAIN = {int: "integer", float: "number", bool: "true or false", str: "text", type(None): "nothing"}
_BOUNDS = (("gt", "above"), ("ge", "at least"), ("lt", "below"), ("le", "at most"))


class Argument(NamedTuple):
    """A field of a transform, for people: its default as a spec would write it, and what it takes."""

    name: str
    default: str
    takes: str


def arguments(cls: Any) -> tuple[Argument, ...]:
    """The arguments of a transform's class, in order."""
    found = []
    for field in fields(cls):
        hint = hints(cls)[field.name]
        default = "required" if required(field) else _rounded(_short(hint, field.default))
        found.append(Argument(field.name, default, _takes(hint)))
    return tuple(found)


def _rounded(value: Any) -> str:
    """A default as it reads well: thirds need not be written out."""
    if isinstance(value, list):
        return f"[{', '.join(map(_rounded, value))}]"
    return f"{value:.4g}" if isinstance(value, float) else flow(value)


def _takes(hint: Any) -> str:
    marks = getattr(hint, "__metadata__", ())
    said = [mark for mark in marks if isinstance(mark, str)]
    short = short_form(hint)
    if short is not None:
        return ", ".join([short.word, *said])
    if marks:
        bounds = [_bounds(mark) for mark in marks if isinstance(mark, msgspec.Meta)]
        return ", ".join(filter(None, [_takes(hint.__origin__), *bounds, *said]))
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return "; or ".join(map(_takes, typing.get_args(hint)))
    if origin is Literal:
        return ", ".join(map(str, typing.get_args(hint)))
    if origin in (tuple, list):
        parts = [part for part in typing.get_args(hint) if part is not Ellipsis]
        if parts == [Step]:
            return "a list of steps"
        return f"[{', '.join(map(_takes, parts))}]" if len(parts) > 1 else f"a list of: {_takes(parts[0])}"
    return _PLAIN.get(hint, "") or getattr(hint, "__name__", "anything").lower()


def _bounds(meta: msgspec.Meta) -> str:
    return " and ".join(f"{word} {value:g}" for key, word in _BOUNDS if (value := getattr(meta, key)) is not None)


def example(cls: Any) -> Any:
    """Arguments that show what a transform does: children for a container, else the middle of its preview."""
    mark = cls.__augreg__
    if mark.container:
        return list(CHILDREN)
    return dict(mark.preview[len(mark.preview) // 2]) if mark.preview else {}


def line(name: str, cls: Any) -> str:
    """The step as a spec writes it: with its example, or else with the first default, as a hint of what to change."""
    given = example(cls)
    first = next(iter(fields(cls)), None)
    if not given and not cls.__augreg__.preview and first and not required(first) and first.default is not None:
        given = {first.name: _short(hints(cls)[first.name], first.default)}
    return f"- {flow(name)}: {flow(given)}" if given else f"- {flow(name)}"


def _short(hint: Any, value: Any) -> Any:
    """The same value in fewer characters: 30 for 30.0 where that makes no difference."""
    value = plain(value)
    shorter = _whole(value)
    return shorter if repr(convert_one(hint, shorter)) == repr(convert_one(hint, value)) else value


def _whole(value: Any) -> Any:
    if isinstance(value, list):
        return [_whole(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def flow(value: Any) -> str:
    """Plain data as YAML on one line."""
    text = yaml.safe_dump(_dict(plain(value)), default_flow_style=True, sort_keys=False, width=10**6)
    return text.removesuffix("\n").removesuffix("\n...")


def _dict(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else value
