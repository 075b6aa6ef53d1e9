"""A progress line: rewritten in place on a terminal, and a line every few seconds in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TextIO

__all__ = ["Progress"]

_REDRAW = 0.1  # seconds between two states on a terminal
_LOG = 5.0  # seconds between two lines in a log


class Progress:
    """Counts up to a total and shows it on stderr. Use it in a `with` block, which leaves the line behind."""

    def __init__(
        self, word: str, total: int, quiet: bool = False, stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        """`word` says what is counted, `images`. `clock` gives seconds."""
        self._word, self._total, self._clock = word, total, clock
        self._stream = sys.stderr if stream is None else stream
        self._quiet = quiet or not total
        self._terminal = self._stream.isatty()
        self._start = self._shown = clock()
        self._done = 0

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if not self._quiet and self._terminal:
            self._show()
            self._stream.write("\n")
            self._stream.flush()

    def step(self) -> None:
        """One more is done."""
        self._done += 1
        now = self._clock()
        if not self._quiet and now - self._shown >= (_REDRAW if self._terminal else _LOG):
            self._shown = now
            self._show()

    def _show(self) -> None:
        elapsed = self._clock() - self._start
        pace = self._done / elapsed if elapsed > 0 else 0.0
        left = _clock((self._total - self._done) / pace) if pace else "?"
        share = self._done / self._total
        said = f"{self._done}/{self._total} {self._word}, {share:.0%}, {pace:.1f}/s, {left} left"
        if self._terminal:
            bar = "#" * round(20 * share)
            self._stream.write(f"\r[{bar:<20}] {said}\x1b[K")  # the last part clears what was longer before
        else:
            self._stream.write(f"{said}\n")
        self._stream.flush()


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
