"""Studies that processes share, of which some are killed or stopped; and files that are not as they should be."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")

from searching import PLANE, Formula, iris

from augreg.recipe import fit
from augreg.recipe.search import Range, Study, TrainedTask
from augreg.recipe.search.locks import held, taken

forks = pytest.mark.skipif(sys.platform == "win32", reason="needs fork and signals")
FIRST = {"x": 0.25, "y": 0.5}


class Killed(BaseException):
    """In place of a kill."""


def study(folder: Path | None, seconds: float = 0.0, trials: int = 12) -> Study:
    return Study(Formula(seconds=seconds), PLANE, trials, pruner="none", folder=folder)


def seen(of: Any) -> list[Any]:
    return [(trial.number, trial.parameters, trial.state, trial.values) for trial in of.trials]


def run_study(folder: Path, seconds: float) -> None:
    study(folder, seconds).run()


def started(work: Callable[..., None], *arguments: Any) -> Any:
    process = multiprocessing.get_context("fork").Process(target=work, args=arguments)
    process.start()
    return process


def events(folder: Path, kind: str) -> list[Any]:
    lines = (folder / "trials.jsonl").read_text().splitlines()
    return [event["trial"] for event in map(json.loads, lines) if event["event"] == kind]


def wait_for(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        time.sleep(0.002)


@forks
def test_three_processes_of_which_one_is_killed_and_one_is_stopped_for_a_while(tmp_path: Path) -> None:
    study(tmp_path)
    killed, stopped, other = (started(run_study, tmp_path, 0.01) for _ in range(3))
    wait_for(lambda: len(events(tmp_path, "finished")) >= 2)
    os.kill(killed.pid, signal.SIGKILL)
    wait_for(lambda: stopped.pid is not None and len(events(tmp_path, "finished")) >= 4)
    os.kill(stopped.pid, signal.SIGSTOP)
    time.sleep(0.3)
    before = len(events(tmp_path, "finished"))
    os.kill(stopped.pid, signal.SIGCONT)
    for process in (killed, stopped, other):
        process.join()
    assert (stopped.exitcode, other.exitcode) == (0, 0) and before <= 12
    assert seen(study(tmp_path)) == seen(study(None).run())
    for kind in ("started", "finished"):
        assert sorted(events(tmp_path, kind)) == list(range(12))
    assert sorted(each.name for each in tmp_path.iterdir()) == ["lock", "trials.jsonl"]


@pytest.mark.parametrize(
    ("line", "damage", "message"),
    [
        (1, b"{", "Expecting"),
        (1, b'{"a": 1}', "expected a JSON object with an `event` of study, round"),
        (2, b"[3]", "expected a JSON object"),
        (3, b"\0\0\0\0", ""),
        (3, b'{"event": "started", "trial": 0}', "parameters, seeds, fingerprint, spec is missing"),
        (3, b'{"event": "epoch", "trial": 0, "epoch": 1, "value": 0.5}', "trial 0 has not started"),
        (9, b'{"event": "finished", "trial": 1, "st', "Unterminated"),
    ],
)
def test_a_damaged_line_is_named_and_nothing_is_written(
    tmp_path: Path, line: int, damage: bytes, message: str
) -> None:
    study(tmp_path).run()
    file = tmp_path / "trials.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join([*lines[: line - 1], damage + b"\n", *lines[line:]]))
    before = file.read_bytes()
    with pytest.raises(ValueError, match=f"trials.jsonl, line {line}: .*{message}") as caught:
        study(tmp_path)
    assert file.read_bytes() == before
    if line > 1:  # what the message says helps
        assert "remove it and all lines below" in str(caught.value)
        file.write_bytes(b"".join(lines[: line - 1]))
        assert seen(study(tmp_path).run()) == seen(study(None).run())


def test_files_that_are_no_study_are_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "trials.jsonl"
    for content in (b"notes of the user", b"notes\nof the user\n", b'{"event": "studies'):
        file.write_bytes(content)
        with pytest.raises(ValueError, match=r"line 1: .*no file of a search"):
            study(tmp_path)
        assert file.read_bytes() == content
    file.write_bytes(b'{"event": "stu')  # what a kill may leave
    assert seen(study(tmp_path).run()) == seen(study(None).run())


def test_lines_that_vanish_while_a_study_runs_are_an_error(tmp_path: Path) -> None:
    running = study(tmp_path)
    file = tmp_path / "trials.jsonl"
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(ValueError, match=r"trials.jsonl has lost lines"):
        running.run()


def hold_with_a_worker(path: Path, ready: Any) -> None:
    file = taken(path)
    with held(path.with_name("study")):
        worker = started(time.sleep, 20)
        ready.send((file is not None, worker.pid))
        time.sleep(20)


@forks
def test_locks_of_a_killed_process_are_free_though_its_workers_live(tmp_path: Path) -> None:
    receiver, sender = multiprocessing.Pipe()
    process = started(hold_with_a_worker, tmp_path / "trial", sender)
    locked, worker = receiver.recv()
    assert locked and taken(tmp_path / "trial") is None and taken(tmp_path / "study") is None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    free = taken(tmp_path / "trial"), taken(tmp_path / "study")
    os.kill(worker, signal.SIGKILL)
    assert None not in free
    for file in free:
        assert file is not None
        file.close()


def test_what_a_study_left_whose_file_was_removed_is_not_used(tmp_path: Path) -> None:
    def trained(folder: Path | None) -> Study:
        return Study(TrainedTask(iris(), 1), {"learning_rate": Range(1e-3, 1e-1, log=True)}, 2, folder=folder)

    fit(iris(learning_rate=0.5), 1, folder=tmp_path / "trial-0000")
    assert seen(trained(tmp_path).run()) == seen(trained(None).run())


def in_storage(storage: Any, seconds: float = 0.0, trials: int = 6, patience: float = 0.1) -> Any:
    from augreg.recipe.search.optuna_study import OptunaStudy

    return OptunaStudy(
        Formula(seconds=seconds), PLANE, trials, storage=storage, name="hill", pruner="none", patience=patience,
        first=[FIRST],
    )  # fmt: skip


def check_all_done_once(of: Any, trials: int) -> None:
    """Every trial whose parameters are known has ended once, and nothing waits or runs."""
    from optuna.trial import TrialState

    of.run()  # a process that comes late
    everything = of.study.get_trials()
    assert {each.state for each in everything} <= {TrialState.COMPLETE, TrialState.FAIL}
    done = [each.params for each in everything if each.state == TrialState.COMPLETE]
    assert len(of.trials) == len(done) == trials and of.finished
    assert all(done.count(parameters) == 1 for parameters in done) and done.count(FIRST) == 1
    too_many = len({str(each.params) for each in everything if len(each.params) == len(PLANE)}) - trials
    assert too_many <= 1  # asked for by two processes at the same time, and not run


class KilledWriting:
    """A journal whose process is killed at one of its writes: before it, after it, or in the middle."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, number: int, how: str) -> None:
        from optuna.storages.journal import JournalFileBackend

        self.left, self.how, self.append = number, how, JournalFileBackend.append_logs
        monkeypatch.setattr(JournalFileBackend, "append_logs", lambda backend, logs: self._append(backend, logs))

    def _append(self, backend: Any, logs: list[Any]) -> None:
        self.left -= 1
        if self.left > 0 or (self.left == 0 and self.how == "after"):
            self.append(backend, logs)
        elif self.left == 0 and self.how == "within":
            with Path(backend._file_path).open("ab") as file:
                file.write(json.dumps(logs[0]).encode()[:-4])
        if self.left <= 0:
            raise Killed  # again at every call: a process that is killed writes nothing more


