"""`make versions` runs the suite on the lowest versions that pyproject.toml allows, and no others."""

from __future__ import annotations

import importlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from augreg import SpecError

ROOT = Path(__file__).parent.parent


def test_the_lowest_versions_are_those_of_pyproject() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = {}
    optional = [requirement for name in ("torch", "fast", "testing", "plots") for requirement in extras[name]]
    for requirement in [*project["dependencies"], *optional]:
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


PYTHON = """#!/bin/sh
case "$*" in
    "-m venv "*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
    *"install"*" $FAILS"*) exit 1 ;;
esac
echo "python $*"
"""


@pytest.mark.parametrize(
    ("fails", "setting", "status", "stamp", "says"),
    [
        ("nothing", "NO_TORCH=", 0, "with-torch.stamp", "lightning"),
        ("torchdata", "NO_TORCH=", 0, None, "LEFT OUT: the tests with torchdata and lightning"),
        ("torch", "NO_TORCH=", 2, None, "`make versions NO_TORCH=1` leaves its tests out"),
        ("torch", "NO_TORCH=1", 0, "without-torch.stamp", "-m pytest"),
        ("--editable", "NO_TORCH=1", 2, None, "-m venv"),
    ],
)
def test_what_cannot_be_installed_is_said_and_tried_again(
    tmp_path: Path, fails: str, setting: str, status: int, stamp: str | None, says: str
) -> None:
    """With a Python that only makes environments of itself; `$FAILS` cannot be installed."""
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    for name in ("Makefile", "pyproject.toml", "constraints-lowest.txt"):
        shutil.copy(ROOT / name, tmp_path / name)
    python = tmp_path / "python"
    python.write_text(PYTHON)
    python.chmod(0o755)
    command = ["make", "versions", f"LOWEST={python}", setting]
    environment = {**os.environ, "FAILS": fails}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stderr
    assert says in done.stdout and ("-m pytest" in done.stdout) == (status == 0)
    assert [path.name for path in tmp_path.glob(".venv-versions/*.stamp")] == ([stamp] if stamp else [])


# Annotations that are not evaluated where they are written: the rule from Python 3.14 on.
LAZY = "" if sys.version_info >= (3, 14) else "from __future__ import annotations\n"


@pytest.fixture
def lazily(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Any]]:
    """A function that imports this code as the module `lazily`."""

    def load(code: str) -> Any:
        (tmp_path / "lazily.py").write_text(LAZY + code)
        return importlib.import_module("lazily")

    monkeypatch.syspath_prepend(tmp_path)
    yield load
    sys.modules.pop("lazily", None)


def test_annotations_of_methods_may_name_what_only_type_checkers_import(lazily: Callable[[str], Any]) -> None:
    code = """
from augreg import transform
@transform("warmth", kind="color")
class Warmth:
    \"\"\"Does nothing.\"\"\"
    amount: float | None = 0.5
    def sample(self, rng: Generator, scene: Scene) -> Sequence[Op]:
        return ()
"""
    assert lazily(code).Warmth(amount=0.25).amount == 0.25


def test_an_annotation_of_a_field_that_cannot_be_read_is_refused_by_name(lazily: Callable[[str], Any]) -> None:
    code = """
from augreg import transform
@transform("warmth", kind="color")
class Warmth:
    \"\"\"Does nothing.\"\"\"
    amount: Amount = 0.5
    def sample(self, rng, scene):
        return ()
"""
    with pytest.raises(
        SpecError, match=r"^lazily.Warmth: an annotation cannot be read: name 'Amount' is not defined"
    ):
        lazily(code)


def test_annotations_of_a_block_may_name_what_only_type_checkers_import(lazily: Callable[[str], Any]) -> None:
    pytest.importorskip("torch")
    code = """
from torch import nn
class One(nn.Module):
    def forward(self, x: Image) -> Image:
        return x
class Two(One):
    def forward(self, x: Image, mask: Mask | None = None) -> Image:
        return x
"""
    blocks = lazily(code)
    from augreg.attachment.residual import takes_several_inputs

    assert [takes_several_inputs(block()) for block in (blocks.One, blocks.Two)] == [False, True]
