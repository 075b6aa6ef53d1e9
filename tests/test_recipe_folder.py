"""The folder of a run of the recipe: other arguments after a kill, other processes, damaged files, a full disk."""

from __future__ import annotations

import json
import multiprocessing
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")

from searching import iris

import augreg.recipe
from augreg.recipe import fit
from augreg.recipe.run_folder import clear

SHORT: dict[str, dict[str, Any]] = {
    "learning rate": {"iterations": 8, "rates": [1e-4, 1e-3, 1e-2, 1e-1], "finer": 2},
    "coarse search": {"space": {"learning_rate": "log [1e-3, 0.1]"}, "trials": 3, "epochs": 1, "widen": 0},
    "fine search": {"trials": 3, "epochs": 2, "widen": 0},
    "curves": {"epochs": 4},
    "advice": {"seeds": 1},
}


class Killed(BaseException):
    """In place of a kill."""


def run(folder: Path | None, steps: Any, task: Any = None, progress: Any = None, **settings: Any) -> dict[str, Any]:
    given = {**SHORT, **{name.replace("_", " "): arguments for name, arguments in settings.items()}}
    return augreg.recipe.run(task or iris(), folder, steps=steps, settings=given, progress=progress).as_dict()


def killed_in(step: str, after: int) -> Any:
    """A progress function that raises when so much of a step is done."""

    def progress(name: str, done: int, total: int) -> None:
        if name == step and done >= after:
            raise Killed

    return progress


@pytest.mark.parametrize(
    ("steps", "step", "after", "changed"),
    [
        ([6], "curves", 14, {"curves": {"epochs": 2}}),  # of four updates each; the third epoch was saved
        ([6, 7], "advice", 1, {"curves": {"epochs": 2}}),
        ([4, 5], "coarse search", 2, {"coarse_search": {**SHORT["coarse search"], "trials": 4}}),
        ([4, 5], "fine search", 2, {"coarse_search": {**SHORT["coarse search"], "trials": 5}}),
    ],
)
def test_killed_and_run_with_other_settings_is_as_without_the_kill(
    tmp_path: Path, steps: Any, step: str, after: int, changed: Any
) -> None:
    with pytest.raises(Killed):
        run(tmp_path, steps, progress=killed_in(step, after))
    assert [*tmp_path.glob("6-curves/run.pt"), *tmp_path.glob("?-*-search/trials.jsonl")]
    assert run(tmp_path, steps, **changed) == run(None, steps, **changed)


@pytest.mark.parametrize("after", [6, 1000], ids=["killed", "whole"])
def test_other_steps_give_what_they_give_in_a_new_folder(tmp_path: Path, after: int) -> None:
    task = iris(learning_rate=1e-5)  # step 3 replaces it
    try:
        tuned = run(tmp_path, [3, 6], task, progress=killed_in("curves", after))
    except Killed:
        assert (tmp_path / "6-curves/run.pt").is_file()
    else:
        assert tuned["results"][1] != run(None, [6], task)["results"][0]
    assert run(tmp_path, [6], task) == run(None, [6], task)
    assert run(tmp_path, [3, 6], task) == run(None, [3, 6], task)


def test_a_run_of_another_task_or_of_more_epochs_is_refused(tmp_path: Path) -> None:
    fit(iris(), 2, folder=tmp_path)
    before = (tmp_path / "run.pt").read_bytes()
    for changes in ({"learning_rate": 0.1}, {"weight_decay": 0.5}, {"batch_size": 8}):
        with pytest.raises(ValueError, match=r"run.pt is of a run with .* other numbers: choose another folder"):
            fit(iris(**changes), 2, folder=tmp_path)
    with pytest.raises(ValueError, match=r"run.pt is of a run of 2 epochs, not 1: choose another folder"):
        fit(iris(), 1, folder=tmp_path)
    assert (tmp_path / "run.pt").read_bytes() == before


def test_another_process_with_other_arguments_is_refused_and_one_with_the_same_shares(tmp_path: Path) -> None:
    found = []

    def meanwhile(name: str, done: int, total: int) -> None:
        if not found:
            found.append(run(tmp_path, [6]))  # locks are of open files, so this is as in another process
            with pytest.raises(ValueError, match="another process is running there with other arguments: wait"):
                run(tmp_path, [6], curves={"epochs": 1})
            with pytest.raises(ValueError, match="another process is running there: wait for it"):
                clear(tmp_path, [(6, "curves")])

    assert run(tmp_path, [6], progress=meanwhile) == found[0] == run(None, [6])
    assert sorted(each.name for each in tmp_path.iterdir()) == ["6-curves", "6-curves.json", "lock", "task.json"]
    assert run(tmp_path, [6], curves={"epochs": 1}) == run(None, [6], curves={"epochs": 1})


@pytest.mark.parametrize("name", ["task.json", "6-curves.json", "6-curves/made-with.json", "6-curves/run.pt"])
@pytest.mark.parametrize("damage", ["cut", "other"])
def test_damaged_files_are_named_and_kept(tmp_path: Path, name: str, damage: str) -> None:
    with pytest.raises(Killed):
        run(tmp_path, [1, 6], progress=killed_in("curves", 14))
    file = tmp_path / name
    whole = file.read_bytes() if file.exists() else b"{}"
    file.write_bytes(whole[: len(whole) // 2] if damage == "cut" else b"notes of the user")
    before = file.read_bytes()
    with pytest.raises((ValueError, OSError), match=f"{name.rpartition('/')[2]} is damaged, or no "):
        run(tmp_path, [1, 6])
    assert file.read_bytes() == before


def test_a_folder_that_is_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "task.json").write_text('{"task": "mine"}')
    with pytest.raises(ValueError, match="another task"):
        run(tmp_path, [1])
    assert [each.name for each in tmp_path.iterdir()] == ["task.json"]
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError):
        run(tmp_path / "file", [1])


def run_with_a_full_disk(folder: Path, size: int, told: Any) -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))  # files cannot get larger, as on a full disk
    try:
        run(folder, [4, 5, 6, 7])
    except Exception as error:
        told.send(f"{type(error).__name__}: {error}")


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork and limits")
@pytest.mark.parametrize(("size", "file"), [(200, "made-with.json"), (600, "trials.jsonl"), (4000, "run.pt")])
def test_a_full_disk_is_an_error_that_names_the_file_and_no_result(tmp_path: Path, size: int, file: str) -> None:
    receiver, sender = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=run_with_a_full_disk, args=(tmp_path, size, sender))
    process.start()
    process.join()
    message = receiver.recv()
    assert message.startswith("OSError") and file in message, message
    assert not list(tmp_path.rglob("*part"))
    trials = tmp_path / "4-coarse-search" / "trials.jsonl"
    lines = trials.read_bytes().split(b"\n")[:-1] if trials.is_file() else []
    assert not [line for line in lines if json.loads(line).get("state") == "failed"]
    assert run(tmp_path, [4, 5, 6, 7]) == run(None, [4, 5, 6, 7])
