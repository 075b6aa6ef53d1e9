"""The page of a run of the recipe, and the JSON beside it."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

pytest.importorskip("matplotlib")

from augreg.recipe import Cause, Chart, Report, Result
from augreg.recipe.page import recipe_page
from augreg.recipe.page_plots import best_so_far, chart_plot, comparison_plot, importance_plot, trial_plots

RATES = Chart(
    (1e-4, 1e-3, 1e-2, 0.1), {"loss": (2.0, 1.0, 0.5, None)}, "learning rate", "loss", True, (2e-3, 3e-2), 7e-3
)
CURVES = Chart((0.0, 1.0, 2.0), {"train": (2.3, 1.0, 0.1), "validation": (2.3, 1.2, 1.1)}, "epoch", "loss")
TRIALS: list[dict[str, Any]] = [
    {"number": n, "parameters": {"learning_rate": 10.0**-n, "model[0].dropout.p": 0.1 * n}, "value": n % 4 / 4}
    for n in range(1, 6)
]
TRIALS.append({"number": 6, "parameters": {"learning_rate": 1.0, "model[0].dropout.p": 0.5}, "value": None})
SEARCH = {
    "objective": "validation accuracy",
    "maximize": True,
    "best": {"learning_rate": 1e-3, "image[0].normalize.mean": [0.5]},
    "trials": TRIALS,
    "importance": {"learning_rate": 0.9, "model[0].dropout.p": 0.1},
    "comparison": {"grid": [0.2, 0.1, 0.6], "random": [0.5, None, 0.7]},
    "space": {
        "learning_rate": {"low": 1e-6, "high": 1.0, "log": True, "integer": False},
        "model[0].dropout.p": {"low": 0.0, "high": 0.5, "log": False, "integer": False},
    },
    "at the border": {"learning_rate": "low"},
    "widened": ["learning_rate: log [1e-06, 1e-05]"],
    "states": {"complete": 4, "pruned": 1, "failed": 1},
    "sampler": "grid",
    "epochs": 3,
    "trial": 3,
}
OVERFITTING = (Cause("overfitting", "a gap", "regularize"),)
STEPS = (
    Result("learning rate", "pass", "the best is 0.007", {"rate": 7e-3, "rates": [1.0]}, (), "go on", (RATES,)),
    Result("coarse search", "pass", "the best has 0.75", SEARCH),
    Result("curves", "fail", "it overfits", {"gap": 0.2}, OVERFITTING, "regularize", (CURVES,)),
)
REPORT = Report("digits <1>", {result.step: result for result in STEPS}, ("advice",))


@pytest.fixture(scope="module")
def page() -> str:
    return recipe_page("digits <1>", STEPS, ("advice",))


def parts(page: str) -> dict[str, str]:
    """The sections by their anchors."""
    return dict(re.findall(r'<section class="part" id="([^"]+)"(.*?)</section>', page, re.DOTALL))


def test_verdicts_come_first_and_each_step_has_a_section(page: str) -> None:
    sections = parts(page)
    assert list(sections) == ["verdicts", "learning-rate", "coarse-search", "curves"]
    verdicts = re.findall(r'<li>(?:<b class="word (\w+)">(\w+)</b> )?(.*?)</li>', sections["verdicts"])
    assert verdicts == [
        ("good", "pass", "learning rate: the best is 0.007."),
        ("good", "pass", "coarse search: the best has 0.75."),
        ("bad", "fail", "curves: it overfits."),
        ("", "", "advice: not run"),
    ]
    assert "Next: regularize." in sections["verdicts"]  # of the step that failed
    assert "overfitting: a gap. What to do: regularize." in sections["curves"]
    assert "<td>0.007</td>" in sections["learning-rate"] and "rates" not in re.findall(r"<th[^>]*>(.*?)</th>", page)
    assert "digits &lt;1&gt;" in page and "digits <1>" not in page


def test_a_search_has_a_table_of_its_parameters(page: str) -> None:
    section = parts(page)["coarse-search"]
    cells = re.findall(r"<t[hd](?: [^>]*)?>([^<]*)</t[hd]>", section)
    assert cells == [
        *("parameter", "best", "searched", "importance"),
        *("learning_rate", "0.001 (at the low end)", "log [1e-06, 1]", "0.90"),
        *("model[0].dropout.p", "none", "[0, 0.5]", "0.10"),
        *("image[0].normalize.mean", "[0.5]", "not searched again", ""),
    ]
    assert "Trials: 4 complete, 1 pruned, 1 failed; up to 3 epochs each, chosen by grid" in section
    assert "more were added: learning_rate: log [1e-06, 1e-05]</li>" in section


def test_a_search_of_nothing_and_one_that_shows_no_importance() -> None:
    nothing = Result("coarse search", "warning", "no data", {"best": {}})
    unclear = Result("fine search", "pass", "", {**SEARCH, "importance": dict.fromkeys(SEARCH["importance"], 0.0)})
    sections = parts(recipe_page("x", [nothing, unclear], ()))
    assert "<td>none</td>" in sections["coarse-search"] and "<svg" not in sections["coarse-search"]
    assert "Importance" not in sections["fine-search"] and sections["fine-search"].count("<svg") == 4
    assert "1.0" in ticks(importance_plot({"a": 0.2}, "i").svg)  # the axis is that of all


def test_every_plot_is_there_once(page: str) -> None:
    counts = {name: text.count("<svg") for name, text in parts(page).items()}
    assert counts == {"verdicts": 0, "learning-rate": 1, "coarse-search": 5, "curves": 1}
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert "<script" not in page and "http-equiv" in page
    assert set(re.findall(r'(?:src|href)="([^"#]+)', page)) == {"data:,"}


def paths(svg: str, words: str) -> int:
    """How many elements of the SVG have this in their class."""
    return sum(words in (each.get("class") or "") for each in ElementTree.fromstring(svg).iter())


def test_the_interval_and_the_marked_rate_are_drawn() -> None:
    plot = chart_plot(RATES, "a", "Loss")
    plain = chart_plot(Chart(RATES.x, RATES.lines, "learning rate", "loss", True), "a", "Loss")
    assert paths(plot.svg, "fill-accent") == paths(plain.svg, "fill-accent") + 1
    assert paths(plot.svg, "stroke-second") == paths(plain.svg, "stroke-second") + 1 == 1
    assert "Marked: 0.007. Shaded: 0.002 to 0.03." in plot.svg and "Marked" not in plain.svg


def test_trials_against_each_parameter() -> None:
    plots = list(trial_plots(TRIALS, "accuracy", "b"))
    assert [plot.title for plot in plots] == [
        "Accuracy by trial",
        "Accuracy by learning_rate",
        "Accuracy by model[0].dropout.p",
    ]
    assert "6 trials; the best is number 3, with 0.75." in plots[0].svg
    assert "6 trials; the best has learning_rate 0.001." in plots[1].svg
    lowest = list(trial_plots(TRIALS, "loss", "b", maximize=False))
    assert "the best has learning_rate 0.0001." in lowest[1].svg  # number 4 has 0
    given = list(trial_plots(TRIALS, "accuracy", "b", best=2))
    assert "the best has learning_rate 0.01." in given[1].svg
    assert not list(trial_plots(TRIALS[-1:], "loss", "b"))


def legend(svg: str) -> list[str]:
    """The kinds of trials that a plot has."""
    texts = [each.text for each in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]
    return [text for text in texts if text in ("best so far", "complete", "pruned", "far off", "failed", "best")]


def trial(number: int, value: float | None, state: str = "complete", **parameters: Any) -> dict[str, Any]:
    return {"number": number, "parameters": parameters or {"x": number}, "value": value, "state": state}


def test_trials_are_drawn_by_what_became_of_them() -> None:
    values = [0.5, 0.6, 0.7, 0.8, -3.0, 0.4, 0.5, 0.6]
    trials = [trial(number, value) for number, value in enumerate(values)]
    trials += [trial(8, 0.9, "pruned"), trial(9, None, "failed")]
    by_number, by_x = trial_plots(trials, "accuracy", "b")
    assert legend(by_x.svg) == ["complete", "pruned", "far off", "failed", "best"]
    assert legend(by_number.svg) == ["best so far", *legend(by_x.svg)]
    assert "the best has x 3." in by_x.svg  # a pruned one is not the best
    upside = [{**each, "value": each["value"] and -each["value"]} for each in trials]
    assert legend(list(trial_plots(upside, "loss", "b", maximize=False))[1].svg) == legend(by_x.svg)
    assert legend(list(trial_plots(trials[:4], "accuracy", "b"))[1].svg) == ["complete", "best"]
    equal = [trial(number, 0.9) for number in range(8)] + [trial(8, 0.1)]
    assert legend(list(trial_plots(equal, "accuracy", "b"))[1].svg) == ["complete", "best"]
    assert legend(list(trial_plots(trials[:1], "accuracy", "b"))[1].svg) == []


def test_trials_that_failed_are_below_all_others() -> None:
    trials = [trial(number, 0.9) for number in range(8)] + [trial(8, 0.1), trial(9, None, "failed")]
    plot = ElementTree.fromstring(list(trial_plots(trials, "accuracy", "b"))[1].svg)
    marks = [each for each in plot.iter() if "y" in each.attrib]
    failed, best = (  # of those in the plot, as the ones in the legend are below
        min(float(each.attrib["y"]) for each in marks if color in each.get("class", ""))
        for color in ("stroke-third", "fill-second")
    )
    assert failed > best + 50


def ticks(svg: str) -> list[str]:
    return [each.text or "" for each in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


def test_choices_have_their_names_and_log_ranges_a_log_axis() -> None:
    rows: list[tuple[Any, float]] = [([1], 0.1), ("b", 0.2)]
    trials = [trial(n, 5.0 + n, kind=kind, rate=rate) for n, (kind, rate) in enumerate(rows)]
    wide, narrow = ({"low": low, "high": 1.0, "log": True} for low in (1e-4, 0.1))
    choices = {"choices": ["a", [1], "b"]}

    def drawn(**space: Any) -> list[list[str]]:
        return [ticks(plot.svg) for plot in list(trial_plots(trials, "accuracy", "b", space=space))[1:]]

    by_kind, by_rate = drawn(kind=choices, rate=wide)
    assert by_kind[:3] == ["a", "[1]", "b"]
    assert by_rate[:2] == ["0.1", "rate"]
    assert drawn(rate=narrow)[1][:3] == ["0.1", "0.2", "rate"]
    numbers = list(trial_plots([trial(0, 1.0, n=16)], "accuracy", "b", space={"n": {"choices": [16, 128]}}))
    assert ticks(numbers[1].svg)[:2] == ["16", "128"]
    long = [trial(n, 1.0, kind=f"the long name {n}") for n in range(6)]
    assert "rotate(-30)" in list(trial_plots(long, "accuracy", "b"))[1].svg
    assert "rotate(-30)" not in list(trial_plots(trials, "accuracy", "b"))[1].svg
    by_kind, by_rate = drawn()
    assert by_kind[:3] == ["[1]", "b", "kind"]
    assert by_rate[:3] == ["0.10", "0.12", "0.14"]  # even


def test_points_are_not_joined_and_epochs_are_whole() -> None:
    lines = {"before": (0.5, 0.6), "best": (0.5, 0.6)}
    chart = Chart((1.0, 2.0), lines, "seed", "metric", points=("before",))
    assert "2" in ticks(chart_plot(chart, "a", "A").svg) and "1.5" not in ticks(chart_plot(chart, "a", "A").svg)
    result = Result("advice", "pass", "", charts=(chart,))
    assert Result.from_dict(json.loads(json.dumps(result.as_dict()))) == result
    (axes,) = result.plot().axes
    styles = [(line.get_linestyle(), line.get_marker()) for line in axes.lines]
    assert styles == [("None", "o"), ("-", "")]
    assert all(place.is_integer() for place in axes.get_xticks())


def test_text_with_lines_is_printed_with_them() -> None:
    printed = str(Result("advice", "pass", "", {"diff": "--- before\n+++ after", "best": {"x": 0.25}}))
    assert "  diff: --- before\n+++ after\n  best: x 0.25" in printed


def test_the_best_so_far() -> None:
    assert best_so_far([None, -0.5, -0.7, -0.2]) == [-math.inf, -0.5, -0.5, -0.2]
    assert best_so_far([0.5, None, 0.7, 0.2], maximize=False) == [0.5, 0.5, 0.5, 0.2]
    plot = comparison_plot({"grid": [0.2, 0.1, 0.6], "random": TRIALS}, "accuracy", "c")
    assert "best accuracy so far" in plot.svg and "grid" in plot.svg and "random" in plot.svg


def test_the_page_and_its_data_are_saved(tmp_path: Path, page: str) -> None:
    REPORT.save(tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == page
    data = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert Report.from_dict(data).as_dict() == REPORT.as_dict() == data
    with pytest.raises(ValueError, match="expected the name of an HTML page"):
        REPORT.save(tmp_path / "report.json")
