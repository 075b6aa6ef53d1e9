"""The methods of `pipe.views(..)` that bring predictions on all views back and average them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from augreg import ImageError, Pipeline

torch = pytest.importorskip("torch")
RNG = np.random.default_rng(2)
IMAGE = RNG.uniform(0, 1, (12, 18, 3)).astype(np.float32)
TARGETS = {"boxes": "xyxy", "swap": {"left": "right"}, "classes": ["none", "left", "right"]}


def views_of(*steps: Any, n: int = 8, **targets: Any) -> Any:
    return Pipeline.from_spec({"image": list(steps), "targets": {**TARGETS, **targets}}).views(IMAGE, n)


def colors(views: Any) -> list[np.ndarray]:
    """What the model predicts that returns the colors it sees, which is equivariant."""
    return [np.asarray(view.image).transpose(2, 0, 1) for view in views]


@pytest.mark.parametrize(
    "steps", [["d4"], ["horizontal_flip", "vertical_flip"], [{"pad": {"padding": 3}}, "d4"], [{"resize": 24}, "d4"]]
)
def test_class_maps_of_every_view_agree(steps: list[Any]) -> None:
    """Colors are no classes, so nothing is exchanged."""
    views = views_of(*steps)
    assert len(views) in (4, 8)
    restored = views.restore_map(colors(views), classes=[])
    mean = views.mean_map(colors(views), classes=[])
    if steps[0] != {"resize": 24}:
        for values, seen in restored:
            assert seen.all() and np.array_equal(values, IMAGE.transpose(2, 0, 1))
        assert np.allclose(mean.values, IMAGE.transpose(2, 0, 1), atol=1e-6)
    assert all(np.allclose(values, restored[0].values, atol=1e-6) for values, _ in restored)
    assert np.allclose(mean.values, restored[0].values, atol=1e-6) and np.allclose(mean.coverage, 1)
    test = views.mean_map(colors(views), classes=[], frame="test")
    inside = np.isfinite(test.values).all(axis=0)
    assert inside.mean() > 0.4 and np.allclose(test.values[:, inside], colors(views)[0][:, inside], atol=1e-6)


def test_crops_cover_what_they_show() -> None:
    """Five crops of 6 x 9 of an image of 12 x 18: four corners, which tile it, and the center once more."""
    views = views_of({"random_crop": {"size": [6, 9]}}, n=5)
    mean = views.mean_map(colors(views), classes=[])
    assert np.allclose(mean.values, IMAGE.transpose(2, 0, 1), atol=1e-6)
    corners = {round(view.weight, 9): view for view in views}
    assert len(views) == 5 and mean.coverage.min() > 0 and corners
    expected = np.zeros((12, 18))
    for view in views:
        (move,) = view.plan.ops
        expected[move.top : move.top + 6, move.left : move.left + 9] += view.weight
    assert np.allclose(mean.coverage, expected) and len(np.unique(expected.round(6))) > 1


def test_predictions_may_be_stacked_and_tensors() -> None:
    views = views_of("horizontal_flip")
    stacked = torch.randn(2, 3, 6, 9)
    found = views.mean_map(stacked, space="logit", size=(6, 9))
    flipped = next(view.number for view in views if view.plan.ops)
    expected = (stacked[1 - flipped] + stacked[flipped].flip(-1)[[0, 2, 1]]) / 2
    assert torch.allclose(found.values, expected) and found.labels().shape == (6, 9)
    scores = torch.randn(2, 3)
    assert torch.allclose(views.mean_scores(scores), (scores[1 - flipped] + scores[flipped][[0, 2, 1]]) / 2)


def test_a_test_image_that_weighs_nothing_counts_nowhere() -> None:
    """The test image of `one_of` is no outcome of training."""
    views = views_of({"one_of": [{"horizontal_flip": {"p": 1}}, {"vertical_flip": {"p": 1}}]}, n=3)
    assert [view.weight for view in views] == [0.0, 0.5, 0.5]
    predicted: list[Any] = [None, *colors(views)[1:]]
    assert np.allclose(views.mean_map(predicted, classes=[]).values, IMAGE.transpose(2, 0, 1), atol=1e-6)
    scores = [None, np.array([1.0, 2.0, 3.0]), np.array([3.0, 4.0, 5.0])]
    assert np.allclose(views.mean_scores(scores), [2.0, 4.0, 3.0])  # both mirror, so the sides are exchanged
    boxes = [None, [[10, 2, 14, 6]], [[4, 6, 8, 10]]]
    assert np.allclose(views.mean_boxes(boxes), [[4, 2, 8, 6]])
    points = {"left": (3.0, 4.0), "right": (7.0, 4.0)}
    given = [
        None,
        {name: (18 - x, y) for name, (x, y) in points.items()},
        {name: (x, 12 - y) for name, (x, y) in points.items()},
    ]
    assert views.mean_keypoints(given) == {"left": [7.0, 4.0], "right": [3.0, 4.0]}
    fused = views.fuse_boxes(boxes, [None, [0.8], [0.6]])
    assert np.allclose(fused.boxes, [[4, 2, 8, 6]]) and np.allclose(fused.scores, [0.7])


def test_boxes_keypoints_and_labels_of_every_view() -> None:
    boxes, points = np.array([[2.0, 3.0, 8.0, 7.0]]), {"left": (2.5, 3.0), "right": (9.0, 4.0)}
    pipe = Pipeline.from_spec({"image": ["d4"], "targets": TARGETS})
    views = pipe.views({"image": IMAGE, "boxes": boxes, "labels": ["left"], "keypoints": points}, 8)
    seen = {key: [view.image[key] for view in views] for key in ("boxes", "labels", "keypoints")}
    assert all(np.array_equal(one, boxes) for one in views.restore_boxes(seen["boxes"], corners=False))
    assert all(np.array_equal(np.sort(one.reshape(4, 2), 0)[[0, -1]].ravel(), boxes[0])
               for one in views.restore_boxes(seen["boxes"]))  # fmt: skip
    assert np.allclose(views.mean_boxes(seen["boxes"]), boxes)
    expected = {name: list(point) for name, point in points.items()}
    assert all(
        {name: list(point) for name, point in one.items()} == expected
        for one in views.restore_keypoints(seen["keypoints"])
    )
    assert views.mean_keypoints(seen["keypoints"]) == expected
    assert views.restore_labels(seen["labels"]) == [["left"]] * 8 and ["right"] in seen["labels"]
    fused = views.fuse_boxes(seen["boxes"], [[0.5]] * 8, seen["labels"])
    assert np.allclose(fused.boxes, boxes) and fused.labels == ["left"] and np.allclose(fused.scores, 0.5)


def test_what_the_methods_refuse() -> None:
    views = views_of("horizontal_flip")
    with pytest.raises(ImageError, match="frame: expected 'image' or 'test', got 'view'"):
        views.mean_map(colors(views), frame="view")
    with pytest.raises(ImageError, match="expected a prediction for each of 2 views, in order, got 1"):
        views.restore_map(colors(views)[:1])
