"""HTML for notebooks: small tables without scripts or colors of their own, so that they read well in dark mode too.

Everything that is shown is escaped, and the style reaches nothing but these tables.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

__all__ = ["lines", "table"]

# three elements in each selector, to come before the styles that notebooks have for tables
_STYLE = (
    "<style>div.augreg{overflow-x:auto;background:transparent;color:inherit}"
    "div.augreg table{border-collapse:collapse;margin:0}"
    "div.augreg table tr,div.augreg div pre{background:transparent;color:inherit;margin:0}"
    "div.augreg tr th,div.augreg tr td,div.augreg div pre"
    "{text-align:left;vertical-align:top;padding:.1em .8em .1em 0;white-space:pre-wrap;"
    "overflow-wrap:anywhere}</style>"
)


def table(title: str, header: Sequence[str], rows: Iterable[Sequence[str]], notes: Iterable[str] = ()) -> str:
    """A table with a title above and notes below. Spaces at the beginning of a cell indent it."""
    from html import escape  # takes a millisecond, which a pipeline that is not shown should not

    head = "".join(f"<th>{escape(word)}</th>" for word in header)
    body = "".join("<tr>" + "".join(f"<td>{escape(word)}</td>" for word in row) + "</tr>" for row in rows)
    below = "".join(f"<div>{escape(note)}</div>" for note in notes)
    grid = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>" if body else ""
    return f'{_STYLE}<div class="augreg"><div><strong>{escape(title)}</strong></div>{grid}{below}</div>'


def lines(title: str, text: str) -> str:
    """A text with its line breaks, under a title."""
    from html import escape  # takes a millisecond, which a pipeline that is not shown should not

    shown = f"<div><strong>{escape(title)}</strong></div><div><pre>{escape(text)}</pre></div>"
    return f'{_STYLE}<div class="augreg">{shown}</div>'
