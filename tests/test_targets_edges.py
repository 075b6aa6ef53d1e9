"""Edges and points on a border, and fractions at a threshold, are on the right side of them despite rounding."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from augreg import Pipeline
from augreg.ops import Move


def pipeline(*steps: Any, **targets: Any) -> Pipeline:
    return Pipeline.from_spec({"image": list(steps), "targets": {"boxes": "xyxy", **targets}})


def image(height: int, width: int) -> np.ndarray:
    return np.zeros((height, width, 1), np.uint8)


def test_a_whole_box_stays_whole_at_every_size() -> None:
    """A box over the whole image is over the whole image after a resize, and a point in its corner in the corner."""
    pipe = pipeline({"resize": {"size": 224}}, min_visible=1.0, keypoints="drop")
    for height, width in np.random.default_rng(0).integers(3, 900, (300, 2)):
        sample = {"image": image(height, width), "boxes": [[0, 0, width, height]], "keypoints": [[width, height]]}
        found = pipe.test(sample)
        assert np.allclose(found["boxes"], [[0, 0, 224, 224]], atol=1e-9), (height, width)
        assert np.allclose(found["keypoints"], [[224, 224]], atol=1e-9), (height, width)


def test_safe_crop_keeps_boxes_at_the_strictest_threshold() -> None:
    pipe = pipeline({"safe_crop": {"size": 224, "scale": [0.05, 0.2]}}, min_visible=1.0)
    rng = np.random.default_rng(1)
    for index in range(300):
        height, width = rng.integers(40, 400, 2)
        low = rng.integers(0, (width // 2, height // 2))
        high = rng.integers(low + 1, (width + 1, height + 1))
        found = pipe.train({"image": image(height, width), "boxes": [[*low, *high]]}, index)
        assert len(found["boxes"]) == 1, index


def test_crop_around_boxes_draws_each_edge_between_the_image_and_the_boxes() -> None:
    """Of an image with 12 rows and 20 columns; fractions of a pixel belong to their whole pixel."""
    pipe = pipeline({"crop_around_boxes": {}})
    boxes = [[4.5, 3, 9, 7], [6, 2.2, 13.4, 6]]
    seen = []
    for index in range(600):
        plan = pipe.train.plan({"image": image(12, 20), "boxes": boxes, "labels": [0, 1]}, index)
        crop = plan.ops[0] if plan.ops else Move(0, 0, 12, 20)
        seen.append((crop.left, crop.top, crop.left + crop.width, crop.top + crop.height))
        assert len(pipe.train({"image": image(12, 20), "boxes": boxes, "labels": [0, 1]}, index)["boxes"]) == 2
    for edge, places in zip(zip(*seen, strict=True), (range(5), range(3), range(14, 21), range(7, 13)), strict=True):
        counts = np.bincount(edge, minlength=21)[places.start : places.stop]
        assert counts.sum() == 600 and counts.min() > 600 / len(places) * 0.6
    assert pipe.test({"image": image(12, 20), "boxes": boxes, "labels": [0, 1]})["image"].shape == (12, 20, 1)
    bare = [pipe.train.plan((12, 20), index).ops[0] for index in range(200)]
    assert all(op.left <= 10 < op.left + op.width and op.top <= 6 < op.top + op.height for op in bare)
    sized = pipeline({"crop_around_boxes": {"size": [30, 40]}})
    assert sized.train({"image": image(12, 20), "boxes": boxes, "labels": [0, 1]}, 0)["image"].shape == (30, 40, 1)


@pytest.mark.parametrize("form", ["xyxy", "xywh", "cxcywh"])
@pytest.mark.parametrize("digits", ["float16", "float32", "six"])
def test_rounded_fractions_that_touch_the_border_are_inside(form: str, digits: str) -> None:
    """Fractions as files and models hold them: the box ends at the border, whichever way its numbers were rounded."""
    pipe = pipeline(boxes=form, normalized=True, min_visible=1.0)
    rng = np.random.default_rng(2)
    for width, height in rng.integers(20, 3000, (30, 2)):
        low = rng.integers(1, (width, height)) / (width, height)
        x1, y1, x2, y2 = [(*low, 1, 1), (0, 0, *low), (0, low[1], 1, 1)][width % 3]
        box = {
            "xyxy": (x1, y1, x2, y2),
            "xywh": (x1, y1, x2 - x1, y2 - y1),
            "cxcywh": ((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1),
        }[form]
        given: Any = np.round([box], 6) if digits == "six" else np.array([box], digits)
        found = pipe.test({"image": image(height, width), "boxes": given})["boxes"]
        assert len(found) == 1 and np.allclose(found, [box], atol=2e-3 if digits == "float16" else 2e-6)


@pytest.mark.parametrize("share", [0.1, 0.2, 0.3, 0.7])
def test_a_share_at_the_threshold_is_enough(share: float) -> None:
    """A box of 100 columns, turned by 180 degrees and enlarged by 7/4: the crop shows exactly this share of them."""
    width = round(100 * share)
    steps = {"rotate": {"degrees": [180, 180]}}, {"resize": {"size": [105, 700]}}, {"center_crop": [105, 350]}
    # the crop shows columns 100 to 300 of 400, and the turn sends the box to `width` .. `width` + 100
    edges = np.array([[300 - width, 0, 400 - width, 60]]) / np.array([400, 60, 400, 60])
    for dtype in (np.float64, np.float32):
        for least, there in ((share, 1), (share + 0.002, 0)):
            pipe = pipeline(*steps, normalized=True, min_visible=least)
            found = pipe.train({"image": image(60, 400), "boxes": edges.astype(dtype)}, 0)["boxes"]
            assert len(found) == there, (dtype, least)


def test_a_box_beside_the_border_leaves_no_sliver() -> None:
    """The box ends where the crop begins; rounding makes a strip of a millionth of a pixel out of that."""
    for x in (20.0, 20 + 1e-9, 20 + 1e-6, np.float32(20.000002)):
        found = pipeline({"center_crop": [40, 20]}, min_visible=0).test(
            {"image": image(40, 60), "boxes": [[5, 5, x, 20], [30, 5, 50, 20]], "labels": ["beside", "in"]}
        )
        assert found["labels"] == ["in"]


def test_points_on_the_border_stay_visible_and_points_beyond_it_do_not() -> None:
    pipe = pipeline({"rotate": {"degrees": [90.0, 90.0]}}, {"resize": {"size": [33, 47]}})
    points = [[0, 0, 2], [60, 60, 2], [0, 60, 2], [60.01, 30, 2], [-0.01, 30, 2]]
    found = pipe.train({"image": image(60, 60), "keypoints": points}, 0)["keypoints"]
    assert [row[2] for row in found] == [2, 2, 2, 0, 0]
    assert all(0 <= x <= 47 and 0 <= y <= 33 for x, y, seen in found if seen)
