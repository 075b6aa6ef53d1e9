"""`make versions` runs the suite on the lowest versions that pyproject.toml allows, and no others."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_the_lowest_versions_are_those_of_pyproject() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = {}
    for requirement in [*project["dependencies"], *extras["torch"], *extras["fast"], *extras["testing"]]:
        name, _, least = requirement.partition(">=")
        wanted[name] = least
    lines = (ROOT / "constraints-lowest.txt").read_text().splitlines()
    found = dict(line.split("==") for line in lines if not line.startswith("#"))
    assert found.keys() == wanted.keys()
    for name, version in found.items():
        # 4.9 allows 4.9.0.80, the first that was published
        assert re.fullmatch(rf"{re.escape(wanted[name])}(\.0)*(\.\d+)?", version), name


def test_the_lowest_python_is_that_of_the_make_target() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["requires-python"] == ">=3.11"
    assert "LOWEST ?= python3.11" in (ROOT / "Makefile").read_text()
