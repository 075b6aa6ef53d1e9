"""docs/coming-from-albumentations.md: its tables say what the importer does, and name every transform once."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/coming-from-albumentations.md"


def rows(part: str) -> list[list[str]]:
    """The cells of a table, without its head."""
    text = PAGE.read_text(encoding="utf-8").partition(f"<!-- table: {part} -->")[2].partition("<!-- end -->")[0]
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.strip().splitlines()[2:]]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, str(ROOT / "tools/coming_from_albumentations.py"), *arguments]
    return subprocess.run(
        command, env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True, check=False
    )


def test_the_tables_are_what_the_importer_does() -> None:
    """`python tools/coming_from_albumentations.py` writes them anew."""
    pytest.importorskip("albumentations")
    done = run("--check")
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_transform_is_in_the_tables() -> None:
    """The public classes of albumentations 2.0.8, without five that are only bases."""
    names = [row[0] for part in ("transforms", "containers") for row in rows(part)]
    assert len(names) == len({*names}) == 126
    albumentations = pytest.importorskip("albumentations")
    public = {name for name in vars(albumentations) if re.match(r"[A-Z]\w+$", name)}
    assert {*names} - public <= {"ToTensorV2", "ToTensor3D"}


def test_what_some_rows_say() -> None:
    """By hand, from the documentation of both libraries."""
    found = {row[0]: row[1:] for row in rows("transforms")}
    assert found["HorizontalFlip"] == ["`horizontal_flip`", ""]
    assert found["PadIfNeeded"][0] == "`pad_to`"
    assert found["ToTensorV2"][0] == "`output: torch`"
    assert "`crop_border=True`" in found["Rotate"][1]
    assert "Pillow encodes here" in found["ImageCompression"][1]
    assert found["Pad3D"][0].startswith("nothing")
