"""Specs from files: YAML 1.2 with the line of every entry, JSON and TOML.

In YAML 1.2, `1e-3` is a number, `no` and `on` are strings and `010` is ten. A repeated key is an error, tags are
refused, and size, depth and aliases are bounded (augreg/steps/sizes.py): reading a file can neither run code nor fill
the memory. Whatever a reader raises becomes a SpecError.
"""

from __future__ import annotations

import os
import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from augreg import lazy
from augreg.errors import Problem, SpecError
from augreg.images.files import read_file
from augreg.registry.registry import Registry
from augreg.steps.fields import nearest
from augreg.steps.sizes import MOST_LEVELS, MOST_VALUES, TOO_DEEP, TOO_LARGE
from augreg.steps.step import Location

__all__ = ["Document", "presets", "read", "read_yaml"]

json, tomllib = lazy.module("json"), lazy.module("tomllib")

_MAX_BYTES = 1 << 20
_TAGS = ("seq", "map", "str", "int", "float", "bool", "null")


class Document(NamedTuple):
    """The data of a file, its name for messages, and the line (from 1) of each location, if known."""

    data: Any
    name: str
    lines: dict[Location, int]


def presets() -> dict[str, Path]:
    """The specs that come with augreg, by name."""
    folder = Path(__file__).parents[1] / "presets"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def read(source: str | Path, registry: Registry | None = None) -> Document:
    """Read a preset (by its name) or a .yaml, .yml, .json or .toml file. Raises SpecError.

    With a registry, the presets of its plugins have names too.
    """
    name = str(source)
    known = {**presets(), **(registry.presets if registry is not None else {})}
    path = known[name] if isinstance(source, str) and name in known else Path(source)
    suffix = path.suffix.lower()
    if suffix not in (".yaml", ".yml", ".json", ".toml"):
        why = f"no preset or file has this name{nearest(name, known)}; presets are {', '.join(known)}"
        if registry is not None and "/" in name and not os.path.exists(path):  # noqa: PTH110 - a long name raises in Path
            why = registry.unknown(name, "preset", known)
        if registry is not None and name in registry:
            why = f"this is a step, and a spec is a list of steps: [{name}]"
        raise SpecError(name, f"{why}; a file must end in .yaml, .yml, .json or .toml")
    return _parsed(path, {".json": "JSON", ".toml": "TOML"}.get(suffix, "YAML"), name)


def read_yaml(path: Path) -> Any:
    """The data of a YAML file, or of a JSON file, which is YAML, whatever its name ends in. Raises SpecError."""
    return _parsed(path, "YAML", str(path)).data


def _parsed(path: Path, form: str, name: str) -> Document:
    try:
        text = read_file(path, _MAX_BYTES).decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise SpecError(name, f"cannot be read: {reason or error}") from None
    try:
        if form == "JSON":
            return Document(_json(text, name), name, {})
        return Document(_toml(text), name, {}) if form == "TOML" else _yaml(text, name)
    except SpecError:
        raise
    except RecursionError:
        raise SpecError(name, TOO_DEEP) from None
    except Exception as error:  # numbers and escapes that a reader takes and Python does not, and what nobody foresaw
        raise SpecError(name, f"not valid {form}: {_reason(error)}") from None


def _reason(error: Exception) -> str:
    """What a reader says, without the setting of Python that an integer of more digits than it reads asks for."""
    digits = re.search(r"value has (\d+) digits; use sys\.", str(error))
    return f"a number has {int(digits[1]):,} digits" if digits else str(error)


def _json(text: str, name: str) -> Any:
    def without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key, value in pairs:
            if key in result:
                raise SpecError(name, f"the key {key!r} is given twice")
            result[key] = value
        return result

    try:
        return json.loads(text, object_pairs_hook=without_repeats)
    except json.JSONDecodeError as error:
        raise SpecError([Problem("", f"not valid JSON: {error.msg}", name, error.lineno)]) from None


# the parts of a dotted key, one after the other, and all else; text and comments are passed over as a whole
_TOML = re.compile(
    r'''(?P<part>"""[\s\S]*?(?:"""|\Z)|\'{3}[\s\S]*?(?:\'{3}|\Z)|"(?:\\.|[^"\\\n])*"?|'[^'\n]*'?'''
    r"|[A-Za-z0-9_-]+|[ \t]+)|(?P<dot>\.)|#[^\n]*|[\s\S]"
)


def _toml(text: str) -> Any:
    dots = 0  # tomllib takes memory by the square of the number of parts of a key
    for token in _TOML.finditer(text):
        if token["dot"]:
            dots += 1
            if dots > MOST_LEVELS:
                raise RecursionError
        elif token["part"] is None:
            dots = 0
    return tomllib.loads(text)


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

    try:
        loader = _Loader(text)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        message = f"not valid YAML: the character U+{ord(text[error.position]):04X} is not allowed"
        raise SpecError([Problem("", message, name, line)]) from None
    lines: dict[Location, int] = {}
    count = 0

    def build(node: yaml.Node, location: Location) -> Any:
        nonlocal count
        count += 1  # an alias counts each time it is used, so that nested aliases cannot fill the memory
        if count > MOST_VALUES or len(location) > MOST_LEVELS:
            raise fail(node.start_mark, TOO_LARGE if count > MOST_VALUES else TOO_DEEP)
        lines.setdefault(location, node.start_mark.line + 1)
        if node.tag.removeprefix("tag:yaml.org,2002:") not in _TAGS:
            raise fail(node.start_mark, f"tags such as {node.tag!r} are not allowed in a spec")
        if isinstance(node, yaml.SequenceNode):
            return [build(item, (*location, index)) for index, item in enumerate(node.value)]
        if isinstance(node, yaml.MappingNode):
            result: dict[Hashable, Any] = {}
            for key_node, value_node in node.value:
                key = build(key_node, location)
                if isinstance(key, list | dict):
                    raise fail(key_node.start_mark, "a key must be a string or a number, not a list or a mapping")
                if key in result:
                    raise fail(key_node.start_mark, f"the key {key!r} is given twice")
                lines[(*location, key)] = key_node.start_mark.line + 1
                result[key] = build(value_node, (*location, key))
            return result
        return _scalar(node, fail)

    try:
        root = loader.get_single_node()
        data = build(root, ()) if root is not None else None
    except yaml.MarkedYAMLError as error:
        raise fail(error.problem_mark, f"not valid YAML: {error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise SpecError(name, f"not valid YAML: {error}") from None
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
    except ValueError as error:  # an integer of more digits than Python reads
        raise fail(node.start_mark, _reason(error)) from None
    if kind == "bool":
        return value.lower() == "true"
    return None if kind == "null" else value
