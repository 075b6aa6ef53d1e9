"""Test-time views: which there are, in which order, what they weigh, and that their mean is the expectation."""

from __future__ import annotations

import itertools
import pickle

import numpy as np
import pytest
from images import made

from augreg import Pipeline, Registry, SpecError, Step, ops, transform
from augreg.transforms.color import Invert

IMAGE = made("noise", 12, 17)
SQUARE = made("noise", 10, 10)
UPSIDE_DOWN = {"vertical_flip": {"p": 1.0}}


def feature(image: np.ndarray) -> float:
    """Something nonlinear of the pixels, which flips and color steps change."""
    values = image.astype(float) / 255.0
    return float((values[0] ** 2).sum() + np.exp(values[:, 0]).sum() + values[1, 2, 0] * values[2, 1, 1])


def mean(views: object) -> float:
    return float(sum(view.weight * feature(np.asarray(view.image)) for view in views))


def test_a_flip_has_two_views() -> None:
    views = Pipeline(["horizontal_flip"]).views(IMAGE, 10)
    assert len(views) == 2 and views.exact and views.weights.tolist() == [0.5, 0.5]
    assert views.weights.dtype == np.float64
    assert np.array_equal(views[0].image, IMAGE) and np.array_equal(views[1].image, IMAGE[:, ::-1])
    assert views.images.shape == (2, 12, 17, 3)


def test_one_of_two_views_is_no_expectation() -> None:
    (view,) = views = Pipeline(["horizontal_flip"]).views(IMAGE, 1)
    assert not views.exact and view.weight == 1.0 and np.array_equal(view.image, IMAGE)


@pytest.mark.parametrize(("name", "count"), [("rot90", 4), ("d4", 8)])
def test_the_symmetries_of_the_square(name: str, count: int) -> None:
    views = Pipeline([name]).views(SQUARE, 100)
    turned = [np.rot90(SQUARE, k) for k in range(4)]
    wanted = turned if count == 4 else turned + [one[:, ::-1] for one in turned]
    assert len(views) == count and views.exact and np.allclose(views.weights, 1 / count, atol=1e-15)
    assert {one.tobytes() for one in wanted} == {np.ascontiguousarray(view.image).tobytes() for view in views}


def test_the_probability_of_a_step_is_a_branch() -> None:
    views = Pipeline([{"vertical_flip": {"p": 0.3}}]).views(IMAGE, 9)
    assert views.exact and np.allclose(views.weights, [0.7, 0.3], atol=1e-15)
    assert np.array_equal(views[1].image, IMAGE[::-1])


def test_nothing_random_is_one_view() -> None:
    views = Pipeline([{"rotate": {"degrees": [90, 90]}}, "invert", {"resize": {"size": 6}}]).views(SQUARE, 5)
    assert len(views) == 1 and views.exact and views[0].weight == 1.0


def test_views_that_are_equal_are_one() -> None:
    views = Pipeline(["horizontal_flip", "horizontal_flip", {"horizontal_flip": {"p": 0.2}}]).views(IMAGE, 9)
    assert len(views) == 2 and views.exact and np.allclose(views.weights, 0.5)


def exact_mean(*branches: list[tuple[float, object]]) -> float:
    """The expectation over independent branches, by enumeration: a probability and a function of the image each."""
    total = 0.0
    for chosen in itertools.product(*branches):
        image, weight = IMAGE, 1.0
        for p, change in chosen:
            image, weight = change(image), weight * p
        total += weight * feature(image)
    return total


def test_the_weighted_mean_is_the_exact_expectation() -> None:
    spec = [
        {"horizontal_flip": {"p": 0.25}},
        {"one_of": {"steps": ["invert", UPSIDE_DOWN, {"posterize": {"bits": [2, 2]}}], "weights": [1, 2, 5]}},
        {"some_of": {"steps": [{"solarize": {"threshold": [90, 90]}}, UPSIDE_DOWN], "count": [0, 1]}},
    ]
    views = Pipeline.from_spec(spec).views(IMAGE, 64)
    same = lambda image: image  # noqa: E731
    flip, mirror = (lambda image: image[::-1]), (lambda image: image[:, ::-1])
    wanted = exact_mean(
        [(0.75, same), (0.25, mirror)],
        [(1 / 8, lambda image: 255 - image), (2 / 8, flip), (5 / 8, lambda image: image & 192)],
        [(0.5, same), (0.25, lambda image: np.where(image >= 90, 255 - image, image)), (0.25, flip)],
    )
    assert views.exact and abs(mean(views) - wanted) < 1e-12 * abs(wanted)
    assert abs(feature(views[0].image) - wanted) > 0.1, "the test image alone has another value"


