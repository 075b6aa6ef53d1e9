"""What the scripts `coming_from_*.py` have in common: tables in a page of docs/, written by what an importer does."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from augreg.steps.describe import flow

__all__ = ["line", "lost", "name_of", "remarks", "table", "updated", "write_or_check"]


def name_of(step: Any) -> str:
    """The name of a step, or what an option says."""
    return step if isinstance(step, str) else "[..]" if isinstance(step, list) else next(iter(step))


def line(step: Any) -> str:
    """A step as code, as a spec says it, with floats to four digits."""
    return f"`{step if isinstance(step, str) else flow(_rounded(step))[1:-1]}`"


def _rounded(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value


def lost(report: Iterable[str]) -> list[str]:
    """The lines of a report about what is lost."""
    return [text for text in report if "left out" in text or "not kept" in text or " became " in text]


Imported: TypeAlias = tuple[list[Any], list[str]] | None
"""The steps of a transform and the lines of the report; None if the library refuses the arguments."""


def remarks(
    plain: list[str],
    values: Iterable[tuple[str, Any]],
    imported: Callable[..., Imported],
    shown: Callable[[Any], str] = repr,
) -> list[str]:
    """What reports say, `plain` with the default arguments; then the arguments whose values are lost.

    `values` are the arguments to try, and `imported` makes the transform with one. Lost arguments are shown with
    their values unless there are many.
    """
    said = dict.fromkeys(plain)
    found: dict[str, list[Any]] = {}
    for key, value in values:
        outcome = imported(**{key: value})
        if outcome is None:
            continue
        if set(lost(outcome[1])) - set(lost(plain)):
            found.setdefault(key, []).append(value)
        else:
            said |= dict.fromkeys(outcome[1])
    names = [
        f"`{key}`" if len(bad) > 2 else " and ".join(f"`{key}={shown(value)}`" for value in bad)
        for key, bad in found.items()
    ]
    return [*said, *([f"not kept: {', '.join(names)}"] if names else [])]


def table(head: Iterable[str], rows: Iterable[str]) -> str:
    """A table of Markdown with these names of columns."""
    names = list(head)
    return "\n".join([f"| {' | '.join(names)} |", "|" + " --- |" * len(names), *rows])


def updated(text: str, tables: Mapping[str, str]) -> str:
    """The text of a page with its tables written anew, between `<!-- table: NAME -->` and `<!-- end -->`."""
    for name, lines in tables.items():
        before, begin, rest = text.partition(f"<!-- table: {name} -->\n")
        _, end, after = rest.partition("<!-- end -->")
        if not begin or not end:
            raise ValueError(f"the page needs the lines `<!-- table: {name} -->` and `<!-- end -->`")
        text = f"{before}{begin}{lines}\n{end}{after}"
    return text


def write_or_check(page: Path, tables: Mapping[str, str]) -> int:
    """Write the tables into the page; with --check, print where they differ and return 1 instead."""
    before = page.read_text(encoding="utf-8")
    after = updated(before, tables)
    if "--check" not in sys.argv:
        page.write_text(after, encoding="utf-8")
        return 0
    for old, new in zip(before.splitlines(), after.splitlines(), strict=False):
        if old != new:
            print(f"the page says: {old}\nthe importer:  {new}\nRun python {sys.argv[0]}")
    return int(before != after)
