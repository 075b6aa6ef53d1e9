"""Steps in which nothing is random: at test time they do what they do in training."""

from __future__ import annotations

from typing import Any

import images
import numpy as np
import pytest

from augreg import Pipeline, ops, transform
from augreg.errors import SpecError
from augreg.registry.registry import Registry
from augreg.rng import address_of
from augreg.steps.declare import TransformInfo
from augreg.steps.fields import Ordered, Range, convert_one, defaults, hints
from augreg.steps.rules import FixedDraws, RandomDrawError
from augreg.steps.step import Step
from augreg.testing.step_under_test import step_under_test
from augreg.transforms import Brightness, ColorJitter

IMAGE = images.made("noise", 24, 24)
REGISTRY = Registry.installed()
BUILT_IN = [name for name in REGISTRY if "/" not in name and "image" in REGISTRY[name].__augreg__.sections]


def explained(pipe: Pipeline) -> list[list[str]]:
    """The rows of the steps in `explain`: name, rule, exact for."""
    lines = pipe.test.explain().splitlines()
    rule, exact = lines[0].index("test-time rule"), lines[0].index("exact for")
    return [[line[:rule].strip(), line[rule:exact].strip(), line[exact:].strip()] for line in lines[1:-2]]


def _moved(image: np.ndarray) -> np.ndarray:
    """A quarter of the width to the right; what comes in from outside is black."""
    result = np.zeros_like(image)
    result[:, 6:] = image[:, :-6]
    return result


