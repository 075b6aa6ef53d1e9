"""A progress bar on stderr; in a log, a line every few seconds."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["progress", "stages"]

_LOG = 5.0  # seconds between two lines in a log


class _Lines:
    """A stream for tqdm that is no terminal: each state becomes a line."""

    def write(self, text: str) -> None:
        if text.strip():
            print(text.strip(), file=sys.stderr)

    def flush(self) -> None:
        sys.stderr.flush()


def progress(unit: str, total: int, quiet: bool = False) -> Any:
    """A tqdm bar that counts to `total`. Use it in a `with` block."""
    from tqdm import tqdm

    common = {"unit": f" {unit}", "total": total, "disable": quiet or not total, "miniters": 1}
    if sys.stderr.isatty():
        return tqdm(**common)
    return tqdm(**common, file=_Lines(), mininterval=_LOG, delay=_LOG, leave=False)


@contextmanager
def stages(quiet: bool = False) -> Iterator[Callable[[str, int, int], None]]:
    """A function that shows the progress of work in stages: the name of the stage, how much is done, and of how much.

    Each stage has a bar of its own, which is removed when the next begins. A log has a line every few seconds.
    """
    from tqdm import tqdm

    terminal = sys.stderr.isatty()
    bars: list[tuple[str, Any]] = []
    written = time.monotonic()

    def show(stage: str, done: int, total: int) -> None:
        nonlocal written
        if quiet:
            return
        if not terminal:
            if time.monotonic() - written >= _LOG:
                written = time.monotonic()
                print(f"{stage}: {done}" + (f" of {total}" if total else ""), file=sys.stderr)
            return
        if not bars or bars[0][0] != stage:
            while bars:
                bars.pop()[1].close()
            bars.append((stage, tqdm(desc=stage, leave=False, miniters=1, bar_format="{desc} ..")))
        bar = bars[0][1]
        if total and bar.total != total:  # it may become known, or grow, on the way
            bar.bar_format, bar.total = None, total
        bar.update(max(0, done - bar.n))

    try:
        yield show
    finally:
        for _, bar in bars:
            bar.close()
