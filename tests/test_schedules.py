"""Schedules: the formulas, where they are allowed, the test side, and that no state is kept."""

from __future__ import annotations

import itertools
import json
import math
import multiprocessing
import pickle
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from augreg import Pipeline, SpecError, Step
from augreg.registry.registry import Registry
from augreg.spec.json_schema import schema
from augreg.steps.declare import batch_transform, regularizer
from augreg.steps.fields import Probability
from augreg.steps.schedules import END, Schedule, read, scheduled
from augreg.steps.selectors import At
from augreg.transforms.warps import Rotate

few = settings(max_examples=200, deadline=None, derandomize=True)


@batch_transform("swap", p=0.5)
class Swap:
    """Exchanges images."""

    fraction: Probability = 0.5

    def sample(self, rng: Any, count: Any, scene: Any) -> Any:
        return ()


@regularizer("hush")
class Hush:
    """Silences units."""

    p: Probability = 0.5
    at: At = "**"

    def attach(self, site: Any) -> Any:
        return None


def values(spec: dict[str, Any], epochs: Any) -> list[float]:
    return [read(spec).at(epoch) for epoch in epochs]


def drawn(spec: Any, epoch: int, index: int = 0) -> list[Any]:
    """The records of what the steps drew: name, p, applied, and the ops in words."""
    plan = Pipeline.from_spec(spec).train.plan((40, 40), index, epoch)
    return [(entry.name, entry.p, entry.applied, [str(op) for op in entry.ops]) for entry in plan.entries]


def problems(spec: Any) -> list[str]:
    with pytest.raises(SpecError) as caught:
        Pipeline.from_spec(spec)
    return [str(problem) for problem in caught.value.problems]


# The formulas.


def test_linear_goes_straight_and_stays_where_it_ends() -> None:
    spec = {"linear": [0.0, 0.5], "over": [10, 30]}
    assert values(spec, [0, 9, 10, 15, 20, 30, 31, 10**6]) == [0, 0, 0, 0.125, 0.25, 0.5, 0.5, 0.5]
    bent = {"linear": [0, 1, 0.5], "over": [0, 4, 6]}
    assert values(bent, range(8)) == [0, 0.25, 0.5, 0.75, 1, 0.75, 0.5, 0.5]


def test_cosine_is_half_a_wave() -> None:
    spec = {"cosine": [30, 5], "over": [10, 40]}
    for epoch in range(10, 41):
        wave = 5 + 25 * (1 + math.cos(math.pi * (epoch - 10) / 30)) / 2
        assert values(spec, [epoch])[0] == pytest.approx(wave, rel=1e-12)
    assert values(spec, [0, 10, 40, 99]) == [30, 30, 5, 5]


def test_step_holds_until_the_next_one() -> None:
    assert values({"step": [1.0, 0.0], "at": [270]}, [0, 269, 269.999, 270, 271]) == [1, 1, 1, 0, 0]
    assert values({"step": [1, 2, 3], "at": [3, 5]}, range(7)) == [1, 1, 1, 2, 2, 3, 3]
    assert values({"step": [1, 2], "at": [0]}, [0, 1]) == [2, 2]


def test_half_epochs_are_for_the_model_side() -> None:
    assert values({"linear": [0.0, 1.0], "over": [0, 2]}, [0.25, 0.5, 1.5]) == [0.125, 0.25, 0.75]
    spec = {"model": [{"hush": {"p": {"linear": [0, 1], "over": [0, 2]}, "at": "fc"}}]}
    (step,) = Pipeline.from_spec(spec, Registry.installed().add(Hush)).spec.model
    assert [scheduled(step, epoch).transform.p for epoch in (0.0, 0.25, 1.5, 7.0)] == [0, 0.125, 0.75, 1]
    assert step.transform.p == 1  # without an epoch, the last number


def test_whole_numbers_are_rounded() -> None:
    spec = [{"cutout": {"size": {"linear": [2, 7], "over": [20, 22]}, "holes": {"linear": [1, 4], "over": [0, 5]}}}]
    pipe = Pipeline.from_spec(spec)
    (step,) = pipe.steps
    assert [scheduled(step, epoch).transform.size for epoch in (0, 20, 21, 22)] == [2, 2, 4, 7]  # 4.5: half to even
    assert all(isinstance(scheduled(step, epoch).transform.holes, int) for epoch in range(9))
    assert [scheduled(step, epoch).transform.holes for epoch in range(7)] == [1, 2, 2, 3, 3, 4, 4]
    assert pipe.train.plan((40, 40), index=0, epoch=21)


