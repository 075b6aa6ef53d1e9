"""Containers without steps: none can be drawn from nothing, and to apply all of nothing is to do nothing."""

from __future__ import annotations

from typing import Any

import images
import numpy as np
import pytest

from augreg import Pipeline
from augreg.errors import SpecError
from augreg.transforms import OneOf, SomeOf

IMAGE = images.made("noise", 8, 9)


@pytest.mark.parametrize("section", ["image", "batch"])
@pytest.mark.parametrize("name", ["one_of", "some_of"])
@pytest.mark.parametrize("arguments", [[], {"steps": []}, {"steps": [], "p": 0.5}, {"steps": None}], ids=str)
def test_nothing_can_be_drawn_from_no_steps(name: str, section: str, arguments: Any) -> None:
    for spec, where in (
        ([{name: arguments}], f"{section}[0].{name}"),
        ([[{name: arguments}]], f"{section}[0].sequential.steps[0].{name}"),
    ):
        with pytest.raises(SpecError) as caught:
            Pipeline.from_spec({section: spec})
        (problem,) = caught.value.problems
        assert problem.path == f"{where}.steps"
        assert problem.message == "steps must be at least one, got none: add steps, or leave this out"


@pytest.mark.parametrize("cls", [OneOf, SomeOf])
def test_objects_are_refused_alike(cls: Any) -> None:
    with pytest.raises(SpecError, match="steps must be at least one"):
        cls(())


def test_a_wrong_step_is_the_only_problem() -> None:
    with pytest.raises(SpecError) as caught:
        Pipeline.from_spec([{"one_of": ["nope"]}])
    assert [problem.path for problem in caught.value.problems] == ["image[0].one_of.steps[0]"]


@pytest.mark.parametrize(
    "step", [[], {"sequential": []}, {"random_order": []}, {"random_order": {"steps": []}}], ids=str
)
def test_all_of_nothing_is_nothing(step: Any) -> None:
    pipe = Pipeline.from_spec([step, "invert"])
    assert np.array_equal(pipe.train(IMAGE, 0), 255 - IMAGE)
    assert np.array_equal(pipe.test(IMAGE), 255 - IMAGE)
