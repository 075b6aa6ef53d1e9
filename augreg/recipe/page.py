"""The page of a report: the verdicts on top, then what each step found, with its plots."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from augreg.pages.figures import Plot
from augreg.pages.report import Item, Section, Table, report
from augreg.recipe.page_plots import chart_plot, comparison_plot, importance_plot, title, trial_plots
from augreg.recipe.result import Result, Verdict
from augreg.recipe.search.space import parameter

__all__ = ["recipe_page"]

_LEAD = (
    "The steps from a new model to a trained one: each has a verdict, the numbers behind it, likely causes, and what "
    "to do next."
)
_ELSEWHERE = ("trials", "importance", "comparison", "rates", "losses", "patch", "diff", "reasons", "notes", "effect")
"""Evidence that has a plot, a list or a text of its own."""
_TONES: Mapping[Verdict, Literal["good", "doubtful", "bad"]] = {"pass": "good", "warning": "doubtful", "fail": "bad"}


def recipe_page(name: str, results: Sequence[Result], left: Sequence[str]) -> str:
    """The page as HTML, of the results of a task with this name; `left` names the steps that were not run.

    Raises ImportError if matplotlib is not installed.
    """
    failed = [result for result in results if not result.ok]
    facts = [f"{len(results)} steps", "a step failed" if failed else "no step failed"]
    sections = [_verdicts(results, left), *(_step(result) for result in results)]
    return report(f"Recipe: {name}", _LEAD, facts, sections, "augreg recipe run")


def _verdicts(results: Sequence[Result], left: Sequence[str]) -> Section:
    items: list[str | Item] = []
    for result in results:
        items.append(Item(result.verdict, f"{result.step}: {_sentence(result.summary)}", _TONES[result.verdict]))
    items += [f"{name}: not run" for name in left]
    failed = [result for result in results if not result.ok]
    last = next(iter([*failed, *reversed(results)]), None)
    words = [f"Next: {last.action}."] if last is not None and last.action else []
    return Section("Verdicts", "verdicts", words, items)


def _step(result: Result) -> Section:
    """The section of a step."""
    anchor = result.step.replace(" ", "-")
    searched = bool(result.evidence.get("space"))
    words = [f"{result.verdict.capitalize()}: {_sentence(result.summary)}"]
    if result.action:
        words.append(f"Next: {result.action}.")
    if searched:
        words.append(_trials(result.evidence))
    items = [f"{cause.name}: {cause.because}. What to do: {cause.remedy}." for cause in result.causes]
    items += [*result.evidence.get("reasons", ()), *result.evidence.get("notes", ())]
    widened = result.evidence.get("widened", ())
    items += [f"the best trials were at the border, so more were added: {each}" for each in widened]
    return Section(
        title(result.step),
        anchor,
        words,
        items,
        _parameters(result.evidence) if searched else _table(result.evidence),
        list(_plots(result, anchor)),
        details=str(result.evidence.get("diff", "")),
        details_title="The patch as a diff of the spec",
    )


def _trials(evidence: Mapping[str, Any]) -> str:
    """A sentence about the trials of a search."""
    states = ", ".join(f"{count} {state}" for state, count in evidence["states"].items() if count)
    return (
        f"Trials: {states}; up to {evidence['epochs']} epochs each, chosen by {evidence['sampler']}, "
        f"and compared by the {evidence['objective']}."
    )


def _parameters(evidence: Mapping[str, Any]) -> Table:
    """What was searched, and the best values. A fine search may keep values that it does not search."""
    best, importance, border = evidence["best"] or {}, evidence["importance"], evidence["at the border"]
    space = evidence["space"]
    rows = [
        (
            path,
            _value(best.get(path)) + (f" (at the {border[path]} end)" if path in border else ""),
            str(parameter(data)),
            f"{importance[path]:.2f}",
        )
        for path, data in space.items()
    ]
    rows += [(path, _value(value), "not searched again", "") for path, value in best.items() if path not in space]
    return Table(("parameter", "best", "searched", "importance"), rows)


def _table(evidence: Mapping[str, Any]) -> Table | None:
    rows = [(name, _shown(value)) for name, value in evidence.items() if name not in _ELSEWHERE]
    return Table(("measured", "value"), rows) if rows else None


def _plots(result: Result, anchor: str) -> Iterator[Plot]:
    evidence = result.evidence
    for number, chart in enumerate(() if evidence.get("trials") else result.charts):
        yield chart_plot(chart, f"{anchor}-{number}", title(f"{chart.y_label} by {chart.x_label}"))
    value, maximize = str(evidence.get("objective", "value")), bool(evidence.get("maximize", True))
    best, space = evidence.get("trial"), evidence.get("space", {})
    yield from trial_plots(evidence.get("trials", ()), value, f"{anchor}-trials", maximize, best, space)
    if any(evidence.get("importance", {}).values()):
        yield importance_plot(evidence["importance"], f"{anchor}-importance")
    if evidence.get("comparison"):
        yield comparison_plot(evidence["comparison"], value, f"{anchor}-comparison", maximize)


def _sentence(text: str) -> str:
    return text if text.endswith(".") else f"{text}."


def _value(value: Any) -> str:
    """The value of a parameter; lists have brackets."""
    return str(value) if isinstance(value, list | tuple) else _shown(value)


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping) and value:
        return ", ".join(f"{name} {_shown(each)}" for name, each in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_shown, value)) or "none"
    return "none" if value is None or value == {} else str(value)
