"""docs/examples/search.py runs, its figures are right, and docs/recipe.md shows the table that it makes."""

from __future__ import annotations

import importlib
import math
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")
pytest.importorskip("optuna")
pytest.importorskip("matplotlib")

import torch

from augreg.recipe import fit
from augreg.recipe.search import Range, with_values

DOCS = Path(__file__).parents[1] / "docs"


@pytest.fixture
def search(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(DOCS / "examples"))
    for name in ("search", "search_plots"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return importlib.import_module("search")


def tables(text: str) -> dict[str, list[list[str]]]:
    """The rows of the tables of searches, by the name of the search; a page may have several tables."""
    found: dict[str, list[list[str]]] = {}
    inside = False
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")] if line.startswith("|") else []
        inside = bool(cells) and (inside or cells[:3] == ["search", "found", "trials"])
        if inside and cells[0] != "search" and not cells[0].startswith("-"):
            found.setdefault(cells[0], []).append(cells[1:])
    return found


def test_a_short_run_makes_the_table_and_the_plots(
    search: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = ["--data", "cancer", "--seeds", "1", "--trials", "2", "--epochs", "1", "--reference", "2", "--jobs", "1"]
    threads = torch.get_num_threads()
    search.main([*few, "--plots", str(tmp_path)])
    torch.set_num_threads(threads)
    made = tables(capsys.readouterr().out)
    assert list(made) == list(search.SEARCHES) == list(tables((DOCS / "recipe.md").read_text()))
    assert {path.name for path in tmp_path.iterdir()} == {"recipe-search.svg", "recipe-nine-trials.svg"}
    for name in ("recipe-search.svg", "recipe-nine-trials.svg"):
        assert (tmp_path / name).read_text().startswith("<?xml") and (DOCS / name).is_file()


@pytest.mark.parametrize("name", ["grid", "coarse, then fine", "Optuna alone"])
def test_trials_are_real_and_as_many_as_the_budget(search: ModuleType, name: str) -> None:
    found = search.search(name, 1, search.Setting("cancer", 4, 1))
    assert len(found.rows) == 4
    row = found.rows[3]
    run = fit(with_values(search.task("cancer", 1), row.parameters), 1)
    assert (row.accuracy, -row.minus_loss) == (run.last("validation metric"), run.last("validation loss"))
    assert found.best.accuracy == max(each.accuracy for each in found.rows) and 0 < found.test <= 1


def test_sides_of_the_data_share_no_sample(search: ModuleType) -> None:
    sides = [search.task("cancer", 0).train, search.task("cancer", 0).validation]
    sides.append(search.task("cancer", 0, test=True).validation)
    seen = [{tuple(row.tolist()) for row in side.dataset.tensors[0]} for side in sides]
    assert [len(each) for each in seen] == [250, 200, 119] and len(set.union(*seen)) == 569


def test_the_best_5_percent_are_those_within_the_range(search: ModuleType) -> None:
    inside = [search.Row(number / 100, 0.0, {"learning_rate": 0.1}) for number in range(40)]
    outside = [search.Row(0.9, 0.0, {"learning_rate": rate}) for rate in (1e-4, 10.0)]
    least = search.threshold([*outside, *inside], 1e-3, 1.0)
    assert least == (0.38, 0.0)  # 0.39 and 0.38, two of forty
    assert search.when_found(inside, least) == 39 and search.when_found(inside[:38], least) is None
    of_equals = [search.Row(0.5, -loss, {"learning_rate": 0.1}) for loss in (0.3, 0.1, 0.2)]
    assert search.threshold(of_equals, 1e-3, 1.0) == (0.5, -0.1)


def test_a_grid_of_midpoints(search: ModuleType) -> None:
    space = {"x": Range(0.0, 0.2), "y": Range(1e-4, 1.0, log=True)}
    found = search.of_midpoints(space, 6)  # three by two
    assert (found["x"].low, found["x"].high) == pytest.approx((0.2 / 6, 1 / 6), rel=1e-5)
    assert (found["y"].low, found["y"].high) == pytest.approx((1e-3, 1e-1)) and found["y"].log


def test_ranges_of_the_rate_are_four_decades_and_differ(search: ModuleType) -> None:
    found = [search.rates(seed) for seed in range(50)]
    assert all(math.log10(high / low) == pytest.approx(4, abs=0.01) for low, high in found)
    lows = [low for low, _ in found]
    assert min(lows) > 10**-4.51 and max(lows) < 10**-2.49 and max(lows) / min(lows) > 20


def test_means_have_intervals_and_wins_are_counted(search: ModuleType) -> None:
    mean, half = search.mean_and_interval(np.array([1.0, 2.0, 3.0]))
    assert (mean, half) == pytest.approx((2, 4.303 / math.sqrt(3)), abs=1e-3)  # Student's t with two degrees
    assert search.wins(np.array([3, 2, 1, 1]), np.array([1, 2, 2, 2])) == "1 / 1 / 2"


def test_the_page_shows_what_its_text_says(search: ModuleType) -> None:
    shown = {name: rows[0] for name, rows in tables((DOCS / "recipe.md").read_text()).items()}
    better, same, worse = map(int, shown["quasi-random"][4].split(" / "))
    assert better / (better + same + worse) >= 0.95
    better, same, worse = map(int, shown["quasi-random"][5].split(" / "))
    assert (better + same + worse, worse) == (40, 6)
    for name in ("quasi-random", "coarse, then fine", "tpe"):
        mean, half = map(float, shown[name][6].split(" ± "))
        assert abs(mean) < half and abs(mean) + half < 0.5
        gained = float(shown[name][2]) - float(shown["Optuna alone"][2])
        assert mean == pytest.approx(gained, abs=0.011)
    good = {name: float(cells[1]) for name, cells in shown.items()}
    assert good["quasi-random"] < good["Optuna alone"] <= good["coarse, then fine"]
    assert shown["grid of midpoints"][0] == "15 of 40"
