"""The site of these documents, built by Sphinx: `make site` writes it to site/ and fails on any warning.

The pages are the Markdown files of this folder, and the reference of the API is made from docstrings. The site is
static, has its own search, and asks no other server for anything.
"""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
URL = PROJECT["urls"]["Repository"]

project = "augreg"
author = PROJECT["authors"][0]["name"]
copyright = f"{author}; Apache-2.0"
release = version = PROJECT["version"]

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_copybutton"]
exclude_patterns = ["examples/*.py", "transforms/pictures/*.json"]
myst_heading_anchors = 4
default_role = "code"  # docstrings have `names` in backticks, as Markdown has them
smartquotes = False  # quotes in docstrings are those of code

autodoc_typehints = "signature"
autodoc_inherit_docstrings = False
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True}
python_use_unqualified_type_names = True
add_module_names = False

html_theme = "furo"
html_title = f"augreg {release}"
html_static_path = ["site"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_copy_source = False
html_show_search_summary = False  # it would load the pages that were found, which browsers refuse for files
html_theme_options = {
    "source_repository": URL,
    "source_branch": "main",
    "source_directory": "docs/",
    "top_of_page_buttons": [],
}


_CODE = re.compile(r"(`+)(.+?)\1", re.DOTALL)
_ARGUMENT = re.compile(r"([a-z_]\w*): ")
_LINK = re.compile(r"(!?\[[^\]]*\]\()([^)\s#:]+)")


def _rst(line: str) -> str:
    """A line of a docstring as reStructuredText: code in backticks stays code, and all other signs are plain text."""
    parts, at = [], 0
    for match in _CODE.finditer(line):
        parts += [_escaped(line[at : match.start()]), f"\\ ``{match[2]}``\\ "]
        at = match.end()
    return "".join([*parts, _escaped(line[at:])])


def _escaped(text: str) -> str:
    return re.sub(r"([\\*|_`])", r"\\\1", text)


def _docstring(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Docstrings are Markdown with code in backticks, lists and indented code; `name: what it is` is an argument."""
    blocks = re.split(r"\n\s*\n", "\n".join(lines).strip("\n"))
    out: list[str] = []
    for block in blocks:
        text = block.splitlines()
        if text[0].startswith("    "):  # code
            out += ["::", "", *text]
        elif _ARGUMENT.match(text[0]):
            for line in text:
                argument = _ARGUMENT.match(line)
                words = _rst(line[argument.end() :] if argument else line.strip())
                out.append(f"- ``{argument[1]}``: {words}" if argument else f"  {words}")
        else:
            out += [line[: len(line) - len(line.lstrip())] + _rst(line.lstrip()) for line in text]
        out.append("")
    lines[:] = out


def _skip(app: Any, what: str, name: str, obj: Any, skip: bool, options: Any) -> bool | None:
    """Leave out what a class has from another library."""
    module = getattr(obj, "__module__", None)
    return True if module and not module.startswith("augreg") else None


def _links(app: Any, page: str, source: list[str]) -> None:
    """Show the README as a page, and let links to files that are no pages lead to the repository."""
    docs = Path(app.srcdir)
    overview = page == "overview"
    text = (ROOT / "README.md").read_text(encoding="utf-8") if overview else source[0]
    folder = ROOT if overview else (docs / page).parent

    def resolved(match: re.Match[str]) -> str:
        path = (folder / match[2]).resolve()
        if not path.exists() or (path.is_relative_to(docs) and not overview):
            return match[0]
        if path == ROOT / "README.md":
            path = docs / "overview.md"
        if path.is_relative_to(docs) or match[1].startswith("!"):
            return match[1] + os.path.relpath(path, (docs / page).parent)
        return f"{match[1]}{URL}/blob/main/{path.relative_to(ROOT).as_posix()}"

    orphan = "---\norphan: true\n---\n" if page.startswith("decisions/0") else ""  # they are listed on a page
    source[0] = orphan + _LINK.sub(resolved, text)


def setup(app: Any) -> None:
    """Connect the conversions."""
    app.connect("autodoc-process-docstring", _docstring)
    app.connect("autodoc-skip-member", _skip)
    app.connect("source-read", _links)
