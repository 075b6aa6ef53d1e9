"""Writes docs/models.md: for each model and rule, what to write, how many sites that has, and what is left out.

.venv-clients/bin/python tests/clients/models_page.py
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

from attaching import Row, checked
from zoo import MODELS, Model

__all__ = ["PAGE", "heading", "page_rows"]

PAGE = Path(__file__).parents[2] / "docs/models.md"
_COLUMNS = "| rule | what to write | sites | note |\n| --- | --- | --- | --- |\n"
_INTRODUCTION = """# Tested models

What to write in a spec to attach every regularizer, activation and init to more than 40 models of torchvision, timm
and transformers. `make clients` builds each model with random weights and checks every row: the keys of the
`state_dict` and the outputs in evaluation stay the same, bit for bit, draws differ, copies and pickles draw the same,
and `detach` restores the model. `tests/clients/models_page.py` writes this page, and the tests check that it is
current. Some models have fewer or narrower blocks here than the originals, so that the tests are fast.

*Sites* is how many modules the rule is attached to, of how many that `at` selects. The note says why others were left
out, or, if nothing is written, why the rule is refused. [Regularize an existing model](attaching.md) explains `at`.
`not: head` (or whatever its name is) leaves out a classifier's last layer.
"""


def heading(model: Model) -> str:
    """The heading of a model on the page."""
    return f"{model.library}: {model.name}"


def section(model: Model, rows: list[Row]) -> str:
    """The part of the page on a model."""
    cells = [[rule, f"`{write}`" if write else "", sites, note] for rule, write, sites, note in rows]
    lines = [f"| {' | '.join(row)} |" for row in cells]
    return f"## {heading(model)}\n\n{_COLUMNS}" + "\n".join(lines) + "\n"


def page_rows(text: str) -> dict[str, list[list[str]]]:
    """The rows of each model on the page, by heading."""
    found = {}
    for part in text.split("\n## ")[1:]:
        title, _, rest = part.partition("\n")
        lines = [line for line in rest.splitlines() if line.startswith("| ")][2:]
        found[title] = [[cell.strip().strip("`") for cell in re.split(r" \| ", line[2:-2] + " ")] for line in lines]
    return found


if __name__ == "__main__":
    before = PAGE.read_text().split("\n## ")[1:] if PAGE.exists() else []
    known = {part.partition("\n")[0]: f"## {part.rstrip()}\n" for part in before}
    for each in MODELS:
        if len(sys.argv) == 1 or heading(each) not in known or any(name in str(each) for name in sys.argv[1:]):
            known[heading(each)] = section(each, checked(each))
            print(each, flush=True)
    PAGE.write_text("\n".join([_INTRODUCTION, *(known[heading(each)] for each in MODELS)]))