def test_all_orders_of_three_steps() -> None:
    steps = [{"solarize": {"threshold": [90, 90]}}, {"posterize": {"bits": [2, 2]}}, {"brightness": [0.5, 0.5]}]
    views = Pipeline([{"random_order": steps}]).views(IMAGE, 20)

    def solarize(image: np.ndarray) -> np.ndarray:
        return np.where(image >= 90, 255 - image, image)

    def posterize(image: np.ndarray) -> np.ndarray:
        return image & 192

    def darken(image: np.ndarray) -> np.ndarray:
        return (image * np.float32(0.5)).astype(np.uint8)

    wanted = 0.0
    for order in itertools.permutations([solarize, posterize, darken]):
        image = IMAGE
        for change in order:
            image = change(image)
        wanted += feature(image) / 6
    assert views.exact and abs(mean(views) - wanted) < 1e-9


def test_a_test_image_that_training_never_gives_weighs_nothing_once_all_others_are_there() -> None:
    pipe = Pipeline([{"one_of": {"steps": ["invert", UPSIDE_DOWN], "weights": [3, 1]}}])
    views = pipe.views(IMAGE, 9)
    assert views.exact and [view.weight for view in views] == [0.0, 0.75, 0.25]
    assert np.array_equal(views[0].image, IMAGE) and views[0].node is None
    assert [view.node for view in views] == [None, 0, 1]
    # until then it stands for the first that is missing
    assert pipe.views(IMAGE, 2).weights.tolist() == [0.25, 0.75] and not pipe.views(IMAGE, 2).exact
    assert pipe.views(IMAGE, 1).weights.tolist() == [1.0]


MIXED = [
    {"random_crop": 8},
    "horizontal_flip",
    {"brightness": 0.4},
    {"rotate": {"degrees": 20, "p": 0.5}},
    {"one_of": ["invert", {"gaussian_noise": {"std": 0.1}}]},
    {"rand_augment": {"n": 2}},
    {"cutout": 3},
    "normalize",
]


def test_view_zero_is_the_test_image_and_more_views_begin_with_fewer() -> None:
    pipe = Pipeline(MIXED, seed=3)
    ten, twenty = pipe.views(IMAGE, 10, index="photo"), pipe.views(IMAGE, 20, index="photo")
    assert len(twenty) == 20 and not twenty.exact
    assert np.array_equal(ten[0].image, pipe.test(IMAGE))
    for one, other in zip(ten, twenty, strict=False):
        assert np.array_equal(one.image, other.image) and one.number == other.number
    assert abs(ten.weights.sum() - 1) < 1e-12 and abs(twenty.weights.sum() - 1) < 1e-12
    assert len({view.image.tobytes() for view in twenty}) > 15
    # after other images, and in a pipeline of its own
    pipe.views(SQUARE, 3, index=1)
    again = pickle.loads(pickle.dumps(pipe)).views(IMAGE, 20, index="photo")
    assert all(np.array_equal(one.image, other.image) for one, other in zip(again, twenty, strict=True))


def test_the_index_and_the_seed_change_what_is_drawn() -> None:
    pipe = Pipeline([{"brightness": 0.4}])
    one = pipe.views(IMAGE, 4).images[1:]
    for other in (pipe.views(IMAGE, 4, index=1), pipe.replace(seed=1).views(IMAGE, 4)):
        assert all((mine != theirs).any() for mine, theirs in zip(one, other.images[1:], strict=True))


def test_views_of_one_combination_share_its_weight() -> None:
    views = Pipeline(["horizontal_flip", {"brightness": 0.4}]).views(IMAGE, 7)
    assert [view.node for view in views] == [0, 1, 0, 1, 0, 1, 0]
    assert np.allclose(views.weights, [1 / 8, 1 / 6, 1 / 8, 1 / 6, 1 / 8, 1 / 6, 1 / 8], atol=1e-15)
    assert [view.drawn for view in views] == [False, *[True] * 6]


