"""The folder of a run of the recipe: the result of each step as JSON, which a run that was killed goes on from."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from augreg.files.whole_files import remove_parts, whole_file
from augreg.recipe.processes import locked, refuse_others, taking_part
from augreg.recipe.result import Result, plain
from augreg.recipe.state import kept
from augreg.recipe.task import Task
from augreg.recipe.training import identity_of, start

__all__ = ["RunFolder", "StepFiles", "clear", "identity"]

_TASK = "task.json"
_MADE_WITH = "made-with.json"


def identity(task: Task) -> str:
    """A hash of what results depend on and can be seen: spec, seed, numbers, and the names and shapes of the weights.

    It does not see code and data: change the name of the task, or take another folder, if they change.
    """
    with kept(task):
        return identity_of(task, start(task))


class RunFolder:
    """The folder of a run: results of steps are in `<number>-<step>.json`; each file is whole or not there."""

    def __init__(self, path: str | Path, task: Task) -> None:
        self.path = Path(path)
        self._own = {"of": "augreg.recipe", "task": identity(task), "name": task.name}

    @contextlib.contextmanager
    def opened(self, arguments: Any) -> Iterator[RunFolder]:
        """A context in which no process with other arguments runs in this folder.

        Raises ValueError if one does, or if the folder is of another task.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        self._is_known()  # before anything is written
        with taking_part(self.path, _hash(arguments)[:16], self._begin):
            yield self

    def _is_known(self) -> bool:
        file = self.path / _TASK
        if not file.is_file():
            return False
        if _read(file).get("task") != self._own["task"]:
            raise ValueError(
                f"{self.path} has the results of another task, or the task has changed: choose another folder, "
                "or remove this one (on the command line: --fresh)"
            )
        return True

    def _begin(self, alone: bool) -> None:
        if alone:
            remove_parts(self.path, *self.path.glob("[0-9]-*/"), *self.path.glob("[0-9]-*/*/"))
        if not self._is_known():
            _write(self.path / _TASK, self._own)

    def step(self, number: int, step: str, task: Task, settings: Any, before: Iterable[Result]) -> StepFiles:
        """The files of a step that gets this task and these settings after these results."""
        made_with = {
            "settings": json.loads(json.dumps(plain(settings), default=str)),
            "rate": task.learning_rate,
            "weight decay": task.weight_decay,
            "batch size": task.batch_size,
            "spec": "" if task.pipe is None else task.pipe.fingerprint,
            "before": _hash([result.as_dict() for result in before]),
        }
        return StepFiles(self.path / _named(number, step), made_with)


class StepFiles:
    """The result of a step, and the folder in which it keeps what it needs to go on, if made with the same things."""

    def __init__(self, folder: Path, made_with: Mapping[str, Any]) -> None:
        self._folder = folder
        self._file = folder.with_name(f"{folder.name}.json")
        self._made_with = made_with

    def read(self) -> Result | None:
        """The result of a step that passed; None if there is none."""
        data = _read(self._file) if self._file.is_file() else {}
        if data.get("made with") != self._made_with:
            return None
        result = Result.from_dict(data["result"])
        return result if result.ok else None

    def write(self, result: Result) -> None:
        """Write the result of a step."""
        _write(self._file, {"made with": self._made_with, "result": result.as_dict()})

    def work(self) -> Path:
        """The folder of a step that is run; that of one that failed, or was made with other things, is emptied."""
        known = self._folder / _MADE_WITH
        with locked(self._folder.parent):
            if self._file.is_file() or not known.is_file() or _read(known) != self._made_with:
                shutil.rmtree(self._folder, ignore_errors=True)
                self._file.unlink(missing_ok=True)  # after the folder: a kill in between leaves what is not used
                self._folder.mkdir(exist_ok=True)
                _write(known, self._made_with)
        return self._folder


def clear(path: Path, steps: Iterable[tuple[int, str]]) -> None:
    """Remove the results of these steps from a folder that a run made, and nothing else.

    Raises ValueError if a process is running there.
    """
    file = path / _TASK
    if not file.is_file() or _read(file).get("of") != "augreg.recipe":
        return
    refuse_others(path)
    for number, step in steps:
        shutil.rmtree(path / _named(number, step), ignore_errors=True)
        (path / f"{_named(number, step)}.json").unlink(missing_ok=True)
    file.unlink()


def _read(file: Path) -> dict[str, Any]:
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{file} is damaged, or no file of augreg ({error}): choose another folder") from None
    return data if isinstance(data, dict) else {}


def _write(path: Path, data: Any) -> None:
    text = json.dumps(data, indent=1, allow_nan=False)
    try:
        with whole_file(path) as part:
            part.write_text(text, encoding="utf-8")
    except OSError as error:  # that of a full disk does not name the file
        raise OSError(error.errno, error.strerror, str(path)) from error


def _named(number: int, step: str) -> str:
    return f"{number}-{step.replace(' ', '-')}"


def _hash(data: Any) -> str:
    return hashlib.sha256(json.dumps(plain(data), sort_keys=True, default=str).encode()).hexdigest()
