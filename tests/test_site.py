"""The site: all pages are in its menu, the reference of the API is whole, and docs/conf.py converts text rightly.

`make site` builds it; without Sphinx, these tests look at what it is made from.
"""

from __future__ import annotations

import importlib.util
import re
import runpy
import types
from pathlib import Path

import pytest

import augreg

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
CONF = runpy.run_path(str(DOCS / "conf.py"))
APP = types.SimpleNamespace(srcdir=str(DOCS))
BLOB = "https://github.com/augreg/augreg/blob/main/"


def test_every_page_is_in_the_menu() -> None:
    menu = re.findall(r"```\{toctree\}\n(.*?)```", (DOCS / "index.md").read_text(), re.DOTALL)
    entries = [line for block in menu for line in block.splitlines() if line and not line.startswith(":")]
    named = [re.sub(r".*<(.+)>", r"\1", entry) for entry in entries]
    pages = {str(path.relative_to(DOCS).with_suffix("")) for path in DOCS.rglob("*.md")}
    pages -= {page for page in pages if page.startswith("decisions/0")} | {
        "index"
    }  # docs/decisions/README.md lists them
    assert sorted(named) == sorted({*pages, "api/index"})


def test_the_reference_of_the_api_has_every_public_package() -> None:
    index = (DOCS / "api/index.rst").read_text()
    listed = set(index.partition(":maxdepth: 1")[2].split())
    assert listed == {path.stem for path in (DOCS / "api").glob("*.rst")} - {"index"}
    pages = "".join((DOCS / f"api/{name}.rst").read_text() for name in listed)
    modules = re.findall(r"^\.\. automodule:: (\S+)$", pages, re.MULTILINE)
    assert len(modules) == len(set(modules)) and all(importlib.util.find_spec(name) for name in modules)
    public = {f"augreg.{name}" for name in augreg.__all__ if importlib.util.find_spec(f"augreg.{name}")}
    assert len(public) >= 13
    files = {f"augreg.ops.{path.stem}" for path in (ROOT / "augreg/ops").glob("[a-z]*.py")}
    # the steps of specs are on the pages of transforms
    assert (public - {"augreg.transforms", "augreg.regularizers", "augreg.ops"}) | files | {"augreg"} <= set(modules)


@pytest.mark.parametrize(
    ("page", "text", "expected"),
    [
        ("gpu", "[x](mixing.md#a) `[y](z)` [w](https://a.b)", "[x](mixing.md#a) `[y](z)` [w](https://a.b)"),
        ("gpu", "[x](../bench/README.md#memory)", f"[x]({BLOB}bench/README.md#memory)"),
        ("tasks", "[x](../README.md#a-first-spec)", "[x](overview.md#a-first-spec)"),
        ("loaders/lightning", "[x](../training.md) [y](../../README.md)", "[x](../training.md) [y](../overview.md)"),
        ("index", "![x](../gallery/sheet.webp)", "![x](../gallery/sheet.webp)"),
        ("gpu", "[x](../nothing.md)", "[x](../nothing.md)"),  # left as it is, so that the build fails
        ("decisions/001-children-are-returned", "# 001", "---\norphan: true\n---\n# 001"),
    ],
)
def test_links_lead_to_pages_or_to_the_repository(page: str, text: str, expected: str) -> None:
    source = [text]
    CONF["_links"](APP, page, source)
    assert source == [expected]


def test_the_readme_is_a_page() -> None:
    source = ["anything"]
    CONF["_links"](APP, "overview", source)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert source[0].partition("\n")[0] == readme.partition("\n")[0] == "# augreg"
    assert f"]({BLOB}CONTRIBUTING.md)" in source[0] and "](data-loaders.md)" in source[0]
    assert "](../gallery/sheet.webp)" in source[0] and "](docs/" not in source[0]


def test_docstrings_become_restructured_text() -> None:
    lines = [
        "Sum `a`s of *args, with names_ and |bars|.", "", "    x = f(*args)  # `code`", "    y_ = 1", "",
        "size: height and", "    `width`", "by: a rule", "", "- a list", "  goes `on`",
    ]  # fmt: skip
    CONF["_docstring"](None, "function", "f", None, None, lines)
    assert lines == [
        "Sum \\ ``a``\\ s of \\*args, with names\\_ and \\|bars\\|.", "", "::", "", "    x = f(*args)  # `code`",
        "    y_ = 1", "", "- ``size``: height and", "  \\ ``width``\\ ", "- ``by``: a rule", "", "- a list",
        "  goes \\ ``on``\\ ", "",
    ]  # fmt: skip


def test_members_of_other_libraries_are_left_out() -> None:
    assert CONF["_skip"](None, "class", "join", Path.joinpath, False, None) is True
    assert CONF["_skip"](None, "class", "plan", augreg.Pipeline.to_spec, False, None) is None
