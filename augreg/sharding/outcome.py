"""How a task of a run ended, whichever engine ran it."""

from __future__ import annotations

from typing import Any, NamedTuple

__all__ = ["Outcome", "StopError"]


class StopError(Exception):
    """Raised by a job where every other task would fail for the same reason, such as a full disk."""


class Outcome(NamedTuple):
    """A finished task: its result, or the reason why it failed, and whether all others would fail for it too."""

    task: Any
    value: Any = None
    failure: str = ""
    stop: bool = False
