"""Oriented boxes of several views are fused: their overlap is that of the figures, and their mean is one of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from augreg import ImageError, Pipeline
from augreg.views.restoring.fusion import fuse_boxes, mean_boxes
from augreg.views.restoring.oriented_boxes import mean_corners, overlaps

FIVE = {"boxes": "cxcywhr", "angle": "degrees"}
IMAGE = np.zeros((60, 80, 3), np.uint8)


def plan_of(*steps: Any, **targets: Any) -> Any:
    return Pipeline.from_spec({"image": list(steps), "targets": targets}).train.plan((60, 80), 0)


def corners(x: float, y: float, width: float, height: float, degrees: float) -> np.ndarray:
    turn = np.deg2rad(degrees)
    matrix = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    around = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * (width / 2, height / 2)
    return np.asarray(around @ matrix + (x, y))


def drawn(quad: np.ndarray, scale: int = 16) -> np.ndarray:
    """The pixels of a quadrangle, each a sixteenth."""
    image = Image.new("1", (64 * scale, 64 * scale))
    ImageDraw.Draw(image).polygon([(x * scale, y * scale) for x, y in quad.tolist()], fill=1)
    return np.asarray(image)


def test_overlaps_by_hand() -> None:
    """A square and the same turned by 45 degrees have an octagon in common: 8 (sqrt(2) - 1) of 4 each."""
    square, turned = corners(0, 0, 2, 2, 0), corners(0, 0, 2, 2, 45)
    far, half, none = square + np.array((5, 0)), square + np.array((1, 0)), np.zeros((0, 4, 2))
    assert np.allclose(
        overlaps(np.stack([turned, square, square[::-1], far, half]), square), [0.5**0.5, 1, 1, 0, 1 / 3]
    )
    assert overlaps(none, square).shape == (0,)
    assert overlaps(np.zeros((1, 4, 2)), np.zeros((4, 2))).tolist() == [0.0]
    arrow = np.array([[0.0, 0], [4, 2], [0, 4], [2, 2]])  # its last corner points inward: 4 of 8
    left = np.array([[0.0, 0], [2, 0], [2, 4], [0, 4]])
    assert np.allclose(overlaps(np.stack([arrow, arrow[::-1]]), left), 2 / (4 + 8 - 2))
    assert np.allclose(overlaps(left[None], arrow), 2 / (4 + 8 - 2))


def test_overlaps_are_those_of_drawn_figures() -> None:
    rng = np.random.default_rng(0)
    for _ in range(40):
        one = corners(*rng.uniform(24, 40, 2), *rng.uniform(4, 24, 2), rng.uniform(-180, 180))
        other = one + rng.normal(0, 3, (4, 2))
        first, second = drawn(one), drawn(other)
        expected = (first & second).sum() / (first | second).sum()
        assert overlaps(other[None], one)[0] == pytest.approx(expected, abs=0.03)


def test_the_mean_of_five_numbers() -> None:
    plan = plan_of(**FIVE)
    boxes = [[[20, 20, 10, 4, 88]], [[22, 20, 10, 4, -88]], [[21, 23, 4, 10, 0]]]  # the last is as 10 x 4 at 90
    (found,) = mean_boxes([plan] * 3, [0.5, 0.25, 0.25], boxes)
    x, y, width, height, angle = found
    assert (x, y, width, height) == pytest.approx((20.75, 20.75, 10, 4))
    directions = [(0.5, 88.0), (0.25, 92.0), (0.25, 90.0)]
    sums = sum(part * np.exp(1j * np.deg2rad(degrees)) for part, degrees in directions)
    assert angle == pytest.approx(np.rad2deg(np.angle(sums)))


def test_a_heading_is_that_of_most_of_the_weight() -> None:
    plan = plan_of(**FIVE, heading=True)
    boxes = [[[20, 20, 10, 4, 30]], [[20, 20, 10, 4, -150]], [[20, 20, 10, 4, -150]]]
    assert np.allclose(mean_boxes([plan] * 3, [0.4, 0.3, 0.3], boxes), [[20, 20, 10, 4, -150]])
    assert np.allclose(mean_boxes([plan] * 3, [0.6, 0.2, 0.2], boxes), [[20, 20, 10, 4, 30]])


def test_any_corner_of_eight_numbers_may_be_the_first() -> None:
    plan = plan_of(boxes="xyxyxyxy")
    box = np.array([10.0, 10, 30, 12, 28, 25, 9, 20]).reshape(4, 2)
    for order in ([1, 2, 3, 0], [3, 0, 1, 2], [0, 3, 2, 1], [2, 1, 0, 3]):
        found = mean_boxes([plan] * 2, [0.5, 0.5], [box.reshape(1, 8), (box + 1)[order].reshape(1, 8)])
        assert np.allclose(found, (box + 0.5).reshape(1, 8))
    pairs = mean_boxes([plan] * 2, [0.5, 0.5], [box[None], box[None] + 1])
    assert np.allclose(pairs, box[None] + 0.5)


@pytest.mark.parametrize(
    "targets", [FIVE, {**FIVE, "heading": True}, {"boxes": "xyxyxyxy"}, {"boxes": "xyxyxyxy_normalized"}], ids=str
)
def test_what_is_seen_on_all_views_comes_back_as_it_was(targets: dict[str, Any]) -> None:
    rng = np.random.default_rng(3)
    steps = ["d4", {"rotate": {"degrees": 10, "p": 0.5}}]
    pipe = Pipeline.from_spec({"image": steps, "targets": {**targets, "min_visible": 0}})
    quads = [corners(x, y, 12, 5, rng.uniform(-90, 90)) for x, y in ((25, 20), (40, 40), (55, 20))]
    if targets["boxes"] == "cxcywhr":
        degrees = [np.rad2deg(np.arctan2(*(quad[1] - quad[0])[::-1])) for quad in quads]
        given = np.array([[*quad.mean(axis=0), 12, 5, angle] for quad, angle in zip(quads, degrees, strict=True)])
    else:
        scale = (80, 60) if "normalized" in targets["boxes"] else 1
        given = np.array([(quad / scale).ravel() for quad in quads])
    views = pipe.views({"image": IMAGE, "boxes": given, "labels": [0, 1, 1]}, 12)
    seen = [view.image for view in views]
    assert all(len(one["boxes"]) == 3 for one in seen)
    boxes, labels = ([one[key] for one in seen] for key in ("boxes", "labels"))
    found = views.fuse_boxes(boxes, [[0.9, 0.8, 0.7]] * len(views), labels)
    assert found.labels == [0, 1, 1] and found.counts.tolist() == [len(views)] * 3
    assert np.allclose(found.scores, [0.9, 0.8, 0.7])
    back = np.asarray(found.boxes)
    if targets["boxes"] == "cxcywhr" and "heading" not in targets:
        turns = (back[:, 4] - given[:, 4] + 90) % 180 - 90
        back[:, 4] = given[:, 4] + turns
    assert np.allclose(back, given, atol=1e-4)
    assert np.allclose(views.mean_boxes(boxes)[0], found.boxes[0], atol=1e-4)


def test_boxes_are_one_object_by_the_overlap_of_their_figures() -> None:
    """Long boxes that cross have an upright overlap of 1, and share little; scores are fused as those of others."""
    plan = plan_of(**FIVE)
    crossing = [[[30, 30, 40, 4, 45]], [[30, 30, 40, 4, -45]]]
    found = fuse_boxes([plan] * 2, [0.5, 0.5], crossing, [[0.8], [0.6]])
    assert np.allclose(found.boxes, [crossing[0][0], crossing[1][0]]) and np.allclose(found.scores, [0.4, 0.3])
    close = [[[30, 30, 40, 4, 45]], [[31, 31, 40, 4, 45]]]
    found = fuse_boxes([plan] * 2, [0.5, 0.5], close, [[0.8], [0.6]])
    share = 0.6 / (0.8 + 0.6)
    assert np.allclose(found.boxes, [[30 + share, 30 + share, 40, 4, 45]]) and np.allclose(found.scores, [0.7])
    empty = fuse_boxes([plan] * 2, [0.5, 0.5], [np.zeros((0, 5))] * 2, [[], []])
    assert empty.boxes.shape == (0, 5)
    with pytest.raises(ImageError, match=r"row k must be the same object on every view"):
        mean_boxes([plan] * 2, [0.5, 0.5], [close[0], close[0] * 2])


def test_weights_of_zero_count_as_equal() -> None:
    boxes = np.stack([corners(0, 0, 4, 2, 10), corners(2, 0, 4, 2, 10)])
    assert np.allclose(mean_corners(boxes, None, plan_of(**FIVE).settings.targets), corners(1, 0, 4, 2, 10))