def test_fractions_are_not_rounded_where_whole_numbers_are_allowed_too() -> None:
    (step,) = Pipeline.from_spec([{"cutout": {"size": {"linear": [0.2, 0.4], "over": [0, 2]}}}]).steps
    assert [scheduled(step, epoch).transform.size for epoch in (0, 1, 2)] == pytest.approx([0.2, 0.3, 0.4])


@st.composite
def written(draw: Any) -> dict[str, list[float]]:
    """A schedule as a spec writes it."""
    form = draw(st.sampled_from(["linear", "cosine", "step"]))
    count = draw(st.integers(2, 5))
    epochs = draw(st.lists(st.floats(0, 1e6), min_size=count, max_size=count, unique=True).map(sorted))
    numbers = draw(st.lists(st.floats(-1e300, 1e300), min_size=count, max_size=count))
    return {form: numbers, "at": epochs[1:]} if form == "step" else {form: numbers, "over": epochs}


@few
@given(written(), st.floats(0, 2e6))
def test_the_number_lies_between_its_neighbors(spec: dict[str, list[float]], epoch: float) -> None:
    (form, numbers), (_, epochs) = spec.items()
    value = read(spec).at(epoch)
    reached = sum(mark <= epoch for mark in epochs)
    around = [numbers[reached]] if form == "step" else numbers[max(0, reached - 1) : reached + 1]
    assert min(around) <= value <= max(around)


@pytest.mark.parametrize("form", ["linear", "cosine"])
def test_a_rounding_error_does_not_carry_it_past_its_neighbors(form: str) -> None:
    """Between two equal numbers, `a * (1 - w) + a * w` is often one unit in the last place above or below a."""
    epochs = [number / 97 for number in range(98)]
    for number in (0.1, 0.3, 1.0, 0.7, 1 / 3, -0.9):
        schedule = Schedule(form, (number, number), (0.0, 1.0))
        weights = epochs if form == "linear" else [0.5 - 0.5 * math.cos(math.pi * epoch) for epoch in epochs]
        raw = [number * (1.0 - weight) + number * weight for weight in weights]
        assert {schedule.at(epoch) for epoch in epochs} == {number}
        assert number == 1.0 or set(raw) != {number}, "this number needs no clamp, so it tests nothing"


@few
@given(written(), st.floats(0, 2e6))
def test_it_is_a_pure_function_with_fixed_ends(spec: dict[str, list[float]], epoch: float) -> None:
    (form, numbers), (_, epochs) = spec.items()
    schedule = read(spec)
    assert schedule.at(epoch) == read(json.loads(json.dumps(schedule.data()))).at(epoch)
    again = pickle.loads(pickle.dumps(schedule))
    assert again == schedule and hash(again) == hash(schedule) and again.at(epoch) == schedule.at(epoch)
    assert schedule.at(END) == schedule.at(epochs[-1]) == numbers[-1]
    if form == "step":
        assert [schedule.at(mark) for mark in epochs] == numbers[1:]
    else:
        assert schedule.at(0) == numbers[0]
        assert [schedule.at(mark) for mark in epochs] == numbers


@few
@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6), st.sampled_from(["linear", "cosine"]))
def test_between_two_numbers_it_never_turns_back(first: float, last: float, form: str) -> None:
    found = values({form: [first, last], "over": [0, 40]}, range(41))
    slack = 1e-9 * (abs(first) + abs(last))
    assert all((b - a) * (1 if last >= first else -1) >= -slack for a, b in itertools.pairwise(found))


# Where they are allowed.


def test_a_schedule_of_one_number_is_that_number() -> None:
    """The same draws at the same addresses: a schedule changes what is drawn from, not the stream."""
    flat = {"linear": [0.5, 0.5], "over": [0, 9]}
    turned = [{"rotate": {"degrees": [{"step": [-20, -20], "at": [4]}, 20], "p": flat}}, {"cutout": {"p": flat}}]
    plain = [{"rotate": {"degrees": [-20, 20], "p": 0.5}}, {"cutout": {"p": 0.5}}]
    for epoch, index in itertools.product((0, 4, 30), range(4)):
        assert drawn(turned, epoch, index) == drawn(plain, epoch, index)


