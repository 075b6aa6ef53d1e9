"""Studies in a storage of Optuna: a journal file, and a database, with two processes and a kill."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")
pytest.importorskip("optuna")

import optuna
from searching import PLANE, Formula, hill, iris

from augreg.recipe import coarse_search, fine_search, run
from augreg.recipe.search import Choice, Range, TrainedTask
from augreg.recipe.search.optuna_study import OptunaStudy, journal

SPACE = {**PLANE, "n": Range(1, 3, integer=True), "c": Choice(([1], [2]))}


def study(storage: Any, objective: Any = None, trials: int = 6, **options: Any) -> OptunaStudy:
    return OptunaStudy(objective or Formula(), SPACE, trials, storage=storage, name="hill", **options)


def test_optuna_is_needed_only_where_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [each for each in sys.modules if each.partition(".")[0] == "optuna" or ".search." in each]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "optuna", None)  # as if it were not installed
    fresh = importlib.import_module("augreg.recipe.search.study").Study
    assert fresh(Formula(), PLANE, 4).run().finished
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'augreg\[search\]'"):
        fresh(Formula(), PLANE, 12, sampler="tpe")  # before anything is trained
    storage = importlib.import_module("augreg.recipe.search.optuna_study").OptunaStudy
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'augreg\[search\]'"):
        storage(Formula(), PLANE, storage="sqlite://", name="x")


def test_a_study_in_memory_has_what_other_studies_have() -> None:
    found = study(optuna.storages.InMemoryStorage(), trials=16).run()
    assert found.finished and len(found.trials) == 16
    assert {trial.state for trial in found.trials} <= {"complete", "pruned"}
    best = found.best
    assert best is not None and best.value == pytest.approx(hill(best.parameters))
    assert best.value == max(trial.value for trial in found.trials if trial.state == "complete" and trial.value)
    for trial in found.trials:
        assert all(0 <= each.unit(trial.parameters[path]) <= 1 for path, each in SPACE.items())
    assert found.as_dict()["best"]["number"] == best.number and str(found).startswith("16 trials by tpe")


def test_trials_of_a_task_are_made_again_from_the_storage(tmp_path: Path) -> None:
    space = {"learning_rate": Range(1e-3, 1e-1, log=True)}

    def made() -> OptunaStudy:
        return OptunaStudy(TrainedTask(iris(), 2), space, 2, storage=journal(tmp_path / "journal.log"), name="iris")

    made().run()
    later = made()
    for trial in later.trials:
        assert later.run_again(trial.number).history == trial.history and len(trial.values) == 2


def test_failures_are_trials_too_and_pruners_prune() -> None:
    def formula(parameters: Any) -> float:
        if parameters["c"] == [2]:
            raise ValueError("does not fit")
        return hill(parameters)

    found = study(optuna.storages.InMemoryStorage(), Formula(formula), trials=12).run()
    states = [trial.state for trial in found.trials]
    assert "failed" in states and "complete" in states
    assert all((trial.error == "does not fit") is (trial.state == "failed") for trial in found.trials)
    pruned = study(optuna.storages.InMemoryStorage(), trials=20, pruner="halving").run()
    assert [len(trial.values) for trial in pruned.trials if trial.state == "pruned"]
    assert all(len(trial.values) < 3 for trial in pruned.trials if trial.state == "pruned")


def test_what_does_not_fit_is_refused() -> None:
    storage = optuna.storages.InMemoryStorage()
    study(storage)
    with pytest.raises(ValueError, match="a study 'hill' with another trials: choose another name"):
        study(storage, trials=7)
    with pytest.raises(ValueError, match="sampler: in a storage of Optuna, expected 'tpe'"):
        study(storage, sampler="grid")
    with pytest.raises(ValueError, match="pruner: expected one of none, median, halving"):
        study(storage, pruner="best")


def test_an_interrupted_trial_is_run_again_with_its_parameters() -> None:
    storage = optuna.storages.InMemoryStorage()
    tried: list[Any] = []

    def formula(parameters: Any) -> float:
        tried.append(parameters)
        if len(tried) == 3:
            raise KeyboardInterrupt
        return hill(parameters)

    with pytest.raises(KeyboardInterrupt):
        study(storage, Formula(formula)).run()
    found = study(storage, Formula(formula)).run()
    assert tried[3] == tried[2] and len(tried) == 7
    assert [trial.number for trial in found.trials] == [0, 1, 3, 4, 5, 6] and found.trial(3).parameters == tried[2]


def test_both_searches_in_a_storage() -> None:
    storage = optuna.storages.InMemoryStorage()
    options: dict[str, Any] = {"trials": 3, "epochs": 1, "storage": storage}
    coarse = coarse_search(iris(), {"learning_rate": "log [1e-3, 1e-1]"}, **options)
    fine = fine_search(iris(), coarse, **options)
    assert fine.evidence["trials"][0]["parameters"] == coarse.evidence["best"]
    assert coarse.evidence["sampler"] == "tpe"
    names = [each.study_name for each in optuna.get_all_study_summaries(storage)]
    assert names == ["task: coarse search", "task: fine search"]
    assert coarse_search(iris(), {"learning_rate": "log [1e-3, 1e-1]"}, **options) == coarse
    with pytest.raises(ValueError, match="either a folder or a storage"):
        coarse_search(iris(), {"learning_rate": "log [1e-3, 1e-1]"}, folder="x", **options)


def test_a_run_of_the_recipe_searches_in_a_storage_too(tmp_path: Path) -> None:
    storage = optuna.storages.InMemoryStorage()
    options: dict[str, Any] = {"trials": 2, "epochs": 1, "storage": storage}
    settings = {"coarse search": {"space": {"weight_decay": [0, 1]}, **options}, "fine search": options}
    report = run(iris(), tmp_path, steps=[4, 5], settings=settings)
    assert [result.evidence["sampler"] for result in report.results.values()] == ["tpe", "tpe"]
    assert [each.n_trials for each in optuna.get_all_study_summaries(storage)] == [2, 2]
    assert not list(tmp_path.rglob("trials.jsonl"))


def storage_of(kind: str, folder: Path) -> Any:
    return journal(folder / "journal.log") if kind == "journal" else f"sqlite:///{folder}/studies.db"


def worker(kind: str, folder: Path, seconds: float) -> None:
    study(storage_of(kind, folder), Formula(seconds=seconds), trials=8, patience=0.4, pruner="none").run()


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork")
@pytest.mark.parametrize("kind", ["journal", pytest.param("database", marks=pytest.mark.soak)])
def test_two_processes_share_a_storage_and_one_is_killed(tmp_path: Path, kind: str) -> None:
    own = study(storage_of(kind, tmp_path), trials=8, patience=0.4, pruner="none")
    context = multiprocessing.get_context("fork")
    slow = context.Process(target=worker, args=(kind, tmp_path, 5.0))
    slow.start()
    while not (own.trials and len(own.trials[0].parameters) == len(SPACE)):
        time.sleep(0.01)
    os.kill(slow.pid or 0, signal.SIGKILL)  # within its first trial
    slow.join()
    lost = own.trials[0]
    assert lost.state == "running"
    others = [context.Process(target=worker, args=(kind, tmp_path, 0.02)) for _ in range(2)]
    for each in others:
        each.start()
    for each in others:
        each.join()
        assert each.exitcode == 0
    found = own.trials
    assert own.finished and len(found) == 8 and all(trial.state == "complete" for trial in found)
    assert lost.number not in [trial.number for trial in found]
    assert sum(trial.parameters == lost.parameters for trial in found) == 1
