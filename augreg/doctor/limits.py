"""The time limit of an examination, and the progress that it reports."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["NotReturned", "Progress", "TimeLimit", "Watch"]

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is; 0 if that is not known."""


class TimeLimit(Exception):  # noqa: N818 - it is no error
    """Raised when the time of an examination is over; the rest is reported as not checked."""


class NotReturned(TimeLimit):
    """Raised when the time was over while the sample of `key` was waited for.

    `seconds` is how long that was, `slowest` the longest time that an earlier sample took, None if there is none.
    """

    def __init__(self, message: str, key: Any, seconds: float, slowest: float | None) -> None:
        super().__init__(message)
        self.key = key
        self.seconds = seconds
        self.slowest = slowest

    @property
    def hangs(self) -> bool:
        """Whether this sample took so much longer than all others that it very likely hangs."""
        return self.slowest is not None and self.seconds >= max(1.0, 10 * self.slowest)


class Watch:
    """Counts the time of an examination. `limit` is in seconds, None for none."""

    def __init__(self, limit: float | None = None, progress: Progress | None = None) -> None:
        self._limit = limit
        self._progress = progress
        self._end = None if limit is None else time.monotonic() + limit

    @property
    def message(self) -> str:
        """For the report."""
        return f"its part of the time limit of {self._limit:g} s was over"

    @property
    def left(self) -> float | None:
        """The seconds left, at least 0; None without a limit."""
        return None if self._end is None else max(0.0, self._end - time.monotonic())

    @property
    def over(self) -> bool:
        """Whether the time is over."""
        return self.left == 0.0

    @contextmanager
    def part(self, fraction: float) -> Iterator[None]:
        """Allow only a fraction of the time left meanwhile."""
        end = self._end
        if end is not None:
            now = time.monotonic()
            self._end = now + fraction * max(0.0, end - now)
        try:
            yield
        finally:
            self._end = end

    def step(self, doing: str, done: int, total: int = 0) -> None:
        """Report progress. Raises TimeLimit if the time is over."""
        if self._progress is not None:
            self._progress(doing, done, total)
        if self.over:
            raise TimeLimit(self.message)
