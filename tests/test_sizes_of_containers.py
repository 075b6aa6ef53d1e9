"""The sizes at which containers may end, and the sizes of every epoch: what is refused, and what its message says."""

from __future__ import annotations

from typing import Any

import images
import numpy as np
import pytest

from augreg import Pipeline, ops, transform
from augreg.errors import SpecError
from augreg.registry.registry import Registry
from augreg.steps.rules import outcomes
from augreg.transforms import Invert, OneOf, RandomOrder, Resize, Solarize, SomeOf

IMAGE = images.made("noise", 30, 40)
CROP, SQUARE, BRICK = {"center_crop": 20}, {"resize": {"size": [20, 20]}}, {"resize": {"size": [32, 40]}}
RESIZE = {"resize": {"size": 24}}
GROWING = {"resize": {"size": {"linear": [8, 16], "over": [0, 4]}}}


def problems(spec: Any) -> list[str]:
    try:
        Pipeline.from_spec(spec)
    except SpecError as error:
        return [f"{problem.path}: {problem.message}" for problem in error.problems]
    return []


def scheduled(p: Any, step: Any = BRICK) -> Any:
    ((name, arguments),) = step.items()
    return {name: {**arguments, "p": p}}


@pytest.mark.parametrize(
    ("p", "epoch", "probability"),
    [
        ({"linear": [0, 1], "over": [0, 10]}, 1, 0.1),
        ({"linear": [1, 0], "over": [4, 8]}, 5, 0.75),
        ({"cosine": [0, 1], "over": [0, 2]}, 1, 0.5),
        ({"step": [0, 0.25, 1], "at": [3, 6]}, 3, 0.25),
        ({"linear": [0, 0, 1], "over": [0, 6, 8]}, 7, 0.5),
        ({"linear": [0, 1], "over": [0.5, 1.5]}, 1, 0.5),
    ],
    ids=str,
)
def test_a_size_by_chance_in_any_epoch_is_refused(p: Any, epoch: int, probability: float) -> None:
    (found,) = problems([scheduled(p)])
    assert found.startswith("image[0].resize: ")
    assert f"only with probability {probability:g} in epoch {epoch}, so images of that epoch differ in size" in found
    assert problems([scheduled(p), {"center_crop": 8}]) == []
    (inside,) = problems([[scheduled(p)]])
    assert inside.startswith("image[0].sequential.steps[0].resize: ")
    resize = dict(scheduled(p)["resize"], test="same")
    assert Pipeline.from_spec([{"resize": resize}]).test(IMAGE).shape == (32, 40, 3)


@pytest.mark.parametrize(
    ("step", "by_epoch"),
    [
        (scheduled({"step": [0, 1], "at": [2]}), [(30, 40), (30, 40), (32, 40), (32, 40)]),
        (scheduled({"linear": [0, 1], "over": [1, 2]}), [(30, 40), (30, 40), (32, 40), (32, 40)]),
        (scheduled({"linear": [1, 1], "over": [0, 9]}), [(32, 40)] * 4),
        (GROWING, [(8, 8), (10, 10), (12, 12), (14, 14)]),
        ({"one_of": [GROWING, GROWING]}, [(8, 8), (10, 10), (12, 12), (14, 14)]),
        ({"one_of": [CROP, SQUARE]}, [(20, 20)] * 4),
        ({"some_of": [CROP, SQUARE]}, [(20, 20)] * 4),
        ({"some_of": {"count": [1, 2], "steps": [CROP, SQUARE, {"random_resized_crop": 20}]}}, [(20, 20)] * 4),
        ({"one_of": {"steps": [CROP, "invert", SQUARE], "weights": [1, 0, 3]}}, [(20, 20)] * 4),
        ({"one_of": [[{"pad": 4}, CROP], {"some_of": [CROP, SQUARE]}]}, [(20, 20)] * 4),
        ({"random_order": ["invert", SQUARE, "equalize"]}, [(20, 20)] * 4),
        ({"random_order": [{"pad": 1}, {"pad": 2}]}, [(36, 46)] * 4),
        ({"random_order": {"steps": [{"pad": 1}] * 7}}, [(44, 54)] * 4),
    ],
    ids=str,
)  # fmt: skip
def test_what_is_accepted_has_one_size_in_every_epoch(step: Any, by_epoch: list[tuple[int, int]]) -> None:
    pipe = Pipeline.from_spec([step])
    for epoch, size in enumerate(by_epoch):
        assert {pipe.train(IMAGE, index, epoch).shape[:2] for index in range(12)} == {size}
    assert pipe.test(IMAGE).shape[:2] == pipe.train(IMAGE, 0, 1000).shape[:2]
    assert Pipeline.from_spec(pipe.to_spec()) == pipe


