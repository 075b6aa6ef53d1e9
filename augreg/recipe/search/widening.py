"""Runs a study, and adds trials beyond the borders at which its best ones lie."""

from __future__ import annotations

from collections.abc import Callable

from augreg.recipe.search.borders import Border, borders, good_trials, widened
from augreg.recipe.search.optuna_study import OptunaStudy
from augreg.recipe.search.search_result import rows_of
from augreg.recipe.search.space import Space, parameter
from augreg.recipe.search.study import Study
from augreg.recipe.search.study_results import StudyResults, union_of
from augreg.recipe.task import Task

__all__ = ["run_and_widen"]

_FEWEST = 4  # trials in a round


def run_and_widen(
    task: Task, study: Study | OptunaStudy, widen: int, progress: Callable[[int, int], None] | None
) -> dict[str, Border]:
    """Run a study; up to `widen` times, add half as many trials beyond the borders at which the best ones lie.

    A study in a storage of Optuna is not widened. Returns the borders at which the best trials lie at the end.
    """
    while True:
        study.run(progress)
        rounds = len(study.rounds)
        found = _borders(task, study)
        beyond = {path: border for path, border in found.items() if border.part is not None}
        if not beyond or rounds > widen or isinstance(study, OptunaStudy):
            return found
        reason = "; ".join(f"{path}: {border.part}" for path, border in beyond.items())
        trials = max(_FEWEST, study.rounds[0].trials // 2)
        study.add(trials, widened(_union(study), beyond), reason, after=rounds)


def _borders(task: Task, study: StudyResults) -> dict[str, Border]:
    rows = rows_of(study)
    best = study.best
    if best is None:
        return {}
    row = next(row for row in rows if row["number"] == best.number)
    return borders(task, _union(study), row, good_trials(rows, study.objective.maximize))


def _union(study: StudyResults) -> Space:
    return {path: parameter(each) for path, each in union_of(study.rounds).items()}
