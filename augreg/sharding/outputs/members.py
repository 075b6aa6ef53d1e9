"""The files of a copy, beside one another under its name: the image, masks, the label, JSON, and what is carried."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from pathlib import PurePosixPath
from typing import Any, Final

from augreg.errors import ImageError
from augreg.images.suffixes import SUFFIXES
from augreg.sharding.outputs.output import Output

__all__ = ["document", "files_carried", "has_label", "mask_stem", "plain"]

_JSON: Final = "json"


def mask_stem(name: str) -> str:
    """The name of a mask without the suffix of an image: `seg` for `seg.png`."""
    path = PurePosixPath(name)
    return path.stem if path.suffix.lower() in SUFFIXES else name


def files_carried(output: Output) -> dict[str, bytes]:
    """What is carried as files, sorted by suffix. Raises ImageError for a suffix that is no part of a file's name."""
    files = dict(filter(None, (_file(name, value) for name, value in sorted(output.carried.items()))))
    for name in files:
        if not name or "/" in name or "\0" in name or name.startswith("."):
            raise ImageError(f"{name!r}: bytes are stored under the name of their part, and this is none for a file")
    files.pop(_JSON, None)
    return files


def _file(name: str, value: Any) -> tuple[str, bytes] | None:
    """The suffix and the bytes of what is carried as a file: bytes, or an image of a table. None for others."""
    if isinstance(value, Mapping) and value.keys() == {"bytes", "path"} and isinstance(value["bytes"], bytes):
        suffix = PurePosixPath(value["path"] or "").suffix.lower()
        return name + suffix * (suffix in SUFFIXES), value["bytes"]
    return (name, bytes(value)) if isinstance(value, bytes | bytearray) else None


def document(output: Output, label: bool = False) -> bytes | None:
    """The JSON of a copy: the one that is carried with the targets in it; None if there is nothing to say.

    Columns that are not bytes are in it, too, and with `label` the label. Raises ImageError if the carried JSON is
    not an object but has to be, or says something else already, or if a value cannot be stored.
    """
    carried = output.carried.get(_JSON)
    others = {
        name: value
        for name, value in output.carried.items()
        if name != _JSON and value is not None and _file(name, value) is None
    }
    added = {**others, **({"label": output.label} if label and output.label is not None else {}), **output.targets}
    if isinstance(carried, bytes | bytearray) and not added:
        return bytes(carried)
    try:
        before = _loaded(carried)
        if added and not isinstance(before, Mapping | None):
            raise ImageError(f"its JSON is not an object, so {', '.join(sorted(added))} cannot be stored in it")
        if twice := sorted((before or {}).keys() & (added.keys() - output.targets.keys())):
            raise ImageError(f"its JSON has {', '.join(twice)} already, and would lose it; rename the column")
        merged = {**(before or {}), **added} if added else before
        return None if merged is None else json.dumps(merged, ensure_ascii=False, default=plain).encode()
    except ImageError:
        raise
    except (TypeError, ValueError, RecursionError) as error:
        raise ImageError(f"what belongs to it cannot be stored as JSON: {error}") from None


def has_label(output: Output) -> bool:
    """Whether the carried JSON of a copy has a label already, which may be another than that of the copy."""
    try:
        before = _loaded(output.carried.get(_JSON))
    except (ValueError, RecursionError):
        return False
    return isinstance(before, Mapping) and "label" in before


def _loaded(carried: Any) -> Any:
    return json.loads(carried) if isinstance(carried, bytes | bytearray | str) else carried


def plain(value: Any) -> Any:
    """A value as JSON knows it: arrays and their numbers as Python's, times and exact numbers as text.

    Durations are numbers of seconds.
    """
    if isinstance(value, timedelta):
        return value.total_seconds()
    if hasattr(value, "tolist"):
        return value.tolist()
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if type(value).__name__ in ("Decimal", "UUID"):
        return str(value)
    raise TypeError(f"a value of type {type(value).__name__}")
