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
from augreg.recipe.page_plots import best_so_far, chart_plot, comparison_plot, trial_plots

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
    "best": {"learning_rate": 1e-3},
    "trials": TRIALS,
    "importance": {"learning_rate": 0.9, "model[0].dropout.p": 0.1},
    "comparison": {"grid": [0.2, 0.1, 0.6], "random": [0.5, None, 0.7]},
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
    for words in ("learning rate: pass. the best is 0.007.", "curves: fail. it overfits.", "advice: not run"):
        assert words in sections["verdicts"]
    assert "Next: regularize." in sections["verdicts"]  # of the step that failed
    assert "overfitting: a gap. What to do: regularize." in sections["curves"]
    assert "<td>0.007</td>" in sections["learning-rate"] and "rates" not in re.findall(r"<th[^>]*>(.*?)</th>", page)
    assert "digits &lt;1&gt;" in page and "digits <1>" not in page


def test_every_plot_is_there_once(page: str) -> None:
    counts = {name: text.count("<svg") for name, text in parts(page).items()}
    assert counts == {"verdicts": 0, "learning-rate": 1, "coarse-search": 4, "curves": 1}
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
    assert [plot.title for plot in plots] == ["accuracy by learning_rate", "accuracy by model[0].dropout.p"]
    assert "5 trials; the best has learning_rate 0.001." in plots[0].svg  # number 3 has 0.75
    lowest = list(trial_plots(TRIALS, "loss", "b", maximize=False))
    assert "the best has learning_rate 0.0001." in lowest[0].svg  # number 4 has 0
    assert not list(trial_plots(TRIALS[-1:], "loss", "b"))


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
