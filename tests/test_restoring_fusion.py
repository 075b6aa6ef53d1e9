"""Boxes and keypoints of several views become one set: means of rows that correspond, and weighted box fusion."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from restoring_plans import FLIP, plan_of

from augreg import ImageError, Pipeline
from augreg.views.restoring.fusion import fuse_boxes, mean_boxes, mean_keypoints

torch = pytest.importorskip("torch")
SIZE = 100, 200
TARGETS = {"boxes": "xyxy", "swap": {"left": "right"}}
PLAIN, MIRRORED = plan_of(SIZE, targets=TARGETS), plan_of(SIZE, FLIP, targets=TARGETS)


def mirrored(boxes: Any) -> list[Any]:
    return [[200 - x1, y0, 200 - x0, y1] for x0, y0, x1, y1 in boxes]


def test_the_mean_of_boxes_whose_rows_correspond() -> None:
    first, second = [[10, 10, 20, 30], [50, 50, 60, 60]], [[14, 10, 24, 30], [50, 54, 60, 64]]
    found = mean_boxes([PLAIN, MIRRORED], [0.75, 0.25], [first, mirrored(second)])
    assert np.allclose(found, [[11, 10, 21, 30], [50, 51, 60, 61]])
    stacked = torch.tensor([first, mirrored(second)], dtype=torch.float64)
    assert torch.allclose(mean_boxes([PLAIN, MIRRORED], [0.75, 0.25], stacked), torch.tensor(found).double())
    with pytest.raises(ImageError, match=r"boxes: row k must be the same object on every view.*fuse_boxes"):
        mean_boxes([PLAIN, MIRRORED], [0.75, 0.25], [first, second[:1]])


def test_the_mean_of_keypoints() -> None:
    plans, weights = [plan_of(SIZE), plan_of(SIZE, FLIP)], [0.75, 0.25]
    assert np.allclose(mean_keypoints(plans, weights, [[[10.0, 20.0]], [[186.0, 24.0]]]), [[11, 21]])
    # the second view is four times as sure, so both count alike, and both are where they agree
    rows = [np.array([[10.0, 20.0, 0.2], [1, 2, 0]]), np.array([[186.0, 24.0, 0.6], [195, 6, 0]])]
    found = mean_keypoints(plans, weights, rows)
    assert np.allclose(found, [[12, 22, 0.3], [2, 3, 0]])
    assert np.allclose(mean_keypoints(plans, weights, [torch.from_numpy(one) for one in rows]).numpy(), found)
    instances = mean_keypoints(plans, weights, [one[None] for one in rows])
    assert instances.shape == (1, 2, 3) and np.allclose(instances[0], found)
    with pytest.raises(ImageError, match="keypoints: row k must be the same object"):
        mean_keypoints(plans, weights, [rows[0], rows[1][:1]])


def test_the_mean_of_named_keypoints_exchanges_left_and_right() -> None:
    named = [{"left": (10.0, 20.0), "right": (30.0, 20.0)}, {"left": (166.0, 20.0), "right": (186.0, 20.0)}]
    found = mean_keypoints([PLAIN, MIRRORED], [0.5, 0.5], named)
    assert found == {"left": [12.0, 20.0], "right": [32.0, 20.0]}
    with pytest.raises(ImageError, match=r"keypoints\[1\]: expected points with the names \['left', 'right'\]"):
        mean_keypoints(
            [PLAIN, MIRRORED], [0.5, 0.5], [named[0], {"left": (1.0, 2.0), "right": (1.0, 2.0), "x": (1.0, 2.0)}]
        )


def test_weighted_box_fusion_by_hand() -> None:
    """Two views, equal weights. Overlaps: 80 / 120 = 0.67 of the first two, none of the third.

    The fused box is the mean weighted by the scores 0.9 and 0.6, its score their mean 0.75; the box that one view
    found has half its score.
    """
    first, second = [[10, 10, 20, 20]], [[12, 10, 22, 20], [100, 50, 120, 60]]
    found = fuse_boxes([PLAIN, MIRRORED], [0.5, 0.5], [first, mirrored(second)], [[0.9], [0.6, 0.8]])
    x = (0.9 * 10 + 0.6 * 12) / 1.5
    assert np.allclose(found.boxes, [[x, 10, x + 10, 20], [100, 50, 120, 60]])
    assert np.allclose(found.scores, [0.75, 0.4])
    assert found.counts.tolist() == [2, 1] and found.labels is None


def test_a_box_joins_the_fused_box_and_not_only_the_best_one() -> None:
    """A third box overlaps the fused box by more than 0.6 and the best of its group by less."""
    boxes = [[[0, 0, 10, 10]], [[2, 0, 12, 10]], [[3, 0, 13, 10]]]
    plans, weights = [PLAIN] * 3, [1 / 3] * 3
    # the best and the third: 70 / 130 = 0.54; the mean of the first two begins at 1, and 80 / 120 = 0.67
    found = fuse_boxes(plans, weights, boxes, [[0.6], [0.6], [0.6]], overlap=0.6)
    assert np.allclose(found.boxes, [[5 / 3, 0, 35 / 3, 10]]) and np.allclose(found.scores, [0.6])
    assert len(fuse_boxes(plans, weights, boxes, [[0.6], [0.6], [0.6]], overlap=0.67).boxes) == 2


def test_several_boxes_of_one_view_do_not_count_as_several_views() -> None:
    """Three boxes, two of one view: the score is their mean, not more."""
    found = fuse_boxes([PLAIN] * 2, [0.5, 0.5], [[[0, 0, 10, 10]] * 2, [[0, 0, 10, 10]]], [[0.9, 0.6], [0.3]])
    assert found.counts.tolist() == [3] and np.allclose(found.scores, [0.6])


def test_boxes_that_overlap_by_exactly_the_bound_are_two_objects() -> None:
    boxes = [[[0, 0, 2, 1], [0, 0, 1, 1]]]
    assert len(fuse_boxes([PLAIN], [1.0], boxes, [[0.9, 0.8]], overlap=0.5).boxes) == 2
    assert len(fuse_boxes([PLAIN], [1.0], boxes, [[0.9, 0.8]], overlap=0.49).boxes) == 1


def test_the_box_that_counts_most_comes_first() -> None:
    """The middle one of three overlaps both others by 7 / 13; it joins the one of the heavier view."""
    boxes, scores = [[[0, 0, 10, 10], [3, 0, 13, 10]], [[6, 0, 16, 10]]], [[0.9, 0.3], [0.6]]
    found = fuse_boxes([PLAIN] * 2, [0.25, 0.75], boxes, scores, overlap=0.5)
    assert found.counts.tolist() == [2, 1] and [0, 0, 10, 10] in found.boxes


def test_views_count_by_their_weights() -> None:
    first, second = [[10, 10, 20, 20]], [[12, 10, 22, 20]]
    found = fuse_boxes([PLAIN] * 2, [0.8, 0.2], [first, second], [[0.5], [1.0]])
    assert np.allclose(found.boxes, [[(0.4 * 10 + 0.2 * 12) / 0.6, 10, (0.4 * 20 + 0.2 * 22) / 0.6, 20]])
    assert np.allclose(found.scores, [0.8 * 0.5 + 0.2 * 1.0])
    alone = fuse_boxes([PLAIN] * 2, [0.8, 0.2], [np.zeros((0, 4)), second], [[], [1.0]])
    assert np.allclose(alone.scores, [0.2])


def test_a_crop_that_does_not_show_an_object_does_not_doubt_it() -> None:
    """A crop of columns 75 to 125 cannot find what lies left of it, and does not confirm it."""
    crop = plan_of(SIZE, {"center_crop": {"size": [100, 50]}}, targets=TARGETS)
    boxes = [[[10, 10, 20, 20], [90, 10, 110, 20]], np.zeros((0, 4))]
    found = fuse_boxes([PLAIN, crop], [0.5, 0.5], boxes, [[0.7, 0.8], []])
    assert np.allclose(found.boxes, [[10, 10, 20, 20], [90, 10, 110, 20]])
    assert np.allclose(found.scores, [0.7, 0.4])


def test_labels_keep_boxes_apart_and_are_exchanged() -> None:
    box = [10, 10, 20, 20]
    found = fuse_boxes(
        [PLAIN, MIRRORED], [0.5, 0.5], [[box, box], mirrored([box])], [[0.9, 0.5], [0.7]],
        [["left", "cat"], ["right"]],
    )  # fmt: skip
    assert found.labels == ["left", "cat"] and np.allclose(found.scores, [0.8, 0.25])
    numbers = fuse_boxes(
        [PLAIN], [1.0], [torch.tensor([box, box])], [torch.tensor([0.5, 0.75])], [torch.tensor([3, 4])]
    )
    assert (
        numbers.labels == [4, 3] and numbers.boxes.dtype == torch.float32 and numbers.scores.tolist() == [0.75, 0.5]
    )


def test_scores_of_integers_have_a_mean() -> None:
    boxes = [[[0, 0, 10, 10]], np.zeros((0, 4))]
    for make in (np.array, torch.tensor):
        found = fuse_boxes([PLAIN] * 2, [0.5, 0.5], boxes, [make([1]), make([])])
        assert found.scores.tolist() == [0.5]


def test_weak_boxes_are_left_out_before() -> None:
    boxes, scores = [[[0, 0, 10, 10], [5, 0, 15, 10]]], [[0.9, 0.1]]
    assert fuse_boxes([PLAIN], [1.0], boxes, scores, min_score=0.2, overlap=0.3).boxes == [[0, 0, 10, 10]]
    found = fuse_boxes([PLAIN], [1.0], boxes, [[0.0, 0.0]], overlap=0.3)  # no score says which is better
    assert found.boxes == [[2.5, 0, 12.5, 10]] and found.scores == [0.0]
    none = fuse_boxes([PLAIN], [1.0], boxes, scores, min_score=1.0)
    assert none.boxes == [] and none.scores == [] and none.counts.shape == (0,)


def test_boxes_without_area_overlap_nothing() -> None:
    found = fuse_boxes([PLAIN], [1.0], [[[5, 5, 5, 5], [5, 5, 5, 5]]], [[0.9, 0.8]])
    assert len(found.boxes) == 2


def test_the_format_of_the_spec_and_the_frame_of_the_test_image() -> None:
    targets = {"boxes": "cxcywh", "normalized": True}
    test = plan_of(SIZE, FLIP, targets=targets)
    view = plan_of(SIZE, targets=targets)
    found = fuse_boxes(
        [test, view], [0.5, 0.5], [[[0.25, 0.5, 0.1, 0.2]], [[0.75, 0.5, 0.1, 0.2]]], [[1.0], [1.0]], frame=test
    )
    assert np.allclose(found.boxes, [[0.25, 0.5, 0.1, 0.2]]) and np.allclose(found.scores, [1.0])


@pytest.mark.parametrize(
    ("boxes", "scores", "arguments", "message"),
    [
        ([[[0, 0, 1, 1]]], [[0.5]], {}, "a prediction for each of 2 views, in order, got 1"),
        ([[[0, 0, 1, 1]]] * 2, [[0.5], [0.5, 0.6]], {}, "has 1 boxes, 2 scores and 2 labels"),
        ([[[0, 0, 1, 1]]] * 2, [[0.5]] * 2, {"labels": [["a"], []]}, "has 1 boxes, 1 scores and 0 labels"),
        ([[[0, 0, 1, 1]]] * 2, [[0.5], [1.5]], {}, r"expected scores from 0 to 1, got \[1.5\]"),
        ([[[0, 0, 1, 1]]] * 2, [[-0.5], [0.5]], {}, "expected scores from 0 to 1, got"),
        ([[[0, 0, 1, 1]]] * 2, [[0.5], [float("nan")]], {}, "expected scores from 0 to 1"),
        ([[[0, 0, 1, 1]]] * 2, [[0.5], [0.5]], {"overlap": 1.5}, "overlap: expected a number from 0 to 1, got 1.5"),
    ],
)
def test_what_cannot_be_fused_is_refused(boxes: Any, scores: Any, arguments: Any, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        fuse_boxes([PLAIN, PLAIN], [0.5, 0.5], boxes, scores, **arguments)


def test_a_detector_that_is_equivariant_finds_through_d4_what_it_finds_without() -> None:
    """A detector without error, in an order of its own on each view: eight views give the boxes of the image."""
    rng = np.random.default_rng(5)
    low = np.array([[5, 5], [40, 10], [20, 60], [150, 30], [100, 70]]) + rng.uniform(0, 1, (5, 2))
    boxes, labels = np.concatenate((low, low + np.array((20, 18))), axis=1), ["a", "b", "a", "b", "c"]
    pipe = Pipeline.from_spec({"image": ["d4"], "targets": {"boxes": "xyxy"}})
    views = pipe.views({"image": np.zeros((*SIZE, 3), np.uint8), "boxes": boxes, "labels": labels}, 8)
    given, scores, names = [], [], []
    for view in views:
        order = rng.permutation(5)
        given.append(view.image["boxes"][order])
        scores.append(np.array([0.9, 0.8, 0.7, 0.6, 0.5])[order])
        names.append([view.image["labels"][place] for place in order])
    found = fuse_boxes([view.plan for view in views], views.weights, given, scores, names)
    assert np.allclose(found.boxes, boxes, atol=1e-9) and found.labels == labels
    assert np.allclose(found.scores, [0.9, 0.8, 0.7, 0.6, 0.5]) and (found.counts == 8).all()
