"""Step 5: a fine search, with longer runs, around the best of the coarse one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from augreg.recipe.result import Result
from augreg.recipe.search.borders import good_trials, narrowed
from augreg.recipe.search.new_study import new_study
from augreg.recipe.search.objective import TrainedTask
from augreg.recipe.search.paths import space_of, with_values
from augreg.recipe.search.search_result import search_result
from augreg.recipe.search.space import parameter
from augreg.recipe.search.widening import run_and_widen
from augreg.recipe.task import Task

__all__ = ["fine_search"]


def fine_search(
    task: Task,
    coarse: Result | Mapping[str, Any],
    *,
    trials: int = 20,
    epochs: int = 15,
    sampler: Any = None,
    pruner: Any = "median",
    seed: int | None = None,
    widen: int = 1,
    folder: str | Path | None = None,
    storage: Any = None,
    progress: Callable[[int, int], None] | None = None,
) -> Result:
    """Search once more, in the part of the space where the best fourth of a coarse search lies, with longer runs.

    `coarse` is the result of `coarse_search`, or its evidence. The first trial has the best parameters of it, so this
    search ends no worse, apart from what more epochs change. Choices that all good trials share are not searched
    again. Other arguments are those of `coarse_search`. `evidence["best"]` has the values of all parameters. Raises
    ValueError if no trial of the coarse search succeeded.
    """
    before = coarse.evidence if isinstance(coarse, Result) else coarse
    if before.get("best") is None:
        raise ValueError("coarse: no trial of the coarse search succeeded, so there is nothing to search around")
    maximize = before["maximize"]
    best = next(row for row in before["trials"] if row["number"] == before["trial"])
    whole = {path: parameter(each) for path, each in before["space"].items()}
    small, fixed = narrowed(whole, best, good_trials(before["trials"], maximize))
    task = with_values(task, fixed)
    study = new_study(
        "fine search",
        TrainedTask(task, epochs, "metric" if maximize else "loss"),
        space_of(task, small),
        trials,
        sampler=sampler,
        pruner=pruner,
        seed=seed,
        folder=folder,
        storage=storage,
        first=[{path: best["parameters"][path] for path in small}],
    )
    found = run_and_widen(task, study, widen, progress)
    result = search_result("fine search", study, found, "train with these values, and look at the curves")
    if fixed and result.evidence["best"] is not None:
        result.evidence["best"].update(fixed)
    return result
