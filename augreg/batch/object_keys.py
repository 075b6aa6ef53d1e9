"""Which keys of a batch hold parts of objects, and which of them belong together."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from augreg.batch.label_keys import says_no_label
from augreg.batch.objects import ObjectKeys
from augreg.errors import ImageError
from augreg.targets import rows
from augreg.targets.conventions import Targets
from augreg.targets.keypoints import flattened

__all__ = ["WEIGHTS", "check_left_behind", "keys_of_boxes", "object_sets"]

WEIGHTS: Final = "object_weights"
"""The key of the weights of the objects of a mixed batch."""
_NESTED: Final = {"boxes", "masks", "keypoints", "labels"}


def object_sets(given: Mapping[Any, Any], targets: Targets, count: int) -> list[ObjectKeys]:
    """The keys of each set of objects; the first is that of `boxes` and what goes with them. Raises ImageError."""
    there = {key for key, value in given.items() if value is not None}
    boxes = "boxes" if "boxes" in there else None
    masks = tuple(key for key in targets.instances or () if key in there)
    outlines = tuple(key for key in targets.polygons if key in there)
    points = "keypoints" if "keypoints" in there else None
    free = points is not None and not _are_instances(given[points], points)
    found = []
    if boxes is not None or masks or outlines or not (free or points is None):
        labels = tuple(key for key in targets.labels if key in there and _is_per_object(given[key], count))
        labels = tuple(key for key in labels if key not in (*masks, "boxes", "keypoints"))
        found.append(ObjectKeys(WEIGHTS, boxes, masks, outlines, None if free else points, labels))
        if not free and "keypoint_names" in there:
            _check_names(given["keypoint_names"])
    if points is not None and free:
        entries = tuple(key for key in ("keypoint_names", *targets.keypoint_labels) if key in there)
        found.append(ObjectKeys("keypoints_weights", points=points, labels=entries))
    for key, kind in targets.keys.items():
        if key in there and kind == "boxes":
            found.append(ObjectKeys(f"{key}_weights", boxes=key))
        elif key in there and kind == "keypoints":
            found.append(ObjectKeys(f"{key}_weights", points=key))
    return found


def keys_of_boxes(samples: Mapping[Any, Sequence[Any]], targets: Targets) -> set[Any]:
    """The keys of boxes, and of what has an entry for each of `boxes`: how many differs from sample to sample."""
    further = {key for key, kind in targets.keys.items() if kind == "boxes"}
    found = {key for key in samples if key in further or key in ("boxes", "bboxes", "bbox")}
    if "boxes" not in samples:
        return found
    found |= samples.keys() & {*(targets.instances or ())}
    counts = [rows.count(value) for value in samples["boxes"]]
    for key in samples.keys() & {*targets.labels, "keypoints"}:
        values = samples[key]
        if key == "keypoints" and any(getattr(value, "ndim", 3) != 3 for value in values):
            continue  # points on their own
        if [rows.count(value) for value in values] == counts:
            found.add(key)
    return found


def _are_instances(value: Any, key: Any) -> bool:
    """Whether the points of any image are those of instances: they have three axes."""
    members = list(value) if rows.count(value) is not None else []
    return any(flattened(one, f"{key}[{i}]")[1] is not None for i, one in enumerate(members))


def _is_per_object(value: Any, count: int) -> bool:
    """Whether there is a list, an array or a tensor for each image, and no number or name."""
    return rows.count(value) == count and count > 0 and all(rows.count(one) is not None for one in value)


def _check_names(names: Any) -> None:
    """Raise ImageError unless the points of the instances of all images have the same names."""
    each = list(names) if isinstance(names, list | tuple) else []
    lists = [list(one) for one in each if isinstance(one, list | tuple)]
    if any(one != lists[0] for one in lists[1:]):
        raise ImageError(
            "keypoint_names: the instances of two images have points of different names, and are joined where images "
            "are mixed: give the points of all images in the same order"
        )


def check_left_behind(
    given: Mapping[Any, Any], sets: Sequence[ObjectKeys], known: set[Any], targets: Targets, counts: Sequence[int]
) -> None:
    """Raise ImageError for what has an entry for each object and no key that the spec declares.

    `counts` are the numbers of objects of the images, `known` are keys that were taken care of.
    """
    for key, value in given.items():
        if key in known or value is None or not isinstance(key, str):
            continue
        nested = value[0] if isinstance(value, list | tuple) and value else value
        if isinstance(nested, Mapping) and _NESTED & nested.keys():
            raise ImageError(
                f"{key}: {', '.join(map(repr, nested))} in a mapping of their own do not follow when a batch is "
                "mixed: "
                "give them beside 'image', or mix by images, targets = pipe.batch(images, targets)"
            )
        if not sets or not sum(counts) or says_no_label(key):
            continue
        if _is_per_object(value, len(counts)) and [rows.count(one) for one in value] == list(counts):
            labels = ", ".join(dict.fromkeys((*targets.labels, key)))
            raise ImageError(
                f"{key}: one entry for each object, which would not follow when a batch is mixed: say `targets: "
                f"{{labels: [{labels}]}}`, or `targets: {{keys: {{{key}: other}}}}` for what is not to change"
            )
    if targets.instances is None and sets and sets[0].boxes is not None:
        for key, value in given.items():
            if key in known or not isinstance(key, str) or not key.startswith("mask") or key in targets.keys:
                continue
            several = isinstance(value, list | tuple) or getattr(value, "ndim", 0) == 4
            if several and not re.fullmatch(r"mask\d*", key):
                raise ImageError(
                    f"{key}: several masks beside boxes, and the spec does not say whether there is one for each "
                    f"box; say `targets: {{instances: [{key}]}}`, or `instances: []` if there is not"
                )
