"""Means of predictions over views: the averaged model is equivariant, and pixels count by the views that saw them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from restoring_plans import FLIP, UPSIDE_DOWN, plan_of

from augreg import ImageError, Pipeline
from augreg.views.restoring.means import mean_map, mean_scores

torch = pytest.importorskip("torch")
RNG = np.random.default_rng(1)
SIDES = {"classes": ["background", "left", "right"], "swap": {"left": "right"}}


class Toy(torch.nn.Module):
    """Two convolutions: class maps, and with `scores` their mean over the image. Nothing in it is symmetric."""

    def __init__(self, scores: bool = False) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.layers = torch.nn.Sequential(
            torch.nn.Conv2d(3, 6, 3, padding=1), torch.nn.Tanh(), torch.nn.Conv2d(6, 4, 3, padding=1)
        )
        self.scores = scores

    @torch.no_grad()
    def forward(self, image: np.ndarray) -> np.ndarray:
        maps = self.layers(torch.from_numpy(image.transpose(2, 0, 1).copy())[None])[0]
        found = maps.relu().mean((1, 2)) if self.scores else maps
        return np.asarray(found.numpy())


GROUPS = {
    "d4": [lambda one, turns=turns, flip=flip: np.rot90(one[:, ::-1] if flip else one, turns)
           for turns in range(4) for flip in (False, True)],
    "horizontal_flip": [lambda one: one, lambda one: one[:, ::-1]],
    "vertical_flip": [lambda one: one, lambda one: one[::-1]],
}  # fmt: skip
"""The symmetries that a step draws, of arrays height x width x channels."""


@pytest.mark.parametrize("group", GROUPS)
def test_the_model_averaged_over_a_group_is_equivariant(group: str) -> None:
    """f(g x) = g f(x) to 1e-6 for class maps, and f(g x) = f(x) for class scores; the plain model is neither."""
    image = RNG.uniform(0, 1, (10, 14, 3)).astype(np.float32)
    pipe = Pipeline.from_spec([group])

    def averaged(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        views = pipe.views(image, 8)
        plans, weights = [view.plan for view in views], views.weights
        assert len(views) == len(GROUPS[group]) and views.exact
        maps, scores = ([model(view.image) for view in views] for model in (Toy(), Toy(scores=True)))
        found = mean_map(plans, weights, maps, space="probability")
        assert np.allclose(found.coverage, 1.0)
        return found.values, mean_scores(plans, weights, scores, space="probability")

    maps, scores = averaged(image)
    plain = Toy()(image)
    for symmetry in GROUPS[group]:
        moved = np.ascontiguousarray(symmetry(image))
        moved_maps, moved_scores = averaged(moved)
        assert np.abs(moved_maps - symmetry(maps.transpose(1, 2, 0)).transpose(2, 0, 1)).max() < 1e-6
        assert np.abs(moved_scores - scores).max() < 1e-6
    last = GROUPS[group][-1]
    off = Toy()(np.ascontiguousarray(last(image))) - last(plain.transpose(1, 2, 0)).transpose(2, 0, 1)
    assert np.abs(off).max() > 1e-3 and np.abs(maps - plain).max() > 1e-3


def test_pixels_count_by_the_weight_of_the_views_that_saw_them() -> None:
    """An image of 1 x 4: one view shows all of it, one the first two pixels, and one the two in the middle."""
    plans = [plan_of((1, 4)), _crop(0), _crop(1)]
    predictions = [np.array([[1.0, 2.0, 3.0, 4.0]]), np.array([[10.0, 20.0]]), np.array([[50.0, 60.0]])]
    found = mean_map(plans, [0.5, 0.3, 0.2], predictions)
    # pixel 0 is seen by views 0 and 1, pixel 1 by all, pixel 2 by views 0 and 2
    expected = [(0.5 * 1 + 0.3 * 10) / 0.8, 0.5 * 2 + 0.3 * 20 + 0.2 * 50, (0.5 * 3 + 0.2 * 60) / 0.7, 4.0]
    assert np.allclose(found.values, [expected])
    assert np.allclose(found.coverage, [[0.8, 1.0, 0.7, 0.5]])
    as_tensors = mean_map(plans, [0.5, 0.3, 0.2], [torch.from_numpy(one) for one in predictions])
    assert torch.allclose(as_tensors.values, torch.from_numpy(found.values))


def _crop(left: int) -> Any:
    """A plan that cuts columns `left` and `left` + 1 out of an image of 1 x 4."""
    pipe = Pipeline.from_spec([{"random_crop": {"size": [1, 2]}}])
    plans = (pipe.train.plan((1, 4), index) for index in range(100))
    return next(plan for plan in plans if plan.ops[0].left == left)


def test_pixels_that_no_view_saw_are_marked() -> None:
    plans = [_crop(0), _crop(1)]
    maps = [np.array([[[0.9, 0.2]], [[0.1, 0.8]]]), np.array([[[0.4, 0.2]], [[0.6, 0.8]]])]
    found = mean_map(plans, [0.5, 0.5], maps, space="value")
    assert np.array_equal(np.isnan(found.values), [[[False, False, False, True]]] * 2)
    assert found.coverage.tolist() == [[0.5, 1.0, 0.5, 0.0]]
    assert found.labels().tolist() == [[0, 1, 1, 255]] and found.labels(unseen=-1).tolist() == [[0, 1, 1, -1]]
    assert mean_map(plans, [0.5, 0.5], maps, fill=7.0).values[:, 0, 3].tolist() == [7.0, 7.0]
    tensors = mean_map(plans, [0.5, 0.5], [torch.from_numpy(one) for one in maps], fill=7.0)
    assert tensors.labels().tolist() == [[0, 1, 1, 255]] and tensors.values[:, 0, 3].tolist() == [7.0, 7.0]


def test_gradients_of_a_mean_are_finite_where_no_view_saw_a_pixel() -> None:
    predicted = [torch.ones(1, 2, requires_grad=True), torch.ones(1, 2, requires_grad=True)]
    found = mean_map([_crop(0), _crop(1)], [0.5, 0.5], predicted, fill=0.0)
    found.values.sum().backward()
    assert [one.grad.tolist() for one in predicted] == [[[1.0, 0.5]], [[0.5, 1.0]]]


def test_left_and_right_are_averaged_with_their_partners() -> None:
    plans = [plan_of((4, 6), targets=SIDES), plan_of((4, 6), FLIP, targets=SIDES)]
    first, second = RNG.normal(size=(2, 3, 4, 6))
    found = mean_map(plans, [0.25, 0.75], [first, second], space="logit")
    assert np.allclose(found.values, 0.25 * first + 0.75 * second[[0, 2, 1], :, ::-1], atol=1e-12)
    one, other = np.array([[1.0, 2.0, 3.0]]), np.array([[4.0, 5.0, 6.0]])
    assert np.allclose(mean_scores(plans, [0.25, 0.75], [one, other]), 0.25 * one + 0.75 * other[:, [0, 2, 1]])
    assert np.allclose(mean_scores(plans, [0.25, 0.75], [one, other], classes=[]), 0.25 * one + 0.75 * other)


def test_the_frame_of_the_test_image() -> None:
    """The test image is the middle 4 x 6 of an image of 8 x 12."""
    test, view = plan_of((8, 12), {"center_crop": {"size": [4, 6]}}), plan_of((8, 12), FLIP)
    predicted = RNG.normal(size=(2, 8, 12))
    inner = RNG.normal(size=(2, 4, 6))
    found = mean_map([test, view], [0.5, 0.5], [inner, predicted], frame=test)
    assert np.allclose(found.values, 0.5 * inner + 0.5 * predicted[..., ::-1][:, 2:6, 3:9], atol=1e-12)
    assert (found.coverage == 1).all()
    in_image = mean_map([test, view], [0.5, 0.5], [inner, predicted])
    assert np.array_equal(in_image.coverage == 1, np.pad(np.ones((4, 6), bool), ((2, 2), (3, 3))))


def test_in_the_frame_of_a_resized_test_image_nothing_is_resampled() -> None:
    """A model that sees 20 x 30 of every image predicts 20 x 30: flips of it are averaged without interpolation."""
    resize = {"resize": {"size": [20, 30]}}
    plans = [plan_of((33, 47), resize), plan_of((33, 47), resize, FLIP), plan_of((33, 47), resize, FLIP, UPSIDE_DOWN)]
    first, second, third = RNG.normal(size=(3, 2, 20, 30)).astype(np.float32)
    found = mean_map(plans, [0.5, 0.25, 0.25], [first, second, third], frame=plans[0])
    expected = 0.5 * first + 0.25 * second[..., ::-1] + 0.25 * third[:, ::-1, ::-1]
    assert found.values.dtype == np.float32 and np.array_equal(found.values, expected)


def test_half_precision_is_averaged_in_single() -> None:
    plans = [plan_of((2, 2))] * 4
    values = [np.full((2, 2), one, np.float16) for one in (2048.0, 1.0, 1.0, 1.0)]
    found = mean_map(plans, [0.25] * 4, values)
    assert found.values.dtype == np.float16 and (found.values == np.float16(2051 / 4)).all()
    tensors = mean_map(plans, [0.25] * 4, [torch.from_numpy(one).bfloat16() for one in values])
    assert tensors.values.dtype == torch.bfloat16


def test_double_precision_is_averaged_in_double() -> None:
    plans, value = [plan_of((1, 1))] * 2, 1 / 3
    for make in (np.asarray, torch.from_numpy, lambda one: one.astype(">f8")):
        found = mean_map(plans, [0.5, 0.5], [make(np.full((1, 1), value))] * 2)
        assert float(found.values[0, 0]) == value


def test_masks_of_bools_are_averaged_as_votes() -> None:
    plans = [plan_of((1, 2)), plan_of((1, 2), FLIP)]
    for make in (np.asarray, torch.from_numpy):
        votes = [make(np.array([[True, False]])), make(np.array([[True, True]]))]
        assert np.asarray(mean_map(plans, [0.5, 0.5], votes).values).tolist() == [[1.0, 0.5]]


def test_the_space_says_what_is_averaged() -> None:
    """Logits 0 and log 3 are probabilities 1/4 and 3/4; the geometric mean of 1/4, 3/4 and 3/4, 1/4 is 1/2."""
    plans, weights = [plan_of((1, 1))] * 2, [0.5, 0.5]
    one, other = np.array([0.0, np.log(3)]), np.array([0.0, np.log(7)])
    for make in (np.asarray, torch.from_numpy):
        maps, scores = [make(x.reshape(2, 1, 1)) for x in (one, other)], [make(one), make(other)]
        for space, expected in (
            ("probability", [(1 / 4 + 1 / 8) / 2, (3 / 4 + 7 / 8) / 2]),
            ("logit", [0, (np.log(3) + np.log(7)) / 2]),
            ("value", [0, (np.log(3) + np.log(7)) / 2]),
        ):
            found: Any = mean_map(plans, weights, maps, space=space).values  # type: ignore[arg-type]
            assert np.allclose(np.asarray(found).ravel(), expected)
            assert np.allclose(np.asarray(mean_scores(plans, weights, scores, space=space)), expected)  # type: ignore[arg-type]
    large = [np.array([1e4, 1e4 + np.log(3)]), np.array([-1e4, -1e4 + np.log(3)])]
    assert np.allclose(mean_scores(plans, weights, large, space="probability"), [0.25, 0.75])


GOOD = np.linspace(-1, 1, 24).reshape(2, 3, 4)
PROBABILITIES = np.stack((np.full((3, 4), 0.3), np.full((3, 4), 0.7))).astype(np.float16)


@pytest.mark.parametrize(
    ("predictions", "space", "message"),
    [
        ([GOOD], "value", "a prediction for each of 2 views, in order, got 1 predictions"),
        (5, "value", "for each of 2 views, in order, got int"),
        ([GOOD, [1.0]], "value", "expected an array or a tensor for each view, got list"),
        ([GOOD, GOOD.astype(int)], "value", "int64 are numbers of classes, whose mean is nonsense"),
        ([GOOD, torch.zeros((3, 4), dtype=torch.int32)], "value", "torch.int32 are numbers of classes"),
        ([GOOD, PROBABILITIES], "probability", "these are probabilities, and logits are needed"),
        ([GOOD, torch.from_numpy(PROBABILITIES)], "logit", "these are probabilities, and logits are needed"),
        ([GOOD, GOOD[:1]], "probability", "logits of two or more classes along axis -3, got the shape"),
        ([GOOD, GOOD[0]], "logit", "logits of two or more classes along axis -3, got the shape"),
        ([GOOD, np.where(GOOD > 0.9, -np.inf, GOOD)], "logit", "there are infinite logits"),
        ([GOOD, GOOD], "geometric", "space: expected 'probability', 'logit' or 'value', got 'geometric'"),
    ],
)
def test_what_has_no_mean_is_refused(predictions: Any, space: Any, message: str) -> None:
    plans = [plan_of((3, 4)), plan_of((3, 4), FLIP)]
    with pytest.raises(ImageError, match=message):
        mean_map(plans, [0.5, 0.5], predictions, space=space)
    if "axis -3" not in message:
        with pytest.raises(ImageError, match=message):
            scores = [one.reshape(2, -1).T if hasattr(one, "dtype") and one.shape == GOOD.shape else one
                      for one in predictions] if isinstance(predictions, list) else predictions  # fmt: skip
            mean_scores(plans, [0.5, 0.5], scores, space=space)


def test_what_is_near_to_probabilities_but_is_none_is_averaged() -> None:
    plans = [plan_of((1, 1))]
    for logits in ([[0.5, 0.6]], [[1.2, -0.2]]):
        found = mean_scores(plans, [1.0], [np.array(logits)], space="logit")
        assert np.allclose(found, logits)