def test_only_what_is_drawn_is_repeated() -> None:
    views = Pipeline([{"one_of": ["invert", {"brightness": [0.2, 0.4]}]}]).views(IMAGE, 6)
    inverted = [view for view in views if np.array_equal(view.image, 255 - IMAGE)]
    assert len(views) == 6 and [view.weight for view in inverted] == [0.5] and abs(views.weights.sum() - 1) < 1e-12


def test_each_result_of_a_step_comes_about_as_often_as_it_is_drawn() -> None:
    names = ("horizontal_flip", "vertical_flip", "invert", "solarize")
    pipe = Pipeline(
        [names[0], names[1], {"invert": {"p": 0.5}}, {"solarize": {"threshold": [90, 90], "p": 0.5}}], seed=5
    )
    views = pipe.views(IMAGE, 16)
    assert views.exact and len(views) == 16
    # however deep the steps are
    for _ in range(3):
        steps = [{"sequential": [step]} for step in pipe.to_spec()["image"]]
        pipe = Pipeline(steps, seed=5)
    nested = pipe.views(IMAGE, 16)
    assert all(np.array_equal(one.image, other.image) for one, other in zip(views, nested, strict=True))
    for count in (2, 4, 8):
        for name in names:
            applied = [any(entry.name == name and entry.ops for entry in view.plan.entries) for view in views[:count]]
            assert sum(applied) == count / 2, (count, name)


def test_rare_results_come_last() -> None:
    pipe = Pipeline([{"invert": {"p": 0.001}}, {"vertical_flip": {"p": 0.002}}])
    views = pipe.views(IMAGE, 9)
    assert views.exact and np.allclose(views.weights, [0.999 * 0.998, 0.999 * 0.002, 0.001 * 0.998, 0.001 * 0.002])
    assert np.array_equal(views[1].image, IMAGE[::-1]) and np.array_equal(views[2].image, 255 - IMAGE)


def test_too_many_combinations_are_drawn() -> None:
    @transform("nudge", kind="color")
    class Nudge:
        """Multiply the pixel values by one of a few numbers."""

        count: int = 2

        def sample(self, rng, scene):
            return ops.point_function("brightness", 0.9 + 0.01 * rng.integers(self.count))

    registry = Registry.installed().add(Nudge)
    six, seven = (Pipeline([{"nudge": {}}] * count, registry) for count in (6, 7))
    assert six.views(IMAGE, 100).exact
    views = seven.views(IMAGE, 300)
    assert not views.exact and len(views) == 300 and all(view.drawn for view in views[1:])
    assert not Pipeline([{"nudge": {"count": 17}}], registry).views(IMAGE, 100).exact
    assert Pipeline([{"nudge": {"count": 16}}], registry).views(IMAGE, 100).exact


def test_noise_that_is_named() -> None:
    pipe = Pipeline(["horizontal_flip", {"rotate": 20}, {"brightness": 0.4}, {"brightness": [0.5, 0.6]}])
    views = pipe.views(IMAGE, 8, only=["horizontal_flip#0"])
    assert views.exact and len(views) == 2 and np.array_equal(views[0].image, pipe.test(IMAGE))
    darker = np.array_equal(views[1].image, Pipeline([{"brightness": [0.55, 0.55]}]).test(IMAGE[:, ::-1]))
    assert darker, "the other steps follow their test-time rules"
    views = pipe.views(IMAGE, 5, only="brightness#1")
    assert len(views) == 5 and not views.exact
    for view in views[1:]:
        assert [entry.name for entry in view.plan.entries if not entry.rule] == ["brightness"]
        assert [entry.rule for entry in view.plan.entries] == ["identity", "identity", "mean_parameter", ""]
    both = pipe.views(IMAGE, 3, only=["brightness"])[2]
    assert [entry.rule for entry in both.plan.entries] == ["identity", "identity", "", ""]
    assert len(pipe.views(IMAGE, 5, only=())) == 1


