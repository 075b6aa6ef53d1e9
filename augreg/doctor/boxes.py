"""Checks of the targets of object detection: boxes, their labels and their masks."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from augreg.doctor.findings import Findings
from augreg.doctor.targets import Boxes

__all__ = ["examine"]

_SLACK = 1.0  # pixels that a box may exceed its image by; annotations do
_ENOUGH = 8  # boxes from which the form of all is judged
_MOST = 0.8  # of the boxes


def examine(found: list[Boxes], where: str, classes: int | None, findings: Findings) -> None:
    """Report boxes that a detector cannot be trained with. `classes` is the number of classes, if known."""
    if not found:
        return
    count = sum(len(each.boxes) for each in found)
    beside: dict[str, list[Any]] = {"label": [each.labels for each in found], "mask": [each.masks for each in found]}
    given = [name for name, parts in beside.items() if all(part is not None for part in parts)]
    one = f" and have one {' and '.join(given)} each" if given else ""
    findings.checked(f"{where}: whether {count} boxes of {len(found)} images are finite{one}")
    for name, parts in beside.items():
        missing = sum(part is None for part in parts)
        if missing:
            findings.unchecked(f"{where}: {name}s of the boxes of {missing} images; none were recognized")
    _not_finite(found, where, findings)
    _labels(found, where, classes, findings)
    _empty(found, where, findings)
    clean = [each for each in found if each.boxes.ndim == 2 and len(each.boxes) and np.isfinite(each.boxes).all()]
    _corners([each for each in clean if not each.name.startswith("padded")], where, findings)


def _not_finite(found: list[Boxes], where: str, findings: Findings) -> None:
    places = [each.place for each in found if not np.isfinite(each.boxes).all()]
    if places:
        findings.add(
            "boxes not finite",
            "fault",
            where,
            f"boxes of {len(places)} images contain NaN or infinity",
            "the loss of boxes, and then every weight, becomes NaN",
            "check how the annotations are read, and steps that divide by the size of a box or an image",
            places,
        )


def _labels(found: list[Boxes], where: str, classes: int | None, findings: Findings) -> None:
    """One label and one mask for each box; labels of 0 or more, and of at most the number of classes."""
    counts, outside = [], []
    for each in found:
        if each.labels is not None and each.labels.ndim == 1:
            if len(each.labels) != len(each.boxes):
                counts.append(f"{each.place}: {len(each.boxes)} boxes, {len(each.labels)} labels")
            wrong = ~np.isfinite(each.labels) | (each.labels < 0)
            wrong |= each.labels > classes if classes is not None else False  # with 0 for the background
            outside += [f"{each.place}: {value}" for value in each.labels[wrong]]
        if each.masks is not None and each.masks[0] != len(each.boxes):
            counts.append(f"{each.place}: {len(each.boxes)} boxes, {each.masks[0]} masks")
        elif each.masks is not None and each.size is not None and each.masks[1:] != each.size:
            counts.append(f"{each.place}: masks of {each.masks[1:]}, image of {each.size}")
    if counts:
        findings.add(
            "boxes and labels differ",
            "fault",
            where,
            f"{len(counts)} images have another number of labels or masks than of boxes, or masks of another size",
            "boxes are trained with the labels and masks of other boxes, or the loss raises an error",
            "filter boxes, labels and masks together, such as by SanitizeBoundingBoxes of torchvision.transforms.v2",
            counts,
        )
    if outside:
        expected = "0 or more" if classes is None else f"0 to {classes}, 0 being the background"
        findings.add(
            "labels out of range",
            "fault",
            where,
            f"{len(outside)} labels of boxes are outside {expected}",
            "the loss raises an error for them, or on a GPU a device assertion far from the cause",
            "map the category ids of the annotations to 1, 2, .. (torchvision, where 0 is the background) or 0, "
            "1, ..",
            outside,
        )


def _empty(found: list[Boxes], where: str, findings: Findings) -> None:
    places = [each.place for each in found if not each.boxes.size and each.boxes.ndim == 1 and each.name == "boxes"]
    if places:
        findings.add(
            "shape of no boxes",
            "warning",
            where,
            f"{len(places)} images without boxes have an array of shape (0,)",
            "torchvision's detection models raise an error for it",
            "use zeros of shape (0, 4) for an image without boxes",
            places,
        )


def _corners(found: list[Boxes], where: str, findings: Findings) -> None:
    """Report boxes whose corners are reversed or which lie outside their images, where their form is known."""
    relative = bool(found) and all(each.boxes[:, :4].max() <= 1.0 + 1e-3 for each in found)
    forms = {each.form for each in found}
    form = forms.pop() if len(forms) == 1 else None
    if not found:
        return
    if form is None:
        form = _judged(found, relative)
    if form is None:
        findings.unchecked(
            f"{where}: corners of boxes, since it is not known whether they are x1, y1, x2, y2 or others"
        )
        return
    findings.checked(f"{where}: whether the corners of boxes, as {form}, are in order and inside the images")
    reversed_boxes, outside = [], []
    for each in found:
        corners = _as_corners(each.boxes[:, :4].astype(np.float64), form)
        flat = (corners[:, 2:] <= corners[:, :2]).any(axis=1)
        reversed_boxes += [f"{each.place}: {_shown(box)}" for box in each.boxes[flat]]
        if each.size is not None:
            limit = np.asarray([1.0, 1.0] if relative else each.size[::-1])
            slack = 1e-3 if relative else _SLACK
            out = ~flat & ((corners[:, :2] < -slack).any(axis=1) | (corners[:, 2:] > limit + slack).any(axis=1))
            outside += [f"{each.place}: {_shown(box)}" for box in each.boxes[out]]
    total = sum(len(each.boxes) for each in found)
    if reversed_boxes:
        findings.add(
            "reversed boxes",
            "fault",
            where,
            f"{len(reversed_boxes)} of {total} boxes have no area: as {form}, x2 <= x1 or y2 <= y1",
            "torchvision's detection models raise an error for them, and overlaps computed with them are wrong",
            "for corners sort each axis; boxes of (x, y, width, height), as in COCO, must be converted: "
            "torchvision.ops.box_convert(boxes, 'xywh', 'xyxy'); remove boxes that a crop left empty",
            reversed_boxes,
        )
    if outside:
        findings.add(
            "boxes outside",
            "warning" if len(outside) > total / 2 else "note",
            where,
            f"{len(outside)} of {total} boxes reach outside their images",
            "either the image was cropped or resized without its boxes, or boxes of a cropped image were not clipped",
            "transform image and boxes together; clip boxes with torchvision's ClampBoundingBoxes",
            outside,
        )


def _judged(found: list[Boxes], relative: bool) -> str | None:
    """The form of boxes that no type tells, if they decide it.

    Boxes named `boxes` are corners, as torchvision's models take them, unless they are on the scale of 0 to 1, or all
    of them could be x, y, width and height inside their images while many, but not all, are no corners.
    """
    if relative:
        return None
    boxes = np.concatenate([each.boxes[:, :4] for each in found])
    ordered = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    if ordered.all():
        return "xyxy" if found[0].name == "boxes" or not _fits_as_sizes(found) else None
    if not _fits_as_sizes(found):
        return "xyxy"
    usual = all(each.name == "boxes" and each.labels is not None for each in found) and len(boxes) >= _ENOUGH
    if usual and not 0 < ordered.mean() < _MOST:  # of sizes, some, and not all, are larger than their positions
        return "xyxy"
    return None


def _fits_as_sizes(found: list[Boxes]) -> bool:
    """Whether all boxes could be x, y, width and height, inside their images."""
    for each in found:
        far = each.boxes[:, :2] + each.boxes[:, 2:4]
        if (each.boxes[:, 2:4] <= 0).any() or (each.boxes[:, :2] < -_SLACK).any():
            return False
        if each.size is not None and (far > np.asarray(each.size[::-1]) + _SLACK).any():
            return False
    return True


def _as_corners(boxes: NDArray[np.float64], form: str) -> NDArray[np.float64]:
    if form == "xyxy":
        return boxes
    sizes = boxes[:, 2:]
    start = boxes[:, :2] - sizes / 2 if form.startswith("cxcywh") else boxes[:, :2]
    return np.concatenate([start, start + sizes], axis=1)


def _shown(box: NDArray[np.float64]) -> str:
    return "[" + ", ".join(f"{value:.4g}" for value in box[:4]) + "]"
