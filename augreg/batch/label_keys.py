"""Which keys of a batch are labels: what is not mixed with its images would be wrong, and nothing would say so."""

from __future__ import annotations

import re
from collections.abc import Mapping, Set
from typing import Any

from augreg.batch.label_arrays import is_number_per_sample

__all__ = ["LABELS", "is_pixels", "label_keys", "says_no_label", "unnamed_numbers"]

LABELS = ("label", "labels")
"""The keys of the labels in a mapping."""
_MORE_LABELS = re.compile(r"labels?(_.*|\d+)|.*_labels?")
_NO_LABELS = re.compile(
    r"(.*_)?(ids?|idx|index|indices|keys?|numbers?|rows?|epochs?|ranks?|sizes?|heights?|widths?)|other.*"
)
"""Names of whole numbers that are no labels, such as `sample_id`, and of what is passed on unchanged."""


def is_pixels(kind: str, key: Any, value: Any, axes: int) -> bool:
    """Whether a key is one of images or masks of the batch; `image_id` and `mask_path` may be anything."""
    if not isinstance(key, str) or not key.startswith(kind) or value is None:
        return False
    return bool(re.fullmatch(rf"{kind}s?\d*", key)) or getattr(value, "ndim", 0) >= axes


def unnamed_numbers(
    given: Mapping[Any, Any], count: int, declared: Set[str], of_objects: Set[Any] = frozenset()
) -> list[Any]:
    """The keys of what may be labels, if no key is a label's: those of numbers for each of `count` samples.

    Keys that the spec declares are none, nor are those `of_objects`. Beside these, names such as `image_id` are none.
    """
    if any(key in given for key in LABELS if key not in of_objects):
        return []
    given = {key: value for key, value in given.items() if key not in of_objects}
    if of_objects:
        given = {key: value for key, value in given.items() if not (isinstance(key, str) and says_no_label(key))}
    pixels = [key for key in given if is_pixels("image", key, given[key], 4) or is_pixels("mask", key, given[key], 3)]
    others = [key for key in given if key not in pixels and key not in declared]
    return [key for key in others if is_number_per_sample(given[key], count)]


def label_keys(
    given: Mapping[Any, Any], count: int, declared: Set[str], of_objects: Set[Any] = frozenset()
) -> list[Any]:
    """The keys of all labels, but for those `of_objects`. Raises ValueError for other columns of whole numbers
    that may be labels.

    Labels that are not mixed with their images would be wrong, and nothing would say so.
    """
    found = [key for key in LABELS if key in given and key not in of_objects]
    if not any(given[key] is not None for key in found):
        return found
    for key, value in given.items():
        if not isinstance(key, str) or key in LABELS or key in declared or key in of_objects:
            continue
        if value is None or not is_number_per_sample(value, count):
            continue
        if _MORE_LABELS.fullmatch(key):
            found.append(key)
        elif not says_no_label(key) and not key.startswith(("image", "mask")) and _may_be_labels(value):
            raise ValueError(
                f"{key}: whole numbers, or rows of numbers, beside mixed images may be labels too: name it "
                f"'label_{key}' to mix it, or 'other_{key}' to leave it unchanged"
            )
    return found


def _may_be_labels(values: Any) -> bool:
    """Whether numbers per sample are class ids or rows for all classes, and not one float each, such as a weight."""
    if isinstance(values, list | tuple):
        return all(isinstance(number, int) for number in values)
    return bool(values.ndim == 2 or "float" not in str(values.dtype))


def says_no_label(key: str) -> bool:
    """Whether a key is the name of numbers that are no labels, such as `sample_id`."""
    return _NO_LABELS.fullmatch(key) is not None
