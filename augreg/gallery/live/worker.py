"""A process of its own that draws the images of drafts, so that a draft that takes too long can be ended."""

from __future__ import annotations

import multiprocessing
import signal
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

__all__ = ["Worker", "draw_drafts"]

_SECONDS = 30.0
_SECONDS_TO_START = 120.0
_MOST_CLIENTS = 16


class Worker:
    """Answers drafts one at a time; of the drafts of a client that wait, only the newest is drawn.

    `settings` are the arguments of `Drafts` after the folder. `run` is the function of the process.
    """

    def __init__(self, *settings: Any, seconds: float = _SECONDS, run: Callable[..., None] | None = None) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="augreg-live-")
        self._settings, self._seconds = (Path(self._folder.name), *settings), seconds
        self._run = run or draw_drafts
        self._newest: OrderedDict[str, int] = OrderedDict()
        self._counting = threading.Lock()
        self._lock = threading.Lock()  # of the process: one draft at a time
        self._process: Any = None
        self._connection: Any = None

    def answer(self, client: str, number: int, text: str) -> dict[str, Any]:
        """The answer to a draft, as `Drafts` gives it; `stale` if the client has a draft with a higher number.

        A draft that takes longer than the limit, or ends the process, is a problem of the draft.
        """
        with self._counting:
            self._newest[client] = max(number, self._newest.pop(client, number))
            while len(self._newest) > _MOST_CLIENTS:
                self._newest.popitem(last=False)
        with self._lock:
            if self._newest.get(client, number) != number:
                return {"stale": True}
            try:
                if self._process is None or not self._process.is_alive():
                    self._start()
                self._connection.send(text)
                if self._connection.poll(self._seconds):
                    answer: dict[str, Any] = self._connection.recv()
                    return answer
                why = f"this spec takes more than {self._seconds:g} seconds; use smaller images, such as --size 256"
            except (EOFError, OSError):
                why = "this spec ended the process that draws the images; it may need too much memory"
            self._stop()
            return {"html": None, "problems": [{"line": None, "message": why}]}

    def close(self) -> None:
        """End the process, and remove its folder."""
        with self._lock:
            self._stop()
        self._folder.cleanup()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, other = context.Pipe()
        self._process = context.Process(target=self._run, args=(other, self._settings), daemon=True)
        self._process.start()
        other.close()
        if not self._connection.poll(_SECONDS_TO_START):
            raise EOFError
        self._connection.recv()  # it has imported what it needs, which is no time of the draft

    def _stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._connection.close()
            self._process = None


def draw_drafts(connection: Connection, settings: Any) -> None:
    """The process: say that it is ready, and answer drafts until the other end is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server, which ends this process
    from augreg.gallery.live.draft import Drafts

    drafts = Drafts(*settings)
    connection.send("ready")
    while True:
        try:
            text = connection.recv()
        except EOFError:
            return
        connection.send(drafts.answer(text))
