"""The points that samplers choose, and the trials that pruners stop."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, strategies as st

pytest.importorskip("torch")
pytest.importorskip("sklearn")

from searching import PLANE, Formula

from augreg.recipe.search import Choice, Range, Study
from augreg.recipe.search.importance import importance
from augreg.recipe.search.pruning import first_pruned, halving, median
from augreg.recipe.search.samplers import SAMPLERS, grid, grid_counts, quasi_random, uniform
from augreg.recipe.search.trial import Trial

MIXED = {"x": Range(0.0, 1.0), "n": Range(1, 3, integer=True), "c": Choice(("a", "b"))}


def values(name: str, total: int, space: dict = MIXED, seed: int = 0) -> list[tuple]:  # type: ignore[type-arg]
    points = [SAMPLERS[name](space, number, total, seed) for number in range(total)]
    return [tuple(each.value(unit) for each, unit in zip(space.values(), p, strict=True)) for p in points if p]


def test_a_grid_of_nine_has_three_values_of_each_and_the_ends() -> None:
    found = values("grid", 9, PLANE)
    assert set(found) == {(x, y) for x in (-1.0, 0.0, 1.0) for y in (1e-3, 1e-1, 1e1)} and len(found) == 9


def test_a_grid_has_each_value_of_a_choice_once_and_never_too_many_points() -> None:
    found = values("grid", 20)
    assert grid_counts(MIXED, 20) == [3, 3, 2] and len(set(found)) == len(found) == 18
    assert {row[1:] for row in found} == {(n, c) for n in (1, 2, 3) for c in "ab"}
    assert values("grid", 1) == [(0.5, 2, "a")] and grid(MIXED, 18, 20, 0) is None


@given(st.integers(1, 60), st.integers(1, 4))
def test_a_grid_cannot_be_refined_within_its_budget(total: int, size: int) -> None:
    counts = grid_counts({str(k): Range(0.0, 1.0) for k in range(size)}, total)
    assert math.prod(counts) <= total < math.prod(counts) // min(counts) * (min(counts) + 1)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_quasi_random_points_fill_every_stratum_once(seed: int) -> None:
    space = {str(k): Range(0.0, 1.0) for k in range(5)}
    points = [quasi_random(space, number, 0, seed) for number in range(32)]
    for column in zip(*points, strict=True):  # what makes a Sobol sequence one, scrambled or not
        assert sorted(int(unit * 32) for unit in column) == list(range(32))
    assert quasi_random(space, 3, 0, seed) != quasi_random(space, 3, 0, seed + 1)


def test_random_points_are_uniform_and_depend_on_their_number_only() -> None:
    points = [uniform(PLANE, number, 0, 0) for number in range(2000)]
    assert points[7] == uniform(PLANE, 7, 99, 0) != uniform(PLANE, 7, 99, 1)
    for column in zip(*points, strict=True):
        assert sum(column) / 2000 == pytest.approx(0.5, abs=4 * math.sqrt(1 / 12 / 2000))
        assert sum(unit < 0.1 for unit in column) / 2000 == pytest.approx(0.1, abs=4 * math.sqrt(0.09 / 2000))


def test_the_median_rule() -> None:
    others = [[0.1, 0.2], [0.3, 0.1], [0.2, 0.5], [0.4, 0.4], [0.0]]
    assert median([0.19], others) and not median([0.2], others)  # of 0.1, 0.3, 0.2, 0.4, 0.0
    two = [*others[:4], [0.1, 0.1]]  # the best up to epoch 2 are 0.2, 0.3, 0.5, 0.4, 0.1
    assert median([0.1, 0.29], two) and not median([0.1, 0.3], two) and not median([0.35, 0.1], two)
    assert not median([0.0], others[:4])  # too few to compare with


def test_halving_looks_at_epochs_1_3_9_only() -> None:
    others = [[value] * 9 for value in (0.1, 0.2, 0.3, 0.4, 0.5)]
    assert halving([0.35], others) and not halving([0.45], others)  # the best third of six are two
    assert not halving([0.0, 0.0], others) and halving([0.0] * 3, others) and not halving([0.0] * 4, others)
    assert not halving([0.0], others[:4])  # too few to compare with


def test_what_is_pruned_when() -> None:
    others = [[0.5, 0.6, 0.7]] * 5
    assert first_pruned([0.6, 0.1, 0.1], others, "none", 9) is None
    assert first_pruned([0.5, 0.5, 0.5], others, "median", 9) == 2
    assert first_pruned([0.6, 0.6, 0.6], others, "median", 3) is None  # its last epoch prunes nothing
    assert first_pruned([math.nan, 0.9], others, "median", 9) == 1


def rows(*pairs: tuple[dict[str, object], float | None]) -> list[Trial]:
    return [
        Trial(number, parameters, "failed" if value is None else "complete", value)
        for number, (parameters, value) in enumerate(pairs)
    ]


def test_importance_finds_what_matters_also_where_the_best_is_in_the_middle() -> None:
    space = {"x": Range(-1.0, 1.0), "c": Choice(("a", "b"))}
    points = [(x / 10 - 1, "ab"[x % 2]) for x in range(21)]
    trials = rows(*(({"x": x, "c": c}, -(x**2)) for x, c in points))
    found = importance(space, trials, maximize=True)
    assert found["x"] > 0.9 and found["c"] < 0.05
    by_choice = importance(space, rows(*(({"x": x, "c": c}, float(c == "a")) for x, c in points)), maximize=True)
    assert by_choice["c"] == pytest.approx(1) and by_choice["x"] < 0.1
    assert importance(space, trials[:2], maximize=True) == {"x": 0.0, "c": 0.0}


def test_a_trial_that_failed_is_the_worst_for_importance() -> None:
    space = {"x": Range(0.0, 1.0)}
    trials = rows(*(({"x": x / 10}, None if x > 6 else 0.5) for x in range(11)))
    for maximize in (True, False):
        assert importance(space, trials, maximize)["x"] > 0.5


def test_importance_is_about_ranks() -> None:
    space = {"x": Range(0.0, 1.0)}
    trials = rows(*(({"x": x / 10}, math.exp(5 * x)) for x in range(11)))
    assert importance(space, trials, maximize=True)["x"] == pytest.approx(1)


@pytest.mark.parametrize("maximize", [True, False])
def test_tpe_comes_nearer_than_random_points(maximize: bool) -> None:
    pytest.importorskip("optuna")
    sign = 1 if maximize else -1

    def formula(parameters: dict) -> float:  # type: ignore[type-arg]
        return -sign * ((parameters["x"] - 0.3) ** 2 + (0 if parameters["c"] == [1, 2] else 1))

    space = {"x": Range(-1.0, 1.0), "c": Choice(([1, 2], [3, 4], [5, 6]))}
    study = Study(Formula(formula, 1, maximize), space, 40, sampler="tpe").run()
    last = [trial.parameters for trial in study.trials[20:]]
    assert sum(each["c"] == [1, 2] for each in last) > 12  # a third by chance
    assert sum(abs(each["x"] - 0.3) < 0.3 for each in last) > 11  # three tenths by chance
    again = Study(Formula(formula, 1, maximize), space, 40, sampler="tpe").run()
    assert [trial.parameters for trial in again.trials] == [trial.parameters for trial in study.trials]
