"""Restoring fusion: boxes and keypoints of several views become one set, by their rows or by their overlap.

Where row k of every view is the same object, its mean is taken. A detector finds other boxes in other order on each
view; there boxes that overlap are taken for one object and fused (Solovyev et al. 2019, arXiv 1910.13302).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from augreg.errors import ImageError
from augreg.execution.plan import Plan
from augreg.images.codecs import tensor
from augreg.targets import oriented, rows
from augreg.targets.boxes import from_pixels
from augreg.targets.conventions import Targets
from augreg.views.restoring import oriented_boxes
from augreg.views.restoring.means import counted, one_each
from augreg.views.restoring.points import restore_corners, restore_edges, restore_keypoints, restore_labels
from augreg.views.restoring.routes import Points, Route

__all__ = ["FusedBoxes", "fuse_boxes", "mean_boxes", "mean_keypoints"]


class FusedBoxes(NamedTuple):
    """Boxes of all views after fusion, the highest score first, with their scores and labels, and the number of
    boxes that each was fused from.
    """

    boxes: Any
    scores: Any
    labels: Any
    counts: NDArray[np.intp]


class _Candidates(NamedTuple):
    """The boxes of all views in the frame, n x 4 edges or n x 4 x 2 corners, sorted by weight times score."""

    boxes: Points
    scores: NDArray[np.float64]
    weights: NDArray[np.float64]
    labels: list[Any]


def mean_boxes(plans: Sequence[Plan], weights: Sequence[float], boxes: Any, *, frame: Plan | None = None) -> Any:
    """The weighted mean over views of boxes whose rows correspond, in the format of the spec.

    It is the mean of the boxes around what comes back from each view, and of oriented boxes that of their corners, or
    of center, sides and direction. What is given for a view of weight 0 counts
    nowhere and may be None, here and in the functions below. Raises ImageError.
    """
    every = counted(plans, weights, boxes)
    found = [_restored(plan, given, frame) for plan, _, given in every]
    _same_rows("boxes", found)
    shares = [weight for _, weight, _ in every]
    if found[0].ndim == 3:
        targets = plans[0].settings.targets
        turned = [oriented_boxes.mean_corners(row, shares, targets) for row in np.stack(found, axis=1)]
        return _written(np.array(turned).reshape(-1, 4, 2), every[0][2], plans[0], frame)
    return _written(np.average(found, axis=0, weights=shares), every[0][2], plans[0], frame)


def mean_keypoints(
    plans: Sequence[Plan],
    weights: Sequence[float],
    keypoints: Any,
    names: Sequence[str] | None = None,
    *,
    frame: Plan | None = None,
) -> Any:
    """The weighted mean over views of keypoints whose rows correspond: n x 2 or n x 3, n x k x 2 or 3 for each view.

    With a third column, the visibility or confidence, each point also counts by it, and its mean is returned. `names`
    are as for `restore_keypoints`. Raises ImageError.
    """
    every = counted(plans, weights, keypoints)
    weights = [weight for _, weight, _ in every]
    restored = [restore_keypoints(plan, given, names, frame=frame) for plan, _, given in every]
    if isinstance(restored[0], dict):
        return _mean_by_name(restored, weights)
    arrays = [_as_array(points) for points in restored]
    _same_rows("keypoints", arrays)
    return _like(_mean_points(np.stack(arrays), weights), restored[0])


def fuse_boxes(
    plans: Sequence[Plan],
    weights: Sequence[float],
    boxes: Any,
    scores: Any,
    labels: Any = None,
    *,
    overlap: float = 0.55,
    min_score: float = 0.0,
    frame: Plan | None = None,
) -> FusedBoxes:
    """Weighted box fusion over views: boxes, scores from 0 to 1 and labels of a detector, each one list per view.

    Boxes of one label that overlap by more than `overlap` (intersection over union) are one object. Its box is their
    mean, weighted by score times the weight of the view. Its score is their weighted mean, times the part of the
    views that found it among those that show its center: an object that only one of many views finds is doubtful, one
    that lies outside of a crop is not. With equal weights and views that show everything it is the rule of Solovyev
    et al. 2019. Boxes with a score below `min_score` are left out before. Without `labels` all have one label. Labels
    are exchanged in mirrored views (`restore_labels`), and come back as a list. Raises ImageError.
    """
    if not 0.0 <= overlap <= 1.0:
        raise ImageError(f"overlap: expected a number from 0 to 1, got {overlap!r}")
    each = [None] * len(plans) if labels is None else one_each(labels, plans)
    given = list(zip(one_each(boxes, plans), one_each(scores, plans), each, strict=True))
    every = counted(plans, weights, given)
    found = _candidates(every, min_score, frame)
    targets = plans[0].settings.targets
    groups = _groups(found, overlap, targets)
    fused = np.array([_fused(found, group, targets) for group in groups]).reshape(-1, *found.boxes.shape[1:])
    centers = (fused[:, :2] + fused[:, 2:]) / 2 if fused.ndim == 2 else fused.mean(axis=1)
    seen = sum(
        (weight * Route(plan, frame).to_view(centers)[1] for plan, weight, _ in every),
        start=np.zeros(len(groups)),
    )
    sums = np.array([[found.weights[group].sum(), found.weights[group] @ found.scores[group]] for group in groups])
    sums = sums.reshape(-1, 2)
    fused_scores = sums[:, 1] / np.maximum(sums[:, 0], seen)
    order = np.argsort(-fused_scores, kind="stable")
    return FusedBoxes(
        _written(fused[order], every[0][2][0], plans[0], frame),
        _like(fused_scores[order], every[0][2][1]),
        None if labels is None else [found.labels[groups[place][0]] for place in order],
        np.array([len(groups[place]) for place in order], np.intp),
    )


def _candidates(every: list[tuple[Plan, float, Any]], min_score: float, frame: Plan | None) -> _Candidates:
    """The boxes of all views in the frame, with what belongs to them."""
    restored_boxes, confidences, shares, names = [], [], [], []
    for plan, weight, (boxes, scores, labels) in every:
        restored = _restored(plan, boxes, frame)
        given = _as_array(scores).reshape(-1)
        own = [None] * len(given) if labels is None else _as_list(restore_labels(plan, labels, frame=frame))
        if not len(restored) == len(given) == len(own):
            raise ImageError(
                f"{plan.title} has {len(restored)} boxes, {len(given)} scores and {len(own)} labels; give as many "
                "of each"
            )
        if not ((given >= 0.0) & (given <= 1.0)).all():
            raise ImageError(f"{plan.title}: expected scores from 0 to 1, got {given.tolist()}")
        keep = np.flatnonzero(given >= min_score)
        restored_boxes.append(restored[keep])
        confidences.append(given[keep])
        shares.append(np.full(len(keep), weight))
        names += [own[place] for place in keep]
    all_scores, all_weights = np.concatenate(confidences), np.concatenate(shares)
    order = np.argsort(-all_scores * all_weights, kind="stable")
    sorted_names = [names[place] for place in order]
    return _Candidates(np.concatenate(restored_boxes)[order], all_scores[order], all_weights[order], sorted_names)


def _restored(plan: Plan, boxes: Any, frame: Plan | None) -> Points:
    """The boxes of a view in the frame: n x 4 edges, or n x 4 x 2 corners of oriented boxes."""
    turned = plan.settings.targets.boxes in oriented.COLUMNS
    return (restore_corners if turned else restore_edges)(plan, boxes, frame)


def _groups(found: _Candidates, overlap: float, targets: Targets) -> list[list[int]]:
    """The places of the candidates that are one object, for each object; the best candidate comes first."""
    groups: list[list[int]] = []
    fused = found.boxes[:0]
    for place, label in enumerate(found.labels):
        measure = _overlaps if fused.ndim == 2 else oriented_boxes.overlaps
        overlaps = measure(fused, found.boxes[place])
        overlaps[[found.labels[group[0]] != label for group in groups]] = 0.0
        best = int(overlaps.argmax()) if groups else -1
        if groups and overlaps[best] > overlap:
            groups[best].append(place)
            fused[best] = _fused(found, groups[best], targets)
        else:
            groups.append([place])
            fused = np.concatenate((fused, found.boxes[[place]]))
    return groups


def _fused(found: _Candidates, group: list[int], targets: Targets) -> Points:
    """The mean of the boxes of one object, weighted by their scores times the weights of their views."""
    parts = found.scores[group] * found.weights[group]
    weights = parts if parts.sum() > 0.0 else None
    if found.boxes.ndim == 3:
        return oriented_boxes.mean_corners(found.boxes[group], weights, targets)
    return np.asarray(np.average(found.boxes[group], axis=0, weights=weights))


def _overlaps(boxes: Points, box: Points) -> NDArray[np.float64]:
    """The intersection over union of each of n boxes x1, y1, x2, y2 and one."""
    sides = np.minimum(boxes[:, 2:], box[2:]) - np.maximum(boxes[:, :2], box[:2])
    common: NDArray[np.float64] = np.maximum(sides, 0.0).prod(axis=1)
    union: NDArray[np.float64] = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) + (box[2:] - box[:2]).prod() - common
    return common / np.where(union > 0.0, union, 1.0)


def _mean_by_name(restored: list[dict[Any, Any]], weights: Sequence[float]) -> dict[Any, Any]:
    """The mean of points in mappings from names, which are the same for all views."""
    first = restored[0]
    for number, points in enumerate(restored):
        if points.keys() != first.keys():
            raise ImageError(f"keypoints[{number}]: expected points with the names {list(first)}, got {list(points)}")
    found = _mean_points(np.array([[points[name] for name in first] for points in restored], np.float64), weights)
    return dict(zip(first, found.tolist(), strict=True))


def _mean_points(points: Points, weights: Sequence[float]) -> Points:
    """The mean of views x .. x 2 or 3: the positions by the weights times the third column, if there is one."""
    shares = np.asarray(weights, np.float64).reshape(-1, *[1] * (points.ndim - 1))
    if points.shape[-1] == 2:
        return np.asarray((points * shares).sum(axis=0) / shares.sum())
    confidence = points[..., 2:] * shares
    total = confidence.sum(axis=0)
    # a point that no view is sure of has the plain mean
    parts = np.where(total > 0.0, confidence, shares)
    positions = (points[..., :2] * parts).sum(axis=0) / parts.sum(axis=0)
    return np.concatenate((positions, total / shares.sum()), axis=-1)


def _same_rows(name: str, arrays: Sequence[Points]) -> None:
    shapes = [array.shape for array in arrays]
    if len(set(shapes)) > 1:
        raise ImageError(
            f"{name}: row k must be the same object on every view, and the views have the shapes {shapes}; "
            "fuse_boxes is for detectors, whose rows do not correspond"
        )


def _as_array(values: Any) -> Points:
    return np.asarray(values.detach().cpu() if rows.is_tensor(values) else values, np.float64)


def _as_list(values: Any) -> list[Any]:
    return list(values.tolist() if hasattr(values, "tolist") else values)


def _like(values: Points, given: Any) -> Any:
    """Numbers as a list, an array or a tensor, as `given` is."""
    if not hasattr(given, "dtype"):
        return values.tolist()
    if rows.is_tensor(given):
        return given.new_tensor(values.tolist()) if given.is_floating_point() else tensor(values)
    return values.astype(given.dtype if given.dtype.kind == "f" else np.float64)


def _written(found: Points, given: Any, plan: Plan, frame: Plan | None) -> Any:
    """Boxes in pixels of the frame, edges or corners, in the format of the spec and in the form of `given`."""
    targets, size = plan.settings.targets, Route(plan, frame).size
    if found.ndim == 2:
        return rows.write(from_pixels(found, targets, size), rows.read(given, "boxes", "boxes", (4,))[1])
    flat, paired = oriented.paired(given) if targets.boxes == "xyxyxyxy" else (given, False)
    like = rows.read(flat, "boxes", "boxes", (oriented.COLUMNS[targets.boxes or ""],))[1]
    numbers = oriented.numbers_of(found, targets, size)
    return rows.write(numbers.reshape(-1, 4, 2) if paired else numbers, like)
