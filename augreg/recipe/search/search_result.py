"""The result of a search as a step of the recipe."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from augreg.recipe.charts import Chart
from augreg.recipe.result import Cause, Result, Verdict
from augreg.recipe.search.borders import Border
from augreg.recipe.search.space import shown
from augreg.recipe.search.study_results import StudyResults, union_of

__all__ = ["rows_of", "search_result"]


def rows_of(study: StudyResults) -> list[dict[str, Any]]:
    """The trials as plain data, without their specs, which the study has."""
    return [
        {
            "number": each.number,
            "parameters": dict(each.parameters),
            "value": each.value,
            "loss": next(reversed(each.history.get("validation loss", [])), None),
            "state": each.state,
        }
        for each in study.trials
    ]


def search_result(step: str, study: StudyResults, found: Mapping[str, Border], action: str) -> Result:
    """The result of a study that has ended. `found` are the borders at which the best trials lie after all."""
    best = study.best
    rows = rows_of(study)
    evidence: dict[str, Any] = {
        "objective": study.objective.name,
        "maximize": study.objective.maximize,
        "best": None if best is None else dict(best.parameters),
        "value": None if best is None else best.value,
        "trial": None if best is None else best.number,
        "epochs": study.objective.epochs,
        "sampler": study.sampler,
        "importance": study.importance,
        "at the border": {path: border.end for path, border in found.items()},
        "widened": [each.reason for each in study.rounds if each.number],
        "states": {state: sum(row["state"] == state for row in rows) for state in ("complete", "pruned", "failed")},
        "space": union_of(study.rounds),
        "trials": rows,
    }
    if best is None:
        errors = [each.error for each in study.trials if each.error]
        cause = Cause(
            "no trial succeeded",
            f"{errors[0] if errors else 'no trial ended'}, for example",
            "go back to the learning rate, and search around it",
        )
        return Result(step, "fail", f"none of {len(rows)} trials could be trained", evidence, (cause,), cause.remedy)
    causes = tuple(_cause(path, border, best.parameters[path]) for path, border in found.items() if border.part)
    numbers = ", ".join(f"{path} {shown(value)}" for path, value in best.parameters.items())
    which = f"the best of {len(rows)} trials" if len(rows) > 1 else "the only trial"
    summary = f"{which} has a {study.objective.name} of {best.value:.4g}: {numbers}"
    verdict: Verdict = "warning" if causes else "pass"
    return Result(step, verdict, summary, evidence, causes, action, tuple(_charts(rows, study)))


def _cause(path: str, border: Border, value: Any) -> Cause:
    return Cause(
        "best at the border",
        f"the best trials have {path} at the {border.end} end of its range, such as {shown(value)}",
        f"search {path} beyond it: {border.part}",
    )


def _charts(rows: Sequence[Mapping[str, Any]], study: StudyResults) -> Iterator[Chart]:
    """The values by trial, and over the number that matters most. Those of pruned trials are of fewer epochs."""
    name, better = study.objective.name, max if study.objective.maximize else min

    def best(so_far: float | None, value: float | None) -> float | None:
        return value if so_far is None else so_far if value is None else better(so_far, value)

    lines = _by_state(rows)
    lines["best so far"] = tuple(itertools.accumulate(lines["complete"], best))
    yield Chart(tuple(float(row["number"]) for row in rows), lines, "trial", name, points=("complete", "pruned"))
    space = union_of(study.rounds)
    numbers = [path for path in space if "choices" not in space[path]]
    if numbers:
        path = max(numbers, key=lambda each: study.importance[each])
        order = sorted(rows, key=lambda row: row["parameters"][path])
        x = tuple(float(row["parameters"][path]) for row in order)
        yield Chart(x, _by_state(order), path, name, space[path]["log"], points=("complete", "pruned"))


def _by_state(rows: Sequence[Mapping[str, Any]]) -> dict[str, tuple[float | None, ...]]:
    """The values of trials that ended, and of those that were pruned if there are any."""
    states = ["complete", *(["pruned"] if any(row["state"] == "pruned" for row in rows) else [])]
    return {each: tuple(row["value"] if row["state"] == each else None for row in rows) for each in states}