def test_noise_that_is_named_includes_what_is_inside() -> None:
    pipe = Pipeline([{"sequential": {"steps": ["vertical_flip", {"brightness": 0.3}]}}, "horizontal_flip"])
    assert len(pipe.views(IMAGE, 9, only="sequential")) == 9
    assert len(pipe.views(IMAGE, 9, only="sequential#0/vertical_flip#0")) == 2
    assert len(pipe.views(IMAGE, 9, only=["vertical_flip", "horizontal_flip"])) == 4
    half = Pipeline([{"sequential": {"steps": [{"vertical_flip": {"p": 0.5}}], "p": 0.5}}])
    assert np.allclose(half.views(IMAGE, 9).weights, [0.75, 0.25]), "flipped in one of four cases"
    assert np.allclose(half.views(IMAGE, 9, only="vertical_flip").weights, [0.75, 0.25])


def test_a_step_that_there_is_not_or_that_is_never_applied() -> None:
    pipe = Pipeline([{"one_of": ["invert", "vertical_flip"]}, "horizontal_flip"])
    with pytest.raises(ValueError, match="there is no step 'horizontal_flop'; did you mean 'horizontal_flip#0'"):
        pipe.views(IMAGE, 3, only=["horizontal_flop"])
    with pytest.raises(ValueError, match=r"only: expected names or paths of steps, .* got 5"):
        pipe.views(IMAGE, 3, only=5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"'one_of#0/invert#0' is never applied.* name 'one_of#0' instead"):
        pipe.views(IMAGE, 3, only=["invert"])
    assert len(pipe.views(IMAGE, 3, only=["one_of", "invert"])) == 3


@pytest.mark.parametrize("n", [0, -1, True, 2.0, "3", None])
def test_a_number_of_views_that_is_none(n: object) -> None:
    with pytest.raises(ValueError, match="the number of views must be a positive integer"):
        Pipeline(["horizontal_flip"]).views(IMAGE, n)


def test_schedules_have_their_last_numbers() -> None:
    spec = [{"horizontal_flip": {"p": {"linear": [0.0, 0.3], "over": [0, 10]}}}]
    assert np.allclose(Pipeline(spec).views(IMAGE, 4).weights, [0.7, 0.3])
    spec = [{"horizontal_flip": {"p": {"linear": [0.3, 0.0], "over": [0, 10]}}}]
    assert len(Pipeline(spec).views(IMAGE, 4)) == 1


def test_plans_replay() -> None:
    views = Pipeline(MIXED).views(IMAGE, 8)
    for view in views:
        plan = pickle.loads(pickle.dumps(view.plan))
        assert np.array_equal(plan.run(IMAGE), view.image) and plan == view.plan
        assert plan.after.size == view.image.shape[1:]
    assert str(views[0].plan).startswith("view 0, the test image: 12x17") and str(views[3].plan).startswith(
        "view 3: "
    )
    again = pickle.loads(pickle.dumps(views))
    assert np.array_equal(again.images, views.images)


def test_views_print_as_a_table() -> None:
    spec = [
        "horizontal_flip",
        {"one_of": ["invert", {"rotate": {"degrees": [9, 9]}}]},
        {"posterize": {"bits": [8, 8]}},
    ]
    views = Pipeline(spec).views(IMAGE, 9)
    assert str(views).splitlines() == [
        "5 views of a 12x17 image; their weighted mean is the exact expectation",
        "view  weight  drawn",
        "   0  0.0000  the test image",
        "   1  0.2500  horizontal_flip: not applied; invert: invert",
        "   2  0.2500  horizontal_flip: flip left-right; rotate: rotate 9.0°",
        "   3  0.2500  horizontal_flip: not applied; rotate: rotate 9.0°",
        "   4  0.2500  horizontal_flip: flip left-right; invert: invert",
    ]
    shown = views._repr_html_()
    assert "<td>0.2500</td><td>horizontal_flip: flip left-right; invert: invert</td>" in shown
    assert "an approximation of" in str(Pipeline(["d4"]).views(IMAGE, 2))
    assert str(views[1]) == "view 1, weight 0.2500: horizontal_flip: not applied; invert: invert"
    assert isinstance(views[1:3], tuple) and views[-1] is views[4]