@pytest.mark.parametrize("epoch", [0, 3, 10, 50])
def test_pairs_and_bare_values(epoch: int) -> None:
    widening = {"linear": [0, 20], "over": [0, 10]}
    angle = min(2 * epoch, 20)
    expected = drawn([{"rotate": [-angle, angle]}], epoch)
    assert drawn([{"rotate": widening}], epoch) == expected  # a single number is the largest distance from 0
    assert drawn([{"rotate": {"degrees": [{"linear": [0, -20], "over": [0, 10]}, widening]}}], epoch) == expected


def test_entries_show_the_p_of_the_epoch() -> None:
    spec = [{"invert": {"p": {"linear": [0, 1], "over": [0, 10]}}}]
    assert [drawn(spec, epoch)[0][1] for epoch in (0, 1, 5, 10, 11)] == [0, 0.1, 0.5, 1, 1]
    applied = [[drawn(spec, epoch, index)[0][2] for index in range(400)] for epoch in (0, 5, 10)]
    assert sum(applied[0]) == 0 and sum(applied[2]) == 400
    assert 150 < sum(applied[1]) < 250  # five standard deviations of 10


def test_a_step_is_switched_off_for_the_last_epochs() -> None:
    spec = [{"invert": {"p": {"step": [1, 0], "at": [270]}}}]
    assert [drawn(spec, epoch)[0][2] for epoch in (0, 269, 270, 300)] == [True, True, False, False]


def test_mixing_is_switched_off_for_the_last_epochs() -> None:
    off = {"step": [1.0, 0.0], "at": [270]}
    registry = Registry.installed().add(Swap)
    pipe = Pipeline.from_spec({"batch": [{"one_of": {"steps": [{"swap": off}], "p": off}}]}, registry)
    (step,) = pipe.spec.batch
    assert [scheduled(step, epoch).p for epoch in (0, 269, 270)] == [1, 1, 0]
    (child,) = scheduled(step, 269).transform.steps
    assert [scheduled(child, epoch).transform.fraction for epoch in (269, 270)] == [1, 0]  # its first argument
    assert step.p == 0 and child.transform.fraction == 0


def test_inside_containers_and_their_own_arguments() -> None:
    spec = [
        {
            "one_of": {
                "steps": [{"rotate": {"degrees": {"step": [10, 20], "at": [5]}}}, "invert"],
                "weights": [{"step": [0, 1], "at": [5]}, {"step": [1, 0], "at": [5]}],
                "p": {"step": [1, 1, 0], "at": [5, 9]},
            }
        }
    ]
    assert [[entry[0] for entry in drawn(spec, epoch)] for epoch in (0, 5, 9)] == [
        ["one_of", "invert"], ["one_of", "rotate"], ["one_of"],
    ]  # fmt: skip
    nested = [{"sequential": [{"some_of": {"steps": [{"rotate": {"p": {"step": [0, 1], "at": [2]}}}], "count": 1}}]}]
    assert [drawn(nested, epoch)[-1][1:3] for epoch in (0, 2)] == [(0, False), (1, True)]


def test_workers_and_resumed_runs_agree() -> None:
    """A spawned process that starts with a late epoch plans what this one does, which saw all of them before."""
    spec = {
        "seed": 5,
        "image": [
            {"rotate": {"degrees": {"cosine": [0, 40], "over": [0, 8]}, "p": {"linear": [0, 1], "over": [0, 8]}}},
            {"one_of": ["invert", {"cutout": {"size": {"linear": [2, 30], "over": [0, 8]}}}]},
        ],
    }
    pipe = Pipeline.from_spec(spec)
    here = [str(pipe.train.plan((40, 40), 3, epoch)) for epoch in range(9)]
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        plans = [pool.submit(pipe.train.plan, (40, 40), 3, epoch) for epoch in reversed(range(9))]
        there = [str(plan.result()) for plan in reversed(plans)]
    assert here == there
    assert len(set(here)) == 9


# The test side.


def test_testing_uses_the_last_number() -> None:
    spec = [
        {"brightness": {"factor": [0.2, {"linear": [0.2, 1.0], "over": [0, 30]}], "p": {"step": [0, 0.5], "at": [9]}}}
    ]
    last = [{"brightness": {"factor": [0.2, 1.0], "p": 0.5}}]
    scheduled_, fixed = Pipeline.from_spec(spec), Pipeline.from_spec(last)
    photo = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    np.testing.assert_array_equal(scheduled_.test(photo), fixed.test(photo))
    mean = "the mean of each pixel value that no drawn factor clips"
    assert scheduled_.test.explain().replace("from epoch 30 on: ", "") == fixed.test.explain()
    assert f"from epoch 30 on: {mean}" in scheduled_.test.explain()
    assert scheduled_.test.plan((20, 30)).ops == fixed.test.plan((20, 30)).ops
    resized = [{"cutout": {"test": [{"resize": {"size": {"step": [8, 16], "at": [3]}}}]}}]
    assert Pipeline.from_spec(resized).test(photo).shape == (16, 16, 3)


