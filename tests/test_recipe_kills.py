"""Runs of the recipe that are killed, at any write and at random moments: resumed, they end as one that was not."""

from __future__ import annotations

import importlib
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

import torch
from recipe_tasks import mlp
from searching import images, iris

import augreg.recipe
from augreg.__main__ import main

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs fork and kill")

SHORT: dict[str, dict[str, Any]] = {
    "overfit": {"samples": 6, "labels": 30},
    "learning rate": {"iterations": 8, "rates": [1e-3, 1e-2, 1e-1], "finer": 2},
    "coarse search": {"trials": 4, "epochs": 1, "widen": 1},
    "fine search": {"trials": 3, "epochs": 2, "widen": 0},
    "curves": {"epochs": 2},
    "advice": {"seeds": 2},
}


def run(folder: Path | None) -> dict[str, Any]:
    """All seven steps, as plain data."""
    return augreg.recipe.run(iris(name="iris"), folder, settings=SHORT).as_dict()


@pytest.fixture(scope="module")
def whole() -> dict[str, Any]:
    """The results of a run that was not killed."""
    found = run(None)
    assert len(found["results"]) == 7 and found["ok"]
    assert found["results"][6]["evidence"]["effect"]["after"]
    return found


@pytest.fixture(scope="module")
def trials(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """The trials of both searches of a run that was not killed."""
    folder = tmp_path_factory.mktemp("whole")
    run(folder)
    return trials_in(folder)


def trials_in(folder: Path) -> list[Any]:
    """What was recorded of each trial of both searches; each has to be finished once."""
    found = []
    for step in ("4-coarse-search", "5-fine-search"):
        events = [json.loads(line) for line in (folder / step / "trials.jsonl").read_text().splitlines()]
        ends = [each for each in events if each["event"] == "finished"]
        assert len({each["trial"] for each in ends}) == len(ends)
        found.append([each for each in events if each["event"] in ("study", "round", "started")] + ends)
    return found


def child(work: Callable[..., Any], *arguments: Any) -> Any:
    process = multiprocessing.get_context("fork").Process(target=work, args=arguments)
    process.start()
    return process


class KilledAtAWrite:
    """Kills this process at the n-th thing that it does to files of a folder: before it, or in the middle of it.

    Files are opened, renamed, removed and made, and bytes are written and flushed.
    """

    def __init__(self, folder: Path, number: int) -> None:
        self.folder = str(folder)
        self.left = number
        self.write, self.fsync, self.save = os.write, os.fsync, torch.save
        os.write, os.fsync, torch.save = self._write, self._fsync, self._save
        sys.addaudithook(self._event)

    def _event(self, name: str, arguments: tuple[Any, ...]) -> None:
        if name in ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate"):
            reads = name == "open" and arguments[1] in ("r", "rb")
            if not reads and str(arguments[0]).startswith(self.folder):
                self._count()

    def _count(self) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def _write(self, file: int, data: bytes) -> int:
        self.left -= 1
        if self.left == 0:
            self.write(file, data[: len(data) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        return self.write(file, data)

    def _fsync(self, file: Any) -> None:
        self._count()
        self.fsync(file)

    def _save(self, state: Any, target: Any) -> None:
        self.left -= 1
        if self.left == 0:
            self.save(state, target)
            path = Path(target if isinstance(target, str | Path) else target.name)
            os.truncate(path, path.stat().st_size // 2)
            os.kill(os.getpid(), signal.SIGKILL)
        self.save(state, target)


def killed_at_a_write(folder: Path, number: int) -> None:
    KilledAtAWrite(folder, number)
    run(folder)


def rest(folder: Path) -> list[str]:
    """Names of files that a kill may leave, and of which nothing should be left at the end."""
    known = ("json", "jsonl", "pt", "lock")
    names = [str(each.relative_to(folder)) for each in folder.rglob("*") if each.is_file()]
    return [name for name in names if name.rpartition(".")[2] not in known and not name.endswith("/lock")]


def resumes(folder: Path, numbers: Any, whole: Any, trials: Any) -> int:
    """Kill a run at each of these writes, and resume it. Returns how many there were."""
    for count, number in enumerate(numbers):
        place = folder / str(number)
        process = child(killed_at_a_write, place, number)
        process.join()
        if process.exitcode == 0:
            return count
        assert process.exitcode == -signal.SIGKILL
        assert run(place) == whole, f"killed at write {number}"
        assert trials_in(place) == trials and rest(place) == []
    return len(numbers)


def test_a_run_that_is_killed_at_a_write_goes_on(tmp_path: Path, whole: Any, trials: Any) -> None:
    assert resumes(tmp_path, (131,), whole, trials) == 1


@pytest.mark.soak
def test_a_run_that_is_killed_at_any_write_goes_on(tmp_path: Path, whole: Any, trials: Any) -> None:
    count = resumes(tmp_path, range(1, 2000), whole, trials)
    print(f"killed at {count} writes")
    assert count > 200


def killed_again_and_again(folder: Path, times: int, seconds: float, seed: int) -> int:
    """Kill a run, begin it again and kill it, and so on, each time at a random moment. Returns how often it was."""
    generator, kills = random.Random(seed), 0
    for _ in range(times):
        process = child(run, folder)
        process.join(generator.uniform(0, seconds))
        if process.is_alive():
            process.kill()
            kills += 1
        process.join()
    return kills


def test_a_run_that_is_killed_again_and_again_ends_as_one_that_is_not(
    tmp_path: Path, whole: Any, trials: Any
) -> None:
    kills = killed_again_and_again(tmp_path, 4, 0.1, 0)
    assert run(tmp_path) == whole and trials_in(tmp_path) == trials
    assert kills and rest(tmp_path) == []


def command(folder: Path, source: str) -> None:
    """Run the command, with its output in a file beside the folder."""
    sys.stdout = folder.with_suffix(".json").open("w")
    arguments = ["--folder", str(folder), "--epochs", "4", "--seeds", "2", "--json", "--quiet"]
    sys.exit(main(["recipe", "run", source, *arguments]))


def task() -> Any:
    return iris(name="iris")


def pictures() -> Any:
    return images(name="pictures")


def slow_command(folder: Path, error: Path) -> None:
    """Run the command with short settings, and slowly from the first trial of a search on."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # tests in the background of a shell ignore it
    sys.stderr = error.open("w", buffering=1)
    sys.stdout = error.with_suffix(".out").open("w")
    steps = importlib.import_module("augreg.recipe.run_steps")
    main_arguments = ["recipe", "run", "test_recipe_kills:slow", "--folder", str(folder), "--json"]
    steps.run = lambda task, where, *, steps, settings, go_on, progress: RUN(
        task, where, settings=SHORT, progress=progress
    )
    SLOW_FROM.append(folder / "4-coarse-search" / "trials.jsonl")
    sys.exit(main(main_arguments))


RUN = augreg.recipe.run
SLOW_FROM: list[Path] = []


def slow() -> Any:
    def model() -> Any:
        made = mlp(4, 3)
        made.register_forward_pre_hook(lambda *_: time.sleep(0.2 if SLOW_FROM[0].exists() else 0))
        return made

    return iris(name="iris", model=model)


def test_ctrl_c_in_a_search_says_how_to_go_on_and_it_does(tmp_path: Path, whole: Any, trials: Any) -> None:
    folder, error = tmp_path / "run", tmp_path / "error.txt"
    process = child(slow_command, folder, error)
    while not (folder / "4-coarse-search" / "trials.jsonl").exists():
        assert process.is_alive()
        time.sleep(0.005)
    time.sleep(0.3)  # in the first trial
    os.kill(process.pid, signal.SIGINT)
    process.join()
    assert process.exitcode == 130 and error.with_suffix(".out").read_text() == ""
    line = f"interrupted; the same command goes on with what is in {folder}"
    assert [each for each in error.read_text().splitlines() if ": 0" not in each] == [line]  # and progress
    assert run(folder) == whole and trials_in(folder) == trials and rest(folder) == []


@pytest.mark.soak
@pytest.mark.parametrize("source", ["test_recipe_kills:task", "test_recipe_kills:pictures"])
def test_the_command_killed_at_20_random_moments(tmp_path: Path, source: str) -> None:
    whole = tmp_path / "whole"
    begun = time.monotonic()
    process = child(command, whole, source)
    process.join()
    assert process.exitcode == 0
    seconds = time.monotonic() - begun
    generator, steps = random.Random(0), []
    for number in range(20):
        folder = tmp_path / str(number)
        process = child(command, folder, source)
        process.join(generator.uniform(0, seconds))
        killed = process.exitcode is None
        process.kill()
        process.join()
        steps += [len(list(folder.glob("?-*.json")))] if killed else []
        process = child(command, folder, source)
        process.join()
        assert process.exitcode == 0
        assert folder.with_suffix(".json").read_bytes() == whole.with_suffix(".json").read_bytes()
        assert trials_in(folder) == trials_in(whole) and rest(folder) == []
    print(f"{source}: {seconds:.1f} s; killed {len(steps)} times, after this many steps: {steps}")
    assert len(steps) >= 15


@pytest.mark.soak
def test_one_run_killed_20_times(tmp_path: Path, whole: Any, trials: Any) -> None:
    for seed in range(10):
        folder = tmp_path / str(seed)
        kills = killed_again_and_again(folder, 20, 0.1, seed)
        assert run(folder) == whole and trials_in(folder) == trials and rest(folder) == []
        print(f"killed {kills} times")
