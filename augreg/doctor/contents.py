"""What a dataset or a pipeline contains: the datasets that it wraps, and its transforms."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np

__all__ = ["named_flips", "named_normalizations", "parts"]

_OURS = ("horizontal_flip", "vertical_flip", "rot90", "d4")
_THEIRS = re.compile(
    r"(horizontal|vertical)_?flip|transpose$|^d4$|rot(ate|ation)?_?90|^h(orizontal)?_?flip|^flip$", re.I
)
_HOLDERS = (
    "transform",
    "transforms",
    "augment",
    "augmentation",
    "augmentations",
    "dataset",
    "steps",
    "side",
    "pipeline",
)
_LEAVES = (str, bytes, int, float, type, np.ndarray)
_MOST = 500


def parts(thing: Any) -> Iterator[Any]:
    """A dataset or pipeline, what it wraps, and the transforms in it, each once."""
    waiting: list[Any] = [thing]
    seen: dict[int, Any] = {}
    while waiting and len(seen) < _MOST:
        part = waiting.pop()
        if part is None or isinstance(part, _LEAVES) or type(part).__name__ == "Test" or id(part) in seen:
            continue
        seen[id(part)] = part
        if isinstance(part, list | tuple):
            waiting += part[:_MOST]
            continue
        yield part
        held = vars(part) if hasattr(part, "__dict__") else {}
        waiting += [held.get(name) for name in _HOLDERS]
        waiting += [getattr(part, name, None) for name in ("steps", "transforms")]  # properties, or of the class
        waiting += [value for name, value in held.items() if name in ("_pipeline", "_modules")]
        waiting += list(part.values()) if isinstance(part, dict) else []


def named_flips(thing: Any) -> Iterator[str]:
    """The names of the flips and turns among the transforms, ours and others', that are ever applied."""
    for part in parts(thing):
        name = getattr(part, "name", None)
        if hasattr(part, "transform") and name in _OURS:  # a step of ours
            if getattr(part, "p", 1.0) > 0:
                yield str(name)
        elif hasattr(part, "__augreg__"):
            continue  # the step that holds it has been told
        elif _THEIRS.search(type(part).__name__.removeprefix("Random")) and getattr(part, "p", 0.5) > 0:
            yield type(part).__name__


def named_normalizations(thing: Any) -> list[tuple[Any, Any]]:
    """The (mean, std) of every Normalize among the transforms."""
    found = []
    for part in parts(thing):
        mean, std = getattr(part, "mean", None), getattr(part, "std", None)
        if (
            "normalize" in type(part).__name__.lower()
            and isinstance(mean, list | tuple)
            and len(mean) == len(std or ())
        ):
            found.append((tuple(mean), tuple(std or ())))
    return found
