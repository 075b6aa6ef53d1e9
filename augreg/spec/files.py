"""Specs from files: YAML by the rules of YAML 1.2, JSON, TOML; with the line of every entry where it can be told.

YAML 1.2 means that `1e-3` is a number, `no` and `on` are strings and `010` is ten. A repeated key is an error,
tags make nothing, and size, depth and aliases are bounded: reading a file can neither run code nor fill memory.
"""

from __future__ import annotations

import importlib.resources
import json
import re
import tomllib
from collections.abc import Callable, Hashable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from augreg.errors import Problem, SpecError
from augreg.steps.fields import nearest

__all__ = ["Document", "presets", "read"]

_MOST_BYTES = 1 << 20
_MOST_NODES = 50_000
_MOST_DEPTH = 60
_TAGS = ("seq", "map", "str", "int", "float", "bool", "null")


class Document(NamedTuple):
    """What a file says, its name for messages, and the line (from 1) of each place in it."""

    data: Any
    name: str
    lines: dict[tuple[str | int, ...], int]


def presets() -> dict[str, Path]:
    """The specs that come with augreg, by name."""
    folder = Path(str(importlib.resources.files("augreg"))) / "presets"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def read(
    source: str | Path, more: Mapping[str, Path] | None = None, unknown: Callable[[str], str] | None = None
) -> Document:
    """Read a preset (by its bare name) or a .yaml, .yml, .json or .toml file. Raises SpecError.

    `more` are presets besides those that come with augreg, and `unknown` says why a plugin's preset is not there.
    """
    name = str(source)
    known = {**presets(), **(more or {})}
    if isinstance(source, str) and name in known:
        path, name = known[name], name
    else:
        path = Path(source)
    suffix = path.suffix.lower()
    if suffix not in (".yaml", ".yml", ".json", ".toml"):
        if unknown is not None and "/" in name and not path.exists():
            raise SpecError(name, f"{unknown(name)}; and files end in .yaml, .yml, .json or .toml")
        raise SpecError(
            name,
            f"no preset or file of this name{nearest(name, known)}; presets are {', '.join(known)}, "
            "and files end in .yaml, .yml, .json or .toml",
        )
    try:
        size = path.stat().st_size
        text = path.read_text(encoding="utf-8-sig") if size <= _MOST_BYTES else ""
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise SpecError(name, f"cannot be read: {reason or error}") from None
    if size > _MOST_BYTES:
        raise SpecError(name, f"a spec file may have at most {_MOST_BYTES} bytes, and this one has {size}")
    if suffix == ".json":
        return Document(_json(text, name), name, {})
    if suffix == ".toml":
        try:
            return Document(tomllib.loads(text), name, {})
        except (ValueError, RecursionError) as error:
            raise SpecError(name, f"is not TOML: {error}") from None
    return _yaml(text, name)


def _json(text: str, name: str) -> Any:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in pairs:
            if key in found:
                raise SpecError(name, f"the key {key!r} is given twice")
            found[key] = value
        return found

    try:
        return json.loads(text, object_pairs_hook=once)
    except RecursionError:
        raise SpecError(name, "is nested too deeply") from None
    except json.JSONDecodeError as error:
        raise SpecError([Problem("", f"is not JSON: {error.msg}", name, error.lineno)]) from None


class _Loader(yaml.SafeLoader):
    """SafeLoader with the core schema of YAML 1.2."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - PyYAML's own protocol


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)
_Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"^(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""])
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^[-+]?[0-9]+$"), list("-+0123456789"))
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(
        r"^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$|^[-+]?\.(?:inf|Inf|INF)$|^\.(?:nan|NaN|NAN)$"
    ),
    list("-+.0123456789"),
)


def _yaml(text: str, name: str) -> Document:
    def fail(mark: yaml.Mark | None, message: str) -> SpecError:
        return SpecError([Problem("", message, name, mark.line + 1 if mark else None)])

    loader = _Loader(text)
    lines: dict[tuple[str | int, ...], int] = {}
    count = 0

    def build(node: yaml.Node, path: tuple[str | int, ...]) -> Any:
        nonlocal count
        count += 1  # an alias counts each time it is used, so a bomb of aliases is met early
        if count > _MOST_NODES or len(path) > _MOST_DEPTH:
            raise fail(node.start_mark, "the file is too large or too deeply nested for a spec")
        lines.setdefault(path, node.start_mark.line + 1)
        if node.tag.removeprefix("tag:yaml.org,2002:") not in _TAGS:
            raise fail(node.start_mark, f"tags such as {node.tag!r} mean nothing in a spec")
        if isinstance(node, yaml.SequenceNode):
            return [build(item, (*path, index)) for index, item in enumerate(node.value)]
        if isinstance(node, yaml.MappingNode):
            found: dict[Hashable, Any] = {}
            for key_node, value_node in node.value:
                key = build(key_node, path)
                if isinstance(key, list | dict):
                    raise fail(key_node.start_mark, "a key must be a plain word")
                if key in found:
                    raise fail(key_node.start_mark, f"the key {key!r} is given twice")
                lines[(*path, key)] = key_node.start_mark.line + 1
                found[key] = build(value_node, (*path, key))
            return found
        return _scalar(node, fail)

    try:
        root = loader.get_single_node()
        data = build(root, ()) if root is not None else None
    except yaml.MarkedYAMLError as error:
        raise fail(error.problem_mark, f"is not YAML: {error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise SpecError(name, f"is not YAML: {error}") from None
    except RecursionError:
        raise SpecError(name, "is nested too deeply") from None
    finally:
        loader.dispose()
    return Document(data, name, lines)


def _scalar(node: yaml.Node, fail: Any) -> Any:
    kind = node.tag.rpartition(":")[2]
    value: str = node.value
    try:
        if kind == "int":
            return int(value)
        if kind == "float":
            return float(value.lower().replace(".inf", "inf").replace(".nan", "nan"))
    except ValueError:
        raise fail(node.start_mark, f"{value[:40]!r} is not a number") from None
    if kind == "bool":
        return value.lower() == "true"
    return None if kind == "null" else value
