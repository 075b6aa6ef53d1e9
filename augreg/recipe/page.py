"""The page of a report: the verdicts on top, then what each step found, with its plots."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from augreg.pages.figures import Plot
from augreg.pages.report import Section, Table, report
from augreg.recipe.page_plots import chart_plot, comparison_plot, importance_plot, trial_plots
from augreg.recipe.result import Result

__all__ = ["recipe_page"]

_LEAD = (
    "The steps from a new model to a trained one: each has a verdict, the numbers behind it, likely causes, and what "
    "to do next."
)
_ELSEWHERE = ("trials", "importance", "comparison", "rates", "losses", "patch", "diff", "reasons", "notes", "effect")
"""Evidence that has a plot, a list or a text of its own."""


def recipe_page(name: str, results: Sequence[Result], left: Sequence[str]) -> str:
    """The page as HTML, of the results of a task with this name; `left` names the steps that were not run.

    Raises ImportError if matplotlib is not installed.
    """
    failed = [result for result in results if not result.ok]
    facts = [f"{len(results)} steps", "a step failed" if failed else "no step failed"]
    sections = [_verdicts(results, left), *(_step(result) for result in results)]
    return report(f"Recipe: {name}", _LEAD, facts, sections, "augreg recipe run")


def _verdicts(results: Sequence[Result], left: Sequence[str]) -> Section:
    items = [f"{result.step}: {result.verdict}. {_sentence(result.summary)}" for result in results]
    items += [f"{name}: not run" for name in left]
    failed = [result for result in results if not result.ok]
    last = next(iter([*failed, *reversed(results)]), None)
    words = [f"Next: {last.action}."] if last is not None and last.action else []
    return Section("Verdicts", "verdicts", words, items)


def _step(result: Result) -> Section:
    """The section of a step."""
    anchor = result.step.replace(" ", "-")
    items = [f"{cause.name}: {cause.because}. What to do: {cause.remedy}." for cause in result.causes]
    items += [*result.evidence.get("reasons", ()), *result.evidence.get("notes", ())]
    words = [f"{result.verdict}: {_sentence(result.summary)}"]
    if result.action:
        words.append(f"Next: {result.action}.")
    return Section(
        result.step.capitalize(),
        anchor,
        words,
        items,
        _table(result.evidence),
        list(_plots(result, anchor)),
        details=str(result.evidence.get("diff", "")),
        details_title="The patch as a diff of the spec",
    )


def _table(evidence: Mapping[str, Any]) -> Table | None:
    rows = [(name, _shown(value)) for name, value in evidence.items() if name not in _ELSEWHERE]
    return Table(("measured", "value"), rows) if rows else None


def _plots(result: Result, anchor: str) -> Iterator[Plot]:
    for number, chart in enumerate(result.charts):
        yield chart_plot(chart, f"{anchor}-{number}", f"{chart.y_label} by {chart.x_label}".capitalize())
    evidence = result.evidence
    value, maximize = str(evidence.get("objective", "value")), bool(evidence.get("maximize", True))
    yield from trial_plots(evidence.get("trials", ()), value, f"{anchor}-trials", maximize)
    if evidence.get("importance"):
        yield importance_plot(evidence["importance"], f"{anchor}-importance")
    if evidence.get("comparison"):
        yield comparison_plot(evidence["comparison"], value, f"{anchor}-comparison", maximize)


def _sentence(text: str) -> str:
    return text if text.endswith(".") else f"{text}."


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_shown(each)}" for name, each in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_shown, value)) or "none"
    return "none" if value is None else str(value)
