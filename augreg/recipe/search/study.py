"""A study: trials of a search, in a folder that many processes share, or in memory.

    study = Study(TrainedTask(task, epochs=3), space_of(task, {"learning_rate": "log [1e-4, 1]"}), trials=20)
    study.run()
    print(study.best)

A study in a folder that was killed goes on when it is made again with the same arguments.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from augreg.recipe.search.objective import Objective, about_trial, outcome_of
from augreg.recipe.search.optuna_sampler import imported, suggested
from augreg.recipe.search.pruning import PRUNERS, first_pruned
from augreg.recipe.search.samplers import SAMPLERS, grid_points
from augreg.recipe.search.space import Space, parameter, plain_space
from augreg.recipe.search.study_results import StudyResults
from augreg.recipe.search.trial import Round, Trial, TrialLog
from augreg.recipe.search.trials_file import TrialsFile
from augreg.steps.suggestions import nearest
from augreg.training.rng_state import hashed_seed

__all__ = ["Study"]

_POLL = 0.1  # seconds
_NAMES = (*SAMPLERS, "tpe")


class Study(StudyResults):
    """Trials of an objective over a space; `run` runs those that are left.

    `sampler` is "quasi-random", "random", "grid" or "tpe", which needs Optuna; `pruner` is "median", "halving" or
    "none". `first` has the parameters of the first trials, if they are to be certain ones. Processes that make a
    study with the same folder and the same arguments share it; `seed` is that of the sampler.

    Raises ValueError for unknown names, and for a folder of another study.
    """

    def __init__(
        self,
        objective: Objective,
        space: Space,
        trials: int = 20,
        *,
        sampler: str = "quasi-random",
        pruner: str = "median",
        seed: int = 0,
        folder: str | Path | None = None,
        first: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        for what, name, known in (("sampler", sampler, _NAMES), ("pruner", pruner, tuple(PRUNERS))):
            if name not in known:
                raise ValueError(f"{what}: there is no {name!r}{nearest(name, known)}; there are {', '.join(known)}")
        if isinstance(trials, bool) or not isinstance(trials, int) or trials < 1:
            raise ValueError(f"trials: expected a whole number from 1, got {trials!r}")
        if sampler == "tpe":
            imported()  # without Optuna, fail before anything is trained
        self.objective = objective
        self.sampler = sampler
        self.pruner = pruner
        self.seed = seed
        self.first = [dict(each) for each in first]
        self.file = TrialsFile(None if folder is None else Path(folder))
        self._log = TrialLog()
        self._begin(trials, space)

    def _begin(self, trials: int, space: Space) -> None:
        head = {
            "event": "study",
            "objective": [self.objective.name, self.objective.epochs, self.objective.identity()],
            "sampler": self.sampler,
            "pruner": self.pruner,
            "seed": self.seed,
            "first": self.first,
            "trials": trials,
            "space": plain_space(space),
        }
        head = json.loads(json.dumps(head))
        with self.file.lock():
            events = self.file.events()
            if not events:
                self.file.add(head)
            elif events[0] != head:
                names = [name for name in head if events[0].get(name) != head[name]]
                raise ValueError(
                    f"{self.file.folder} has a study with another {', '.join(names)}: give the same arguments to go "
                    "on with it, choose another folder, or remove this one"
                )
            if not self.rounds:
                self._add_round(space, trials, "")
            self._tidy()

    def _tidy(self) -> None:
        """Remove what processes left that were killed as a trial ended. The caller has the lock."""
        ended = [trial.number for trial in self.trials if trial.done]
        for number in self.file.marked():
            if number in ended and self.file.take(number):
                self._clear(self._folder_of(number))
                self.file.leave(number)

    @property
    def trials(self) -> list[Trial]:
        """All trials so far, by number."""
        return self._log.trials(self.file.events())

    @property
    def rounds(self) -> list[Round]:
        """The rounds: the first, and those that widened ranges or added trials."""
        return self._log.rounds(self.file.events())

    def add(self, trials: int, space: Space, reason: str, after: int) -> None:
        """Add a round of trials after so many rounds, unless another process has added it already."""
        with self.file.lock():
            if len(self.rounds) == after:
                self._add_round(space, trials, reason)

    def run(self, progress: Callable[[int, int], None] | None = None) -> Study:
        """Run the trials that are left, and wait for those that other processes run.

        `progress(done, total)` is called after each trial of this process.
        """
        while not self.finished:
            with self.file.lock():
                claimed = self._claimed()
            if claimed is None:
                time.sleep(_POLL)
                continue
            self._run(claimed)
            if progress is not None:
                progress(sum(trial.done for trial in self.trials), self.total)
        return self

    @property
    def total(self) -> int:
        """How many trials there will be, with the rounds so far."""
        return self._end_of(self.rounds[-1])

    @property
    def finished(self) -> bool:
        """Whether all trials of all rounds have ended."""
        trials = self.trials
        return len(trials) >= self.total and all(trial.done for trial in trials)

    def _claimed(self) -> Trial | None:
        """A trial for this process: one that a killed process left, or a new one; None if there is none now."""
        trials = self.trials
        for trial in trials:
            if not trial.done and self.file.take(trial.number):
                return trial
        number = len(trials)
        if number >= self.total:
            return None
        parameters = self._parameters(number, trials)
        self._clear(self._folder_of(number))  # of another study, whose file was removed
        about = about_trial(self.objective, parameters)
        self.file.add({"event": "started", "trial": number, "parameters": parameters, **about})
        self.file.take(number)
        return self.trials[number]

    def _parameters(self, number: int, trials: Sequence[Trial]) -> dict[str, Any]:
        now = next(each for each in reversed(self.rounds) if each.first <= number)
        space = _space(now)
        place, seed = number - now.first, hashed_seed(self.seed, now.number)
        if not now.number:
            if place < len(self.first):
                return dict(self.first[place])
            place -= len(self.first)
        if self.sampler == "tpe":
            return suggested(space, trials, place, seed, self.objective.maximize)
        point = SAMPLERS[self.sampler](space, place, now.trials, seed)
        assert point is not None  # `_end_of` stops at the last point of a grid
        return {path: each.value(unit) for unit, (path, each) in zip(point, space.items(), strict=True)}

    def _end_of(self, each: Round) -> int:
        """The number after the last trial of a round, which may be less than its budget in a grid."""
        if self.sampler != "grid":
            return each.first + each.trials
        given = len(self.first) if not each.number else 0
        left = max(0, each.trials - given)
        return each.first + min(given, each.trials) + min(left, grid_points(_space(each), left))

    def _run(self, trial: Trial) -> None:
        """Run a trial and record how it ended. After an error of the program, it is left to be run again."""
        number = trial.number
        folder = self._folder_of(number)
        others = [each.values for each in self.trials[:number] if each.values]
        sign = 1 if self.objective.maximize else -1
        reported: set[int] = set()

        def stop(values: list[float]) -> int | None:
            if values and len(values) not in reported and abs(values[-1]) < float("inf"):
                reported.add(len(values))
                self._add({"event": "epoch", "trial": number, "epoch": len(values), "value": values[-1]})
            signed = [[sign * value for value in line] for line in (values, *others)]
            return first_pruned(signed[0], signed[1:], self.pruner, self.objective.epochs)

        try:
            outcome = outcome_of(self.objective, trial.parameters, folder, stop)
            self._add({"event": "finished", "trial": number, **outcome.as_dict()})
            self._clear(folder)
        finally:
            with self.file.lock():
                self.file.leave(number)

    def _folder_of(self, number: int) -> Path | None:
        return None if self.file.folder is None else self.file.folder / f"trial-{number:04}"

    def _clear(self, folder: Path | None) -> None:
        """Remove what a trial kept to go on after a kill."""
        if folder is not None and folder.is_dir():
            for file in folder.iterdir():
                file.unlink()
            folder.rmdir()

    def _add(self, event: Mapping[str, Any]) -> None:
        with self.file.lock():
            self.file.add(event)

    def _add_round(self, space: Space, trials: int, reason: str) -> None:
        first = self.total if self.rounds else 0
        self.file.add(
            {"event": "round", "first": first, "trials": trials, "space": plain_space(space), "reason": reason}
        )


def _space(of: Round) -> Space:
    return {path: parameter(each) for path, each in of.space.items()}
