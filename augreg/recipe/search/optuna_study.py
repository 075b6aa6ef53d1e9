"""A study in a storage of Optuna, such as a database server, by ask and tell: for processes without a common folder.

    storage = "postgresql://user@server/studies"
    study = OptunaStudy(TrainedTask(task, epochs=3), space, trials=50, storage=storage, name="digits")
    study.run()

Each process that makes the same study takes trials until there are enough. One that runs a trial writes to the
storage that it is alive; if it stops doing so, others give up its trial and run it again with the same parameters.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from augreg.recipe.search.locks import release, taken
from augreg.recipe.search.objective import Objective, Outcome, about_trial, outcome_of
from augreg.recipe.search.optuna_sampler import decoded, distributions, encoded, imported, quiet
from augreg.recipe.search.space import Space, plain_space
from augreg.recipe.search.study_results import StudyResults
from augreg.recipe.search.trial import Round, State, Trial
from augreg.recipe.search.trials_file import cut_half_line

__all__ = ["OptunaStudy", "journal"]

_OWN = "augreg"  # the attribute of a trial with what Optuna does not keep
_FOR = "made for"  # of a trial with given parameters: which of the first it is, or the trial that was given up
_GIVEN = "given"  # its parameters, of which a process that was killed may have recorded a part
_ALIVE = "alive"


def journal(path: str | Path) -> Any:
    """A storage of Optuna in one file, for the processes of one machine; a lock of it is gone with its process."""
    optuna = imported()
    return optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(path), _JournalLock(path)))


class _JournalLock:
    """Optuna's own locks are files that a killed process leaves, and others then wait for.

    A process that was killed, or had no space on the disk, may also leave half a line, to which the next would add.
    """

    def __init__(self, path: str | Path) -> None:
        self._journal = Path(path)
        self._path = Path(f"{path}.lock")
        self._local = threading.local()

    def acquire(self) -> bool:
        while (file := taken(self._path)) is None:
            time.sleep(0.005)
        self._local.file = file
        if self._journal.is_file():
            with self._journal.open("r+b") as lines:
                cut_half_line(lines.fileno())
        return True

    def release(self) -> None:
        release(self._local.file)


class OptunaStudy(StudyResults):
    """Trials of an objective over a space, in a storage of Optuna.

    `storage` is a URL of a database or a storage of Optuna, such as `journal(path)`; `name` that of the study in it.
    `sampler` is "tpe" or a sampler of Optuna, `pruner` is "median", "halving", "none" or a pruner of Optuna. A trial
    whose process was not heard of for `patience` seconds is run again. `first` has the parameters of the first
    trials, if they are to be certain ones. Raises ValueError if the storage has another study of this name.
    """

    def __init__(
        self,
        objective: Objective,
        space: Space,
        trials: int = 20,
        *,
        storage: Any,
        name: str,
        sampler: Any = "tpe",
        pruner: Any = "median",
        patience: float = 120.0,
        first: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        self._optuna = optuna = imported()
        self.objective = objective
        self.space = space
        self.total = trials
        self.patience = patience
        self.sampler = sampler if isinstance(sampler, str) else type(sampler).__name__
        self.pruner = pruner if isinstance(pruner, str) else type(pruner).__name__
        self.seed = 0
        self._seen: dict[int, tuple[Any, float]] = {}
        with quiet(optuna):
            self.study = optuna.create_study(
                storage=storage,
                study_name=name,
                sampler=_sampler(optuna, sampler),
                pruner=_pruner(optuna, pruner),
                direction="maximize" if objective.maximize else "minimize",
                load_if_exists=True,
            )
        self._check(name, first)

    def _check(self, name: str, first: Sequence[Mapping[str, Any]]) -> None:
        own = {
            "objective": [self.objective.name, self.objective.epochs, self.objective.identity()],
            "space": plain_space(self.space),
            "trials": self.total,
        }
        own = json.loads(json.dumps(own))
        known = self.study.user_attrs.get(_OWN)
        if known is None:
            self.study.set_user_attr(_OWN, own)
        elif known != own:
            names = ", ".join(each for each in own if known.get(each) != own[each])
            raise ValueError(f"the storage has a study {name!r} with another {names}: choose another name")
        for number, parameters in enumerate(first):  # also of a study whose maker was killed
            self._enqueue(encoded(self.space, parameters), f"first {number}")

    @property
    def trials(self) -> list[Trial]:
        """All trials so far, by number; those that were given up are left out, so numbers may be missing."""
        return [self._trial(each) for each in self._counting()]

    @property
    def rounds(self) -> list[Round]:
        """The one round."""
        return [Round(0, 0, self.total, plain_space(self.space))]

    def run(self, progress: Callable[[int, int], None] | None = None) -> OptunaStudy:
        """Run trials until there are enough, and wait for those of other processes.

        `progress(done, total)` is called after each trial of this process.
        """
        with quiet(self._optuna):
            while not self.finished:
                self._give_up_dead()
                if len(self._counting()) >= self.total:
                    time.sleep(min(0.2, self.patience / 4))
                    continue
                asked = self.study.ask(distributions(self._optuna, self.space))
                if self._is_too_much(asked.number):  # others asked at the same time
                    self._fail(asked.number)
                    continue
                self._run(asked)
                if progress is not None:
                    progress(sum(trial.done for trial in self.trials), self.total)
        return self

    @property
    def finished(self) -> bool:
        """Whether there are enough trials, and all have ended."""
        trials = self.trials
        return len(trials) >= self.total and all(trial.done for trial in trials)

    def _counting(self) -> list[Any]:
        """Optuna's trials, without those that wait or were given up."""
        states = self._optuna.trial.TrialState
        return [each for each in self._all() if each.state not in (states.WAITING, states.FAIL)]

    def _run(self, asked: Any) -> None:
        parameters = {path: decoded(each, asked.params[path]) for path, each in self.space.items()}
        about = about_trial(self.objective, parameters)
        asked.set_user_attr(_OWN, about)

        pruned: list[int] = []
        reported: set[int] = set()

        def stop(values: list[float]) -> int | None:
            if pruned:
                return pruned[0]
            if not values or abs(values[-1]) == float("inf") or values[-1] != values[-1]:
                return None
            if len(values) not in reported:
                reported.add(len(values))
                asked.report(values[-1], len(values))
                if len(values) < self.objective.epochs and asked.should_prune():
                    pruned.append(len(values))
            return pruned[0] if pruned else None

        with _alive(asked, self.patience / 4):
            try:
                outcome = outcome_of(self.objective, parameters, None, stop)
            except BaseException:  # an interrupt, or an error of the program: others run this trial again
                self._give_up(asked.number)
                raise
        self._tell(asked, outcome, about)

    def _tell(self, asked: Any, outcome: Outcome, about: Mapping[str, Any]) -> None:
        """Record how a trial ended, unless others have given it up meanwhile."""
        try:
            asked.set_user_attr(_OWN, {**about, **outcome.as_dict()})
        except (RuntimeError, ValueError):
            if not self._all()[asked.number].state.is_finished():
                raise
        self._close(asked.number, outcome.state, outcome.value)

    def _give_up_dead(self) -> None:
        """Give up the trials whose processes have not changed their sign of life for some time, by our own clock."""
        running = self._optuna.trial.TrialState.RUNNING
        now = time.monotonic()
        for each in self._counting():
            if each.state != running:
                continue
            sign = each.user_attrs.get(_ALIVE)
            if each.number not in self._seen or self._seen[each.number][0] != sign:
                self._seen[each.number] = sign, now
            elif now - self._seen[each.number][1] > self.patience:
                self._give_up(each.number)

    def _give_up(self, number: int) -> None:
        """Give up a trial and ask for one with the same parameters, unless it has ended.

        The new one comes first: whoever is killed in between, others see both, and end this.
        """
        given = self._all()[number]
        own = given.user_attrs.get(_OWN, {})
        if given.state.is_finished():
            return
        if "state" in own:  # its process was killed when it had recorded how it ended
            self._close(number, own["state"], own["value"])
            return
        if self._before(number) < self.total:
            self._enqueue({**given.user_attrs.get(_GIVEN, {}), **given.params}, f"again {number}")
        self._fail(number)

    def _enqueue(self, parameters: Mapping[str, Any], made_for: str) -> None:
        """Ask for a trial with these parameters, unless it was done."""
        if not any(each.user_attrs.get(_FOR) == made_for for each in self._all()):
            given = dict(parameters)
            self.study.enqueue_trial(given, user_attrs={_FOR: made_for, _GIVEN: given})

    def _is_too_much(self, number: int) -> bool:
        """Whether there are enough trials without this one, or another has its parameters."""
        made_for = self._all()[number].user_attrs.get(_FOR, "")
        if any(each.user_attrs.get(_FOR) == made_for != "" for each in self._all()[:number]):
            return True  # two processes gave up the same trial
        if made_for.startswith("again "):
            left = int(made_for.removeprefix("again "))
            self._fail(left)
            if self._all()[left].state != self._optuna.trial.TrialState.FAIL:  # it has ended after all
                return True
        return self._before(number) >= self.total

    def _before(self, number: int) -> int:
        return sum(each.number < number for each in self._counting())

    def _all(self) -> list[Any]:
        found: list[Any] = self.study.get_trials(deepcopy=False)
        return found

    def _fail(self, number: int) -> None:
        with contextlib.suppress(RuntimeError, ValueError):  # it has ended, or was given up
            self.study.tell(number, state=self._optuna.trial.TrialState.FAIL)

    def _close(self, number: int, state: str, value: float | None) -> None:
        """End a trial, unless it has ended."""
        with contextlib.suppress(RuntimeError, ValueError):
            if state == "complete":
                self.study.tell(number, value)
            else:
                self.study.tell(number, state=self._optuna.trial.TrialState.PRUNED)

    def _trial(self, each: Any) -> Trial:
        own = {"seeds": {}, "fingerprint": "", "spec": None, **each.user_attrs.get(_OWN, {})}
        states = self._optuna.trial.TrialState
        state: State = "running" if each.state == states.RUNNING else own.get("state", "running")
        values = own.get("values") or [each.intermediate_values[step] for step in sorted(each.intermediate_values)]
        known = {path: kind for path, kind in self.space.items() if path in each.params}
        return Trial(
            number=each.number,
            parameters={path: decoded(kind, each.params[path]) for path, kind in known.items()},
            state=state,
            value=own.get("value") if state != "running" else None,
            values=tuple(values),
            history=own.get("history", {}),
            error=own.get("error", ""),
            seeds=own["seeds"],
            fingerprint=own["fingerprint"],
            spec=own["spec"],
        )


@contextlib.contextmanager
def _alive(asked: Any, every: float) -> Iterator[None]:
    """A context in which a thread writes a number that grows to the storage, so that others know that we run."""
    end = threading.Event()

    def write() -> None:
        count = 0
        while not end.wait(every):
            count += 1
            with contextlib.suppress(Exception):  # the trial was given up, or the server does not answer now
                asked.set_user_attr(_ALIVE, count)

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()


def _sampler(optuna: Any, given: Any) -> Any:
    if not isinstance(given, str):
        return given
    if given != "tpe":
        raise ValueError(f"sampler: in a storage of Optuna, expected 'tpe' or a sampler of Optuna, got {given!r}")
    return optuna.samplers.TPESampler()  # every process draws others


def _pruner(optuna: Any, given: Any) -> Any:
    pruners = {
        "none": optuna.pruners.NopPruner,
        "median": optuna.pruners.MedianPruner,
        "halving": optuna.pruners.SuccessiveHalvingPruner,
    }
    if not isinstance(given, str):
        return given
    if given not in pruners:
        raise ValueError(f"pruner: expected one of {', '.join(pruners)} or a pruner of Optuna, got {given!r}")
    return pruners[given]()
