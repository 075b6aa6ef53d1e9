"""What the documents say is true: their Python runs, their links lead somewhere."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser

ROOT = Path(__file__).parents[1]
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    ROOT / "bench/README.md",
]
WITH_CODE = [path for path in DOCUMENTS if "```python" in path.read_text()]


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", WITH_CODE, ids=name)
def test_python_blocks_run(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks run in order in one namespace, in a scratch folder with a `photo.jpg`."""
    shutil.copy(ROOT / "gallery/photos/chelsea.jpg", tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    document = Sybil(parsers=[PythonCodeBlockParser()], path=str(ROOT)).parse(path)
    examples = list(document.examples())
    assert examples
    for example in examples:
        example.evaluate()


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", path.read_text()):
        if not target.startswith(("http:", "https:")):
            assert (path.parent / target).exists(), f"{name(path)} links to {target}"


def test_the_readme_shows_what_the_plan_really_prints() -> None:
    import augreg

    text = (ROOT / "README.md").read_text()
    plan = str(
        augreg.Pipeline.from_spec(
            {**augreg.Pipeline.from_spec("imagenet").to_spec(), "backend": "opencv"}
        ).train.plan((375, 500), index=7, epoch=2)
    )
    for line in plan.splitlines()[:-1]:
        assert f"    {line}\n" in text
