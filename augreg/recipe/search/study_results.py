"""What a study found: its trials, the best of them, what mattered, and any trial once more."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from augreg.recipe.fitting import Run
from augreg.recipe.search.importance import importance
from augreg.recipe.search.objective import Objective, TrainedTask
from augreg.recipe.search.space import parameter, shown
from augreg.recipe.search.trial import Round, Trial

__all__ = ["StudyResults", "union_of"]


class StudyResults:
    """The results of a study, wherever its trials are kept."""

    objective: Objective
    sampler: str
    pruner: str
    seed: int

    @property
    def trials(self) -> list[Trial]:
        """All trials so far, by number."""
        raise NotImplementedError

    @property
    def rounds(self) -> list[Round]:
        """The rounds: the first, and those that widened ranges or added trials."""
        raise NotImplementedError

    @property
    def best(self) -> Trial | None:
        """The best complete trial; of equal ones, that with the lowest validation loss, then the first."""
        sign = -1 if self.objective.maximize else 1
        done = [trial for trial in self.trials if trial.state == "complete" and trial.value is not None]

        def order(trial: Trial) -> tuple[float, float, int]:
            losses = trial.history.get("validation loss") or [0.0]
            return sign * (trial.value or 0.0), losses[-1], trial.number

        return min(done, key=order, default=None)

    @property
    def importance(self) -> dict[str, float]:
        """How much of the differences between trials each parameter explains, from 0 to 1."""
        space = {path: parameter(each) for path, each in union_of(self.rounds).items()}
        return importance(space, self.trials, self.objective.maximize)

    def trial(self, number: int) -> Trial:
        """A trial by its number. Raises IndexError if there is none."""
        for trial in self.trials:
            if trial.number == number:
                return trial
        raise IndexError(f"there is no trial {number}; there are {len(self.trials)}")

    def run_again(self, number: int) -> Run:
        """Train a trial once more, alone: on the CPU its numbers are the same, bit for bit.

        Raises ValueError if the spec or the seeds of the task have changed since.
        """
        trial = self.trial(number)
        if not isinstance(self.objective, TrainedTask):
            raise TypeError("only a study of a task can run a trial again")
        about = self.objective.about(trial.parameters)
        if (about["fingerprint"], about["seeds"]) != (trial.fingerprint, dict(trial.seeds)):
            raise ValueError(f"trial {number} was made with another spec or other seeds than the task has now")
        return self.objective.run_again(trial.parameters, len(trial.values) or self.objective.epochs)

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        best = self.best
        return {
            "objective": self.objective.name,
            "maximize": self.objective.maximize,
            "sampler": self.sampler,
            "pruner": self.pruner,
            "seed": self.seed,
            "space": union_of(self.rounds),
            "rounds": [{"trials": each.trials, "space": each.space, "reason": each.reason} for each in self.rounds],
            "best": None if best is None else best.as_dict(),
            "importance": self.importance,
            "trials": [trial.as_dict() for trial in self.trials],
        }

    def __str__(self) -> str:
        """A line for each trial, the best first."""
        sign = -1 if self.objective.maximize else 1
        trials = sorted(self.trials, key=lambda each: (each.value is None, sign * (each.value or 0), each.number))
        lines = [f"{len(trials)} trials by {self.sampler}: {self.objective.name}"]
        for trial in trials:
            value = trial.state if trial.value is None else f"{trial.value:.4f}"
            numbers = ", ".join(f"{path} {shown(each)}" for path, each in trial.parameters.items())
            note = "" if trial.state == "complete" or trial.value is None else f" ({trial.state})"
            lines.append(f"  {trial.number:3}  {value}{note}  {numbers}")
        return "\n".join(lines)


def union_of(rounds: Iterable[Round]) -> dict[str, Any]:
    """The ranges that all rounds together have covered, as plain data."""
    found: dict[str, Any] = {}
    for each in rounds:
        for path, data in each.space.items():
            if "choices" in data or path not in found:
                found.setdefault(path, dict(data))
            else:
                known = found[path]
                found[path] = {
                    **known,
                    "low": min(known["low"], data["low"]),
                    "high": max(known["high"], data["high"]),
                }
    return found
