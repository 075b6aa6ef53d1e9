"""What a search improves: a number that a training run of a task ends with. A higher one is better."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from augreg.errors import AugregError
from augreg.recipe.fitting import Run, fit
from augreg.recipe.run_folder import identity
from augreg.recipe.search.paths import with_values
from augreg.recipe.search.trial import State
from augreg.recipe.task import Task

__all__ = ["Objective", "Outcome", "TrainedTask", "about_trial", "outcome_of"]

Stop = Callable[[list[float]], int | None]
"""Gets the values after each epoch so far, and returns the epoch after which the trial is pruned, or None."""


@dataclass(frozen=True)
class Outcome:
    """How a trial ended. `values` has the objective after each epoch, and `value` is the last one."""

    state: State
    value: float | None = None
    values: tuple[float, ...] = ()
    history: Mapping[str, list[float]] = field(default_factory=dict)
    error: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        history = {name: list(line) for name, line in self.history.items()}
        return {
            "state": self.state,
            "value": self.value,
            "values": list(self.values),
            "history": history,
            "error": self.error,
        }


class Objective(Protocol):
    """What a study calls."""

    name: str
    maximize: bool
    epochs: int

    def identity(self) -> str:
        """A hash of what trials depend on, apart from their parameters."""

    def about(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """The `seeds`, the `fingerprint` and the `spec` of a trial."""

    def run(self, parameters: Mapping[str, Any], folder: Path | None, stop: Stop) -> Outcome:
        """Run a trial. In the folder it may keep what it needs to go on after a kill."""


_FAILURES = (AugregError, ValueError, RuntimeError, ArithmeticError)  # of values that a model or a step cannot take


def about_trial(objective: Objective, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """What a trial is made with; nothing for values that do not fit together: such a trial fails when it is run."""
    try:
        return objective.about(parameters)
    except _FAILURES:
        return {"seeds": {}, "fingerprint": "", "spec": None}


def outcome_of(objective: Objective, parameters: Mapping[str, Any], folder: Path | None, stop: Stop) -> Outcome:
    """Run a trial, which fails if the model or a step cannot take its values."""
    try:
        return objective.run(parameters, folder, stop)
    except _FAILURES as error:
        return Outcome("failed", error=str(error) or type(error).__name__)


class TrainedTask:
    """The objective of a task: its validation metric, or its validation loss, after so many epochs."""

    def __init__(self, task: Task, epochs: int, measure: Literal["metric", "loss"] = "metric") -> None:
        if task.validation is None:
            raise ValueError("validation: a search compares trials on validation data, and the task has none")
        if measure not in ("metric", "loss"):
            raise ValueError(f"measure: expected 'metric' or 'loss', got {measure!r}")
        if isinstance(epochs, bool) or not isinstance(epochs, int) or epochs < 1:
            raise ValueError(f"epochs: expected a whole number from 1, got {epochs!r}")
        self.task = task
        self.epochs = epochs
        self.name = f"validation {measure}"
        self.maximize = measure == "metric"

    def identity(self) -> str:
        """A hash of what can be seen of the task: see `augreg.recipe.run_folder.identity`."""
        return identity(self.task)

    def about(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """The seeds of the run and of the spec, and the spec, with its fingerprint."""
        task = with_values(self.task, parameters)
        pipe = task.pipe
        seeds = {"task": task.seed} | ({} if pipe is None else {"spec": pipe.options.seed})
        return {
            "seeds": seeds,
            "fingerprint": "" if pipe is None else pipe.fingerprint,
            "spec": None if pipe is None else pipe.to_spec(),
        }

    def run(self, parameters: Mapping[str, Any], folder: Path | None, stop: Stop) -> Outcome:
        """Train with these parameters; a run in the folder that was killed goes on at its last whole epoch."""
        run = fit(
            with_values(self.task, parameters),
            self.epochs,
            folder=folder,
            stop=lambda run: stop(list(run.history[self.name])) is not None,
        )
        return self._outcome(run, stop)

    def run_again(self, parameters: Mapping[str, Any], epochs: int) -> Run:
        """The run of a trial that had so many epochs."""
        return fit(with_values(self.task, parameters), max(1, epochs))

    def _outcome(self, run: Run, stop: Stop) -> Outcome:
        values = list(run.history.get(self.name, []))
        pruned = stop(values)
        end = len(values) if pruned is None else pruned  # a run that was killed as it was pruned goes on a bit
        history = {name: line[:end] for name, line in run.history.items()}
        values = values[:end]
        if not values or not all(math.isfinite(each) for line in history.values() for each in line):
            return Outcome("failed", error=run.stopped or "what was measured is not finite")
        if pruned is None and run.stopped not in ("", "stopped"):
            return Outcome("failed", None, tuple(values), history, run.stopped)
        return Outcome("complete" if pruned is None else "pruned", values[-1], tuple(values), history)
