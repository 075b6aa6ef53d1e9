"""Holes that hide boxes: the visible fraction is that of the pixels that are neither cut off nor painted over."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from augreg import Pipeline

CUT = {"cutout": {"size": 14, "holes": 2, "p": 1}}
HIDE = {"boxes": "xyxy", "holes": "hide"}


def shown(steps: list[Any], image: np.ndarray, box: np.ndarray, index: int) -> float:
    """The fraction of a box that shows, by pixels: of an image of ones, holes and borders are 0."""
    x0, y0, x1, y1 = box.astype(int)
    mask = np.zeros(image.shape[:2], np.uint8)
    mask[y0:y1, x0:x1] = 1
    found = Pipeline.from_spec({"image": steps}).train({"image": image, "mask": mask}, index)
    return float((found["mask"] * (found["image"][..., 0] > 0.5)).sum()) / mask.sum()


def kept(steps: list[Any], image: np.ndarray, box: np.ndarray, index: int, least: float, **targets: Any) -> int:
    spec = {"image": steps, "targets": {**HIDE, "min_visible": min(max(least, 0.0), 1.0), **targets}}
    return len(Pipeline.from_spec(spec).train({"image": image, "boxes": box[None]}, index)["boxes"])


@pytest.mark.parametrize(
    ("steps", "near"),
    [
        ([CUT], 0.003),
        ([CUT, "d4", CUT, {"random_crop": {"size": [30, 34]}}], 0.003),
        ([{"random_crop": {"size": [34, 30]}}, {"holes": {"count": 4, "p": 1}}, {"pad": {"padding": 3}}, CUT], 0.003),
        ([{"grid_mask": {"p": 1}}, "d4"], 0.003),
        # the same after a turn, where both the pixels of a hole and of the box are in doubt at their edges
        ([CUT, {"rotate": {"degrees": 40}}, CUT], 0.08),
    ],
    ids=str,
)
def test_the_visible_fraction_is_that_of_the_pixels(steps: list[Any], near: float) -> None:
    rng = np.random.default_rng(3)
    between = 0
    for index in range(20):
        image = np.ones((*rng.integers(40, 70, 2), 1), np.float32)
        low = rng.integers(0, (image.shape[1] - 22, image.shape[0] - 22), (2, 2))
        boxes = np.concatenate((low, low + rng.integers(12, 22, (2, 2))), axis=1).astype(float)
        for label, box in enumerate(boxes):
            fraction = shown(steps, image, box, index)
            between += 0.05 < fraction < 0.95
            for least, there in ((fraction - near, True), (fraction + near, False)):
                if 0 < least < 1:
                    targets = {**HIDE, "min_visible": least}
                    sample = {"image": image, "boxes": boxes, "labels": [0, 1]}
                    found = Pipeline.from_spec({"image": steps, "targets": targets}).train(sample, index)
                    assert (label in found["labels"]) is there, index
    assert between > 8


@pytest.mark.parametrize("k", [-0.3, 0.6])
def test_holes_are_bent_like_the_image(k: float) -> None:
    """Before, the hole hides another fraction of the box: the middle of the image grows or shrinks."""
    image, box = np.ones((200, 200, 1), np.float32), np.array([40.0, 40.0, 160.0, 160.0])
    hole, bend = {"cutout": {"size": 90, "p": 1}}, {"optical_distortion": {"k": [k, k], "p": 1}}
    mask = np.pad(np.ones((120, 120), np.uint8), 40)
    apart = 0
    for index in range(12):
        found = Pipeline.from_spec({"image": [hole, bend]}).train({"image": image, "mask": mask}, index)
        fraction = (found["mask"] * (found["image"][..., 0] > 0.5)).sum() / found["mask"].sum()
        apart += abs(fraction - shown([hole], image, box, index)) > 0.02
        if fraction < 0.98:
            assert kept([hole, bend], image, box, index, fraction - 0.01) == 1, index
            assert kept([hole, bend], image, box, index, fraction + 0.01) == 0, index
    assert apart >= 2


def test_holes_are_ignored_unless_the_spec_says_otherwise() -> None:
    image, box = np.ones((40, 40, 1), np.float32), np.array([10.0, 10.0, 20.0, 20.0])
    whole = [{"cutout": {"size": 80, "p": 1}}]
    assert kept(whole, image, box, 0, 1.0, holes="ignore") == 1
    assert kept(whole, image, box, 0, 0.01) == 0
    assert "holes" not in Pipeline.from_spec({"image": [], "targets": {"boxes": "xyxy"}}).to_spec()["targets"]


def test_a_box_that_is_partly_hidden_does_not_shrink_and_takes_its_labels_along() -> None:
    """A hole of 10 x 10 at the center, over a quarter of one box and the whole of another."""
    hole = {"cutout": {"size": 10, "p": 1}}
    image = np.ones((30, 30, 1), np.float32)
    pipe = Pipeline.from_spec({"image": [hole], "targets": {**HIDE, "min_visible": 0.5}})
    for index in range(30):
        found = pipe.train({"image": image, "boxes": [], "labels": []}, index)["image"][..., 0]
        ys, xs = np.nonzero(found < 0.5)
        x0, y0, x1, y1 = map(float, (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1))
        if (x1 - x0, y1 - y0) != (10, 10) or x1 > 20 or y1 > 20:
            continue
        boxes = [[x0 + 2, y0 + 2, x1 - 2, y1 - 2], [x0 + 5, y0 + 5, x1 + 5, y1 + 5]]
        sample = pipe.train({"image": image, "boxes": boxes, "labels": ["hidden", "seen"]}, index)
        assert sample["boxes"] == boxes[1:] and sample["labels"] == ["seen"]
        return
    raise AssertionError("no hole is within the image")


def test_a_box_that_is_drawn_around_its_mask_is_hidden_as_it_was_before() -> None:
    """The first box leaves with its mask. The second is twice as wide as its mask; holes hide a part of all of it."""
    image = np.ones((60, 60, 1), np.float32)
    gone, there = np.zeros((60, 60), np.uint8), np.zeros((60, 60), np.uint8)
    gone[0:4, 0:4], there[20:40, 20:30] = 1, 1
    boxes = np.array([[0.0, 0, 30, 30], [20, 20, 40, 40]])
    steps = [{"cutout": {"size": 30, "holes": 2, "p": 1}}, {"center_crop": [40, 40]}]
    compared = 0
    for index in range(12):
        fraction = shown(steps, image, boxes[1], index)
        for least, count in ((fraction - 0.003, 1), (fraction + 0.003, 0)):
            if 0 < least < 1:
                targets = {**HIDE, "min_visible": least, "instances": ["masks"], "boxes_from": "masks"}
                sample = {"image": image, "boxes": boxes, "masks": [gone, there]}
                found = Pipeline.from_spec({"image": steps, "targets": targets}).train(sample, index)
                assert found["boxes"].tolist() == [[10.0, 10, 20, 30]] * count, index
                compared += 0.05 < fraction < 0.95
    assert compared > 4


def test_a_box_that_is_cut_away_leaves_the_holes_of_others_to_them() -> None:
    """Holes, then a turn that the crop after it cannot pass."""
    image, boxes = np.ones((60, 60, 1), np.float32), np.array([[0.0, 0, 8, 8], [15, 15, 35, 35]])
    steps = [{"cutout": {"size": 16, "holes": 2, "p": 1}}, {"rotate": {"degrees": [2, 2]}}, {"center_crop": [40, 40]}]
    compared = 0
    for index in range(12):
        fraction = shown(steps, image, boxes[1], index)
        for least, labels in ((fraction - 0.04, [1]), (fraction + 0.04, [])):
            if 0 < least < 1:
                spec = {"image": steps, "targets": {**HIDE, "min_visible": least}}
                sample = {"image": image, "boxes": boxes, "labels": [0, 1]}
                assert Pipeline.from_spec(spec).train(sample, index)["labels"] == labels, index
                compared += 0.05 < fraction < 0.95
    assert compared > 4


def test_two_holes_at_one_place_hide_it_once() -> None:
    """Many holes that cover all but a corner: their sum is more than the box, and the corner is still seen."""
    image, box = np.ones((60, 60, 1), np.float32), np.array([20.0, 20.0, 40.0, 40.0])
    steps = [{"cutout": {"size": 16, "holes": 12, "p": 1}}]
    seen = 0
    for index in range(20):
        fraction = shown(steps, image, box, index)
        if 0.05 < fraction < 0.6:
            assert kept(steps, image, box, index, fraction - 0.003) == 1
            assert kept(steps, image, box, index, fraction + 0.003) == 0
            seen += 1
    assert seen > 3


def test_oriented_boxes_are_hidden_too() -> None:
    """By a hole over the whole image."""
    image = np.ones((40, 40, 1), np.float32)
    spec = {
        "image": [{"cutout": {"size": 80, "p": 1}}],
        "targets": {"boxes": "cxcywhr", "angle": "degrees", "holes": "hide"},
    }
    assert Pipeline.from_spec(spec).train({"image": image, "boxes": [[20, 20, 20, 8, 30]]}, 0)["boxes"] == []


def test_a_box_that_is_covered_is_dropped_whatever_the_spec_asks_for() -> None:
    """Also with `min_visible: 0`, as a box that has left the image is; what rounding leaves of it does not count."""
    steps = [{"holes": {"count": 1, "height": 40, "width": 40, "pixels": True, "p": 1}}]  # as wide as the image
    image = np.ones((42, 40, 3), np.uint8)
    top = int(np.flatnonzero(Pipeline.from_spec(steps).train(image, 3).sum(axis=(1, 2)) == 0)[0])
    rows = [[0, top, 40, top + 40], [5, 5, 20, 20], [3, top - 0.0005, 9, top + 30], [3, top - 0.1, 9, top + 30]]
    assert [kept(steps, image, np.array(box, float), 3, 0.0) for box in rows] == [0, 0, 0, 1]
    ignored = {"holes": "ignore"}
    assert [kept(steps, image, np.array(box, float), 3, 0.0, **ignored) for box in rows] == [1, 1, 1, 1]
