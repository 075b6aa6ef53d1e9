"""Steps 4 and 5: the coarse and the fine search, and ranges that follow the results."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")

import torch
from searching import PLANE, Formula, images, iris

import augreg.recipe
from augreg.errors import SpecError
from augreg.recipe import Result, coarse_search, fine_search
from augreg.recipe.recipe_steps import STEPS
from augreg.recipe.search import Choice, Range, Study, default_space, with_values
from augreg.recipe.search.borders import Border, borders, good_trials, narrowed
from augreg.recipe.search.search_result import search_result
from augreg.recipe.search.widening import run_and_widen

LOW = {"learning_rate": "log [1e-6, 1e-5]", "model[0].dropout.p": [0.0, 0.3]}


@pytest.fixture(scope="module")
def coarse() -> Result:
    return coarse_search(images(), LOW, trials=8, epochs=2, pruner="none")


def test_a_best_value_at_the_border_says_so_and_widens(coarse: Result) -> None:
    found = coarse.evidence
    assert found["widened"] == ["learning_rate: log [1e-05, 0.0001]", "learning_rate: log [0.0001, 0.001]"]
    assert len(found["trials"]) == 8 + 4 + 4
    assert found["space"]["learning_rate"] == {"low": 1e-6, "high": 1e-3, "log": True, "integer": False}
    assert coarse.verdict == "warning" and [cause.name for cause in coarse.causes] == ["best at the border"]
    assert coarse.causes[0].remedy == "search learning_rate beyond it: log [0.001, 0.01]"
    assert found["at the border"] == {"learning_rate": "high"}
    assert found["importance"]["learning_rate"] > 0.5 > found["importance"]["model[0].dropout.p"]


def test_the_result_has_what_the_page_draws_and_is_plain_data(coarse: Result) -> None:
    found = coarse.evidence
    assert json.loads(json.dumps(coarse.as_dict(), allow_nan=False)) == coarse.as_dict()
    assert Result.from_dict(coarse.as_dict()) == coarse
    best = found["trials"][found["trial"]]
    assert best["parameters"] == found["best"] and best["value"] == found["value"]
    assert found["value"] == max(trial["value"] for trial in found["trials"]) and found["maximize"] is True
    by_trial, by_rate = coarse.charts
    assert len(by_trial.x) == 16 and by_trial.lines["best so far"][-1] == found["value"]
    assert by_rate.x_label == "learning_rate" and by_rate.log_x and "pruned" not in by_rate.lines
    assert (
        sorted(by_rate.x)
        == list(by_rate.x)
        == sorted(each["parameters"]["learning_rate"] for each in found["trials"])
    )
    assert by_rate.lines["complete"][by_rate.x.index(found["best"]["learning_rate"])] == found["value"]


def test_pruned_trials_are_points_of_their_own() -> None:
    study = Study(Formula(), {**PLANE, "kind": Choice((1, 2))}, 16).run()
    result = search_result("coarse search", study, {}, "")
    count = result.evidence["states"]["pruned"]
    assert count > 0 and [chart.points for chart in result.charts] == [("complete", "pruned")] * 2
    for chart in result.charts:
        pruned, complete = (sum(value is not None for value in chart.lines[name]) for name in ("pruned", "complete"))
        assert (pruned, complete) == (count, 16 - count)
    choices = Study(Formula(lambda _: 1.0), {"kind": Choice((1, 2))}, 2).run()
    assert [chart.x_label for chart in search_result("coarse search", choices, {}, "").charts] == ["trial"]


def test_the_result_prints_the_best_and_not_every_trial(coarse: Result) -> None:
    text = str(coarse)
    assert len(text.splitlines()) < 30 and max(map(len, text.splitlines())) <= 100
    assert "\n  trials: 16\n" in text and "\n  space: learning_rate, model[0].dropout.p\n" in text
    assert "\n  states: complete 16, pruned 0, failed 0\n" in text and "{" not in text


def test_the_best_values_make_a_task_that_trains_to_the_same_value(coarse: Result) -> None:
    run = augreg.recipe.fit(with_values(images(), coarse.evidence["best"]), 2)
    assert run.last("validation metric") == coarse.evidence["value"]


def test_nothing_is_widened_if_it_may_not_be() -> None:
    found = coarse_search(images(), LOW, trials=6, epochs=1, widen=0)
    assert found.evidence["widened"] == [] and len(found.evidence["trials"]) == 6
    assert found.verdict == "warning"


def test_the_fine_search_begins_with_the_best_and_stays_near(coarse: Result) -> None:
    fine = fine_search(images(), Result.from_dict(coarse.as_dict()), trials=4, epochs=3, widen=0)
    assert fine.step == "fine search" and fine.evidence["trials"][0]["parameters"] == coarse.evidence["best"]
    space = fine.evidence["space"]
    assert 1e-5 <= space["learning_rate"]["low"] < coarse.evidence["best"]["learning_rate"]
    for trial in fine.evidence["trials"]:
        for path, value in trial["parameters"].items():
            assert space[path]["low"] <= value <= space[path]["high"]
    assert fine_search(images(), coarse.evidence, trials=4, epochs=3, widen=0) == fine


def test_a_search_in_a_folder_goes_on_and_changes_nothing_outside(tmp_path: Path, coarse: Result) -> None:
    state = torch.get_rng_state()
    calls: list[tuple[int, int]] = []
    options: dict[str, Any] = {"trials": 8, "epochs": 2, "pruner": "none", "folder": tmp_path / "search"}

    def progress(done: int, total: int) -> None:
        calls.append((done, total))
        if len(calls) == 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        coarse_search(images(), LOW, progress=progress, **options)
    assert calls == [(k, 8) for k in range(1, 9)] + [(9, 12), (10, 12)]
    assert coarse_search(images(), LOW, **options) == coarse
    assert torch.equal(torch.get_rng_state(), state)
    assert [each.name for each in tmp_path.iterdir()] == ["search"]


def test_a_search_in_which_every_trial_fails() -> None:
    found = coarse_search(iris(optimizer=torch.optim.SGD), {"learning_rate": "log [1e18, 1e20]"}, trials=2, epochs=1)
    assert found.verdict == "fail" and found.causes[0].name == "no trial succeeded"
    assert "the loss is nan" in found.causes[0].because
    with pytest.raises(ValueError, match="no trial of the coarse search succeeded"):
        fine_search(iris(), found)


def test_errors_of_a_space_come_before_any_training() -> None:
    def never() -> Any:
        raise AssertionError

    with pytest.raises(SpecError, match="did you mean 'weight_decay'"):
        coarse_search(iris(model=never), {"weight_decy": [0, 1]})


def row(value: float | None, **parameters: Any) -> dict[str, Any]:
    return {"parameters": parameters, "value": value, "state": "failed" if value is None else "complete"}


def test_good_trials_are_the_best_fourth_and_at_least_three() -> None:
    rows = [row(value / 100, x=value) for value in range(40)] + [row(None, x=0)]
    assert [each["parameters"]["x"] for each in good_trials(rows, maximize=True)] == list(range(39, 29, -1))
    assert [each["parameters"]["x"] for each in good_trials(rows, maximize=False)] == list(range(10))
    assert len(good_trials(rows[:5], maximize=True)) == 3
    equal = [{**row(0.5, x=loss), "loss": loss} for loss in (3, 1, 2, 4)]
    for maximize in (True, False):
        assert [each["loss"] for each in good_trials(equal, maximize)] == [1, 2, 3]


@pytest.mark.parametrize(
    ("path", "each", "values", "expected"),
    [
        ("weight_decay", Range(1e-3, 1e-1, log=True), [0.09, 0.08, 0.05], Border("high", Range(0.1, 1.0, log=True))),
        ("weight_decay", Range(1e-3, 1e-1, log=True), [0.001, 0.002], Border("low", Range(1e-4, 1e-3, log=True))),
        ("weight_decay", Range(0.0, 0.1), [0.0, 0.01], Border("low", None)),  # it cannot be negative
        ("weight_decay", Range(0.02, 0.1), [0.02, 0.03], Border("low", Range(0.0, 0.02))),
        ("model[0].dropout.p", Range(0.0, 0.5), [0.5, 0.45], Border("high", Range(0.5, 0.75))),
        ("model[0].dropout.p", Range(0.5, 0.9), [0.89, 0.9], Border("high", Range(0.9, 1.0))),  # 1.1 is too much
        ("model[0].dropout.p", Range(0.0, 1.0), [1.0, 0.9], Border("high", None)),
        ("batch_size", Range(16, 32, integer=True), [32, 30], Border("high", Range(32, 40, integer=True))),
        ("weight_decay", Range(0.0, 0.1), [0.1, 0.01, 0.02], None),  # the others are elsewhere
        ("weight_decay", Range(0.0, 0.1), [0.08, 0.1, 0.09], None),  # the best one is not at the border
        ("batch_size", Choice((16, 32)), [32, 32], None),
    ],
)
def test_borders(path: str, each: Any, values: list[Any], expected: Border | None) -> None:
    rows = [row(1.0, **{path: value}) for value in values]
    assert borders(images(), {path: each}, rows[0], rows).get(path) == expected


def test_the_part_of_the_space_around_the_good_trials() -> None:
    space = {
        "rate": Range(1e-4, 1.0, log=True),
        "wide": Range(0.0, 1.0),
        "n": Range(1, 3, integer=True),
        "kind": Choice(("a", "b", "c")),
        "fixed": Choice((1, 2)),
    }
    rows = [
        row(0.9, rate=1e-2, wide=0.5, n=2, kind="a", fixed=2),
        row(0.8, rate=1e-3, wide=0.02, n=2, kind="c", fixed=2),
        row(0.8, rate=2e-2, wide=0.99, n=2, kind="a", fixed=2),
    ]
    small, fixed = narrowed(space, rows[0], rows)
    rate = small["rate"]
    assert (
        isinstance(rate, Range) and rate.low == pytest.approx(1e-3) and rate.high == pytest.approx(10**-1.4, rel=1e-3)
    )
    assert small["wide"] == space["wide"] and small["n"] == Range(1, 3, integer=True)  # 2 alone is no range
    assert small["kind"] == Choice(("a", "c")) and fixed == {"fixed": 2}


def test_widening_stops_where_the_best_is_inside() -> None:
    objective = Formula(lambda parameters: -abs(parameters["weight_decay"] - 0.3), 1)
    study = Study(objective, {"weight_decay": Range(1e-4, 1e-1, log=True)}, 8)
    assert run_and_widen(iris(), study, 5, None) == {}
    assert [each.reason for each in study.rounds] == ["", "weight_decay: log [0.1, 1]"]
    assert study.best is not None and 0.1 < study.best.parameters["weight_decay"] < 1


def test_both_searches_are_steps_of_the_recipe(tmp_path: Path) -> None:
    settings: dict[str, dict[str, Any]] = {
        "coarse search": {"space": {"learning_rate": "log [1e-3, 1e-1]"}, "trials": 4, "epochs": 1},
        "fine search": {"trials": 3, "epochs": 2},
        "curves": {"epochs": 2},
    }
    report = augreg.recipe.run(iris(), tmp_path, steps=[4, 5, 6], settings=settings)
    best = report["fine search"].evidence["best"]["learning_rate"]
    tuned = augreg.recipe.run(iris(learning_rate=best), steps=[6], settings=settings)
    assert report["curves"] == tuned["curves"]
    again = augreg.recipe.run(iris(), tmp_path, steps=[4, 5, 6], settings=settings)
    assert again.as_dict() == report.as_dict()
    assert (tmp_path / "4-coarse-search/trials.jsonl").is_file()


def test_without_validation_data_nothing_is_searched() -> None:
    report = augreg.recipe.run(iris(validation=None), steps=[4, 5])
    assert [result.verdict for result in report.results.values()] == ["warning"] * 2
    assert "no validation data" in report["coarse search"].summary


def test_the_rate_of_step_3_is_where_the_search_begins() -> None:
    rate = Result("learning rate", "pass", "", {"range": [1e-2, 1e-1]})
    found = coarse_search(iris(), rate=rate, trials=2, epochs=1, widen=0)
    expected = default_space(iris(), rate)
    assert found.evidence["space"] == {path: each.as_dict() for path, each in expected.items()}
    assert [step.number for step in STEPS] == [1, 2, 3, 4, 5, 6, 7]
