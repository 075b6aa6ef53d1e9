"""from_albumentations: a Compose of albumentations, or the dict that A.to_dict makes of one."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

from augreg.errors import SpecError
from augreg.importers.albumentations_gaps import step_of_the_plugin
from augreg.importers.albumentations_reading import Node, leaves, read
from augreg.importers.albumentations_remarks import CLIPPING, noting_clips, remarks_on_boxes, remarks_on_fills
from augreg.importers.albumentations_renamed import SHOWING_FILL
from augreg.importers.albumentations_steps import STEP_TRANSLATORS, UNSUPPORTED
from augreg.importers.albumentations_steps.arguments import mask_fill
from augreg.importers.translation import (
    Imported,
    Parameters,
    SpecStep,
    Steps,
    Translation,
    Translator,
    UnsupportedError,
    pair,
)
from augreg.registry.registry import Registry
from augreg.spec.parse import parse

__all__ = ["OTHER_CENTERS", "from_albumentations"]

OTHER_CENTERS = (
    "a mirror moves x to W - x here, where the first pixel has its center at 0.5, and to W - 1 - x in "
    "albumentations, where it has it at 0: add 0.5 to points that mark pixels, and subtract it at the end"
)
"""What the report says of keypoints, none of whose parameters is lost."""

_KINDS = {"image": "image", "mask": "mask", "bboxes": "boxes", "keypoints": "keypoints"}
_BOXES = {
    "pascal_voc": "xyxy", "coco": "xywh", "yolo": "cxcywh_normalized", "albumentations": "xyxy_normalized",
}  # fmt: skip


def from_albumentations(
    compose: Any, nonserializable: Mapping[str, Any] | None = None, registry: Registry | None = None
) -> Imported:
    """Convert an albumentations pipeline to a spec, with a report of everything that the spec cannot express.

    `compose` is a Compose or any other transform, its dict from `A.to_dict`, or the path of a YAML or JSON file of
    `A.save`; dicts and files may be of version 1. albumentations need not be installed. `nonserializable` has the
    Lambdas of a dict by their names, as `A.from_dict` takes them. What has no native form becomes a step of the
    plugin augreg-albumentations where `registry`, by default that of everything installed, has one. Raises TypeError
    for anything else.
    """
    node = read(compose, nonserializable or {})
    walk = Translation(_TRANSLATORS, UNSUPPORTED, _opened, gap=step_of_the_plugin, registry=registry)
    walk.mask_holes = _mask_holes(node)
    if walk.mask_holes is not None:
        walk.options["targets"] = {"mask_holes": walk.mask_holes}
    if node.name not in ("Compose", "ReplayCompose"):
        return _finish(walk, walk.step(node, "transform"))
    values = dict(node.values)
    walk.has_rows = bool(values.get("bbox_params") or values.get("keypoint_params"))
    walk.outermost = values
    if fill := _mask_fill(node):
        walk.mask_fill = fill
        walk.options["targets"] = {**walk.options.get("targets", {}), "mask_fill": fill}
    inside = walk.steps(values.pop("transforms", ()), "transforms")
    params = Parameters(node.name, values, "transform", walk.report)
    params.ignore("is_check_shapes", "is_check_args", "strict", "mask_interpolation", "seed", "save_applied_params")
    if node.name == "ReplayCompose":
        params.ignore("save_key")
        params.note(_REPLAY)
    p = params.take("p", 1.0)
    _targets(params, walk)
    if boxes := node.values.get("bbox_params"):
        for remark in remarks_on_boxes(node, boxes):
            walk.report.append(f"transform bbox_params: {remark}")
    for remark in remarks_on_fills(node):
        params.note(remark)
    params.finish()
    return _finish(walk, inside if p == 1 else [{"sequential": {"steps": inside, "p": p}}])


def _mask_fill(node: Node) -> int:
    """What masks show in most of the steps that show a fill."""
    shown = [leaf.values for leaf in leaves(node) if "fill_mask" in leaf.values and leaf.name in SHOWING_FILL]
    counts = Counter(mask_fill(values["fill_mask"]) or 0 for values in shown if not values.get("border_mode"))
    return max(counts, key=lambda value: (counts[value], value == 0), default=0)


def _mask_holes(node: Node) -> int | None:
    """What masks show in the holes of all steps that make some; None if they are not erased, or not alike."""
    given = [holes.values.get("fill_mask") for holes in leaves(node) if holes.name in _MAKING_HOLES]
    found = {None if value is None else mask_fill(value) for value in given}
    return found.pop() if len(found) == 1 else None


_MAKING_HOLES = ("CoarseDropout", "Erasing", "GridDropout")

_REPLAY = (
    "the result has no record of the draw: `plan = pipe.train.plan(sample, index)` is one, and plan.run(..) applies "
    "it to other images"
)


def _finish(walk: Translation, image: Steps) -> Imported:
    """The spec; images that became floats and were not normalized become floats last."""
    if walk.floats and not walk.normalized:
        image = [*image, {"normalize": {"mean": 0.0, "std": 1.0}}]
    if (walk.floats or walk.normalized) and "output" not in walk.options:  # without ToTensorV2
        walk.options["layout"] = "hwc"
    return walk.result([_known_at_test_time(walk, step, image[number + 1 :]) for number, step in enumerate(image)])


def _known_at_test_time(walk: Translation, step: SpecStep, after: Steps) -> SpecStep:
    """The step; one that changes the size by chance, where no later one leads to one size, is off at test time."""
    try:
        parse({"image": [step, *after]}, walk.registry)
    except SpecError as error:
        unknown = "so the size of the test image is not known"
        found = any(unknown in problem.message and problem.path.startswith("image[0].") for problem in error.problems)
        if found and isinstance(step, dict):
            ((name, arguments),) = step.items()
            walk.report.append(
                f"transform {name}: `test: off` was added, since whether the size changes is left to chance"
            )
            return {name: {**arguments, "test": "off"}}
    return step


def _opened(node: Node) -> tuple[str, Mapping[str, Any]]:
    """The class name and the parameters of a transform."""
    if node.problem:
        raise UnsupportedError(f"{node.name}: {node.problem}")
    return node.name, node.values


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
            if smallest := inner.take(key, 0.0):
                targets[key] = smallest
        inner.only("max_accept_ratio", None)
        inner.ignore("clip", "check_each_transform", "filter_invalid_bboxes")
        inner.finish()
    if points:
        inner = Parameters("keypoint_params", points, params.place, walk.report)
        inner.only("format", "xy", why="keypoints are (x, y)")
        targets |= _labels_of_points(inner, targets)
        inner.ignore("check_each_transform", "angle_in_degrees")
        inner.note(OTHER_CENTERS)
        targets["keypoints"] = "drop" if inner.take("remove_invisible", True) else "keep"
        inner.finish()
    keys = {}
    for key, kind in (params.take("additional_targets") or {}).items():
        if kind not in _KINDS:
            params.note(f"additional_targets={{{key!r}: {kind!r}}} is not kept: expected {', '.join(_KINDS)}")
        elif kind == "bboxes" and not boxes:
            params.note(f"additional_targets={{{key!r}: {kind!r}}} is not kept: bbox_params say what its numbers are")
        elif key == _KINDS[kind] or (kind in ("image", "mask") and str(key).startswith(kind)):
            continue  # its name says it already
        else:
            keys[key] = _KINDS[kind]
    if keys:
        targets["keys"] = keys
    if targets:
        walk.options["targets"] = walk.options.get("targets", {}) | targets


def _labels_of_points(inner: Parameters, targets: Mapping[str, Any]) -> dict[str, Any]:
    """The options for the keys with an entry per keypoint."""
    labels = [key for key in inner.take("label_fields") or () if key != "keypoint_names"]
    of_boxes = targets.get("labels", ()) if "boxes" in targets else ()
    if both := [key for key in labels if key in of_boxes]:
        inner.lose(f"label_fields={both} are those of boxes too: give the entries of keypoints a key of their own")
    found: dict[str, Any] = {}
    if labels := [key for key in labels if key not in both]:
        found["keypoint_labels"] = labels
        if "labels" not in targets and {"labels", "label"} & {*labels}:
            found["labels"] = []  # they are not those of boxes
    return found


def _to_tensor(params: Parameters, walk: Translation) -> Steps:
    params.ignore("p", "transpose_mask")
    walk.options["output"] = "torch"
    return []


# Containers.


def _children(params: Parameters, walk: Translation) -> Steps:
    return walk.steps(params.take_objects("transforms"), f"{params.place}.transforms")


def _sequential(params: Parameters, walk: Translation) -> Steps:
    return [{"sequential": {"steps": _children(params, walk), "p": params.take("p", 0.5)}}]


def _compose(params: Parameters, walk: Translation) -> Steps:
    """A Compose in another one. Its targets are those of the pipeline where the outermost one has none."""
    params.ignore("is_check_shapes", "is_check_args", "strict", "mask_interpolation", "seed", "save_applied_params")
    params.ignore("save_key")
    if not walk.has_rows and (params.values.get("bbox_params") or params.values.get("keypoint_params")):
        walk.has_rows = True
        _targets(params, walk)
        params.note("its targets became those of the whole pipeline")
    else:
        why = "another Compose says what targets are"
        for key in ("bbox_params", "keypoint_params", "additional_targets"):
            same = params.values.get(key) == walk.outermost.get(key)
            params.only(key, *((params.values.get(key),) if same else (None, {})), why=why)
    return [{"sequential": {"steps": _children(params, walk), "p": params.take("p", 1.0)}}]


def _forced(params: Parameters, walk: Translation) -> tuple[Steps, list[float]]:
    """The children with p = 1, since a chosen child is always applied, and their p, which are the weights."""
    steps, weights = [], []
    for number, child in enumerate(params.take_objects("transforms")):
        forced = child._replace(values={**child.values, "p": 1.0})
        steps.append(walk.single(forced, f"{params.place}.transforms[{number}]"))
        weights.append(float(child.values.get("p", 0.5)))
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
    count, again = params.take("n"), params.take("replace", False)
    # a step for every child, so that counts and probabilities stay the same: [] for one that is left out
    steps: Steps = []
    for number, child in enumerate(params.take_objects("transforms")):
        inner = walk.step(child, f"{params.place}.transforms[{number}]")
        steps.append(inner[0] if len(inner) == 1 else inner)
    if again:
        return [{"one_of": {**_with_replacement(steps, count), "p": params.take("p", 1.0)}}]
    return [{"some_of": {"steps": steps, "count": pair(count), "p": params.take("p", 1.0)}}]


_MOST_SELECTIONS = 100


def _with_replacement(steps: Steps, count: int) -> dict[str, Any]:
    """Every selection of so many steps, in their order, with its probability: a step may be selected twice."""
    if math.comb(len(steps) + count - 1, count) > _MOST_SELECTIONS:
        raise UnsupportedError(f"replace=True: there are too many selections of {count} steps out of {len(steps)}")
    selections = list(itertools.combinations_with_replacement(range(len(steps)), count))
    ways = [
        math.factorial(count) // math.prod(math.factorial(selection.count(place)) for place in {*selection})
        for selection in selections
    ]
    weights = {} if len({*ways}) == 1 else {"weights": [float(number) for number in ways]}
    chosen = [[steps[place] for place in selection] for selection in selections]
    return {"steps": [each[0] if len(each) == 1 else each for each in chosen], **weights}


def _random_order(params: Parameters, walk: Translation) -> Steps:
    children = params.take_objects("transforms")
    if params.take("replace", False) or params.take("n", len(children)) != len(children):
        raise UnsupportedError("only all of its transforms, each once, can be put in random order")
    return [{"random_order": {"steps": _children(params, walk), "p": params.take("p", 1.0)}}]


def _nothing(params: Parameters, walk: Translation) -> Steps:
    params.ignore("p")
    return []


_TRANSLATORS: Mapping[str, Translator] = {
    **STEP_TRANSLATORS, **{name: noting_clips(STEP_TRANSLATORS[name]) for name in CLIPPING},
    "Compose": _compose, "ReplayCompose": _compose, "Sequential": _sequential, "OneOf": _one_of,
    "OneOrOther": _one_or_other, "SomeOf": _some_of, "RandomOrder": _random_order,
    "NoOp": _nothing, "ToTensorV2": _to_tensor,
}  # fmt: skip
