"""The file of a search: one line of JSON for each thing that happened, which are only ever added.

    {"event": "study", "sampler": "quasi-random", ...}
    {"event": "round", "first": 0, "trials": 20, "space": {...}}
    {"event": "started", "trial": 0, "parameters": {...}, "seeds": {...}, "fingerprint": "...", "spec": {...}}
    {"event": "epoch", "trial": 0, "epoch": 1, "value": 0.61}
    {"event": "finished", "trial": 0, "state": "complete", "value": 0.83, "history": {...}}

Many processes share it: lines are added under a lock, which is gone when its process is. A line that a killed process
began is no line, since its end is missing: readers leave it out, and the next one who writes removes it.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from augreg.recipe.search.locks import held, release, taken

__all__ = ["TrialsFile", "cut_half_line"]

Event = dict[str, Any]

_FILE = "trials.jsonl"
_START = b'{"event": "study"'
_KEYS = {
    "study": ("trials", "space"),
    "round": ("first", "trials", "space", "reason"),
    "started": ("trial", "parameters", "seeds", "fingerprint", "spec"),
    "epoch": ("trial", "epoch", "value"),
    "finished": ("trial", "state", "value", "values", "history", "error"),
}


class TrialsFile:
    """The events of a search in a folder, or in memory without one."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self._events: list[Event] = []
        self._read = 0  # bytes of the file
        self._running: dict[int, IO[bytes]] = {}
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)

    @property
    def path(self) -> Path | None:
        """The file; None in memory."""
        return None if self.folder is None else self.folder / _FILE

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """A context in which no other process adds events."""
        if self.folder is None:
            yield
        else:
            with held(self.folder / "lock"):
                yield

    def events(self) -> list[Event]:
        """All events so far, in order. Raises ValueError with the number of a line that is damaged."""
        if self.path is not None and self.path.is_file():
            with self.path.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(self._read)
                new = file.read()
            if size < self._read:
                raise ValueError(f"{self.path} has lost lines since it was read: restore it")
            whole = new[: new.rfind(b"\n") + 1]
            if not self._read and not whole and new[: len(_START)] != _START[: len(new)]:
                raise ValueError(f"{self.path}, line 1: this is no file of a search: choose another folder")
            self._events += self._parsed(whole.splitlines())
            self._read += len(whole)
        return self._events

    def _parsed(self, lines: Sequence[bytes]) -> list[Event]:
        events = []
        started = {event["trial"] for event in self._events if event["event"] == "started"}
        for number, line in enumerate(lines, len(self._events) + 1):
            try:
                events.append(_checked(line, started))
            except ValueError as error:
                raise ValueError(
                    f"{self.path}, line {number}: the file is damaged, or no file of a search: {error}. Choose "
                    "another folder; or, to go on from before this line, remove it and all lines below"
                ) from None
        return events

    def add(self, event: Mapping[str, Any]) -> None:
        """Add an event. The caller has the lock. It is on the disk when this returns.

        Raises OSError, for a full disk, for example: then there is no such event.
        """
        if self.path is None:
            self._events.append(json.loads(json.dumps(event)))
            return
        line = json.dumps(event, allow_nan=False).encode() + b"\n"
        try:
            file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
            try:
                _append(file, line)
            finally:
                os.close(file)
        except OSError as error:  # that of a full disk does not name the file
            raise OSError(error.errno, error.strerror, str(self.path)) from error

    def take(self, trial: int) -> bool:
        """Whether this process may run a trial: nobody does. The caller has the lock."""
        if trial in self._running:
            return False
        if self.folder is None:
            return True
        file = taken(self._mark(trial))
        if file is None:
            return False
        self._running[trial] = file
        return True

    def leave(self, trial: int) -> None:
        """Say that this process does not run a trial any more. The caller has the lock."""
        file = self._running.pop(trial, None)
        if file is not None:
            release(file)
            self._mark(trial).unlink(missing_ok=True)  # who opens it does so with the lock of the study

    def marked(self) -> list[int]:
        """The trials that a process runs, or ran when it was killed."""
        marks = () if self.folder is None else self.folder.glob("running-*")
        return [int(path.name.removeprefix("running-")) for path in marks]

    def _mark(self, trial: int) -> Path:
        """The file whose lock a process has while it runs a trial."""
        assert self.folder is not None
        return self.folder / f"running-{trial:04}"


def _append(file: int, line: bytes) -> None:
    """Write a line after the last whole one."""
    os.lseek(file, cut_half_line(file), os.SEEK_SET)
    while line:
        line = line[os.write(file, line) :]
    os.fsync(file)


def cut_half_line(file: int) -> int:
    """Cut off a last line that has no end. Returns the size of the file."""
    size = end = os.lseek(file, 0, os.SEEK_END)
    while end:
        start = max(0, end - 4096)
        os.lseek(file, start, os.SEEK_SET)
        place = os.read(file, end - start).rfind(b"\n")
        end = start + place + 1 if place >= 0 else start
        if place >= 0:
            break
    if end < size:
        os.ftruncate(file, end)
    return end


def _checked(line: bytes, started: set[int]) -> Event:
    """The event of a line; the trials that have started are noted. Raises ValueError with what is wrong."""
    event = json.loads(line)
    if not isinstance(event, dict) or event.get("event") not in _KEYS:
        raise ValueError(f"expected a JSON object with an `event` of {', '.join(_KEYS)}")
    missing = [name for name in _KEYS[event["event"]] if name not in event]
    if missing:
        raise ValueError(f"{', '.join(missing)} is missing")
    if event["event"] == "started":
        started.add(event["trial"])
    elif event.get("trial") not in started and "trial" in event:
        raise ValueError(f"trial {event['trial']} has not started")
    return event