def test_a_size_that_changes_in_a_later_epoch_is_seen() -> None:
    """The last numbers decide which child is used at test time."""
    late = {"center_crop": {"size": 8, "p": {"step": [0, 1], "at": [5]}}}
    assert "ends at 8x8 or the size before it" in problems([{"one_of": [late, "invert"]}])[0]
    growing = {"center_crop": {"size": {"step": [8, 16], "at": [3]}}}
    (found,) = problems([{"one_of": [growing, {"center_crop": 16}]}])
    assert "one_of ends at 8x8 or 16x16 in epoch 0, so images of that epoch differ in size" in found
    pipe = Pipeline.from_spec([{"one_of": [growing, growing]}])
    assert pipe.test(np.zeros((40, 40, 3), np.uint8)).shape == (16, 16, 3)


def test_normalize_cannot_be_scheduled_away() -> None:
    spec = [{"normalize": {"mean": "half", "p": {"step": [1, 0], "at": [3]}}}]
    assert problems(spec) == [
        "image[0].normalize: normalize must always be applied: with p: 1, outside one_of, some_of, random_order"
    ]
    spec = [{"normalize": {"mean": "half", "p": {"step": [0, 1], "at": [3]}}}]
    assert "normalize must always be applied" in problems(spec)[0]


# Specs and their fingerprints.


def test_comes_back_from_its_canonical_form() -> None:
    spec = [{"rotate": {"degrees": [-5, {"linear": [5, 30], "over": [0, 10]}], "p": {"step": [1, 0], "at": [270]}}}]
    pipe = Pipeline.from_spec(spec)
    (step,) = pipe.to_spec()["image"]
    assert step == {
        "rotate": {
            "degrees": [-5.0, {"linear": [5.0, 30.0], "over": [0.0, 10.0]}],
            "interpolation": "bilinear",
            "fill": [0.0],
            "p": {"step": [1.0, 0.0], "at": [270.0]},
        }
    }
    again = Pipeline.from_spec(json.loads(json.dumps(pipe.to_spec())))
    assert again == pipe and again.fingerprint == pipe.fingerprint
    assert pickle.loads(pickle.dumps(pipe)).fingerprint == pipe.fingerprint
    assert again.train.plan((9, 9), 1, 3) == pipe.train.plan((9, 9), 1, 3)
    as_json = schema({"rotate": type(pipe.steps[0].transform)})
    assert "schedule" in as_json["$defs"]


def test_equal_schedules_have_one_fingerprint() -> None:
    def fingerprint(degrees: Any) -> str:
        return Pipeline.from_spec([{"rotate": {"degrees": degrees}}]).fingerprint

    same = [
        [-5, {"linear": [5, 30], "over": [0, 10]}],
        [-5.0, {"over": [0.0, 10.0], "linear": [5.0, 30.0]}],
        (np.float32(-5), {"linear": np.array([5, 30]), "over": (0, 10)}),
    ]
    assert len({fingerprint(degrees) for degrees in same}) == 1
    assert fingerprint(same[0]) != fingerprint([-5, {"linear": [5, 30], "over": [0, 11]}])
    assert fingerprint(same[0]) != fingerprint([-5, {"cosine": [5, 30], "over": [0, 10]}])
    assert fingerprint(same[0]) != fingerprint([-5, 30])


def test_steps_by_hand_may_have_schedules() -> None:
    step = Step(Rotate(10), "rotate", schedules=(("p", Schedule("step", (1.0, 0.0), (3.0,))),))
    assert Pipeline([step]) == Pipeline.from_spec([{"rotate": {"degrees": 10, "p": {"step": [1, 0], "at": [3]}}}])