@pytest.mark.parametrize(
    ("step", "ends"),
    [
        ({"random_order": [BRICK, SQUARE]}, "20x20 or 32x40"),
        ({"random_order": [{"pad": 4}, {"random_crop": 20}, RESIZE]}, "20x20, 24x24, 28x28 or 32x32"),
        ({"random_order": [*["invert"] * 6, BRICK, SQUARE]}, "20x20 or 32x40"),
        ({"random_order": [scheduled(0.5, SQUARE), {"center_crop": 10}]}, "10x10 or 20x20"),
        ({"random_order": [SQUARE, {"one_of": [CROP, {"resize": {"size": 9}}]}]}, None),
        ({"random_order": [SQUARE, {"pad": 1}]}, "20x20 or 22x22"),
        ({"one_of": [BRICK, SQUARE]}, "20x20 or 32x40"),
        ({"some_of": [BRICK, SQUARE]}, "20x20 or 32x40"),
        ({"some_of": {"count": [0, 1], "steps": [CROP, SQUARE]}}, "20x20 or the size before it"),
        ({"some_of": {"count": 2, "steps": ["invert", "d4", SQUARE]}}, "20x20 or the size before it"),
        ({"one_of": [CROP, scheduled(0.5, SQUARE)]}, "20x20 or the size before it"),
        ({"one_of": [{"pad": 4}, "invert"]}, "the size before it or another size"),
        ({"one_of": [[SQUARE, {"pad": 1}], SQUARE]}, "20x20 or 22x22"),
        ({"one_of": [GROWING, {"resize": {"size": 16}}]}, "8x8 or 16x16 in epoch 0"),
    ],
    ids=str,
)  # fmt: skip
def test_a_container_that_may_end_at_several_sizes_is_refused_and_says_which(step: Any, ends: str | None) -> None:
    ((name, _),) = step.items()
    found = problems([step])
    if ends is not None:
        assert found[-1].startswith(f"image[0].{name}: {name} ends at {ends}, so ")
    assert found
    assert all("later to an exact size (`size: [h, w]`), or crop" in line for line in found)
    assert problems([step, {"center_crop": 8}]) == []
    with_test = {name: {"steps": step[name], **(step[name] if isinstance(step[name], dict) else {}), "test": [CROP]}}
    assert Pipeline.from_spec([with_test]).test(IMAGE).shape[:2] == (20, 20)


def test_sizes_are_those_of_the_steps_before() -> None:
    assert problems([SQUARE, {"one_of": [SQUARE, "invert"]}]) == []
    assert "ends at 20x20 or 32x40, so" in problems([SQUARE, {"one_of": [BRICK, "invert"]}])[0]
    # on a square both are 9x9 in training, and testing would leave the container out
    found = problems([SQUARE, {"one_of": [{"longest_max_size": 9}, {"resize": {"shorter": 9}}]}])
    assert "one_of ends at 9x9 in training, and is left out at test time, so" in found[0]


def test_the_order_given_may_be_chosen_for_testing() -> None:
    found = problems([{"random_order": [BRICK, SQUARE]}])
    assert "add `test: children` (the order given) or `test:` with the steps" in found[0]
    pipe = Pipeline.from_spec([{"random_order": {"steps": [BRICK, SQUARE], "test": "children"}}])
    assert pipe.test(IMAGE).shape[:2] == (20, 20)


def test_the_first_steps_are_used_for_testing_only_where_the_size_needs_it() -> None:
    """`test` that is written out is part of the fingerprint: a spec that was accepted without it keeps its own."""
    needed = Pipeline.from_spec([{"some_of": [CROP, SQUARE]}]).to_spec()["image"][0]["some_of"]
    assert [next(iter(step)) for step in needed["test"]] == ["center_crop"]
    later = Pipeline.from_spec([{"some_of": [CROP, SQUARE]}, {"resize": {"size": 8}}]).to_spec()["image"][0][
        "some_of"
    ]
    assert "test" not in later
    two = Pipeline.from_spec([{"some_of": {"count": [2, 3], "steps": [CROP, "invert", SQUARE, SQUARE]}}, "solarize"])
    assert two.test(IMAGE).shape[:2] == (20, 20)


