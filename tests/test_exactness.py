"""The exactness that `explain` prints where numbers change with the epoch, and where the order is random."""

from __future__ import annotations

from typing import Any

import images
import numpy as np
import pytest

from augreg import Pipeline

IMAGE = images.made("noise", 24, 24)
NOTHING = "everything: nothing is random"
ORDER = "nothing: the order is random"
FIXED = ({"brightness": [1.3, 1.3]}, {"contrast": [0.8, 0.8]})


def exactness(spec: Any) -> list[str]:
    head, *lines, _, _ = Pipeline.from_spec(spec).test.explain().splitlines()
    return [line[head.index("exact for") :].strip() for line in lines]


def flip(p: Any) -> Any:
    return {"horizontal_flip": {"p": p}}


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (flip({"linear": [0.5, 0], "over": [0, 10]}), ["from epoch 10 on: nothing is random"]),
        (flip({"linear": [0, 1], "over": [0, 10]}), ["from epoch 10 on: nothing is random"]),
        (flip({"cosine": [0.5, 0, 0], "over": [0, 8, 12]}), ["from epoch 8 on: nothing is random"]),
        (flip({"linear": [0.5, 1], "over": [0, 9.5]}), ["from epoch 10 on: nothing is random"]),
        (flip({"step": [0.5, 1, 1], "at": [7, 9]}), ["from epoch 7 on: nothing is random"]),
        (flip({"step": [1, 1], "at": [7]}), [NOTHING]),
        (flip({"linear": [1, 0.5], "over": [0, 10]}), ["nothing"]),
        ({"rotate": [{"linear": [0, 90], "over": [0, 5]}, 90]}, ["from epoch 5 on: nothing is random"]),
        ({"gaussian_noise": {"p": {"linear": [0, 0.5], "over": [0, 5]}}},
         ["the mean of each pixel value that no noise clips"]),
        ({"gaussian_noise": {"p": {"linear": [0.5, 0], "over": [0, 5]}}}, ["from epoch 5 on: nothing is random"]),
        ({"brightness": {"factor": [0.5, 1.5], "p": {"linear": [0, 0.5], "over": [0, 5]}}},
         ["from epoch 5 on: the mean of each pixel value that no drawn factor clips"]),
        ({"sequential": {"p": {"step": [0, 1], "at": [5]}, "steps": [FIXED[0]]}},
         ["what each child is exact for", "from epoch 5 on: nothing is random"]),
        ({"sequential": [flip({"step": [0.5, 1], "at": [6]}), "solarize"]},
         ["what each child is exact for", "from epoch 6 on: nothing is random", NOTHING]),
    ],
    ids=str,
)  # fmt: skip
def test_what_the_last_numbers_make_exact_is_so_from_their_epoch_on(step: Any, expected: list[str]) -> None:
    assert exactness([step]) == expected
    first = next((int(each.split()[2]) for each in expected if each.startswith("from epoch")), 0)
    if expected[-1].endswith("nothing is random"):  # and it is true: training is then testing
        pipe = Pipeline.from_spec([step])
        assert all(np.array_equal(pipe.train(IMAGE, index, first), pipe.test(IMAGE)) for index in range(20))
        assert not first or any(
            not np.array_equal(pipe.train(IMAGE, index, first - 1), pipe.test(IMAGE)) for index in range(40)
        )


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        ({"color_jitter": {"brightness": [1.3, 1.3], "contrast": [0.8, 0.8]}}, [ORDER] * 3),
        ({"color_jitter": {"brightness": [1.3, 1.3]}}, ["what the step is exact for, if there is only one", NOTHING]),
        ({"random_order": [*FIXED]}, [ORDER] * 3),
        ({"random_order": [FIXED[0], "gaussian_noise", "rotate"]}, [ORDER] * 3 + ["nothing"]),
        ({"random_order": [[*FIXED], "equalize"]}, [ORDER, "what each child is exact for", *[ORDER] * 3]),
        ({"random_order": [FIXED[0], {"rotate": {"p": 0}}]},
         ["what the step is exact for, if there is only one", NOTHING, NOTHING]),
        ({"random_order": [FIXED[0]]}, ["what the step is exact for, if there is only one", NOTHING]),
        ({"sequential": [*FIXED]}, ["what each child is exact for", NOTHING, NOTHING]),
        ({"sequential": [{"random_order": [*FIXED]}, "solarize"]},
         ["what each child is exact for", ORDER, ORDER, ORDER, NOTHING]),
    ],
    ids=str,
)  # fmt: skip
def test_below_a_random_order_nothing_is_exact(step: Any, expected: list[str]) -> None:
    assert exactness([step]) == expected
    pipe = Pipeline.from_spec([step])
    constant = all(np.array_equal(pipe.train(IMAGE, index), pipe.test(IMAGE)) for index in range(20))
    assert constant == (ORDER not in expected)


RANDOM = "train without an index draws new numbers at every call; `seed` has no effect there"
CERTAIN = "train draws no random numbers: an image is the same at every call with the same epoch"


@pytest.mark.parametrize(
    ("steps", "line"),
    [
        ([], CERTAIN),
        (["solarize", {"resize": {"size": 8}}, flip(1), {"rotate": [90, 90]}, [flip(0)]], CERTAIN),
        ([flip({"step": [0, 1], "at": [3]})], CERTAIN),
        ([{"one_of": ["invert"]}, {"random_order": [flip(1)]}, {"d4": {"p": 0}}], CERTAIN),
        ([flip({"step": [0, 0.5, 1], "at": [3, 4]})], RANDOM),
        ([flip({"linear": [0, 1], "over": [3, 5]})], RANDOM),
        ([{"rotate": [{"linear": [0, 90], "over": [0, 5]}, 90]}], RANDOM),
        ([[["d4"]]], RANDOM),
        ([{"random_order": [*FIXED]}], RANDOM),
        ([{"random_crop": 8}], RANDOM),
    ],
    ids=str,
)
def test_explain_says_whether_training_draws_anything(steps: Any, line: str) -> None:
    pipe = Pipeline.from_spec(steps)
    assert pipe.test.explain().splitlines()[-1] == line
    constant = all(
        np.array_equal(pipe.train(IMAGE, epoch=epoch), pipe.train(IMAGE, epoch=epoch))
        for epoch in range(7)
        for _ in range(12)
    )
    assert constant == (line == CERTAIN)


def test_a_plan_counts_its_ops() -> None:
    for steps, words in (([], "0 ops: nothing"), (["invert"], "1 op: ["), ([flip(1), "equalize"], "2 ops: [")):
        assert f"runs as {words}" in str(Pipeline.from_spec(steps).train.plan((8, 8)))