# What is refused.


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ({"rotate": {"degrees": {"linear": [0, 30]}}},
         "rotate.degrees: a linear schedule takes two lists, {linear: numbers, over: epochs}, got the keys 'linear'"),
        ({"rotate": {"degrees": {"step": [0, 30], "over": [3]}}},
         "a step schedule takes two lists, {step: numbers, at: epochs}, got the keys 'step', 'over'"),
        ({"rotate": {"degrees": {"linear": 30, "over": [0, 1]}}},
         "{linear: numbers, over: epochs}: expected list, got 30"),
        ({"rotate": {"degrees": {"linear": ["a", 1], "over": [0, 1]}}}, "expected float, got "),
        ({"rotate": {"degrees": {"linear": [0, 30, 5], "over": [0, 1]}}},
         "at least 2 numbers and as many epochs as numbers, got 3 and 2"),
        ({"rotate": {"degrees": {"step": [0, 30], "at": [0, 1]}}}, "one epoch less than numbers, got 2 and 2"),
        ({"rotate": {"degrees": {"step": [0], "at": []}}}, "got 1 and 0"),
        ({"rotate": {"degrees": {"linear": [0, 30], "over": [5, 5]}}},
         "must be 0 or more and increase, got [5.0, 5.0]"),
        ({"rotate": {"degrees": {"linear": [0, 30], "over": [-1, 5]}}},
         "must be 0 or more and increase, got [-1.0, 5.0]"),
        ({"rotate": {"degrees": {"linear": [0, float("nan")], "over": [0, 5]}}}, "expected a finite number, got nan"),
        ({"rotate": {"interpolation": {"step": [0, 1], "at": [5]}}}, "rotate.interpolation: expected "),
        ({"rotate": {"p": {"linear": [0, 1.5], "over": [0, 5]}}}, "expected float <= 1.0, got 1.5 in epoch 5"),
        ({"cutout": {"size": {"linear": [1, 8], "over": [0, 5]}}},
         "got 8.0 in epoch 5; as whole numbers: expected int >= 2, got 1 in epoch 0"),
        ({"rotate": {"degrees": {"liner": [0, 30], "over": [0, 5]}}}, "'liner', 'over'; did you mean 'linear'?"),
        ({"rotate": {"p": {"steps": [0, 1], "at": [5]}}}, "got the keys 'steps', 'at'; did you mean 'step'?"),
        ({"rotate": {"p": {"schedule": "linear", "from": 0}}},
         "rotate.p: a schedule is one of {linear: numbers, over: epochs}, {cosine: numbers, over: epochs}, "),
        ({"rotate": {"p": {"linear": [0, 1], "epochs": [0, 5]}}}, "over: epochs}, got the keys 'linear', 'epochs'"),
        ({"rotate": {"degrees": [{"linear": [0, 30], "over": [0, 5]}, 20]}}, "got [30.0, 20.0] in epoch 5"),
        # at the marks low = high; only between them the wave is below the line, or above it
        ({"rotate": {"degrees": [{"linear": [0, 30], "over": [0, 9]}, {"cosine": [0, 30], "over": [0, 9]}]}},
         "expected [low, high] with low <= high"),
        ({"rotate": {"degrees": [{"cosine": [0, 30], "over": [0, 9]}, {"linear": [0, 30], "over": [0, 9]}]}},
         "expected [low, high] with low <= high"),
        ({"posterize": {"bits": {"linear": [8, 0], "over": [0, 5]}}}, "posterize.bits: "),
        ({"one_of": {"steps": ["invert"], "weights": [{"linear": [1, -1], "over": [0, 5]}]}}, "one_of.weights"),
        ({"rotate": {"uid": {"step": [1, 2], "at": [5]}}}, "rotate.uid: "),
        ({"invert": {"linear": [0, 1], "over": [0, 5]}}, "invert takes no arguments, got "),
    ],
    ids=str,
)  # fmt: skip
def test_messages(step: Any, message: str) -> None:
    found = problems([step])
    assert len(found) == 1 and message in found[0], found
    assert found[0].startswith("image[0].")


def test_options_are_no_place_for_schedules() -> None:
    assert problems({"image": [], "seed": {"step": [1, 2], "at": [5]}})[0].startswith("seed: ")


def test_numbers_that_are_not_whole_are_never_rounded_away() -> None:
    crossing = [{"linear": [0.0, 0.01], "over": [0, 1]}, {"cosine": [0.0, 0.01], "over": [0, 1]}]
    with pytest.raises(SpecError, match=r"image\[0\].motion_blur.angle: expected \[low, high\] with low <= high"):
        Pipeline.from_spec([{"motion_blur": {"angle": crossing}}])
    with pytest.raises(SpecError, match="expected int"):
        Pipeline.from_spec([{"resize": {"shorter": {"linear": [16.5, 32], "over": [0, 4]}}}])
