"""The documents are right: their Python code runs, and the files that they show are current. Links: test_links.py."""

from __future__ import annotations

import contextlib
import inspect
import io
import re
import runpy
import shlex
from pathlib import Path

import pytest
from sybil import Example, Sybil
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser

from augreg.__main__ import main

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
DOCUMENTS = [
    README,
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    ROOT / "bench/README.md",
]
UPDATED = runpy.run_path(str(ROOT / "docs/include.py"))["updated"]
WITH_FILES = [path for path in DOCUMENTS if re.search("^<!-- (file|pages):", path.read_text(), re.MULTILINE)]
ELSEWHERE = [ROOT / "docs/trainers.md", ROOT / "docs/loaders/ray.md"]  # tests/clients runs their code
WITH_CODE = [path for path in DOCUMENTS if "```python" in path.read_text() and path not in ELSEWHERE]


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def run_console(example: Example) -> None:
    """Run the lines `$ augreg ..` of a block and compare what they print; `..` stands for what may differ."""
    commands = re.split(r"^\$ augreg ", example.parsed, flags=re.MULTILINE)
    assert not commands[0] and len(commands) > 1, "a console block begins with `$ augreg ..`"
    for command in commands[1:]:
        line, _, shown = command.partition("\n")
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            assert main(shlex.split(line)) == 0, line
        assert re.fullmatch(
            re.escape(shown.rstrip("\n")).replace(r"\.\.", "(?s:.*)"), printed.getvalue().rstrip("\n")
        )


def run_blocks(path: Path) -> None:
    parsers = [PythonCodeBlockParser(), CodeBlockParser("console", run_console)]
    document = Sybil(parsers=parsers, path=str(ROOT)).parse(path)
    examples = list(document.examples())
    assert examples
    for example in examples:
        example.evaluate()


SHORTER = {
    README: ("for seed in range(5)", "for seed in range(1)"),
    ROOT / "docs/first-model.md": ("epochs=60", "epochs=20"),
}
"""Trainings take most of the time: what the suite replaces in a page, and the long run does not."""


@pytest.mark.parametrize("path", [path for path in WITH_CODE if path not in SHORTER], ids=name)
def test_python_blocks_run(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks run in order in one namespace, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    run_blocks(path)


@pytest.mark.parametrize("whole", [False, pytest.param(True, marks=pytest.mark.soak)], ids=["short", "whole"])
@pytest.mark.parametrize("path", SHORTER, ids=name)
def test_pages_that_train_run(path: Path, whole: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text, (long, short) = path.read_text(), SHORTER[path]
    assert text.count(long) == 1
    copy = tmp_path / path.name
    copy.write_text(text if whole else text.replace(long, short))
    run_blocks(copy)


@pytest.mark.parametrize("path", WITH_FILES, ids=name)
def test_files_are_shown_as_they_are(path: Path) -> None:
    text = path.read_text()
    assert text == UPDATED(text), f"{name(path)} shows a file that has changed: run `make docs`"


def test_the_example_plugin_is_shown() -> None:
    shown = (ROOT / "docs/publish-a-plugin.md").read_text()
    for file in ("pyproject.toml", *(f"augreg_example/{part}.py" for part in ("manifest", "snow", "scale_noise"))):
        assert f"<!-- file: plugins/augreg-example/{file} -->" in shown


def test_a_block_that_differs_from_its_file_is_rewritten(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text("x = 1\n")
    around = "Before.\n\n<!-- file: one.py -->\n```python\n{}```\n\n```python\ny = 2\n```\n"
    right = around.format("x = 1\n")
    assert UPDATED(right, tmp_path) == right
    assert UPDATED(around.format("x = 3\nz = 4\n"), tmp_path) == right
    assert UPDATED(around.format(""), tmp_path) == right
    with pytest.raises(ValueError, match=r"no such file: two\.py"):
        UPDATED(right.replace("one.py", "two.py"), tmp_path)
    with pytest.raises(ValueError, match="needs a code block"):
        UPDATED("<!-- file: one.py -->\n\nNothing.\n", tmp_path)
    (tmp_path / "one.py").write_text("'```'\n")
    with pytest.raises(ValueError, match="fence"):
        UPDATED(right, tmp_path)


def test_the_pages_of_a_folder_are_listed_by_their_titles(tmp_path: Path) -> None:
    (tmp_path / "002-b.md").write_text("# 002: second\n\nText.\n")
    (tmp_path / "001-a.md").write_text("# 001: first\n")
    (tmp_path / "README.md").write_text("# All\n")
    page = "<!-- pages: . -->\n- stale\n<!-- end -->\n\nAfter.\n"
    listed = "- [001: first](001-a.md)\n- [002: second](002-b.md)\n"
    assert UPDATED(page, tmp_path) == page.replace("- stale\n", listed)
    assert ROOT / "docs/decisions/README.md" in WITH_FILES


def test_the_readme_shows_what_the_plan_really_prints() -> None:
    import augreg

    text = (ROOT / "README.md").read_text()
    plan = str(
        augreg.Pipeline.from_spec(
            {**augreg.Pipeline.from_spec("imagenet").to_spec(), "backend": "opencv"}
        ).train.plan((375, 500), index=7, epoch=2)
    )
    for line in plan.replace("backend opencv", "backend native").splitlines()[:-1]:  # the README's has a C compiler
        assert f"    {line}\n" in text


def test_the_guide_lists_every_function_that_makes_ops() -> None:
    from augreg import ops

    makers = {name for name in dir(ops) if inspect.isfunction(getattr(ops, name))}
    table = (ROOT / "docs/write-a-transform.md").read_text().partition("| ops | functions |")[2].partition("\n\n")[0]
    assert set(re.findall(r"`(\w+)`", table)) == makers