def test_what_is_written_out_is_read_again_as_the_same_spec() -> None:
    """Two containers: for one `test` is always written out, for the other because the size needs it."""
    agreed = {"one_of": [scheduled(0.5, SQUARE), {"random_resized_crop": 20}]}
    pipe = Pipeline.from_spec([agreed, {"random_order": [{"some_of": [BRICK, BRICK]}]}])
    assert pipe.test(IMAGE).shape[:2] == (32, 40)
    assert Pipeline.from_spec(pipe.to_spec()) == pipe


@pytest.mark.parametrize(
    ("step", "which"),
    [
        ({"one_of": [CROP, SQUARE]}, "the first step"),
        ({"some_of": [SQUARE, CROP]}, "the first step"),
        ({"one_of": {"steps": [CROP, SQUARE], "weights": [1, 2]}}, "step 2 of 2"),
        ({"some_of": {"count": 2, "steps": [CROP, SQUARE, CROP]}}, "steps 1 to 2 of 3"),
        ({"one_of": {"steps": [CROP, [SQUARE]], "weights": [1, 2]}}, "step 2 of 2"),
        ({"one_of": {"steps": [CROP, SQUARE], "test": [CROP]}}, "the first step"),
        ({"one_of": {"steps": [CROP, SQUARE], "test": [BRICK]}}, None),
    ],
    ids=str,
)  # fmt: skip
def test_explain_says_which_steps_testing_takes(step: Any, which: str | None) -> None:
    pipe = Pipeline.from_spec([step])
    for each in (pipe, Pipeline.from_spec(pipe.to_spec())):
        row = each.test.explain().splitlines()[1]
        assert row.endswith(f"nothing: testing takes {which}" if which else "steps           nothing"), row


def test_containers_of_plugins_are_treated_alike() -> None:
    class Either:
        """Its own way to draw one of two groups of steps."""

        steps: Any

        def sample(self, rng: Any, scene: Any) -> Any:
            return self.steps[:2] if rng.random() < 0.001 else self.steps[2:]

    either = transform("either", kind="choose")(_with_steps(Either))
    registry = Registry.installed().add(either)

    def read(steps: Any) -> Pipeline:
        return Pipeline.from_spec([{"either": steps}], registry)

    assert read([BRICK, SQUARE, CROP]).test(IMAGE).shape[:2] == (20, 20)
    with pytest.raises(SpecError, match="either ends at 20x20 or 32x40, so the size of the test image"):
        read([SQUARE, BRICK, CROP])


def _with_steps(cls: type) -> type:
    from augreg.steps.fields import Converted
    from augreg.steps.step import Step

    cls.__annotations__ = {"steps": Converted[tuple[Step, ...]]}
    return cls


def test_outcomes_are_all_results_of_the_draws() -> None:
    steps = (Invert(), Solarize(), Resize(8))
    a, b, c = RandomOrder(steps).steps

    def found(container: Any) -> set[tuple[str, ...]]:
        return {tuple(step.name for step in drawn) for drawn in outcomes(container)}

    assert len(found(RandomOrder(steps))) == 6
    assert found(OneOf(steps, weights=(1, 0, 2))) == {(a.name,), (c.name,)}
    assert found(SomeOf(steps, count=2)) == {(a.name, b.name), (a.name, c.name), (b.name, c.name)}
    assert found(SomeOf(steps, count=(0, 1))) == {(), (a.name,), (b.name,), (c.name,)}
    many = RandomOrder(tuple(Resize(number) for number in range(8, 20)))
    lasts = {drawn[-1].transform.shorter or drawn[-1].transform.size for drawn in outcomes(many)}
    assert len(outcomes(many)) == 24 and len(lasts) == 12

    class Rejects:
        """Draws until a number that never comes."""

        def sample(self, rng: Any, scene: Any) -> Any:
            while rng.integers(3) < 3:
                pass
            return ops.point_function("brightness", 2.0)

    with pytest.raises(ValueError, match="too many draws"):
        outcomes(Rejects())


def test_long_schedules_and_many_containers_are_read_in_time() -> None:
    sizes = {"linear": [8 + number % 7 for number in range(1000)], "over": list(range(1000))}
    chances = {"step": [number % 2 for number in range(1000)], "at": list(range(1, 1000))}
    spec = [{"one_of": [{"resize": {"size": sizes}}, {"resize": {"size": sizes}}]}, scheduled(chances)]
    assert Pipeline.from_spec(spec).train(np.zeros((9, 9, 3), np.uint8), 0, 1).shape == (32, 40, 3)
    nested: Any = SQUARE
    for _ in range(14):
        nested = {"random_order": [nested, "invert", {"one_of": ["equalize", "solarize"]}]}
    assert problems([nested]) == []
