"""All steps of the recipe in a row: order, failures, a folder that a killed run goes on from, and the command."""

from __future__ import annotations

import json
import random
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import searching
import torch
from recipe_tasks import mlp
from torch import nn

import augreg.recipe
from augreg.__main__ import main
from augreg.errors import SpecError
from augreg.recipe import Report, Result
from augreg.recipe.run_steps import chosen_steps

SHORT: dict[str, dict[str, Any]] = {
    "overfit": {"samples": 6, "labels": 30},
    "learning rate": {"iterations": 12, "rates": [1e-4, 1e-3, 1e-2, 1e-1], "finer": 2},
    "curves": {"epochs": 3},
    "advice": {"seeds": 2},
}
NAMES = ["initial loss", "overfit", "learning rate", "curves", "advice"]
iris = partial(searching.iris, name="iris")


def run(task: Any, folder: Any = None, **arguments: Any) -> Report:
    return augreg.recipe.run(task, folder, **{"settings": SHORT, "steps": NAMES, **arguments})


def double_softmax() -> nn.Module:
    return nn.Sequential(mlp(4, 3), nn.Softmax(1))


@pytest.fixture(scope="module")
def whole() -> dict[str, Any]:
    """The results of a run that was not killed."""
    return run(iris()).as_dict()


def test_the_steps_in_order(whole: dict[str, Any]) -> None:
    assert [each["step"] for each in whole["results"]] == NAMES
    assert whole["ok"] and whole["left"] == [] and whole["name"] == "iris"
    report = Report.from_dict(json.loads(json.dumps(whole, allow_nan=False)))
    assert report.as_dict() == whole and report["curves"].evidence["epochs"] == 3
    text = str(report)
    assert text.startswith("iris: no step failed") and all(f"\n  {name}" in text for name in NAMES)


def test_it_stops_at_a_failure_unless_told_to_go_on() -> None:
    faulty = iris(model=double_softmax)
    report = run(faulty, steps=[1, 2, 6])
    assert not report.ok and list(report.results) == ["initial loss"] and report.left == ("overfit", "curves")
    assert "cause: double softmax" in str(report) and "not run: overfit, curves" in str(report)
    assert list(run(faulty, steps=[1, 6], go_on=True).results) == ["initial loss", "curves"]


def test_a_rate_that_is_far_better_is_used_for_the_steps_after() -> None:
    report = run(iris(learning_rate=1e-6), steps=[3, 6])
    rate = report["learning rate"].evidence["rate"]
    assert rate > 1e-4
    tuned = run(iris(learning_rate=rate), steps=[6])
    assert report["curves"] == tuned["curves"]


def test_the_rate_of_a_sweep_that_failed_is_not_used() -> None:
    (step,) = chosen_steps([3])
    evidence = {"range": [1e-3, 1e-2], "rate": 3e-3, "rate of the task": 1e-5}
    task = iris(learning_rate=1e-5)
    assert step.tuned(task, Result("learning rate", "fail", "", evidence)).learning_rate == 1e-5
    assert step.tuned(task, Result("learning rate", "warning", "", evidence)).learning_rate == 3e-3


def state() -> tuple[Any, ...]:
    return torch.get_rng_state().tolist(), random.getstate(), np.random.get_state()[1].tolist()  # type: ignore[index] # noqa: NPY002


class Killed(BaseException):
    pass


def killed_after(calls: int) -> Any:
    """A progress function that raises at this call."""
    seen = []

    def progress(name: str, done: int, total: int) -> None:
        seen.append(name)
        if len(seen) == calls:
            raise Killed

    return progress


@pytest.mark.parametrize("calls", [1, 3, 4, 7, 10, 13, 16, 20, 24])
def test_a_run_that_was_killed_goes_on(tmp_path: Path, whole: dict[str, Any], calls: int) -> None:
    before = state()
    folder = tmp_path / "run"
    with pytest.raises(Killed):
        run(iris(), folder, progress=killed_after(calls))
    assert state() == before
    assert run(iris(), folder).as_dict() == whole
    assert state() == before
    assert [each.name for each in tmp_path.iterdir()] == ["run"]
    assert not list(folder.rglob("*part"))


def test_what_is_done_is_not_done_again(tmp_path: Path, whole: dict[str, Any]) -> None:
    assert run(iris(), tmp_path).as_dict() == whole
    made = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert run(iris(), tmp_path).as_dict() == whole
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == made
    # a step with other settings is run again, and so is what comes after it
    longer = run(iris(), tmp_path, settings={**SHORT, "curves": {"epochs": 2}})
    assert longer["curves"].evidence["epochs"] == 2
    assert longer["advice"] == run(iris(), settings={**SHORT, "curves": {"epochs": 2}})["advice"]
    with pytest.raises(ValueError, match="another task"):
        run(iris(seed=3), tmp_path)
    with pytest.raises(ValueError, match="another task"):
        run(iris(model=lambda: nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3))), tmp_path)


