"""Types of columns by the values of the first samples, for inputs that say none: tars, and lists in JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from augreg.sharding.records import Column, Sample

__all__ = ["typed"]

_SIMPLE: Final = ((bool, "bool"), (int, "int64"), (float, "double"), (str, "string"), (bytes, "binary"))
_JSON: Final = "JSON"  # of a value that no simple type and no list of one has, such as an object
_DEEPEST: Final = 16


def typed(columns: Sequence[Column], samples: Iterable[Sample]) -> tuple[Column, ...]:
    """The columns, where targets and what is carried have the type of their values in the samples.

    A type that the input says is kept. It stays "" for a column without values. Objects, and values that have no
    common type, are text: their JSON.
    """
    types: dict[str, Any] = {
        column.name: None for column in columns if not column.type and column.kind in ("targets", "carried")
    }
    for sample in samples:
        for name, value in (*sample.carried.items(), *sample.targets.items()):
            if name in types:
                types[name] = _common(types[name], _type(value))
    return tuple(
        column._replace(type=_written(types[column.name])) if column.name in types else column for column in columns
    )


# A type is None where nothing is known, the text of a simple one, or a list of the type of its members.


def _type(value: Any, depth: int = 0) -> Any:
    if value is None:
        return None
    if isinstance(value, list | tuple) and depth < _DEEPEST:
        members = None
        for each in value:
            members = _common(members, _type(each, depth + 1))
        return _JSON if members == _JSON else [members]
    return next((name for kind, name in _SIMPLE if isinstance(value, kind)), _JSON)


def _common(one: Any, other: Any) -> Any:
    """The type that values of both types have."""
    if one is None or one == other:
        return other
    if other is None:
        return one
    if isinstance(one, list) and isinstance(other, list):
        members = _common(one[0], other[0])
        return _JSON if members == _JSON else [members]
    return "double" if [one, other] in (["int64", "double"], ["double", "int64"]) else _JSON


def _written(kind: Any) -> str:
    """The text of a type, as pyarrow prints it; "" if something in it is not known."""
    if isinstance(kind, list):
        inner = _written(kind[0])
        return inner and f"list<element: {inner}>"
    return "string" if kind == _JSON else kind or ""
