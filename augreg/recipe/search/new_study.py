"""The study of a step: in a folder, in memory, or in a storage of Optuna."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from augreg.recipe.search.objective import TrainedTask
from augreg.recipe.search.optuna_study import OptunaStudy
from augreg.recipe.search.space import Space
from augreg.recipe.search.study import Study

__all__ = ["new_study"]


def new_study(
    step: str,
    objective: TrainedTask,
    space: Space,
    trials: int,
    *,
    sampler: Any,
    pruner: Any,
    seed: int | None,
    folder: str | Path | None,
    storage: Any,
    first: Sequence[Mapping[str, Any]] = (),
) -> Study | OptunaStudy:
    """The study; in a storage it is named for the task and the step. Raises ValueError for a folder and a storage."""
    task = objective.task
    if sampler is None:
        sampler = "quasi-random" if storage is None else "tpe"
    if storage is None:
        seed = task.seed if seed is None else seed
        return Study(objective, space, trials, sampler=sampler, pruner=pruner, seed=seed, folder=folder, first=first)
    if folder is not None:
        raise ValueError("give either a folder or a storage")
    name = f"{task.name}: {step}"
    return OptunaStudy(
        objective, space, trials, storage=storage, name=name, sampler=sampler, pruner=pruner, first=first
    )