def killed_at_writes(tmp_path: Path, numbers: Any) -> int:
    from augreg.recipe.search.optuna_study import journal

    for count, number in enumerate(numbers):
        path = tmp_path / f"{number}.log"
        how = ("before", "within", "after")[number % 3]
        with pytest.MonkeyPatch.context() as patched:
            KilledWriting(patched, number, how)
            try:
                in_storage(journal(path), patience=600).run()  # it does not say meanwhile that it is alive
            except Killed:
                pass
            else:
                return count
        check_all_done_once(in_storage(journal(path), patience=0.01), 6)
    return len(numbers)


def test_a_study_in_a_journal_goes_on_after_a_kill(tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    assert killed_at_writes(tmp_path, (2, 3, 4, 6, 15, 18, 23, 34, 44)) == 9


@pytest.mark.soak
@pytest.mark.parametrize("turn", range(3))
def test_a_study_in_a_journal_goes_on_after_a_kill_at_any_write(tmp_path: Path, turn: int) -> None:
    count = killed_at_writes(tmp_path, range(1 + turn, 1000, 1 if turn == 0 else 2))
    print(f"killed at {count} writes")
    assert count > 20


def storage_of(kind: str, folder: Path) -> Any:
    from augreg.recipe.search.optuna_study import journal

    return journal(folder / "journal.log") if kind == "journal" else f"sqlite:///{folder}/studies.db"


def run_in_storage(kind: str, folder: Path, seconds: float) -> None:
    in_storage(storage_of(kind, folder), seconds, 8, 0.4).run()


@forks
def test_three_processes_in_a_journal_of_which_one_is_killed_and_one_is_stopped(tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    own = in_storage(storage_of("journal", tmp_path), 0.03, 8, 0.4)
    killed, stopped, other = (started(run_in_storage, "journal", tmp_path, 0.03) for _ in range(3))
    wait_for(lambda: len(own.trials) >= 3)
    os.kill(killed.pid, signal.SIGKILL)
    os.kill(stopped.pid, signal.SIGSTOP)  # for longer than the others wait; it may have the lock of the journal
    time.sleep(0.6)
    os.kill(stopped.pid, signal.SIGCONT)
    for process in (killed, stopped, other):
        process.join()
    assert (stopped.exitcode, other.exitcode) == (0, 0)
    check_all_done_once(own, 8)


@forks
@pytest.mark.soak
@pytest.mark.parametrize("kind", ["journal", "database"])
def test_studies_in_a_storage_are_killed_at_20_random_moments(tmp_path: Path, kind: str) -> None:
    pytest.importorskip("optuna")
    generator, kills = random.Random(0), 0
    for number in range(20):
        folder = tmp_path / str(number)
        folder.mkdir()
        own = in_storage(storage_of(kind, folder), 0.0, 8, 0.4)
        beside = [started(run_in_storage, kind, folder, 0.02) for _ in range(2 if kind == "journal" else 1)]
        time.sleep(generator.uniform(0, 0.8))
        kills += beside[0].is_alive()
        for process in beside[: 1 if kind == "journal" else None]:
            process.kill()
        for process in beside:
            process.join()
        own.run()
        check_all_done_once(own, 8)
    print(f"{kind}: killed {kills} times")
    assert kills >= 10


def test_a_trial_that_two_processes_gave_up_is_run_again_once() -> None:
    pytest.importorskip("optuna")
    from optuna.storages import InMemoryStorage

    own = in_storage(InMemoryStorage(), patience=0.01)
    assert own.study.ask().number == 0  # the first one, whose process is killed
    for _ in range(2):  # both have looked for it before either asked
        own.study.enqueue_trial(FIRST, user_attrs={"made for": "again 0"})
    check_all_done_once(own, 6)
    assert own.trial(1).parameters == FIRST and 2 not in [trial.number for trial in own.trials]


def test_a_trial_that_ended_after_all_is_not_run_again() -> None:
    pytest.importorskip("optuna")
    from optuna.storages import InMemoryStorage

    own = in_storage(InMemoryStorage())
    own.run()
    longer = in_storage(own.study._storage, trials=6)
    longer.total = 7  # as if one more were to be run
    longer.study.enqueue_trial(FIRST, user_attrs={"made for": "again 0"})
    check_all_done_once(longer, 7)


def test_a_trial_whose_end_was_recorded_is_not_run_again() -> None:
    pytest.importorskip("optuna")
    from optuna.storages import InMemoryStorage

    own = in_storage(InMemoryStorage(), patience=0.01)
    values = [0.25, 0.5]
    ended = {"state": "complete", "value": 0.5, "values": values, "history": {"height": values}, "error": ""}
    asked = own.study.ask()  # FIRST; its process is killed before it tells Optuna
    for name, value in FIRST.items():
        assert asked.suggest_float(name, PLANE[name].low, PLANE[name].high, log=PLANE[name].log) == value
    asked.set_user_attr("augreg", {"seeds": {}, "fingerprint": "", "spec": None, **ended})
    check_all_done_once(own, 6)
    assert own.trial(0).values == (0.25, 0.5) and own.trial(0).state == "complete"
