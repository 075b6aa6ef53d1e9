"""The result of a search as a step of the recipe."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from augreg.recipe.charts import Chart
from augreg.recipe.result import Cause, Result, Verdict
from augreg.recipe.search.borders import Border
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
    numbers = ", ".join(f"{path} {_shown(value)}" for path, value in best.parameters.items())
    which = f"the best of {len(rows)} trials" if len(rows) > 1 else "the only trial"
    summary = f"{which} has a {study.objective.name} of {best.value:.4g}: {numbers}"
    verdict: Verdict = "warning" if causes else "pass"
    return Result(step, verdict, summary, evidence, causes, action, _charts(rows, study))


def _cause(path: str, border: Border, value: Any) -> Cause:
    return Cause(
        "best at the border",
        f"the best trials have {path} at the {border.end} end of its range, such as {_shown(value)}",
        f"search {path} beyond it: {border.part}",
    )


def _charts(rows: Sequence[Mapping[str, Any]], study: StudyResults) -> tuple[Chart, ...]:
    """The values by trial; those of pruned trials are of fewer epochs."""
    values = [row["value"] if row["state"] == "complete" else None for row in rows]
    better = max if study.objective.maximize else min

    def best(so_far: float | None, value: float | None) -> float | None:
        return value if so_far is None else so_far if value is None else better(so_far, value)

    lines = {"complete": tuple(values), "best so far": tuple(itertools.accumulate(values, best))}
    if any(row["state"] == "pruned" for row in rows):
        lines["pruned"] = tuple(row["value"] if row["state"] == "pruned" else None for row in rows)
    x = tuple(map(float, range(len(rows))))
    return (Chart(x, lines, "trial", study.objective.name, points=("complete", "pruned")),)


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
