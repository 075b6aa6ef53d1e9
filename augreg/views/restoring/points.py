"""Restoring boxes and keypoints: those that were predicted on a view, in the frame of the image.

A box of a rotated view is no box in the image, but a quadrangle: its four corners. Boxes are read and written as the
spec's `targets` says: xyxy, xywh or cxcywh, in pixels or in fractions, or oriented ones, which stay what they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from augreg.errors import ImageError
from augreg.execution.plan import Plan
from augreg.targets import oriented, rows
from augreg.targets.boxes import corners_in_pixels, from_pixels
from augreg.targets.classes import exchanged_labels, partner_numbers
from augreg.targets.conventions import Targets
from augreg.targets.keypoints import flattened
from augreg.views.restoring.routes import Points, Route

__all__ = [
    "restore_boxes",
    "restore_corners",
    "restore_edges",
    "restore_keypoints",
    "restore_labels",
]

_PARTS: Final = 32
"""Points along each edge of a box where the view bends straight lines."""
_WHAT = "keypoints (x, y, perhaps a visibility or a confidence)"


def restore_boxes(
    plan: Plan, boxes: Any, *, frame: Plan | None = None, corners: bool = True, clip: bool = False
) -> Any:
    """Boxes that were predicted on a view (n x 4, as the spec's `targets` says), in the frame of the image.

    With `corners` they are n x 4 x 2: the points (x, y) that were the top left, top right, bottom right and bottom
    left corner in the view. Without, they are the boxes around these, n x 4 in the format of the spec; where the view
    bends straight lines, around the whole edges. Oriented boxes (n x 5, n x 8 or n x 4 x 2) keep the order of their
    corners; without `corners` they come back in their own format, five numbers as the rectangle around what they
    enclose in the view, and they cannot be clipped. `frame` is the plan whose result is the frame, None for the
    image. `clip` cuts such boxes at the border of the frame; a box outside becomes empty, and stays, so that rows
    correspond. They are a list, an array or a tensor as the boxes are. Raises ImageError.
    """
    targets = _with_format(plan)
    if corners and clip:
        raise ImageError("four corners cannot be clipped and stay four; take corners=False with clip=True")
    turned = targets.boxes in oriented.COLUMNS
    if turned and clip:
        raise ImageError("oriented boxes cannot be clipped: what is left of a turned box is no box")
    route = Route(plan, frame)
    given = corners_in_pixels(boxes, targets, route.view_size)
    flat, paired = oriented.paired(boxes) if targets.boxes == "xyxyxyxy" else (boxes, False)
    like = rows.read(flat, "boxes", "boxes", (oriented.COLUMNS.get(targets.boxes or "", 4),))[1]
    if corners or targets.boxes == "xyxyxyxy":
        height, width = route.size
        found = route.to_frame(given.reshape(-1, 2)).reshape(-1, 4, 2)
        found = found / (width, height) if targets.normalized else found
        return rows.write(found if corners or paired else found.reshape(-1, 8), like)
    if turned:
        return rows.write(oriented.numbers_of(restore_corners(plan, boxes, frame), targets, route.size), like)
    found = _bounds(route, given)
    if clip:
        found = np.clip(found, 0.0, np.array((route.size[1], route.size[0]) * 2, np.float64))
    return rows.write(from_pixels(found, targets, route.size), like)


def restore_corners(plan: Plan, boxes: Any, frame: Plan | None = None) -> Points:
    """The corners in pixels of the frame of oriented boxes on a view, n x 4 x 2; five numbers stay rectangles."""
    targets = _with_format(plan)
    route = Route(plan, frame)
    given = corners_in_pixels(boxes, targets, route.view_size)
    moved = route.to_frame(given.reshape(-1, 2)).reshape(-1, 4, 2)
    if targets.boxes == "xyxyxyxy":
        return moved
    outline = _outline(route, given)
    return oriented.around(outline.reshape(-1, 2), np.full(len(given), outline.shape[1]), moved)


def restore_edges(plan: Plan, boxes: Any, frame: Plan | None = None) -> Points:
    """The edges x1, y1, x2, y2 in pixels of the frame of the boxes around boxes on a view: n x 4."""
    targets = _with_format(plan)
    route = Route(plan, frame)
    return _bounds(route, corners_in_pixels(boxes, targets, route.view_size))


def restore_keypoints(
    plan: Plan, keypoints: Any, names: Sequence[str | int] | None = None, *, frame: Plan | None = None
) -> Any:
    """Keypoints that were predicted on a view, in the frame of the image, in the form in which they are given.

    They are n x 2, n x 3 with a visibility or confidence, n x k x 2 or 3 for k points of each of n instances, or a
    mapping from names to points. `names` are those of n points, or of the k. If the view is mirrored, points change
    places with those whose names, or without names whose numbers, the spec's `targets` pairs with theirs. `frame` is
    the plan whose result is the frame, None for the image. Points outside the frame keep their coordinates. Raises
    ImageError.
    """
    if isinstance(keypoints, Mapping):
        names = list(keypoints)
        values = [keypoints[name] for name in names]
        restored = restore_keypoints(plan, values, names, frame=frame)
        return dict(zip(names, restored, strict=True))
    flat, instances, each = flattened(keypoints, "keypoints")
    points, like = rows.read(flat, "keypoints", _WHAT, (2, 3))
    route, targets = Route(plan, frame), plan.settings.targets
    points[:, :2] = route.to_frame(points[:, :2])
    each = len(points) if instances is None else each
    if names is None and targets.points:
        names = range(each)
    if targets.partners and each and names is None:
        raise ImageError("the spec swaps names in a mirrored image, and these keypoints have none; give names=[..]")
    if names is not None and len(names) != each:
        raise ImageError(f"expected a name for each of {each} points, got {len(names)}: {list(names)!r}")
    grouped = points.reshape(-1, each, points.shape[1]) if each else points
    numbers = partner_numbers(names, targets) if names is not None and route.mirrored else None
    if numbers is not None:
        grouped = grouped[:, numbers]
    return rows.write(grouped if instances is not None else grouped.reshape(points.shape), like)


def restore_labels(plan: Plan, labels: Any, *, frame: Plan | None = None) -> Any:
    """Labels of what was predicted on a view, with left and right exchanged if the view is mirrored.

    Names and numbers are exchanged as the spec's `targets: {swap: ..}` pairs them, numbers also by its `classes`.
    """
    return exchanged_labels(labels, plan.settings.targets) if Route(plan, frame).mirrored else labels


def _with_format(plan: Plan) -> Targets:
    """The conventions of a plan. Raises ImageError if they do not say what the numbers of a box mean."""
    targets = plan.settings.targets
    if targets.boxes is None:
        raise ImageError(
            "the spec does not say what the numbers of a box mean; add `targets: {boxes: xyxy}` to it, or xywh, "
            "cxcywh, and `normalized: true` for fractions of the image"
        )
    return targets


def _outline(route: Route, corners: Points) -> Points:
    """The outlines in the frame of boxes of the view, n x 4 x 2: n x m x 2; their corners, or points along edges."""
    around = corners[:, :, None]
    if not route.straight:
        part = (np.arange(_PARTS) / _PARTS)[:, None]
        around = around + (np.roll(around, -1, axis=1) - around) * part
    return route.to_frame(around.reshape(-1, 2)).reshape(len(corners), around.shape[1] * around.shape[2], 2)


def _bounds(route: Route, corners: Points) -> Points:
    """The boxes x1, y1, x2, y2 in the frame around boxes of the view: n x 4."""
    points = _outline(route, corners)
    return np.concatenate((points.min(axis=1), points.max(axis=1)), axis=1)
