"""The check that masks, boxes and keypoints go where the pixels of an image go.

How near is near: three quarters of the largest pixel that the image had on the way, on the average of all draws;
and in each draw too, for ops that say exactly where points go. Where a transform has functions of its own, or a field
that bends, a mask may be a pixel and a half off in one draw, and a point must lie on its figure: a bend takes the
middle of a figure elsewhere than its points. What says that pixels stay may spread them, hide some, or put them on a
coarser grid: there figures must be within 2.5 pixels of their places on the average of all draws. A projective map
with its horizon in the image has no place for some points, and is left out.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from augreg.errors import ImageError
from augreg.ops.projective import IDENTITY
from augreg.pipeline import Pipeline
from augreg.testing.attempts import Array, suited
from augreg.testing.markers import (
    MARKERS,
    SIDE,
    SIZE,
    Trace,
    box,
    difference,
    figure,
    inside,
    marked,
    smoothed,
    trace,
)
from augreg.testing.subjects import Subject

__all__ = ["targets_follow"]

_KEYS = range(10)
_NEAR = 0.75
_NEAR_IN_A_BEND = 1.5
_NEAR_WHERE_LEVELS_CHANGE_TOO = 0.6 * SIDE
_STAYS = 2.5
_EDGES = 4.0  # an image of coarse blocks has edges that far from a box's


def targets_follow(tested: Subject) -> None:
    """Masks, boxes and keypoints go where the pixels go, or are refused in words; where nothing moves they stay."""
    if tested.mark.kind == "normalize":
        return
    for pipeline in tested.pipelines(p=1, targets={"boxes": "xyxy"}):
        image = suited(pipeline.train, *SIZE)
        kind = image.shape[2], str(image.dtype)
        offsets: dict[str, list[Array]] = {}
        spots: list[Any] = [0.0] * len(MARKERS)
        for key in _KEYS:
            before = {**_imaged(None, kind), **_targets()}
            try:
                after = pipeline.train(before, key)
            except ImageError as error:
                assert "target" in str(error) or "mask" in str(error), f"refused for no reason of its kind: {error}"
                break
            does = _what_is_done(pipeline, key, kind)
            if does.folds:
                continue
            _check_kinds(before, after, does)
            for number in range(len(MARKERS)):
                shown = pipeline.train(_imaged(number, kind), key)["image"]
                change = difference(after["image"], shown)
                if not does.moves:
                    spots[number] = spots[number] + change
                    continue
                for name, offset in _followed(after, figure(change), number, does).items():
                    offsets.setdefault(name, []).append(offset)
        for name, found in offsets.items():
            off = np.abs(np.mean(found, axis=0)).max()
            assert off <= _NEAR, f"{name} and the pixels are {off:.2f} pixels apart on average; {_NEAR} is allowed"
        _stayed(spots)


class _Done(NamedTuple):
    """What the ops of a plan do: move pixels, bend lines, do something else besides, fold the image.

    `grain` is the side, in pixels of the result, of the largest pixel that the image had on the way.
    """

    moves: bool
    bends: bool
    more: bool
    folds: bool
    grain: float


def _what_is_done(pipeline: Pipeline, key: int, kind: tuple[int, str]) -> _Done:
    plan = pipeline.train.plan(SIZE, key, channels=kind[0], dtype=kind[1])
    scene, moves, bends, folds = plan.scene, 0, bool(plan.deferred), False
    size = least = 1.0
    for op in plan.ops:
        forward = op.point_map(*scene.size)
        moves += forward != IDENTITY or op.size_after(*scene.size) != scene.size
        bends |= forward is None
        if forward is not None:  # with its horizon in the image, a part of it has no place
            corners = [(x, y) for x in (0, scene.width) for y in (0, scene.height)]
            folds |= any(forward[6] * x + forward[7] * y + forward[8] <= 0 for x, y in corners)
            size *= np.sqrt(abs(forward[0] * forward[4] - forward[1] * forward[3])) / abs(forward[8] or 1.0)
            least = min(size, least)
        scene = op.after(scene)
    return _Done(bool(moves or plan.deferred), bends, moves < len(plan.ops), folds, size / least)


def _imaged(number: int | None, kind: tuple[int, str]) -> dict[str, Any]:
    """A sample with the image of one marker, or of none, and a box, by which some transforms draw."""
    return {"image": marked(number, *kind), "boxes": box(0)[None]}


def _targets() -> dict[str, Any]:
    """A mask in which each marker is a class of its own, and their centers."""
    mask = np.zeros(SIZE, np.uint8)
    for number in range(len(MARKERS)):
        mask[inside(number)] = number + 1
    return {"mask": mask, "keypoints": np.array([_center(number) for number in range(len(MARKERS))])}


def _center(number: int) -> Array:
    x1, y1, x2, y2 = box(number)
    return np.array([x1 + x2, y1 + y2]) / 2


def _check_kinds(before: dict[str, Any], after: dict[str, Any], does: _Done) -> None:
    """Where nothing moves, neither do targets; a mask is as large as the image, and has no class that is new."""
    if not does.moves:
        for name in ("mask", "boxes", "keypoints"):
            assert np.array_equal(before[name], after[name]), f"pixels stay in their places, and {name} moved"
    image, mask = after["image"], after["mask"]
    assert image.shape[:2] == mask.shape, f"the image is {image.shape[:2]} and its mask {mask.shape}"
    new = sorted(set(np.unique(mask).tolist()) - set(range(len(MARKERS) + 1)))
    assert not new, f"the mask has values that were not there: {new}"


def _stayed(spots: list[Any]) -> None:
    """What says that pixels stay keeps each figure where it was; `spots` are sums of what the markers change."""
    for number, spot in enumerate(spots):
        found = trace(figure(smoothed(spot))) if np.ndim(spot) else None
        if found is not None:
            off = np.abs(found.center - _center(number)).max()
            assert off <= _STAYS, f"its ops say that pixels stay in their places, and they moved by {off:.1f}"


def _followed(after: dict[str, Any], weights: Array, number: int, does: _Done) -> dict[str, Array]:
    """How far mask, keypoint and box are from the figure, where it can be said. Raises AssertionError where far."""
    mask = after["mask"] == number + 1
    point = np.asarray(after["keypoints"])[number][:2]
    found, area = trace(weights), trace(mask.astype(float))
    if found is None:
        lost = area is None or not area.whole or area.side < 0.5 * SIDE or does.more
        assert lost, "the mask shows a figure that the image does not show"
        return {}
    scale = max(1.0, found.side / SIDE, does.grain)
    if not found.single or not found.whole:  # cut off, torn, or shown twice, and so is its mask
        overlap = (mask & (weights > 0)).sum() / (mask | (weights > 0)).sum()
        assert overlap > 0.4 or does.more or found.side < 4, f"the mask covers {overlap:.0%} of its figure"
        return {}
    assert area is not None, "the mask lost a figure that the image shows"
    offsets = {"mask": (area.center - found.center) / scale, "keypoints": (point - found.center) / scale}
    if does.more:
        limits = dict.fromkeys(offsets, _NEAR_WHERE_LEVELS_CHANGE_TOO)
    elif does.bends:
        limits = {"mask": _NEAR_IN_A_BEND, "keypoints": _NEAR}
    else:
        limits = dict.fromkeys(offsets, _NEAR)
    for name, limit in limits.items():
        off = offsets[name] if name == "mask" or not does.bends else _outside(point, weights) / scale
        assert np.abs(off).max() <= limit, f"{name} and the pixels are {np.abs(off).max():.2f} pixels apart"
    if number == 0:
        offsets["boxes"] = _boxed(after["boxes"], found, scale)
    return {} if does.more else offsets


def _outside(point: Array, weights: Array) -> Array:
    """How far a point is from the nearest pixel of a figure, along x and y; 0 where it lies on one."""
    ys, xs = np.nonzero(weights)
    off = np.stack([np.abs(xs + 0.5 - point[0]), np.abs(ys + 0.5 - point[1])], axis=1)
    nearest: Array = np.maximum(off[off.max(axis=1).argmin()] - 0.5, 0.0)
    return nearest


def _boxed(boxes: Any, found: Trace, scale: float) -> Array:
    """How far the middle of a box is from its figure. Raises AssertionError where it is gone, or an edge is far."""
    assert len(boxes), "the box of a figure that the image shows is gone"
    edges = np.asarray(boxes)[0][:4]
    off = np.abs(edges - found.edges).max() / scale
    assert off <= _EDGES, f"the box is {edges.round(1).tolist()}, its figure {found.edges.round(1).tolist()}"
    middle: Array = ((edges[:2] + edges[2:]) / 2 - found.center) / scale
    return middle
