"""from_albumentations: a Compose of albumentations 2, or the dict that A.to_dict makes of one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from augreg.importers.albumentations_steps import STEP_TRANSLATORS, UNSUPPORTED
from augreg.importers.translation import Imported, Parameters, Steps, Translation, Translator, UnsupportedError, pair

__all__ = ["OTHER_CENTERS", "from_albumentations"]

OTHER_CENTERS = (
    "a mirror moves x to W - x here, where the first pixel has its center at 0.5, and to W - 1 - x in "
    "albumentations, where it has it at 0: add 0.5 to points that mark pixels, and subtract it at the end"
)
"""What the report says of keypoints, none of whose parameters is lost."""

_BOXES = {
    "pascal_voc": "xyxy", "coco": "xywh", "yolo": "cxcywh_normalized", "albumentations": "xyxy_normalized",
}  # fmt: skip


def from_albumentations(compose: Any) -> Imported:
    """Convert an albumentations pipeline to a spec, with a report of everything that the spec cannot express.

    `compose` is a Compose or any other transform, or its dict from `A.to_dict`, for which albumentations need not be
    installed. Raises TypeError for anything else.
    """
    walk = Translation(_TRANSLATORS, UNSUPPORTED, _class_and_parameters)
    name, values = _class_and_parameters(compose)
    if name != "Compose":
        return walk.result(walk.step(compose, "transform"))
    values = dict(values)
    walk.has_rows = bool(values.get("bbox_params") or values.get("keypoint_params"))
    inside = walk.steps(values.pop("transforms", ()), "transforms")
    params = Parameters("Compose", values, "transform", walk.report)
    params.ignore("is_check_shapes", "is_check_args", "strict", "mask_interpolation", "seed", "save_applied_params")
    p = params.take("p", 1.0)
    _targets(params, walk)
    params.finish()
    return walk.result(inside if p == 1 else [{"sequential": {"steps": inside, "p": p}}])


def _class_and_parameters(transform: Any) -> tuple[str, Mapping[str, Any]]:
    """The class name and the parameters of a transform or of its dict."""
    if not isinstance(transform, Mapping):
        if not callable(getattr(transform, "to_dict", None)):
            raise TypeError(f"expected an albumentations transform or its dict, got {type(transform).__name__}")
        transform = transform.to_dict()
    values = transform.get("transform", transform)
    if not isinstance(values, Mapping) or "__class_fullname__" not in values:
        raise TypeError("expected a dict from A.to_dict, with the key `__class_fullname__`")
    name = str(values["__class_fullname__"]).rpartition(".")[2]
    return name, {key: value for key, value in values.items() if key != "__class_fullname__"}


def _targets(params: Parameters, walk: Translation) -> None:
    """Translate the parameters of Compose for boxes and keypoints into the section `targets`."""
    targets: dict[str, Any] = {}
    boxes, points = params.take("bbox_params"), params.take("keypoint_params")
    if boxes:
        inner = Parameters("bbox_params", boxes, params.place, walk.report)
        form = inner.take("format")
        if form not in _BOXES:
            inner.note(f"format={form!r} is unknown: expected {', '.join(_BOXES)}; pascal_voc is assumed")
        targets |= {"boxes": _BOXES.get(form, "xyxy"), "min_visible": inner.take("min_visibility", 0.0)}
        if labels := inner.take("label_fields"):
            targets["labels"] = labels
        for key in ("min_area", "min_width", "min_height"):
            inner.only(key, 0.0, 0)
        inner.only("max_accept_ratio", None)
        inner.ignore("clip", "check_each_transform", "filter_invalid_bboxes")
        inner.finish()
    if points:
        inner = Parameters("keypoint_params", points, params.place, walk.report)
        inner.only("format", "xy", why="keypoints are (x, y)")
        inner.only("label_fields", None, [])
        inner.ignore("check_each_transform", "angle_in_degrees")
        inner.note(OTHER_CENTERS)
        targets["keypoints"] = "drop" if inner.take("remove_invisible", True) else "keep"
        inner.finish()
    keys = {}
    for key, kind in (params.take("additional_targets") or {}).items():
        if kind not in ("image", "mask"):
            params.note(
                f"additional_targets={{{key!r}: {kind!r}}} is not kept: a key of your own is an image or a mask"
            )
        elif not str(key).startswith(kind):  # else its name says it already
            keys[key] = kind
    if keys:
        targets["keys"] = keys
    if targets:
        walk.options["targets"] = walk.options.get("targets", {}) | targets


def _to_tensor(params: Parameters, walk: Translation) -> Steps:
    params.ignore("p", "transpose_mask")
    walk.options["output"] = "torch"
    return []


# Containers.


def _children(params: Parameters, walk: Translation) -> Steps:
    return walk.steps(params.take_objects("transforms"), f"{params.place}.transforms")


def _sequential(params: Parameters, walk: Translation) -> Steps:
    return [{"sequential": {"steps": _children(params, walk), "p": params.take("p", 0.5)}}]


def _forced(params: Parameters, walk: Translation) -> tuple[Steps, list[float]]:
    """The children with p = 1, since a chosen child is always applied, and their p, which are the weights."""
    steps, weights = [], []
    for number, child in enumerate(params.take_objects("transforms")):
        name, values = _class_and_parameters(child)
        forced = {"__class_fullname__": name, **values, "p": 1.0}
        steps.append(walk.single(forced, f"{params.place}.transforms[{number}]"))
        weights.append(float(values.get("p", 0.5)))
    return steps, weights


def _one_of(params: Parameters, walk: Translation) -> Steps:
    steps, weights = _forced(params, walk)
    equal = len({*weights}) == 1
    return [{"one_of": {"steps": steps, **({} if equal else {"weights": weights}), "p": params.take("p", 0.5)}}]


def _one_or_other(params: Parameters, walk: Translation) -> Steps:
    steps, _ = _forced(params, walk)
    p = params.take("p", 0.5)
    return [{"one_of": {"steps": steps, "weights": [p, round(1.0 - p, 12)]}}]


def _some_of(params: Parameters, walk: Translation) -> Steps:
    if params.take("replace", False):
        raise UnsupportedError("replace=True: a step is applied at most once")
    count = params.take("n")
    # a step for every child, so that counts and probabilities stay the same: [] for one that is left out
    steps: Steps = []
    for number, child in enumerate(params.take_objects("transforms")):
        inner = walk.step(child, f"{params.place}.transforms[{number}]")
        steps.append(inner[0] if len(inner) == 1 else inner)
    return [{"some_of": {"steps": steps, "count": pair(count), "p": params.take("p", 1.0)}}]


def _random_order(params: Parameters, walk: Translation) -> Steps:
    children = params.take_objects("transforms")
    if params.take("replace", False) or params.take("n", len(children)) != len(children):
        raise UnsupportedError("only all of its transforms, each once, can be put in random order")
    return [{"random_order": {"steps": _children(params, walk), "p": params.take("p", 1.0)}}]


def _nothing(params: Parameters, walk: Translation) -> Steps:
    params.ignore("p")
    return []


_TRANSLATORS: Mapping[str, Translator] = {
    **STEP_TRANSLATORS,
    "Compose": _sequential, "Sequential": _sequential, "OneOf": _one_of, "OneOrOther": _one_or_other,
    "SomeOf": _some_of, "RandomOrder": _random_order, "NoOp": _nothing, "ToTensorV2": _to_tensor,
}  # fmt: skip
