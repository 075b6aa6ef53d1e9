"""docs/examples/expectation.py runs, and the tables in docs/expectation.md are tables that it makes."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")

DOCS = Path(__file__).parents[1] / "docs"
LINEAR, DEEP, DROP_CONNECT = (
    "one linear layer, dropout 0.5 on its input",
    "five layers with ReLU, dropout 0.5 on each hidden layer",
    "three layers with ReLU, DropConnect 0.5",
)


def tables(text: str) -> dict[str, dict[str, list[str]]]:
    """The tables of the example, by the first cell of their heads: the cells of each row by its first cell."""
    found: dict[str, dict[str, list[str]]] = {}
    rows: dict[str, list[str]] = {}
    for line in text.splitlines():
        if not line.startswith("|") or line.startswith("|---"):
            continue
        first, *cells = [cell.strip() for cell in line.strip("|").split("|")]
        if cells[0] == "logits" or first == "views":
            rows = found[first] = {}
        elif len(cells) in (3, 4):
            rows[re.sub(r"\d+ draws", "draws", first)] = cells
    return found


@pytest.mark.soak
def test_a_short_run_makes_the_tables_of_the_page() -> None:
    command = [sys.executable, str(DOCS / "examples/expectation.py"), "--images", "10", "--draws", "16"]
    done = subprocess.run([*command, "--epochs", "1"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    made, shown = tables(done.stdout), tables((DOCS / "expectation.md").read_text())
    assert set(made) == {LINEAR, DEEP, DROP_CONNECT, "views"}
    assert {name: list(rows) for name, rows in made.items()} == {name: list(shown[name]) for name in made}


def test_the_page_shows_what_its_text_says() -> None:
    shown = tables((DOCS / "expectation.md").read_text())
    logits = {
        name: {rule: float(cells[0]) for rule, cells in shown[name].items()} for name in (LINEAR, DEEP, DROP_CONNECT)
    }
    own = "mean of draws: its own error"
    assert logits[LINEAR]["weight scaling"] < 1.5 * logits[LINEAR][own]  # exact
    assert logits[DEEP]["weight scaling"] > 5 * logits[DEEP][own]  # off
    assert logits[DROP_CONNECT]["moments, one pass"] < logits[DROP_CONNECT]["weight scaling"]
    for count in ("5 views", "9 views"):
        change, error = map(float, shown["views"][count][1].split(" ± "))
        assert change < 2 * error
