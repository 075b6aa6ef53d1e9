"""What a dataset or a pipeline contains: the datasets that it wraps, and its transforms."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np

__all__ = ["named_flips", "named_normalizations", "parts"]

_OUR_FLIPS = ("horizontal_flip", "vertical_flip", "rot90", "d4")
_OTHER_FLIPS = re.compile(
    r"(horizontal|vertical)_?flip|transpose$|^d4$|rot(ate|ation)?_?90|^h(orizontal)?_?flip|^flip$", re.I
)
_ATTRIBUTES = (
    "transform", "transforms", "augment", "augmentation", "augmentations", "dataset", "steps", "side",
    "pipeline", "_pipeline", "_modules",
)  # fmt: skip
_LEAVES = (str, bytes, int, float, type, np.ndarray)
_LIMIT = 500


def parts(thing: Any) -> Iterator[Any]:
    """A dataset or pipeline, what it wraps, and its transforms, each once."""
    waiting: list[Any] = [thing]
    seen: dict[int, Any] = {}
    while waiting and len(seen) < _LIMIT:
        part = waiting.pop()
        if part is None or isinstance(part, _LEAVES) or type(part).__name__ == "Test" or id(part) in seen:
            continue
        seen[id(part)] = part
        if isinstance(part, list | tuple):
            waiting += part[:_LIMIT]
            continue
        yield part
        attributes = vars(part) if hasattr(part, "__dict__") else {}
        waiting += [attributes.get(name) for name in _ATTRIBUTES]
        waiting += [getattr(part, name, None) for name in ("steps", "transforms")]  # properties or class attributes
        waiting += list(part.values()) if isinstance(part, dict) else []


def named_flips(thing: Any) -> Iterator[str]:
    """The names of all flips and quarter turns among the transforms, of augreg or others, whose p is above 0."""
    for part in parts(thing):
        name = getattr(part, "name", None)
        if hasattr(part, "transform") and name in _OUR_FLIPS:  # a step of augreg
            if getattr(part, "p", 1.0) > 0:
                yield str(name)
        elif hasattr(part, "__augreg__"):
            continue  # the step around it was already handled
        elif _OTHER_FLIPS.search(type(part).__name__.removeprefix("Random")) and getattr(part, "p", 0.5) > 0:
            yield type(part).__name__


def named_normalizations(thing: Any) -> list[tuple[tuple[float, ...], tuple[float, ...]]]:
    """The (mean, std) of every Normalize among the transforms."""
    pairs = []
    for part in parts(thing):
        mean, std = getattr(part, "mean", None), getattr(part, "std", None)
        is_normalize = "normalize" in type(part).__name__.lower()
        if is_normalize and isinstance(mean, list | tuple) and len(mean) == len(std or ()):
            pairs.append((tuple(mean), tuple(std or ())))
    return pairs
