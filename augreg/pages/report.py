"""Reports as one HTML file: sections with text, tables, plots and images, in the style of the gallery.

The page has no script and loads nothing; its security policy allows its own style and images only.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.resources
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import jinja2
from markupsafe import Markup

from augreg import __version__
from augreg.pages.figures import Plot

__all__ = ["Item", "Section", "Table", "Tile", "base_style", "report", "sha256"]


@dataclass(frozen=True)
class Table:
    """A table: the names of its columns, and its rows. The first column names the row; numbers are right-aligned."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Tile:
    """An image with its caption. `source` is a data URI, `width` and `height` are in pixels."""

    source: str
    width: int
    height: int
    alternative: str
    heading: str = ""
    caption: str = ""


@dataclass(frozen=True)
class Item:
    """A line of a list with a short word in front, such as a verdict, whose color is that of its tone."""

    word: str
    text: str
    tone: Literal["good", "doubtful", "bad"] = "good"


@dataclass(frozen=True)
class Section:
    """A part of a report, in this order: paragraphs, a list, a table, plots, images, and a text that folds out."""

    title: str
    anchor: str
    paragraphs: Sequence[str] = ()
    items: Sequence[str | Item] = ()
    table: Table | None = None
    plots: Sequence[Plot] = ()
    tiles: Sequence[Tile] = ()
    details: str = ""
    details_title: str = "Details"


def report(title: str, lead: str, facts: Sequence[str], sections: Sequence[Section], made_by: str) -> str:
    """The page as HTML. `facts` are short words below the lead, `made_by` is the call that makes the page."""
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_text), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters.update(sha256=sha256, svg=_svg)
    return environment.get_template("report.html").render(
        title=title,
        lead=lead,
        facts=facts,
        sections=sections,
        made_by=made_by,
        version=__version__,
        style=Markup(base_style() + _text("report.css")),
    )


def base_style() -> str:
    """The style that all pages share: colors in light and dark, text, and the bar at the top."""
    return _text("base.css")


def sha256(text: str) -> str:
    """The hash with which the security policy of a page allows its own style or script."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}'"


def _text(name: str) -> str:
    return (importlib.resources.files("augreg.pages") / name).read_text(encoding="utf-8").replace("\r\n", "\n")


def _svg(plot: Plot) -> Markup:
    return Markup(plot.svg)  # made by ElementTree, which escapes all text