def test_a_step_that_failed_is_run_again(tmp_path: Path) -> None:
    fault = [True]

    def model() -> nn.Module:
        return nn.Sequential(mlp(4, 3), nn.Softmax(1) if fault[0] else nn.Identity())

    assert not run(iris(model=model), tmp_path, steps=[1]).ok
    fault[0] = False
    assert run(iris(model=model), tmp_path, steps=[1]).ok


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        (["curvs"], "there is no step 'curvs'; did you mean 'curves'"),
        ([9], "there is no step '9'"),
        ([], "expected at least one"),
        (["advice"], "advice needs the result of curves: add it"),
    ],
)
def test_steps_that_there_are_not(steps: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        chosen_steps(steps)


def test_settings_of_a_step_that_there_is_not() -> None:
    with pytest.raises(ValueError, match="settings: there is no step 'curve'; did you mean 'curves'"):
        run(iris(), settings={"curve": {}})
    with pytest.raises(TypeError, match="settings: curves: expected a mapping"):
        run(iris(), settings={"curves": 3})  # type: ignore[dict-item]


def test_arguments_that_a_step_does_not_have_are_refused_before_anything_is_trained() -> None:
    def never() -> Any:
        raise AssertionError

    with pytest.raises(ValueError, match="coarse search has no argument 'trails'; did you mean 'trials'"):
        run(iris(model=never), settings={"coarse search": {"trails": 3}})
    with pytest.raises(ValueError, match="curves has no argument 'folder'"):
        run(iris(model=never), settings={"curves": {"folder": "elsewhere"}})
    space = {"learning_rat": [0, 1], "weight_decay": 3}
    with pytest.raises(SpecError, match="did you mean 'learning_rate'") as caught:
        run(iris(model=never), steps=[1, 4], settings={"coarse search": {"space": space}})
    assert [problem.path for problem in caught.value.problems] == list(space)
    assert run(iris(), steps=[6], settings={"curves": {"epochs": 1, "seed": 3}})["curves"].evidence["epochs"] == 1


MODULE = """
import sys
sys.path.insert(0, {tests!r})
from test_recipe_run import double_softmax, iris

def task():
    print("output of the user")
    return iris()

def faulty():
    return iris(model=double_softmax)

def interrupted():
    def step(*_):
        raise KeyboardInterrupt
    return iris(step=step)

def broken():
    raise RuntimeError("no data")

made = iris()
nothing = None
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "train.py").write_text(MODULE.format(tests=str(Path(__file__).parent)))
    monkeypatch.delitem(sys.modules, "train", raising=False)
    yield
    sys.modules.pop("train", None)


@pytest.mark.usefixtures("module")
def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipe", "run", "train:task", "--steps", "1,curves", "--epochs", "2", "--quiet", "--json"]) == 0
    captured = capsys.readouterr()
    data = json.loads(captured.out)
    assert [each["step"] for each in data["results"]] == ["initial loss", "curves"] and data["ok"]
    assert data["results"][1]["evidence"]["epochs"] == 2 and captured.err == "output of the user\n"
    kept = tmp_path / "recipe-train-task"
    assert sorted(path.name for path in kept.iterdir()) == [
        "1-initial-loss.json",
        "6-curves",
        "6-curves.json",
        "lock",
        "task.json",
    ]
    assert main(["recipe", "run", "train:task", "--steps", "1", "--folder", "other", "--quiet", "--fresh"]) == 0
    assert capsys.readouterr().out.startswith("iris: no step failed\n  initial loss  pass")
    (kept / "notes.txt").write_text("mine")
    assert main(["recipe", "run", "train:task", "--steps", "1", "--quiet", "--fresh"]) == 0
    assert sorted(path.name for path in kept.iterdir()) == ["1-initial-loss.json", "lock", "notes.txt", "task.json"]
    (tmp_path / "task.json").write_text("{}")  # not of a run: nothing is removed, and nothing is written
    assert main(["recipe", "run", "train:task", "--folder", ".", "--quiet", "--fresh"]) == 2
    assert (tmp_path / "task.json").read_text() == "{}"
    capsys.readouterr()
    assert main(["recipe", "run", "train:faulty", "--quiet"]) == 1
    assert "double softmax" in capsys.readouterr().out


@pytest.mark.usefixtures("module")
def test_a_task_is_taken_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipe", "run", "train:made", "--steps", "1", "--quiet"]) == 0
    assert capsys.readouterr().out.startswith("iris: no step failed\n  initial loss  pass")


@pytest.mark.usefixtures("module")
def test_options_of_the_search_and_a_file_of_settings(capsys: pytest.CaptureFixture[str]) -> None:
    Path("more.yaml").write_text("{coarse search: {trials: 9, widen: 0, seed: 5}, fine search: {widen: 0}}")
    options = ["--trials", "3", "--coarse-epochs", "1", "--fine-epochs", "2", "--sampler", "random", "--quiet"]
    space = ["--space", "learning_rate=log [1e-3, 0.1]", "--space", "batch_size=[16, 32]"]
    line = ["recipe", "run", "train:task", "--steps", "4,5", "--settings", "more.yaml", *options, *space, "--json"]
    assert main(line) == 0
    coarse, fine = (each["evidence"] for each in json.loads(capsys.readouterr().out)["results"])
    assert coarse["space"] == {
        "learning_rate": {"low": 1e-3, "high": 0.1, "log": True, "integer": False},
        "batch_size": {"low": 16, "high": 32, "log": False, "integer": True},
    }
    assert [(each["epochs"], each["sampler"], len(each["trials"])) for each in (coarse, fine)] == [
        (1, "random", 3),
        (2, "random", 3),
    ]
    with Path("recipe-train-task/4-coarse-search/trials.jsonl").open() as file:
        assert json.loads(file.readline())["seed"] == 5


@pytest.mark.usefixtures("module")
def test_settings_are_read_as_specs_are(capsys: pytest.CaptureFixture[str]) -> None:
    rates = "rates: [1e-4, 1e-3, 1e-2, 1e-1]"  # texts in YAML 1.1
    Path("rates.yaml").write_text(f"learning rate: {{{rates}, finer: 0, iterations: 2}}")
    assert main(["recipe", "run", "train:task", "--steps", "3", "--settings", "rates.yaml", "--json", "--quiet"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["results"]
    assert {1e-4, 1e-3, 1e-2, 1e-1} <= set(found["evidence"]["rates"])
    Path("twice.yaml").write_text("curves: {}\ncurves: {}")
    assert main(["recipe", "run", "train:task", "--settings", "twice.yaml", "--quiet"]) == 2
    assert "--settings twice.yaml: the key 'curves' is given twice (line 2)" in capsys.readouterr().err


@pytest.mark.usefixtures("module")
def test_ctrl_c(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipe", "run", "train:interrupted", "--quiet"]) == 130
    error = capsys.readouterr().err
    assert error == "interrupted; the same command goes on with what is in recipe-train-interrupted\n"
    assert Path("recipe-train-interrupted/1-initial-loss.json").is_file()


@pytest.mark.usefixtures("module")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train:broken"], "train:broken() failed: RuntimeError: no data"),
        (["train:missing"], "train: has no function 'missing'"),
        (["train:iris.missing.more"], "train: has no function 'iris.missing.more'"),
        (
            ["train:nothing"],
            "train:nothing: expected a Task, a mapping of its arguments or a function that returns one",
        ),
        (["train:task", "--steps", "curvs"], "there is no step 'curvs'"),
        (["train:task", "--settings", "no.yaml"], "--settings no.yaml: cannot be read: No such file or directory"),
        (["train:task", "--settings", "train.py"], "--settings train.py: mapping values are not allowed"),
        (["train:task", "--settings", "list.yaml"], "expected names of steps with their arguments, got [1]"),
        (["train:task", "--settings", "wrong.yaml", "--trials", "3"], "coarse search: expected a mapping of"),
    ],
)
def test_what_cannot_be_run(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("list.yaml").write_text("[1]")
    Path("wrong.yaml").write_text("coarse search: 3")
    assert main(["recipe", "run", *arguments, "--quiet"]) == 2
    assert message in capsys.readouterr().err
    assert not list(Path().glob("recipe-*"))


@pytest.mark.usefixtures("module")
def test_every_problem_of_a_space_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    wrong = ["--space", "learning_rat=[0, 1]", "--space", "weight_decay=log [0, 1]"]
    assert main(["recipe", "run", "train:task", *wrong, "--quiet"]) == 2
    lines = capsys.readouterr().err.splitlines()[1:]  # after the output of the user
    assert [line.rpartition(":")[0] for line in lines] == ["train:task: learning_rat", "train:task: weight_decay"]


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["run"],
        ["run", "train"],
        ["run", "train:task", "--out", "no/such/page.html"],
        ["run", "train:task", "--space", "weight_decay"],
        ["run", "train:task", "--sampler", "best"],
    ],
)
def test_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["recipe", *arguments])
    assert stopped.value.code == 2 and "usage: augreg recipe" in capsys.readouterr().err
