"""A progress bar on stderr; in a log, a line every few seconds."""

from __future__ import annotations

import sys
from typing import Any

__all__ = ["progress"]

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
