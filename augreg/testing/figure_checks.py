"""Checks that oriented boxes, polygons and maps of values move as keypoints and masks do, and frames of clips alike.

`targets_follow` compares keypoints and masks with the pixels. Whatever an op says about these holds for the other
targets too, so they are compared with them: the corners of a box or a polygon with keypoints at the same places, and
a map of values with a mask.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from augreg.errors import ImageError
from augreg.pipeline import Pipeline
from augreg.testing import markers
from augreg.testing.running import Array, accepted_image, pattern, same, smooth
from augreg.testing.step_under_test import StepUnderTest

__all__ = ["figures_follow", "frames_follow"]

_KEYS: Final = range(3)
_NEAR: Final = 0.01
"""Pixels between a corner of a figure and the keypoint at the same place."""
_CORNERS: Final = np.array(
    [
        [[12.0, 9], [21, 12], [20, 17], [10, 15]],
        [[30, 22], [38, 20], [40, 27], [31, 28]],
        [[24, 14], [29, 13], [33, 18], [26, 19]],
    ]
)
_ELSEWHERE: Final = (44.0, 31.0)
_VALUE: Final = 1.25
"""A map has this times the class that the mask has."""
_FIGURES: Final = {
    "boxes": "xyxyxyxy", "min_visible": 0, "polygons": ["outlines"], "maps": {"values": {}}, "labels": ["labels"],
}  # fmt: skip
_ONE_BY_ONE: Final = "let the function for keypoints move each point by itself, whatever the others are"


def figures_follow(tested: StepUnderTest) -> None:
    """Oriented boxes and polygons move by their corners as keypoints do, and maps of values as masks do."""
    if tested.info.kind == "normalize":
        return
    for pipeline in tested.pipelines(p=1, targets=_FIGURES):
        image = accepted_image(pipeline.train, *markers.SIZE)
        plain = markers.marked(None, image.shape[2], str(image.dtype))
        for key in _KEYS:
            sample = {"image": plain, **_figures()}
            try:
                after = pipeline.train(sample, key)
            except ImageError as error:
                assert "does not say where" in str(error), (
                    f"it fails on a sample with oriented boxes, polygons and maps of values: {error}; let the "
                    "functions for masks and keypoints take any dtype and any number of points"
                )
                break
            _same_values(after)
            if not markers.cuts_apart(pipeline.train.plan(sample, key).ops):
                _same_corners(after)


def _figures() -> dict[str, Any]:
    """Figures as boxes and as polygons, keypoints at their corners and one elsewhere; markers in a mask and a map."""
    mask = np.zeros(markers.SIZE, np.uint8)
    for number in range(len(markers.MARKERS)):
        mask[markers.inside(number)] = number + 1
    count = len(_CORNERS)
    points = np.concatenate((_CORNERS.reshape(-1, 2), [_ELSEWHERE]))
    return {
        "mask": mask,
        "values": mask * np.float64(_VALUE),
        "boxes": _CORNERS,
        "outlines": list(_CORNERS),
        "labels": list(range(count)),
        "keypoints": np.concatenate((points, np.full((len(points), 1), 2.0)), axis=1),
    }


def _same_values(after: dict[str, Any]) -> None:
    """A map has its values where the mask has its classes."""
    expected = after["mask"] * np.float64(_VALUE)
    assert expected.shape == after["values"].shape and np.array_equal(expected, after["values"]), (
        "a map of values moves in another way than a mask; let the function for masks move values of any dtype as "
        "they are"
    )


def _same_corners(after: dict[str, Any]) -> None:
    """Boxes and polygons that stayed within the image have their corners where the keypoints are."""
    size = np.array(after["mask"].shape[::-1], float)
    points = after["keypoints"][: 4 * len(_CORNERS)].reshape(-1, 4, 3)
    boxes = dict(zip(after["labels"], after["boxes"], strict=True))
    outlines = dict(zip(after["labels"], after["outlines"], strict=True))
    for number, corners in enumerate(points):
        places = corners[:, :2]
        inside = (corners[:, 2] > 0).all() and (places >= 3).all() and (places <= size - 3).all()
        if not inside:  # the border may have cut the figure
            continue
        for what, found in (("an oriented box", boxes.get(number)), ("a polygon", outlines.get(number))):
            assert found is not None, f"{what} is gone whose corners are in the image; {_ONE_BY_ONE}"
            off = _distance(np.asarray(found, float), places)
            assert off <= _NEAR, (
                f"a corner of {what} and the keypoint at the same place are {off:.2f} pixels apart; {_ONE_BY_ONE}"
            )


def _distance(found: Array, places: Array) -> float:
    """How far the corners are apart at most; those of a figure that was cut in between cannot be compared."""
    return float(np.abs(found - places).max()) if found.shape == places.shape else 0.0


def frames_follow(tested: StepUnderTest) -> None:
    """A frame of a clip is the image alone, at the same key; only noise differs from frame to frame."""
    for pipeline in tested.pipelines(p=1):
        clips = Pipeline.from_spec({**pipeline.to_spec(), "targets": {"clip": True}}, tested.registry)
        kind = accepted_image(pipeline.train, *markers.SIZE)
        images = [make(*markers.SIZE, kind.shape[2], str(kind.dtype)) for make in (pattern, smooth, pattern)]
        for key in _KEYS:
            alone = [np.array(pipeline.train(image, key)) for image in images]
            if len({image.shape for image in alone}) > 1:  # its size depends on the pixels
                continue
            frames = _frames(clips, images, key)
            plan = pipeline.train.plan(images[0], key)
            differ = bool(plan.deferred) or any(op.for_frame(1) != op for op in plan.ops)
            for number, (frame, image) in enumerate(zip(frames, alone, strict=True)):
                if not (number and differ):
                    assert same(frame, image), (
                        f"frame {number} of a clip is not that image alone; let functions keep nothing between "
                        "calls, and return memory of their own"
                    )


def _frames(clips: Pipeline, images: list[Array], key: int) -> list[Array]:
    """The frames of a clip after a pipeline, whose masks are one and the same if its ops say where they go."""
    mask = np.arange(np.prod(markers.SIZE)).reshape(markers.SIZE)
    try:
        found = clips.train({"image": images, "mask": [mask] * len(images)}, key)
    except ImageError as error:
        assert "does not say where" in str(error), f"it fails on a clip with masks: {error}; take clips"
        return list(clips.train(images, key))
    assert all(np.array_equal(found["mask"][0], one) for one in found["mask"]), (
        "equal masks of two frames of a clip differ afterward; let the function for masks keep nothing between calls"
    )
    return list(found["image"])
