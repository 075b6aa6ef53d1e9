"""The example scripts of the docs run, and the tables that the docs show are tables that they make."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")

EXAMPLES = Path(__file__).parents[1] / "docs/examples"
ROWS = ["none", "augmentation", "mixup", "dropout", "DropConnect", "stochastic depth", "weight decay", "all"]
NUMBER = r"(-?\d+\.\d\d)(?: ± (\d+\.\d\d))?"


def run(*arguments: str) -> str:
    """What digits.py prints."""
    command = [sys.executable, str(EXAMPLES / "digits.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def table(text: str) -> tuple[str, dict[str, list[str]]]:
    """The head of the first Markdown table in a text, and the cells of its rows by the first one."""
    head, _, *rows = [line for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    return head, {row[0]: row[1:] for row in cells}


def numbers(cell: str) -> tuple[float, float | None]:
    """The mean in a cell, and the standard error if there is one."""
    found = re.fullmatch(NUMBER, cell)
    assert found, cell
    return float(found[1]), None if found[2] is None else float(found[2])


@pytest.fixture(scope="module")
def printed() -> str:
    return run("--seeds", "2", "--epochs", "3", "--images", "100")


def test_a_short_run_makes_a_row_for_each_regularization(printed: str) -> None:
    _, rows = table(printed)
    assert list(rows) == ROWS
    plain = numbers(rows["none"][2])[0]
    for name, (known, unseen, gap, change) in rows.items():
        training, test = numbers(known)[0], numbers(unseen)[0]
        assert 0 <= training <= 100 and 0 <= test <= 100
        assert numbers(gap)[0] == pytest.approx(training - test, abs=0.011)
        assert (
            (change == "")
            if name == "none"
            else numbers(change)[0] == pytest.approx(numbers(gap)[0] - plain, abs=0.011)
        )
        assert all(numbers(cell)[1] is not None for cell in (known, unseen, gap))  # two seeds give standard errors
    assert numbers(rows["none"][0])[0] > 40  # it learns: chance is 10
    assert len({tuple(cells) for cells in rows.values()}) == len(ROWS)  # and no row is the plain one once more


@pytest.mark.soak
def test_the_same_command_makes_the_same_table(printed: str) -> None:
    assert table(run("--seeds", "2", "--epochs", "3", "--images", "100")) == table(printed)


def test_the_page_has_the_rows_that_the_script_makes(printed: str) -> None:
    page = (EXAMPLES / "README.md").read_text()
    head, rows = table(page)
    assert (head, list(rows)) == (table(printed)[0], ROWS)
    for name, cells in rows.items():
        training, test, gap = (numbers(cell) for cell in cells[:3])
        assert gap[0] == pytest.approx(training[0] - test[0], abs=0.011)
        assert all(error is not None for _, error in (training, test, gap))
        if name != "none":
            assert numbers(cells[3])[0] == pytest.approx(gap[0] - numbers(rows["none"][2])[0], abs=0.021)
    versions = re.compile(r"augreg \S+ \(\w+\), torch \S+, scikit-learn \S+, Python \S+; \d+ s")
    assert versions.search(page) and versions.search(printed)
