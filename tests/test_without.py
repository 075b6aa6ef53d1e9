"""`pipe.without(step)`: the pipeline less one step, in which the others draw the same numbers."""

from __future__ import annotations

import numpy as np
import pytest
from images import made

from augreg import Pipeline, SpecError

IMAGE = made("noise", 16, 16)
SPEC = {
    "seed": 4,
    "image": [
        {"brightness": [0.6, 0.9]},
        {"rotate": {"degrees": 20, "uid": "tilt"}},
        {"brightness": [0.5, 1.0]},
        {"one_of": ["invert", {"solarize": {"threshold": [20, 220]}}, "horizontal_flip"]},
    ],
    "batch": ["mixup", "cutmix"],
    "model": [{"dropout": {"p": 0.5, "at": "head"}}],
    "loss": [{"label_smoothing": 0.1}],
}
PIPE = Pipeline.from_spec(SPEC)


def drawn(pipe: Pipeline, index: int) -> dict[str, str]:
    plan = pipe.train.plan(IMAGE, index)
    return {entry.path: f"{entry.applied} {entry.ops}" for entry in plan.entries if entry.p}


@pytest.mark.parametrize("path", ["brightness#0", "tilt", "brightness#1", "one_of#0", "one_of#0/invert#0"])
def test_the_other_steps_draw_the_same_numbers(path: str) -> None:
    less = PIPE.without(path)
    for index in range(8):
        wanted = {key: value for key, value in drawn(PIPE, index).items() if not f"{key}/".startswith(f"{path}/")}
        assert drawn(less, index) == wanted


def test_the_step_is_gone() -> None:
    assert [step.path for step in PIPE.without("brightness#1").steps] == ["brightness#0", "tilt", "one_of#0"]
    assert [step.path for step in PIPE.without(PIPE.steps[3]).steps] == ["brightness#0", "tilt", "brightness#1"]
    kept = PIPE.without("brightness#0").steps
    assert [step.path for step in kept] == ["brightness#0", "tilt", "brightness#1", "one_of#0"] and kept[0].p == 0.0
    less = PIPE.without("brightness#0").without("tilt").without("one_of#0/horizontal_flip#0")
    for index in range(6):
        alone = PIPE.train.plan(IMAGE, index)
        ops = [op for entry in alone.entries if entry.path != "tilt" for op in entry.ops]
        skipped = [
            op
            for entry in alone.entries
            if entry.path in ("brightness#0", "one_of#0/horizontal_flip#0")
            for op in entry.ops
        ]
        assert [op for entry in less.train.plan(IMAGE, index).entries for op in entry.ops] == [
            op for op in ops if not any(op is other for other in skipped)
        ]


def test_the_test_side_of_a_step_that_stays_is_gone_too() -> None:
    pipe = Pipeline([{"brightness": {"factor": 0.4, "test": ["invert"]}}, {"brightness": 0.4}])
    assert np.array_equal(pipe.without("brightness#0").test(IMAGE), IMAGE)


@pytest.mark.parametrize(("name", "section"), [("mixup", "batch"), ("dropout", "model"), ("label_smoothing", "loss")])
def test_steps_of_every_section(name: str, section: str) -> None:
    less = PIPE.without(name).to_spec()
    whole = PIPE.to_spec()
    names = [next(iter(step)) for step in less.get(section, [])]
    assert names == [next(iter(step)) for step in whole[section] if name not in step]
    assert {key: value for key, value in less.items() if key != section} == {
        key: value for key, value in whole.items() if key != section
    }


def test_steps_that_keep_their_paths_do_not_keep_another_in() -> None:
    pipe = Pipeline([{"brightness": 0.4}, {"brightness": {"factor": 0.2, "uid": "second"}}])
    assert [step.path for step in pipe.without("brightness#0").steps] == ["second"]
    two = Pipeline(model=[{"dropout": {"p": 0.5, "at": "head"}}, {"dropout": {"p": 0.2, "at": "tail"}}])
    assert [step.transform.p for step in two.without("dropout#0").spec.model] == [0.2]


def test_children_of_a_sequence_are_taken_out() -> None:
    pipe = Pipeline([{"sequential": ["invert", "horizontal_flip"]}])
    assert pipe.without("invert") == Pipeline([{"sequential": ["horizontal_flip"]}])


def test_a_step_that_there_is_not() -> None:
    with pytest.raises(ValueError, match=r"no step 'rotat'; its steps are: 'brightness#0'|no step 'rotat'"):
        PIPE.without("rotat")
    with pytest.raises(ValueError, match="'brightness' may be 'brightness#0' or 'brightness#1'; give one of these"):
        PIPE.without("brightness")
    with pytest.raises(ValueError, match="no step this Step; its steps are"):
        PIPE.without(Pipeline(["invert"]).steps[0])
    with pytest.raises(ValueError, match="its steps are: none"):
        Pipeline([]).without("invert")


def test_a_rest_that_is_no_spec() -> None:
    pipe = Pipeline([{"center_crop": {"size": 8, "p": 0.5}}, {"resize": {"size": [6, 6]}}])
    with pytest.raises(SpecError, match="the size of the test image is not known"):
        pipe.without("resize")