def halves(array):
    return array[: array.shape[0] // 2].copy()


def test_after_a_step_of_unknown_size_the_others_are_drawn() -> None:
    from augreg import Call

    pipe = Pipeline([Call(f"{__name__}:halves", resizes=True), "vertical_flip", {"brightness": 0.2}])
    views = pipe.views(IMAGE, 40)
    assert not views.exact and len(views) == 40
    flips = [np.corrcoef(view.image.ravel(), IMAGE[:6][::-1].ravel())[0, 1] > 0.9 for view in views]
    assert 10 < sum(flips) < 30
    assert all(
        np.array_equal(one.image, other.image) for one, other in zip(views, pipe.views(IMAGE, 9), strict=False)
    )


def test_a_test_rule_of_the_spec_is_view_zero_and_no_other() -> None:
    pipe = Pipeline([{"rotate": {"degrees": 20, "test": [{"vertical_flip": {"p": 1.0}}, "horizontal_flip"]}}])
    views = pipe.views(IMAGE, 4)
    assert np.array_equal(views[0].image, IMAGE[::-1]) and [view.node for view in views] == [None, 0, 0, 0]
    assert np.allclose(views.weights, [0, 1 / 3, 1 / 3, 1 / 3])
    assert all("rotate" in str(view) for view in views[1:])


def test_steps_that_are_drawn_are_different_combinations() -> None:
    views = Pipeline([{"one_of": [{"rotate": 20}, {"gaussian_noise": {"std": 0.1}}]}]).views(IMAGE, 9)
    assert sum("rotate" in str(view) for view in views) == 4 and sum("noise" in str(view) for view in views) == 4
    assert {view.node for view in views} == {0, 1}


def test_numbers_of_one_combination_are_spread_over_the_range() -> None:
    views = Pipeline([{"brightness": [0.0, 1.0]}]).views(IMAGE, 17)
    amounts = [view.plan.ops[0].stages[0].amount for view in views[1:]]
    assert sorted(int(16 * amount) for amount in amounts) == list(range(16))


def test_after_a_drawn_size_nodes_are_those_of_that_size() -> None:
    @transform("column", kind="erasing")
    class Column:
        """Paint one of the columns."""

        def sample(self, rng, scene):
            return ops.paint(scene, 0, rng.integers(scene.width), scene.height, 1)

    resize = {"resize_keep_ratio": {"size": [12, 16], "scale": [0.6, 1.4]}}
    image = made("noise", 12, 16)
    registry = Registry.installed().add(Column)
    for step, shape in (({"random_crop": [10, 12]}, (10, 12)), ("column", None)):
        views = Pipeline([resize, step], registry).views(image, 60)
        assert len({view.node for view in views}) > 4 and len({view.plan.scene.size for view in views}) == 1
        assert shape is None or all(view.image.shape[:2] == shape for view in views)
        widths = {view.image.shape[1] for view in views}
        assert shape is not None or (min(widths) < 16 < max(widths))


def plus(array, amounts):
    return array + amounts["each"]


def test_functions_with_arrays_and_dicts_for_parameters() -> None:
    @transform("plus", kind="color")
    class Plus:
        """Add one of two arrays."""

        def sample(self, rng, scene):
            return ops.call(plus, {"amounts": {"each": np.uint8([0, 1, rng.integers(2)])}}, size=scene.size)

    views = Pipeline([Step(Plus(), p=0.5), "vertical_flip"]).views(IMAGE // 2, 9)
    assert views.exact and np.allclose(sorted(views.weights), [*[0.125] * 4, 0.25, 0.25])
    assert {tuple((view.image[0, 0].astype(int) - (IMAGE // 2)[0, 0]).tolist()) for view in views} >= {(0, 1, 1)}


def test_a_step_that_fails_is_named() -> None:
    @transform("fails", kind="color")
    class Fails:
        """Fail in one of two cases."""

        def sample(self, rng, scene):
            if rng.integers(2):
                raise KeyError("never")
            return ()

    with pytest.raises(SpecError, match="fails#0: fails failed on a 12x17 image: KeyError"):
        Pipeline([Step(Fails())]).views(IMAGE, 2)


def test_the_name_that_others_use_is_explained() -> None:
    with pytest.raises(AttributeError, match=r"pipe\.views\(image, n\) gives test-time views"):
        Pipeline(["invert"]).tta  # noqa: B018


def test_a_transform_in_code() -> None:
    assert len(Pipeline([Step(Invert(), p=0.5)]).views(IMAGE, 5)) == 2
