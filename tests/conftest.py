"""The Python blocks of README.md and docs/*.md are tests: they run in order, one namespace a document."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser

ROOT = Path(__file__).parents[1]


@pytest.fixture
def repository() -> Path:
    """The folder that holds the project."""
    return ROOT


def into_scratch(namespace: dict[str, object]) -> None:
    """Documents run in a folder of their own, with a photo at hand as `photo.jpg`."""
    import tempfile

    scratch = tempfile.TemporaryDirectory()
    photo = next((ROOT / "gallery" / "photos").glob("chelsea.*"))
    (Path(scratch.name) / "photo.jpg").write_bytes(photo.read_bytes())
    namespace["_scratch"] = scratch, Path.cwd()
    os.chdir(scratch.name)


def back(namespace: dict[str, object]) -> None:
    scratch, before = namespace["_scratch"]  # type: ignore[misc]
    os.chdir(before)
    scratch.cleanup()


pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser()],
    patterns=["README.md", "docs/*.md"],
    path=str(ROOT),
    setup=into_scratch,
    teardown=back,
).pytest()
