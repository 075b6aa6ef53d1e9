"""Ranges and choices of a search, and the paths of a task that they belong to."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, strategies as st

pytest.importorskip("torch")
pytest.importorskip("sklearn")

from searching import iris, with_spec

from augreg.errors import SpecError
from augreg.recipe.result import Result
from augreg.recipe.search import Choice, Range, default_space, known_values, parameter, space_of, with_values


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ([0.0, 0.5], Range(0.0, 0.5)),
        ("[0, 0.5]", Range(0, 0.5)),
        ("log [1e-4, 1e-1]", Range(1e-4, 0.1, log=True)),
        ("log int [8, 512]", Range(8, 512, log=True, integer=True)),
        ("int [3, 15]", Range(3, 15, integer=True)),
        ("choice [1, 2]", Choice((1, 2))),
        ([1, 2, 4], Choice((1, 2, 4))),
        (["paper", "timm"], Choice(("paper", "timm"))),
        ([True, False], Choice((True, False))),
        ("[bilinear, null]", Choice(("bilinear", None))),
        ([[1, 2], [3, 4]], Choice(([1, 2], [3, 4]))),
        (Range(1, 2), Range(1, 2)),
    ],
)
def test_what_users_write(written: Any, expected: Any) -> None:
    assert parameter(written) == expected
    assert parameter(expected.as_dict()) == expected
    assert parameter(str(expected)) == expected or isinstance(expected, Choice)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ([2, 1], "low < high"),
        ([1, 1], "low < high"),
        ("log [0, 1]", "above 0 on a log scale"),
        ("int [0.5, 2]", "whole numbers at both ends"),
        ("log [1, 2, 3]", "two numbers after log"),
        ("lg [1, 2]", r"expected \[low, high\], log"),
        ("log [1, 2", r"expected \[low, high\], log"),
        (0.5, r"expected \[low, high\], log"),
        (["a"], "at least two choices"),
        (["a", "b", "a"], "choices that differ"),
    ],
)
def test_what_is_wrong_is_said(written: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parameter(written)


def test_the_ends_and_the_middle() -> None:
    assert [Range(1e-4, 1.0, log=True).value(unit) for unit in (0.0, 0.5, 1.0)] == [1e-4, 1e-2, 1.0]
    assert [Range(-1.0, 3.0).value(unit) for unit in (0.0, 0.5, 1.0)] == [-1.0, 1.0, 3.0]
    assert [Choice("abc").value(unit) for unit in (0.0, 0.5, 0.99, 1.0)] == list("abcc")


def test_whole_numbers_are_equally_likely() -> None:
    drawn = [Range(3, 6, integer=True).value((k + 0.5) / 400) for k in range(400)]
    assert [drawn.count(value) for value in (3, 4, 5, 6)] == [100] * 4
    assert all(type(value) is int for value in drawn)


@given(st.floats(0, 1), st.floats(1e-6, 1e3), st.floats(1.01, 1e6), st.booleans())
def test_a_unit_comes_back(unit: float, low: float, times: float, log: bool) -> None:
    each = Range(low, low * times, log)
    value = each.value(unit)
    assert each.low <= value <= each.high
    back = each.unit(value)
    width = math.log(times) if log else 1 - 1 / times  # six digits of the value
    assert abs(back - unit) <= 1e-5 / width


def test_values_outside_have_units_outside() -> None:
    assert Range(1.0, 10.0, log=True).unit(100.0) == pytest.approx(2.0)
    assert Range(1.0, 10.0, log=True).unit(0.0) == -math.inf
    assert Choice((1, 2)).unit(3) == -math.inf


def test_numbers_of_all_sections_are_set_by_their_paths() -> None:
    task = with_spec()
    values = {
        "learning_rate": 0.5,
        "batch_size": 7,
        "model[0].dropout.p": 0.4,
        "image[0].rand_augment.m": 3,
        "batch[0].mixup.alpha": 1.0,
        "loss[0].label_smoothing.smoothing": 0.05,
    }
    changed = with_values(task, values)
    known = known_values(changed)
    assert {path: known[path] for path in values} == values
    assert changed.pipe is not None and task.pipe is not None
    spec, before = changed.pipe.to_spec(), task.pipe.to_spec()
    assert spec["model"][0]["dropout"]["p"] == 0.4 and before["model"][0]["dropout"]["p"] == 0.2
    assert spec["image"][1] == before["image"][1]
    assert with_values(changed, {path: known_values(task)[path] for path in values}).pipe == task.pipe


def test_all_errors_come_at_once_with_the_nearest_path() -> None:
    given = {
        "learning_rat": [0, 1],
        "model[0].drpout.p": [0, 0.5],
        "model[0].dropout.p": [0, 2],
        "image[1].cutout.size": "lg [0, 1]",
        "weight_decay": [-1, 0.1],
        "image[0].rand_augment.dialect": ["timm", "tim"],
    }
    with pytest.raises(SpecError) as caught:
        space_of(with_spec(), given)
    lines = str(caught.value).splitlines()
    assert [line.partition(":")[0] for line in lines] == list(given)
    assert "did you mean 'learning_rate'" in lines[0] and "did you mean 'model[0].dropout.p'" in lines[1]
    assert "<= 1.0" in lines[2] and "expected [low, high]" in lines[3] and "from 0" in lines[4] and "tim" in lines[5]
    with pytest.raises(SpecError, match="without one there are batch_size"):
        space_of(iris(), {"model[0].dropout.p": [0, 1]})
    with pytest.raises(SpecError, match="expected a mapping"):
        space_of(iris(), {})
    with pytest.raises(SpecError, match=r"model\[0\]\.dropout\.q: there is no such number; did you mean"):
        with_values(with_spec(), {"model[0].dropout.q": 1})


def test_a_range_is_of_whole_numbers_where_the_spec_takes_no_others() -> None:
    given = {"image[0].rand_augment.n": [1, 3], "image[0].rand_augment.m": [3, 15], "batch_size": [16, 64]}
    space = space_of(with_spec(), given)
    assert {path: each.integer for path, each in space.items() if isinstance(each, Range)} == {
        "image[0].rand_augment.n": True,
        "image[0].rand_augment.m": False,  # magnitudes of timm may be fractions
        "batch_size": True,
    }


def test_the_space_for_a_task_whose_user_gives_none() -> None:
    space = default_space(iris(learning_rate=3e-3))
    assert list(space) == ["learning_rate", "weight_decay"]
    assert space["learning_rate"] == Range(1e-4, 0.09, log=True)
    rate = Result("learning rate", "pass", "", {"range": [1e-2, 1e-1]})
    assert default_space(iris(), rate)["learning_rate"] == Range(1e-3, 0.2, log=True)
    assert list(default_space(with_spec()))[2:] == [
        "image[0].rand_augment.m",
        "image[1].cutout.size",
        "batch[0].mixup.alpha",
        "model[0].dropout.p",
        "loss[0].label_smoothing.smoothing",
    ]


def test_the_alpha_of_a_mixup_whose_lam_is_fixed_is_not_searched() -> None:
    fixed = with_spec().replace(spec={"batch": [{"mixup": {"lam": 0.4}}], "classes": 3})
    assert list(default_space(fixed)) == ["learning_rate", "weight_decay"]
