"""Checks that masks, boxes and keypoints move with the pixels of an image.

Tolerances are relative to the largest pixel that the image had at any step. The mean distance over all draws must be
at most 0.75 pixels; the same holds for each draw of ops with exact coordinates. For a displacement field, a mask may
be off by 1.5 pixels in one draw, and a keypoint must lie on its marker, since a nonlinear map does not keep the
center of a marker. If a transform has functions of its own, these may change the marker, and only large distances
fail. Ops that declare that pixels stay may blur or hide them, or use a coarser grid; markers must then be within 2.5
pixels of their positions on the average of all draws. Draws of a projective map whose horizon crosses the image are
skipped, since some points have no position then.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from augreg.errors import ImageError
from augreg.pipeline import Pipeline
from augreg.testing import markers
from augreg.testing.running import Array, accepted_image
from augreg.testing.step_under_test import StepUnderTest

__all__ = ["targets_follow"]

_KEYS = range(10)
_NEAR = 0.75
_NEAR_IN_A_FIELD = 1.5
_NEAR_IF_VALUES_CHANGE = 0.6 * markers.SIDE
_STAYS = 2.5
_EDGES = 4.0  # the edges of a marker made of coarse blocks may be that far from its box
_FUNCTIONS = "the functions for masks and keypoints must move them as the pixels move"


def targets_follow(tested: StepUnderTest) -> None:
    """Masks, boxes and keypoints move with the pixels, or are refused with a clear error; otherwise they stay."""
    if tested.info.kind == "normalize":
        return
    for pipeline in tested.pipelines(p=1, targets={"boxes": "xyxy"}):
        image = accepted_image(pipeline.train, *markers.SIZE)
        kind = image.shape[2], str(image.dtype)
        offsets: dict[str, list[Array]] = {}
        spots: list[Any] = [0.0] * len(markers.MARKERS)
        for key in _KEYS:
            before = {**_imaged(None, kind), **_targets()}
            try:
                after = pipeline.train(before, key)
            except ImageError as error:
                assert "target" in str(error) or "mask" in str(error), (
                    f"it fails on a sample with targets: {error}; take it, or refuse it by an error that names its "
                    "targets"
                )
                break
            effect = _effect_of(pipeline, key, kind)
            if effect.folds:
                continue
            _check_kinds(before, after, effect)
            for number in range(len(markers.MARKERS)):
                shown = pipeline.train(_imaged(number, kind), key)["image"]
                change = markers.difference(after["image"], shown)
                if not effect.moves:
                    spots[number] = spots[number] + change
                    continue
                for name, offset in _followed(after, markers.figure(change), number, effect).items():
                    offsets.setdefault(name, []).append(offset)
        for name, found in offsets.items():
            off = np.abs(np.mean(found, axis=0)).max()
            assert off <= _NEAR, f"{name} and the pixels are {off:.2f} pixels apart on average; {_FUNCTIONS}"
        _stayed(spots)


class _Effect(NamedTuple):
    """The effect of the ops of a plan.

    `moves` is whether pixels move, `bends` whether the map is nonlinear, `more` whether there are other ops, `folds`
    whether some points have no position, or neighbors may get far apart. `grain` is the side, in pixels of the
    result, of the largest pixel that the image had at any step.
    """

    moves: bool
    bends: bool
    more: bool
    folds: bool
    grain: float


def _effect_of(pipeline: Pipeline, key: int, kind: tuple[int, str]) -> _Effect:
    plan = pipeline.train.plan(_imaged(None, kind), key)
    scene, moves, bends, folds = plan.scene, 0, bool(plan.deferred), markers.cuts_apart(plan.ops)
    size = least = 1.0
    for op in plan.ops:
        forward = op.point_map(*scene.size)
        moves += op.moves_pixels(*scene.size)
        bends |= forward is None
        if forward is not None:  # with its horizon in the image, some points have no position
            corners = [(x, y) for x in (0, scene.width) for y in (0, scene.height)]
            folds |= any(forward[6] * x + forward[7] * y + forward[8] <= 0 for x, y in corners)
            size *= np.sqrt(abs(forward[0] * forward[4] - forward[1] * forward[3])) / abs(forward[8] or 1.0)
            least = min(size, least)
        scene = op.after(scene)
    return _Effect(bool(moves or plan.deferred), bends, moves < len(plan.ops), folds, size / least)


def _imaged(number: int | None, kind: tuple[int, str]) -> dict[str, Any]:
    """A sample with an image of one marker or none, and a box, since the draws of some transforms depend on boxes."""
    return {"image": markers.marked(number, *kind), "boxes": markers.box(0)[None]}


def _targets() -> dict[str, Any]:
    """A mask with one class for each marker, and keypoints at their centers."""
    mask = np.zeros(markers.SIZE, np.uint8)
    for number in range(len(markers.MARKERS)):
        mask[markers.inside(number)] = number + 1
    return {"mask": mask, "keypoints": np.array([_center(number) for number in range(len(markers.MARKERS))])}


def _center(number: int) -> Array:
    x1, y1, x2, y2 = markers.box(number)
    return np.array([x1 + x2, y1 + y2]) / 2


def _check_kinds(before: dict[str, Any], after: dict[str, Any], effect: _Effect) -> None:
    """Targets stay if pixels stay; a mask has the size of the image, and no new classes."""
    if not effect.moves:
        for name in ("mask", "boxes", "keypoints"):
            assert np.array_equal(before[name], after[name]), f"pixels do not move, but {name} do; {_FUNCTIONS}"
    image, mask = after["image"], after["mask"]
    assert image.shape[:2] == mask.shape, (
        f"the image has the size {image.shape[:2]}, but its mask {mask.shape}; let the mask's function return the "
        "size of the image"
    )
    new = sorted(set(np.unique(mask).tolist()) - set(range(len(markers.MARKERS) + 1)))
    assert not new, f"the mask has new values: {new}; move the ids of its classes as they are, without interpolation"


def _stayed(spots: list[Any]) -> None:
    """Ops that declare that pixels stay do not move markers; `spots` are sums of the differences of each marker."""
    for number, spot in enumerate(spots):
        found = markers.trace(markers.figure(markers.smoothed(spot))) if np.ndim(spot) else None
        if found is not None:
            off = np.abs(found.center - _center(number)).max()
            assert off <= _STAYS, (
                f"its ops declare that pixels stay, but they move by {off:.1f}; show pixels where they were, or call "
                "the function with `geometry=True`, and with functions for masks and keypoints"
            )


def _followed(after: dict[str, Any], weights: Array, number: int, effect: _Effect) -> dict[str, Array]:
    """The distances of mask, keypoint and box from the marker, if measurable. Raises AssertionError if too large."""
    mask = after["mask"] == number + 1
    point = np.asarray(after["keypoints"])[number][:2]
    found, area = markers.trace(weights), markers.trace(mask.astype(float))
    if found is None:
        lost = area is None or not area.whole or area.side < 0.5 * markers.SIDE or effect.more
        assert lost, f"the mask contains a marker that the image does not; {_FUNCTIONS}"
        return {}
    scale = max(1.0, found.side / markers.SIDE, effect.grain)
    if not found.single or not found.whole:  # cut off, in pieces, or visible twice, like its mask
        overlap = (mask & (weights > 0)).sum() / (mask | (weights > 0)).sum()
        assert overlap > 0.4 or effect.more or found.side < 4, (
            f"the mask overlaps its marker by only {overlap:.0%}; {_FUNCTIONS}"
        )
        return {}
    assert area is not None, f"the mask lost a marker that the image contains; {_FUNCTIONS}"
    offsets = {"mask": (area.center - found.center) / scale, "keypoints": (point - found.center) / scale}
    if effect.more:
        limits = dict.fromkeys(offsets, _NEAR_IF_VALUES_CHANGE)
    elif effect.bends:
        limits = {"mask": _NEAR_IN_A_FIELD, "keypoints": _NEAR}
    else:
        limits = dict.fromkeys(offsets, _NEAR)
    for name, limit in limits.items():
        off = offsets[name] if name == "mask" or not effect.bends else _outside(point, weights) / scale
        assert np.abs(off).max() <= limit, (
            f"{name} and the pixels are {np.abs(off).max():.2f} pixels apart; {_FUNCTIONS}"
        )
    if number == 0:
        offsets["boxes"] = _boxed(after["boxes"], found, scale)
    return {} if effect.more else offsets


def _outside(point: Array, weights: Array) -> Array:
    """The distance of a point from the nearest pixel of a marker, along x and y; 0 if it lies on one."""
    ys, xs = np.nonzero(weights)
    off = np.stack([np.abs(xs + 0.5 - point[0]), np.abs(ys + 0.5 - point[1])], axis=1)
    nearest: Array = np.maximum(off[off.max(axis=1).argmin()] - 0.5, 0.0)
    return nearest


def _boxed(boxes: Any, found: markers.Trace, scale: float) -> Array:
    """The distance of a box center from its marker. Raises AssertionError if the box is gone or too far off."""
    assert len(boxes), f"the box of a marker that the image contains is gone; {_FUNCTIONS}"
    edges = np.asarray(boxes)[0][:4]
    off = np.abs(edges - found.edges).max() / scale
    assert off <= _EDGES, (
        f"the box is {edges.round(1).tolist()}, its marker {found.edges.round(1).tolist()}; {_FUNCTIONS}"
    )
    middle: Array = ((edges[:2] + edges[2:]) / 2 - found.center) / scale
    return middle
