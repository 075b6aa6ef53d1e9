"""from_albumentations: a Compose of albumentations 2, or the dict that A.to_dict makes of one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from augreg.importers.albumentations_steps import STEPS
from augreg.importers.translation import Given, Imported, LeftOutError, Rule, Step, Translation, pair

__all__ = ["from_albumentations"]

_BOXES = {
    "pascal_voc": "xyxy", "coco": "xywh", "yolo": "cxcywh_normalized", "albumentations": "xyxy_normalized",
}  # fmt: skip


def from_albumentations(compose: Any) -> Imported:
    """The spec of an albumentations pipeline and a report of what a spec cannot say.

    `compose` is a Compose or any other transform, or its dict from `A.to_dict`. Albumentations is not needed for the
    dict. Raises TypeError for anything else.
    """
    walk = Translation(_RULES, _opened)
    name, values = _opened(compose)
    if name != "Compose":
        return walk.result(walk.step(compose, "transform"))
    values = dict(values)
    inside = walk.steps(values.pop("transforms", ()), "transforms")
    given = Given("Compose", values, "transform", walk.report)
    given.ignore("is_check_shapes", "is_check_args", "strict", "mask_interpolation", "seed", "save_applied_params")
    p = given.take("p", 1.0)
    _targets(given, walk)
    given.finish()
    return walk.result(inside if p == 1 else [{"sequential": {"steps": inside, "p": p}}])


def _opened(transform: Any) -> tuple[str, Mapping[str, Any]]:
    """The class's name and the parameters, from an object or from its dict."""
    if not isinstance(transform, Mapping):
        if not callable(getattr(transform, "to_dict", None)):
            raise TypeError(f"expected an albumentations transform or its dict, got {type(transform).__name__}")
        transform = transform.to_dict()
    values = transform.get("transform", transform)
    if not isinstance(values, Mapping) or "__class_fullname__" not in values:
        raise TypeError("expected the dict that A.to_dict makes, with `__class_fullname__` in it")
    name = str(values["__class_fullname__"]).rpartition(".")[2]
    return name, {key: value for key, value in values.items() if key != "__class_fullname__"}


def _targets(given: Given, walk: Translation) -> None:
    """What Compose says about boxes and keypoints."""
    found: dict[str, Any] = {}
    boxes, points = given.take("bbox_params"), given.take("keypoint_params")
    if boxes:
        inner = Given("bbox_params", boxes, given.place, walk.report)
        form = inner.take("format")
        if form not in _BOXES:
            inner.note(f"format={form!r} is none that is known: expected {', '.join(_BOXES)}; pascal_voc is taken")
        found |= {"boxes": _BOXES.get(form, "xyxy"), "min_visible": inner.take("min_visibility", 0.0)}
        if labels := inner.take("label_fields"):
            found["labels"] = labels
        for key in ("min_area", "min_width", "min_height"):
            inner.only(key, 0.0, 0)
        inner.only("max_accept_ratio", None)
        inner.ignore("clip", "check_each_transform", "filter_invalid_bboxes")
        inner.finish()
    if points:
        inner = Given("keypoint_params", points, given.place, walk.report)
        inner.only("format", "xy", why="keypoints are (x, y)")
        inner.only("label_fields", None, [])
        inner.ignore("check_each_transform", "angle_in_degrees")
        found["keypoints"] = "drop" if inner.take("remove_invisible", True) else "keep"
        inner.finish()
    given.only("additional_targets", {}, None, why="keys that begin with image or mask are targets here")
    if found:
        walk.options["targets"] = found


def _to_tensor(given: Given, walk: Translation) -> list[Step]:
    given.ignore("p", "transpose_mask")
    walk.options["output"] = "torch"
    return []


# Containers.


def _children(given: Given, walk: Translation) -> list[Step]:
    return walk.steps(given.take_children("transforms"), f"{given.place}.transforms")


def _sequential(given: Given, walk: Translation) -> list[Step]:
    return [{"sequential": {"steps": _children(given, walk), "p": given.take("p", 0.5)}}]


def _forced(given: Given, walk: Translation) -> tuple[list[Step], list[float]]:
    """Children that are surely done once they are chosen, and their own p, which are the weights there."""
    steps, weights = [], []
    for number, child in enumerate(given.take_children("transforms")):
        name, values = _opened(child)
        made = walk.step({"__class_fullname__": name, **values, "p": 1.0}, f"{given.place}.transforms[{number}]")
        steps.append(made[0] if len(made) == 1 else {"sequential": {"steps": made}})
        weights.append(float(values.get("p", 0.5)))
    return steps, weights


def _one_of(given: Given, walk: Translation) -> list[Step]:
    steps, weights = _forced(given, walk)
    even = len({*weights}) == 1
    return [{"one_of": {"steps": steps, **({} if even else {"weights": weights}), "p": given.take("p", 0.5)}}]


def _one_or_other(given: Given, walk: Translation) -> list[Step]:
    steps, _ = _forced(given, walk)
    p = given.take("p", 0.5)
    return [{"one_of": {"steps": steps, "weights": [p, round(1.0 - p, 12)]}}]


def _some_of(given: Given, walk: Translation) -> list[Step]:
    if given.take("replace", False):
        raise LeftOutError("replace=True: a step is done at most once")
    count = given.take("n")
    return [{"some_of": {"steps": _kept(given, walk), "count": pair(count), "p": given.take("p", 1.0)}}]


def _kept(given: Given, walk: Translation) -> list[Step]:
    """A step for every child, so that counts and chances stay what they were; [] for one that is left out."""
    found = []
    for number, child in enumerate(given.take_children("transforms")):
        made = walk.step(child, f"{given.place}.transforms[{number}]")
        found.append(made[0] if len(made) == 1 else made)
    return found


def _random_order(given: Given, walk: Translation) -> list[Step]:
    children = given.take_children("transforms")
    if given.take("replace", False) or given.take("n", len(children)) != len(children):
        raise LeftOutError("only all of its transforms can be put in random order")
    return [{"random_order": {"steps": _children(given, walk), "p": given.take("p", 1.0)}}]


def _nothing(given: Given, walk: Translation) -> list[Step]:
    given.ignore("p")
    return []


_RULES: Mapping[str, Rule] = {
    **STEPS,
    "Compose": _sequential, "Sequential": _sequential, "OneOf": _one_of, "OneOrOther": _one_or_other,
    "SomeOf": _some_of, "RandomOrder": _random_order, "NoOp": _nothing, "ToTensorV2": _to_tensor,
}  # fmt: skip
