"""An epoch that worker processes see change, also those that were started in an earlier one."""

from __future__ import annotations

import operator
from multiprocessing.context import get_spawning_popen
from multiprocessing.sharedctypes import RawValue
from typing import Any

__all__ = ["SharedEpoch", "checked_epoch"]

_UNKNOWN = -1


class SharedEpoch:
    """An epoch in memory that is shared with the worker processes that get it when they are started.

    Set it before a pass begins: a worker that works ahead would take it for the pass before too. A copy in this
    process is the same epoch; a pickle, other than for a process that is being started, has the number of its time.
    """

    def __init__(self, epoch: int | None = None) -> None:
        """`epoch` is from 0; None means that it is not known yet."""
        self._cell: Any = RawValue("q", _UNKNOWN)
        if epoch is not None:
            self.set(epoch)

    def set(self, epoch: int) -> None:
        """Make this the epoch, here and in the workers. Raises TypeError or ValueError."""
        self._cell.value = checked_epoch(epoch)

    def get(self) -> int | None:
        """The epoch, or None while nobody has set one."""
        value: int = self._cell.value
        return None if value == _UNKNOWN else value

    def __copy__(self) -> SharedEpoch:
        return self

    def __deepcopy__(self, memo: Any) -> SharedEpoch:
        return self

    def __reduce__(self) -> Any:
        if get_spawning_popen() is not None:  # a worker is being started: it inherits the memory itself
            return _inherited, (self._cell,)
        return SharedEpoch, (self.get(),)

    def __repr__(self) -> str:
        return f"SharedEpoch({self.get()})"


def _inherited(cell: Any) -> SharedEpoch:
    found = SharedEpoch.__new__(SharedEpoch)
    found._cell = cell
    return found


def checked_epoch(epoch: Any) -> int:
    """An epoch as an integer from 0. Raises TypeError or ValueError."""
    if isinstance(epoch, bool) or not hasattr(epoch, "__index__"):
        raise TypeError(f"an epoch is an integer from 0, got {epoch!r}")
    number = operator.index(epoch)
    if not 0 <= number < 1 << 63:
        raise ValueError(f"an epoch is an integer from 0, got {number}")
    return number
