"""The steps of the recipe in their order: how each is called, and what it changes in the task for those after it."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from augreg.recipe.batches import training_batches
from augreg.recipe.fitting import fit
from augreg.recipe.result import Result
from augreg.recipe.search.paths import with_values
from augreg.recipe.state import kept
from augreg.recipe.step1_initial_loss import initial_loss
from augreg.recipe.step2_overfit import overfit
from augreg.recipe.step3_learning_rate import learning_rate
from augreg.recipe.step4_coarse_search import coarse_search
from augreg.recipe.step5_fine_search import fine_search
from augreg.recipe.step6_curves import curves
from augreg.recipe.step7_advice import advice
from augreg.recipe.task import Task

__all__ = ["EPOCHS", "STEPS", "Progress", "Situation", "Step"]

Progress = Callable[[str, int, int], None]
"""Called with the name of what is done, how much of it is, and of how much; 0 if that is not known."""

EPOCHS = 20
"""How long the curves are, unless the settings say otherwise."""


@dataclass
class Situation:
    """Where a run is: the task as tuned so far, the results, and where the next step may write."""

    task: Task
    progress: Progress
    folder: Path | None = None
    results: dict[str, Result] = field(default_factory=dict)


@dataclass(frozen=True)
class Step:
    """A step: its number in the recipe, its name, what runs it, and the task for the steps after it."""

    number: int
    name: str
    run: Callable[[Situation, Mapping[str, Any]], Result]
    arguments: frozenset[str] = frozenset()
    """What its settings may have."""
    tuned: Callable[[Task, Result], Task] = lambda task, _: task
    needs: str = ""
    """The step without whose result it cannot run."""
    lasts: bool = False
    """Whether it keeps what it needs to go on after a kill."""


def _initial_loss(now: Situation, settings: Mapping[str, Any]) -> Result:
    return initial_loss(now.task, **settings)


def _overfit(now: Situation, settings: Mapping[str, Any]) -> Result:
    return overfit(now.task, **settings)


def _learning_rate(now: Situation, settings: Mapping[str, Any]) -> Result:
    return learning_rate(now.task, **settings, progress=functools.partial(now.progress, "learning rate"))


def _with_rate(task: Task, result: Result) -> Task:
    """The task with the best rate, unless its own is in the range of those that are as good."""
    low, high = result.evidence["range"]
    if not result.ok or low <= result.evidence["rate of the task"] <= high:
        return task
    return task.replace(learning_rate=result.evidence["rate"])


def _coarse_search(now: Situation, settings: Mapping[str, Any]) -> Result:
    if now.task.validation is None:
        return _not_searched("coarse search", "there is no validation data to compare trials on")
    progress = functools.partial(now.progress, "coarse search")
    rate = now.results.get("learning rate")
    return coarse_search(now.task, **{"rate": rate, **settings}, folder=_folder(now, settings), progress=progress)


def _fine_search(now: Situation, settings: Mapping[str, Any]) -> Result:
    coarse = now.results["coarse search"]
    if not coarse.evidence["best"]:
        return _not_searched("fine search", "the coarse search found nothing to search around")
    progress = functools.partial(now.progress, "fine search")
    return fine_search(now.task, coarse, **settings, folder=_folder(now, settings), progress=progress)


def _folder(now: Situation, settings: Mapping[str, Any]) -> Path | None:
    """Where a search keeps its trials, unless that is a storage."""
    return now.folder if settings.get("storage") is None else None


def _not_searched(step: str, why: str) -> Result:
    return Result(step, "warning", f"nothing was searched: {why}", {"best": {}})


def _with_best(task: Task, result: Result) -> Task:
    """The task with the best parameters of a search."""
    return with_values(task, result.evidence["best"]) if result.ok else task


def _curves(now: Situation, settings: Mapping[str, Any]) -> Result:
    with kept(now.task):
        total = settings.get("epochs", EPOCHS) * len(training_batches(now.task))
    return curves(
        now.task,
        **{"epochs": EPOCHS, **settings},
        folder=now.folder,
        progress=lambda iteration, _: now.progress("curves", iteration, total),
    )


def _advice(now: Situation, settings: Mapping[str, Any]) -> Result:
    return advice(
        now.task,
        now.results["curves"],
        **settings,
        folder=now.folder,
        progress=functools.partial(now.progress, "advice"),
    )


def _arguments(*functions: Callable[..., Any]) -> frozenset[str]:
    """The names of the arguments of functions, without those that a run gives itself."""
    found = [each for function in functions for each in inspect.signature(function).parameters.values()]
    return frozenset(each.name for each in found if each.kind is not each.VAR_KEYWORD) - _GIVEN


_GIVEN = {"task", "folder", "progress", "coarse", "curves"}

STEPS = (
    Step(1, "initial loss", _initial_loss, _arguments(initial_loss)),
    Step(2, "overfit", _overfit, _arguments(overfit)),
    Step(3, "learning rate", _learning_rate, _arguments(learning_rate), _with_rate),
    Step(4, "coarse search", _coarse_search, _arguments(coarse_search), _with_best, lasts=True),
    Step(5, "fine search", _fine_search, _arguments(fine_search), _with_best, needs="coarse search", lasts=True),
    Step(6, "curves", _curves, _arguments(curves, fit), lasts=True),
    Step(7, "advice", _advice, _arguments(advice), needs="curves", lasts=True),
)
"""The steps in the order in which they run."""