@pytest.mark.parametrize(
    ("step", "by_hand"),
    [
        ({"rotate": {"degrees": [90, 90]}}, np.rot90),
        ({"rotate": {"degrees": [180, 180]}}, lambda x: x[::-1, ::-1]),
        ({"affine": {"degrees": [180, 180], "translate": [0, 0], "scale": [1, 1], "shear_x": [0, 0],
                    "interpolation": "nearest"}},
         lambda x: x[::-1, ::-1]),
        ({"horizontal_flip": {"p": 1}}, lambda x: x[:, ::-1]),
        ({"vertical_flip": {"p": 1.0}}, lambda x: x[::-1]),
        ({"translate_x": {"amount": [0.25, 0.25]}}, _moved),
        ({"brightness": {"factor": [0.5, 0.5]}}, lambda x: x // 2),
        ({"rgb_shift": {"shift": [10, 10]}}, lambda x: np.minimum(x.astype(int) + 10, 255)),
        ({"posterize": {"bits": [3, 3]}}, lambda x: x & 0b11100000),
        ("solarize", lambda x: np.where(x >= 128, 255 - x, x)),
        ({"one_of": ["invert"]}, lambda x: 255 - x),
        ({"one_of": {"steps": ["invert", "d4"], "weights": [2, 0]}}, lambda x: 255 - x),
        ({"some_of": {"count": 2, "steps": ["invert", {"horizontal_flip": {"p": 1}}]}}, lambda x: 255 - x[:, ::-1]),
        ({"some_of": {"count": 0, "steps": ["invert", "d4"]}}, lambda x: x),
        ({"random_order": ["invert"]}, lambda x: 255 - x),
        ([{"one_of": ["invert"]}, {"rotate": [180, 180]}], lambda x: 255 - x[::-1, ::-1]),
        ({"rand_augment": {"n": 1, "ops": ["invert"], "chance": 1}}, lambda x: 255 - x),
        ({"rotate": {"degrees": {"linear": [30, 90], "over": [0, 5]}}}, None),
    ],
    ids=lambda value: None if callable(value) else str(value),
)  # fmt: skip
def test_what_leaves_no_choice_is_done(step: Any, by_hand: Any) -> None:
    pipe = Pipeline.from_spec([step])
    if by_hand is None:  # a bare 90 is [-90, 90], also at the end of a schedule
        assert np.array_equal(pipe.test(IMAGE), IMAGE)
        return
    assert np.array_equal(pipe.test(IMAGE), by_hand(IMAGE))
    assert np.array_equal(pipe.train(IMAGE, index=3), by_hand(IMAGE))
    assert all(row[1] in ("same", "children") for row in explained(pipe))


@pytest.mark.parametrize(
    "step",
    [{"gaussian_blur": [1, 1]}, {"gamma": [0.5, 0.5]}, {"jpeg": [40, 40]}, {"hue": [0.1, 0.1]},
     {"median_blur": [3, 3]}, {"optical_distortion": [0.2, 0.2]}, {"downscale": [0.5, 0.5]},
     {"contrast": [0.1, 0.1]}, {"clahe": [2, 2]}],
    ids=str,
)  # fmt: skip
def test_fixed_numbers_give_the_bytes_of_training(step: Any) -> None:
    pipe = Pipeline.from_spec([step])
    found = pipe.test(IMAGE)
    assert not np.array_equal(found, IMAGE)
    assert all(np.array_equal(pipe.train(IMAGE, index=index), found) for index in range(3))
    ((name, arguments),) = step.items()
    field = next(iter(hints(REGISTRY[name])))
    same = Pipeline.from_spec([{name: {field: arguments, "test": "same"}}])
    assert np.array_equal(same.test(IMAGE), found)
    off = Pipeline.from_spec([{name: {field: arguments, "test": "off"}}])
    assert np.array_equal(off.test(IMAGE), IMAGE)


def _fixed_arguments(name: str) -> dict[str, Any]:
    """The arguments of a step's last preview, with one point in place of each range."""
    cls = REGISTRY[name]
    given = {**defaults(cls), **step_under_test(cls, name=name).arguments[-1], "p": 1}
    for key, hint in hints(cls).items():
        if any(isinstance(item, Ordered) for item in getattr(hint, "__metadata__", ())):
            given[key] = [convert_one(hint, given[key])[0]] * 2
    return {key: value for key, value in given.items() if value is not None}


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_step_is_done_as_in_training_exactly_if_its_draws_agree(name: str) -> None:
    pipe = Pipeline.from_spec([{name: _fixed_arguments(name)}])
    trained = [[entry.ops for entry in pipe.train.plan((300, 360), index=index).entries] for index in range(40)]
    entry, *_ = entries = pipe.test.plan((300, 360)).entries
    constant = all(drawn == trained[0] for drawn in trained)
    if entry.rule in ("same", "children") and REGISTRY[name].__augreg__.rule != "children":
        assert constant
        assert [entry.ops for entry in entries] == trained[0]
    elif REGISTRY[name].__augreg__.rule != "children":
        assert not constant, "training draws nothing, and yet testing does something else"


def test_with_a_chance_below_1_the_rule_of_the_class_applies() -> None:
    for step in ("rotate", "solarize", "gaussian_blur"):
        arguments = {"rotate": {"degrees": [90, 90]}, "gaussian_blur": {"sigma": [1, 1]}}.get(step, {})
        assert np.array_equal(Pipeline.from_spec([{step: {**arguments, "p": 0.5}}]).test(IMAGE), IMAGE)
    half = Pipeline.from_spec([{"brightness": {"factor": [0.5, 0.5], "p": 0.5}}])
    assert np.array_equal(half.test(np.full((4, 4, 3), 200, np.uint8)), np.full((4, 4, 3), 150))
    assert np.array_equal(Pipeline.from_spec([{"one_of": {"steps": ["invert"], "p": 0.5}}]).test(IMAGE), IMAGE)
    inside = Pipeline.from_spec([{"sequential": {"p": 0.5, "steps": [{"rotate": [90, 90]}]}}])
    assert np.array_equal(inside.test(IMAGE), IMAGE)


@pytest.mark.parametrize(
    "step",
    [{"gaussian_noise": [0.1, 0.1]}, {"elastic": [50, 50]}, {"cutout": 8}, {"grid_mask": {"unit": [0.5, 0.5]}},
     "channel_shuffle", "rot90", "d4", {"shot_noise": [50, 50]}, {"affine": {"degrees": [9, 9], "scale": [1, 1]}}],
    ids=str,
)  # fmt: skip
def test_a_draw_of_several_parts_is_random_at_fixed_numbers(step: Any) -> None:
    assert np.array_equal(Pipeline.from_spec([step]).test(IMAGE), IMAGE)
    name, arguments = (step, {}) if isinstance(step, str) else next(iter(step.items()))
    field = next(iter(hints(REGISTRY[name])), "")
    arguments = arguments if isinstance(arguments, dict) else {field: arguments}
    with pytest.raises(SpecError, match="draws random numbers"):
        Pipeline.from_spec([{name: {**arguments, "test": "same"}}])


def test_the_step_decides_and_not_the_image() -> None:
    """A crop of the image's own size has nothing to draw on this image, and its boxes would not be known in use."""
    crop = Pipeline.from_spec([{"random_crop": {"size": 24}}])
    assert explained(crop)[0][1] == crop.test.plan((24, 24)).entries[0].rule == "center"
    whole_crop = {"safe_crop": {"size": 12, "scale": [1, 1], "ratio": [1, 1]}}
    safe = Pipeline.from_spec({"targets": {"boxes": "xyxy"}, "image": [whole_crop]})
    whole = {"image": IMAGE, "boxes": np.array([[0, 0, 24, 24]], np.float32), "labels": [1]}
    assert np.array_equal(safe.test(whole)["image"], safe.test(IMAGE))


def _plugin(sample: Any, rule: Any = "identity") -> Pipeline:
    class Plugin:
        """A transform of a plugin."""

        amount: Range = (0.5, 0.5)

    Plugin.sample = sample  # type: ignore[attr-defined]
    return Pipeline([transform("plugin", kind="color", rule=rule)(Plugin)()])


def test_transforms_of_plugins_are_treated_alike() -> None:
    gray = np.full((4, 4, 3), 200, np.uint8)

    def uniform(self: Any, rng: Any, scene: Any) -> Any:
        return ops.point_function("brightness", rng.uniform(*self.amount))

    def random(self: Any, rng: Any, scene: Any) -> Any:
        return ops.point_function("brightness", 0.5 if rng.random() < 0.999 else 2.0)

    def fixed_step(self: Any, rng: Any, scene: Any) -> Any:
        return Step(Brightness((0.5, 0.5)), "brightness")

    def step_by_chance(self: Any, rng: Any, scene: Any) -> Any:
        return Step(Brightness((0.5, 0.5)), "brightness", p=0.5)

    def random_step(self: Any, rng: Any, scene: Any) -> Any:
        return Step(ColorJitter((0.5, 0.6), (0.5, 0.6)), "color_jitter")

    def large_ones_draw(self: Any, rng: Any, scene: Any) -> Any:
        return ops.point_function("brightness", 0.5 if scene.height < 700 else rng.uniform(0, 1))

    def only_floats(self: Any, rng: Any, scene: Any) -> Any:
        if scene.dtype == "uint8" and scene.height > 10:
            raise ValueError("too large")
        return ops.point_function("brightness", rng.uniform(*self.amount))

    for sample in (uniform, fixed_step, large_ones_draw, only_floats):
        assert (_plugin(sample).test(gray) == 100).all(), sample

    def fails(self: Any, rng: Any, scene: Any) -> Any:
        raise RuntimeError("no lens")

    for sample in (random, step_by_chance, random_step, fails):
        assert (_plugin(sample).test(gray) == 200).all(), sample
    large = np.full((700, 4, 3), 200, np.uint8)
    assert (_plugin(large_ones_draw).test(large) == 200).all()
    with pytest.raises(SpecError, match="draws random numbers"):  # its class says that it never draws
        _plugin(random, "same").test(gray)


def test_fixed_draws_are_those_of_every_rng() -> None:
    fixed = FixedDraws()
    for index in range(20):
        rng = address_of(0, index).cursor(7)
        for value in (0.1, -3.7, 1e30, -0.0):
            assert repr(rng.uniform(value, value)) == repr(fixed.uniform(value, value))
        assert repr(rng.uniform(-0.0, 0.0)) == repr(fixed.uniform(-0.0, 0.0))
        assert [rng.bernoulli(p) for p in (0, 1)] == [fixed.bernoulli(p) for p in (0, 1)]
        assert rng.integers(1) == fixed.integers(1)
        assert rng.permutation(1) == fixed.permutation(1)
        assert rng.permutation(0) == fixed.permutation(0)
        assert rng.choice([0, 3, 0]) == fixed.choice([0, 3, 0])
        assert rng.normal(2.5, 0.0) == fixed.normal(2.5, 0.0)
    for draw in (
        lambda: fixed.bits(), lambda: fixed.random(), lambda: fixed.sign(), lambda: fixed.normal(),
        lambda: fixed.integers(2), lambda: fixed.permutation(2), lambda: fixed.choice([1, 1]),
        lambda: fixed.bernoulli(0.5), lambda: fixed.uniform(0, 1),
    ):  # fmt: skip
        with pytest.raises(RandomDrawError):
            draw()


def test_an_argument_that_cannot_be_hashed_is_no_obstacle() -> None:
    @transform("table", kind="color")
    class Table:
        """Brightness from a mapping."""

        table: dict[str, float]

        def sample(self, rng: Any, scene: Any) -> Any:
            return ops.point_function("brightness", self.table["factor"])

    assert isinstance(Table.__augreg__, TransformInfo)  # type: ignore[attr-defined]
    assert np.array_equal(Pipeline([Table({"factor": 0.5})]).test(IMAGE), IMAGE // 2)
