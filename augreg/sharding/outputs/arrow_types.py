"""Types of columns by their text, as pyarrow prints it: `list<element: struct<x: int64, y: string>>`."""

from __future__ import annotations

import re
from typing import Any, Final

import pyarrow as pa

__all__ = ["parse"]

_WORD: Final = re.compile(r"[a-z0-9_]+(?:\[[^\]<>]*\]|\([^)<>]*\))?")
_ALIASES: Final = {"halffloat": "float16", "float": "float32", "double": "float64"}
_DEEPEST: Final = 32


def parse(text: str) -> Any:
    """The type that pyarrow prints like this. Raises ValueError for one that is not known.

    Of a dictionary, it is the type of the values.
    """
    kind, rest = _type(text, 0)
    if rest:
        raise ValueError(f"{text!r} is not the type of a column")
    return kind


def _type(text: str, depth: int) -> tuple[Any, str]:
    """The type that a text begins with, and the rest of the text."""
    if depth > _DEEPEST:
        raise ValueError(f"a type of more than {_DEEPEST} levels")
    head, opened, inner = text.partition("<")
    if opened and head in ("list", "large_list", "fixed_size_list"):
        field, rest = _field(inner, depth)
        rest = _after(rest, ">")
        if head == "fixed_size_list":
            count = re.match(r"\[(\d+)\]", rest)
            if count is None:
                raise ValueError(f"no size of the list in {text!r}")
            return pa.list_(field, int(count[1])), rest[count.end() :]
        return (pa.list_ if head == "list" else pa.large_list)(field), rest
    if opened and head == "struct":
        fields = []
        while not inner.startswith(">"):
            field, inner = _field(inner, depth)
            fields.append(field)
            inner = inner.removeprefix(", ")
        return pa.struct(fields), _after(inner, ">")
    if opened and head == "map":
        key, rest = _type(inner, depth + 1)
        value, rest = _type(_after(rest, ", "), depth + 1)
        return pa.map_(key, value), _after(re.sub(r"^ \('[^']*'\)", "", rest), ">")
    if opened and head == "dictionary":
        values, rest = _type(_after(inner, "values="), depth + 1)
        return values, _after(re.sub(r"^[^>]*", "", rest), ">")
    return _simple(text)


def _field(text: str, depth: int) -> tuple[Any, str]:
    """A field such as `element: int64 not null`, and the rest."""
    name, colon, rest = text.partition(": ")
    if not colon:
        raise ValueError(f"no field in {text!r}")
    kind, rest = _type(rest, depth + 1)
    if rest.startswith(" not null"):
        return pa.field(name, kind, nullable=False), rest.removeprefix(" not null")
    return pa.field(name, kind), rest


def _after(text: str, expected: str) -> str:
    if not text.startswith(expected):
        raise ValueError(f"expected {expected!r} before {text!r}")
    return text[len(expected) :]


def _simple(text: str) -> tuple[Any, str]:
    found = _WORD.match(text)
    if found is None:
        raise ValueError(f"no type in {text!r}")
    word, rest = found[0], text[found.end() :]
    if match := re.fullmatch(r"fixed_size_binary\[(\d+)\]", word):
        return pa.binary(int(match[1])), rest
    if match := re.fullmatch(r"decimal(128|256)\((\d+), (-?\d+)\)", word):
        return (pa.decimal128 if match[1] == "128" else pa.decimal256)(int(match[2]), int(match[3])), rest
    if match := re.fullmatch(r"timestamp\[(s|ms|us|ns), tz=([^\]]+)\]", word):
        return pa.timestamp(match[1], tz=match[2]), rest
    if word in ("date32[day]", "date64[ms]"):
        word = word.partition("[")[0]
    return pa.type_for_alias(_ALIASES.get(word, word)), rest
