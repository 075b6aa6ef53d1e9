"""Studies: their file, many processes and kills, and trials that are made again."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")

import torch
from searching import PLANE, Formula, hill, images, iris, with_spec

from augreg.recipe.search import Range, Study, TrainedTask, space_of
from augreg.recipe.search.trials_file import TrialsFile

forks = pytest.mark.skipif(sys.platform == "win32", reason="needs fork")
RATES = {"learning_rate": Range(1e-4, 1.0, log=True)}


class Killed(BaseException):
    """In place of a kill."""


def study(folder: Path | None, objective: Any = None, trials: int = 7, **options: Any) -> Study:
    return Study(objective or Formula(), PLANE, trials, folder=folder, **options)


def seen(of: Study) -> list[dict[str, Any]]:
    return [{**trial.as_dict(), "values": trial.values, "history": dict(trial.history)} for trial in of.trials]


def test_the_best_is_found_and_results_are_plain_data() -> None:
    found = study(None, trials=32).run()
    assert found.best is not None and found.best.value == max(trial.value or 0 for trial in found.trials) > 0.9
    data = found.as_dict()
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    assert data["best"]["number"] == found.best.number and len(data["trials"]) == 32
    assert {trial.state for trial in found.trials} == {"complete", "pruned"}
    assert all(len(trial.values) < 3 for trial in found.trials if trial.state == "pruned")
    lines = str(found).splitlines()
    assert lines[0] == "32 trials by quasi-random: height" and len(lines) == 33
    assert lines[1].split()[:2] == [str(found.best.number), f"{found.best.value:.4f}"]


def test_the_lowest_is_best_where_less_is_better() -> None:
    found = study(None, Formula(lambda parameters: -hill(parameters), maximize=False), 32).run()
    assert found.best is not None and found.best.value == min(trial.value or 0 for trial in found.trials) < -0.9


def test_in_a_folder_and_in_memory_are_the_same(tmp_path: Path) -> None:
    assert seen(study(tmp_path).run()) == seen(study(None).run())
    assert sorted(each.name for each in tmp_path.iterdir()) == ["lock", "trials.jsonl"]


def test_a_study_that_ended_runs_nothing_again(tmp_path: Path) -> None:
    study(tmp_path).run()
    before = (tmp_path / "trials.jsonl").read_bytes()

    def never(_: Any) -> float:
        raise AssertionError

    assert study(tmp_path, Formula(never)).run().finished
    assert (tmp_path / "trials.jsonl").read_bytes() == before


def kill_writing(monkeypatch: pytest.MonkeyPatch, number: int, how: str) -> None:
    """Be killed at this call of `add`: before it writes, when it has written a part, or after it."""
    calls = []
    add = TrialsFile.add

    def killing(self: TrialsFile, event: Any) -> None:
        calls.append(event)
        if len(calls) != number:
            add(self, event)
            return
        if how == "after":
            add(self, event)
        elif how == "within" and self.path is not None:
            with self.path.open("ab") as file:
                file.write(json.dumps(event).encode()[:-3])
        raise Killed

    monkeypatch.setattr(TrialsFile, "add", killing)


@pytest.mark.parametrize(
    ("sampler", "how"),
    [
        ("tpe", "within"),
        *(pytest.param("quasi-random", how, marks=pytest.mark.soak) for how in ("before", "within", "after")),
        *(pytest.param("tpe", how, marks=pytest.mark.soak) for how in ("before", "after")),
    ],
)
def test_killed_at_every_write_and_resumed_is_the_same(tmp_path: Path, how: str, sampler: str) -> None:
    if sampler == "tpe":
        pytest.importorskip("optuna")
    whole = study(None, sampler=sampler, trials=12).run()
    count, step = len(whole.file.events()), 3 if sampler == "quasi-random" else 11
    assert count > 30
    for number in range(1, count + 1, step):
        folder = tmp_path / str(number)
        with pytest.MonkeyPatch.context() as patched, pytest.raises(Killed):
            kill_writing(patched, number, how)
            study(folder, sampler=sampler, trials=12).run()
        again = study(folder, sampler=sampler, trials=12).run()
        assert seen(again) == seen(whole) and again.as_dict() == whole.as_dict()
        assert all(json.loads(line) for line in (folder / "trials.jsonl").read_bytes().splitlines())


class KillingStep:
    """The update of a training loop, which is killed at one of its calls."""

    def __init__(self, number: int = 0) -> None:
        self.left = number

    def __call__(self, model: Any, optimizer: Any, inputs: Any, targets: Any) -> Any:
        self.left -= 1
        if not self.left:
            raise Killed
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(inputs), targets)
        loss.backward()
        optimizer.step()
        return loss


def trained(folder: Path | None, number: int = 0) -> Study:
    objective = TrainedTask(iris(step=KillingStep(number)), 3)
    return Study(objective, RATES, 7, folder=folder)


def test_training_that_was_killed_goes_on_at_its_last_epoch(tmp_path: Path) -> None:
    whole = trained(None).run()
    assert {trial.state for trial in whole.trials} == {"complete", "pruned"}
    for number in (1, 6, 11, 45, 62):  # of twelve in a trial, and four in an epoch
        with pytest.raises(Killed):
            trained(tmp_path / str(number), number).run()
        assert (tmp_path / str(number) / f"trial-{(number - 1) // 12:04}" / "run.pt").exists() is (
            (number - 1) % 12 >= 4
        )
        again = trained(tmp_path / str(number)).run()
        assert seen(again) == seen(whole) and again.best == whole.best
        assert sorted(each.name for each in (tmp_path / str(number)).iterdir()) == ["lock", "trials.jsonl"]


def test_a_trial_that_was_killed_as_it_was_pruned_ends_as_if_not(tmp_path: Path) -> None:
    whole = trained(None).run()
    number = next(trial.number for trial in whole.trials if trial.state == "pruned")
    finish = next(
        k for k, e in enumerate(whole.file.events(), 1) if e["event"] == "finished" and e["trial"] == number
    )
    with pytest.MonkeyPatch.context() as patched, pytest.raises(Killed):
        kill_writing(patched, finish, "before")
        trained(tmp_path).run()
    assert (tmp_path / f"trial-{number:04}" / "run.pt").exists()
    assert seen(trained(tmp_path).run()) == seen(whole)


def test_a_trial_is_made_again_bit_for_bit_from_its_file(tmp_path: Path) -> None:
    task = images()
    assert task.pipe is not None
    space = space_of(task, {"learning_rate": "log [1e-3, 1]", "model[0].dropout.p": [0.0, 0.5]})

    def made(task: Any) -> Study:
        return Study(TrainedTask(task, 2), space, 6, folder=tmp_path)

    made(task).run()
    torch.rand(3)
    later = made(images())
    for trial in later.trials:
        again = later.run_again(trial.number)
        assert {name: line[: len(trial.values)] for name, line in again.history.items()} == trial.history
        assert (
            trial.spec is not None
            and trial.spec["model"][0]["dropout"]["p"] == trial.parameters["model[0].dropout.p"]
        )
        assert len(trial.fingerprint) == 64 and trial.seeds == {"task": 0, "spec": 0}
    assert len({trial.fingerprint for trial in later.trials}) == 6
    later.objective = TrainedTask(task.replace(spec=task.pipe.replace(seed=3)), 2)
    with pytest.raises(ValueError, match="another spec or other seeds"):
        later.run_again(0)
    with pytest.raises(IndexError, match="no trial 9"):
        later.trial(9)


def test_trials_that_fail_are_recorded_and_the_study_goes_on() -> None:
    def formula(parameters: Any) -> float:
        if parameters["x"] < 0:
            raise RuntimeError("out of memory")
        return hill(parameters)

    found = study(None, Formula(formula), trials=8).run()
    failed = [trial for trial in found.trials if trial.state == "failed"]
    assert len(failed) == 4 and all(trial.error == "out of memory" and trial.value is None for trial in failed)
    assert found.best is not None and found.best.parameters["x"] >= 0

    diverging = Study(TrainedTask(iris(optimizer=torch.optim.SGD), 2), {"learning_rate": Range(1e18, 1e20)}, 2).run()
    assert [trial.state for trial in diverging.trials] == ["failed"] * 2 and diverging.best is None
    assert "the loss is nan" in diverging.trials[0].error


def test_an_error_of_the_program_is_raised_and_the_trial_is_run_again(tmp_path: Path) -> None:
    def wrong(parameters: Any) -> float:
        raise KeyError("bug")

    with pytest.raises(KeyError):
        study(tmp_path, Formula(wrong)).run()
    assert seen(study(tmp_path).run()) == seen(study(None).run())


def test_the_first_trials_are_those_given() -> None:
    given = {"x": 0.5, "y": 0.1}
    found = study(None, first=[given], sampler="grid", trials=10).run()
    assert found.trials[0].parameters == given and found.best == found.trials[0]
    assert len(found.trials) == 10  # and a grid of nine


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sampler": "quasirandom"}, "sampler: there is no 'quasirandom'; did you mean 'quasi-random'"),
        ({"pruner": "mediam"}, "pruner: there is no 'mediam'; did you mean 'median'"),
        ({"trials": 0}, "trials: expected a whole number from 1"),
    ],
)
def test_wrong_arguments(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        study(None, **options)


def test_a_folder_of_another_study_is_refused(tmp_path: Path) -> None:
    study(tmp_path)
    with pytest.raises(ValueError, match="a study with another seed: give the same arguments"):
        study(tmp_path, seed=1)
    with pytest.raises(ValueError, match="another objective, trials"):
        study(tmp_path, Formula(epochs=4), trials=8)
    with pytest.raises(ValueError, match="validation: a search compares"):
        TrainedTask(with_spec(validation=None), 2)


def worker(folder: Path, seconds: float) -> None:
    study(folder, Formula(seconds=seconds), trials=12, pruner="none").run()


def started(folder: Path, seconds: float) -> Any:
    process = multiprocessing.get_context("fork").Process(target=worker, args=(folder, seconds))
    process.start()
    return process


def events(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "trials.jsonl").read_text().splitlines()]


@forks
def test_two_processes_share_a_study_and_one_is_killed(tmp_path: Path) -> None:
    study(tmp_path, trials=12, pruner="none")
    processes = [started(tmp_path, 0.01) for _ in range(2)]
    while len([each for each in events(tmp_path) if each["event"] == "finished"]) < 4:
        time.sleep(0.002)
    os.kill(processes[0].pid, signal.SIGKILL)
    processes[0].join()
    processes[1].join()
    assert processes[1].exitcode == 0
    shared = study(tmp_path, trials=12, pruner="none")
    assert shared.finished and seen(shared) == seen(study(None, trials=12, pruner="none").run())
    for what in ("started", "finished"):
        numbers = [each["trial"] for each in events(tmp_path) if each["event"] == what]
        assert sorted(numbers) == list(range(12))  # nothing twice


@forks
@pytest.mark.soak
def test_killed_at_20_random_moments(tmp_path: Path) -> None:
    whole = seen(study(None, trials=12, pruner="none").run())
    generator = random.Random(0)
    kills = 0
    for number in range(20):
        folder = tmp_path / str(number)
        study(folder, trials=12, pruner="none")
        process = started(folder, 0.005)
        time.sleep(generator.uniform(0, 0.25))
        if process.is_alive():
            os.kill(process.pid, signal.SIGKILL)
            kills += 1
        process.join()
        worker(folder, 0)
        assert seen(study(folder, trials=12, pruner="none")) == whole
    assert kills >= 10
