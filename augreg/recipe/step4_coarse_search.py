"""Step 4: a coarse search, with many short runs, for rate, weight decay and numbers in the spec."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from augreg.recipe.result import Result
from augreg.recipe.search.new_study import new_study
from augreg.recipe.search.objective import TrainedTask
from augreg.recipe.search.paths import space_of
from augreg.recipe.search.search_result import search_result
from augreg.recipe.search.usual_ranges import default_space
from augreg.recipe.search.widening import run_and_widen
from augreg.recipe.task import Task

__all__ = ["coarse_search"]


def coarse_search(
    task: Task,
    space: Mapping[str, Any] | None = None,
    *,
    trials: int = 20,
    epochs: int = 3,
    sampler: Any = None,
    pruner: Any = "median",
    measure: Literal["metric", "loss"] = "metric",
    seed: int | None = None,
    widen: int = 2,
    rate: Result | None = None,
    folder: str | Path | None = None,
    storage: Any = None,
    progress: Callable[[int, int], None] | None = None,
) -> Result:
    """Train with many settings for a few epochs each, and compare their validation metrics, or losses.

    `space` maps paths to ranges: `{"learning_rate": "log [1e-4, 0.1]", "model[0].dropout.p": [0.0, 0.5]}`; for None
    it is that of `default_space(task, rate)`, where `rate` is the result of `learning_rate`. `sampler` and `pruner`
    are those of a `Study`, and the default sampler is "quasi-random"; `seed` is the sampler's, and the task's own if
    it is None. Ranges at whose border the best trials lie are widened up to `widen` times, with half as many trials.

    With `folder`, a search that was killed goes on where it was, and other processes that make the same call take
    part. With `storage`, a URL of a database or a storage of Optuna, processes on other machines do so too; then the
    sampler is "tpe", the default, or one of Optuna's, the pruner may be one of Optuna's, and nothing is widened.
    `progress(done, total)` is called after each trial.

    The best parameters are in `evidence["best"]`. Raises SpecError with every problem of the space, and ValueError if
    the task has no validation data.
    """
    checked = default_space(task, rate) if space is None else space_of(task, space)
    study = new_study(
        "coarse search",
        TrainedTask(task, epochs, measure),
        checked,
        trials,
        sampler=sampler,
        pruner=pruner,
        seed=seed,
        folder=folder,
        storage=storage,
    )
    found = run_and_widen(task, study, widen, progress)
    return search_result("coarse search", study, found, "go on with a fine search around the best")
