"""The folder of a run of the recipe: the result of each step as JSON, which a run that was killed goes on from."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from augreg.recipe.result import Result, plain
from augreg.recipe.state import kept
from augreg.recipe.task import Task
from augreg.recipe.training import start

__all__ = ["RunFolder", "clear", "identity", "write_whole"]

_TASK = "task.json"


def identity(task: Task) -> str:
    """A hash of what results depend on and can be seen: spec, seed, numbers, and the names and shapes of the weights.

    It does not see code and data: change the name of the task, or take another folder, if they change.
    """
    with kept(task):
        training = start(task)
    group = training.optimizer.param_groups[0]
    numbers = {name: value for name, value in group.items() if isinstance(value, int | float | str | bool | tuple)}
    seen = {
        "name": task.name,
        "seed": task.seed,
        "batch_size": task.batch_size,
        "spec": "" if task.pipe is None else task.pipe.fingerprint,
        "optimizer": [type(training.optimizer).__name__, numbers],
        "model": [[name, list(each.shape)] for name, each in training.model.state_dict().items()],
    }
    return hashlib.sha256(json.dumps(seen, sort_keys=True).encode()).hexdigest()


class RunFolder:
    """Reads and writes the results of steps, as `<number>-<step>.json`; each file is whole or not there."""

    def __init__(self, path: str | Path, task: Task, settings: Mapping[str, Any]) -> None:
        """Raises ValueError if the folder is of another task."""
        self.path = Path(path)
        self.path.mkdir(parents=True, exist_ok=True)
        self._settings = settings
        own = {"of": "augreg.recipe", "task": identity(task), "name": task.name}
        file = self.path / _TASK
        if not file.is_file():
            write_whole(file, own)
        elif _read(file).get("task") != own["task"]:
            raise ValueError(
                f"{self.path} has the results of another task, or the task has changed: choose another folder, "
                "or remove this one (on the command line: --fresh)"
            )

    def read(self, number: int, step: str) -> Result | None:
        """The result of a step that passed with the same settings; None if there is none."""
        file = self._file(number, step)
        if not file.is_file():
            return None
        data = json.loads(file.read_text(encoding="utf-8"))
        result = Result.from_dict(data["result"])
        same = data["settings"] == self._settings_of(step)
        return result if same and result.ok else None

    def write(self, number: int, step: str, result: Result) -> None:
        """Write the result of a step."""
        write_whole(self._file(number, step), {"settings": self._settings_of(step), "result": result.as_dict()})

    def work(self, number: int, step: str) -> Path:
        """The folder in which a step keeps what it needs to go on; that of a step that failed before is emptied."""
        folder = self.path / _named(number, step)
        if self._file(number, step).is_file():  # it ended, but does not count: it failed, or had other settings
            self._file(number, step).unlink()
            shutil.rmtree(folder, ignore_errors=True)
        return folder

    def _settings_of(self, step: str) -> Any:
        """The settings of a step as they are read from JSON."""
        return json.loads(json.dumps(plain(self._settings.get(step, {})), default=str))

    def _file(self, number: int, step: str) -> Path:
        return self.path / f"{_named(number, step)}.json"


def clear(path: Path, steps: Iterable[tuple[int, str]]) -> None:
    """Remove the results of these steps from a folder that a run made, and nothing else."""
    file = path / _TASK
    if not file.is_file() or _read(file).get("of") != "augreg.recipe":
        return
    for number, step in steps:
        (path / f"{_named(number, step)}.json").unlink(missing_ok=True)
        shutil.rmtree(path / _named(number, step), ignore_errors=True)
    file.unlink()


def _read(file: Path) -> dict[str, Any]:
    data = json.loads(file.read_text(encoding="utf-8"))
    return data if isinstance(data, dict) else {}


def _named(number: int, step: str) -> str:
    return f"{number}-{step.replace(' ', '-')}"


def write_whole(path: Path, data: Any) -> None:
    """Write JSON to a file beside it, then give that its name: a reader never sees a part of it."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_text(json.dumps(data, indent=1, allow_nan=False), encoding="utf-8")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
