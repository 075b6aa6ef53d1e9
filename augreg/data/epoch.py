"""An epoch in shared memory: worker processes see it change while they run."""

from __future__ import annotations

import operator
from multiprocessing.context import get_spawning_popen
from multiprocessing.sharedctypes import RawValue
from typing import Any

__all__ = ["SharedEpoch", "checked_epoch"]

_UNKNOWN = -1


class SharedEpoch:
    """An epoch that is shared with the worker processes that receive it when they start.

    Set it before a pass begins: a worker that prefetches would use it for the previous pass too. A copy in the same
    process shares the epoch; a pickle has the current number, except one that is made to start a process.
    """

    def __init__(self, epoch: int | None = None) -> None:
        """`epoch` is an integer from 0, or None if it is not known yet."""
        self._cell: Any = RawValue("q", _UNKNOWN)
        if epoch is not None:
            self.set(epoch)

    def set(self, epoch: int) -> None:
        """Set the epoch, here and in the workers. Raises TypeError or ValueError unless it is an integer from 0."""
        self._cell.value = checked_epoch(epoch)

    def get(self) -> int | None:
        """The epoch, or None if it has not been set."""
        value: int = self._cell.value
        return None if value == _UNKNOWN else value

    def __copy__(self) -> SharedEpoch:
        return self

    def __deepcopy__(self, memo: Any) -> SharedEpoch:
        return self

    def __reduce__(self) -> Any:
        if get_spawning_popen() is not None:  # a worker process is being started and inherits the memory
            return _inherited, (self._cell,)
        return SharedEpoch, (self.get(),)

    def __repr__(self) -> str:
        return f"SharedEpoch({self.get()})"


def _inherited(cell: Any) -> SharedEpoch:
    shared = SharedEpoch.__new__(SharedEpoch)
    shared._cell = cell
    return shared


def checked_epoch(epoch: Any) -> int:
    """An epoch as an integer from 0. Raises TypeError or ValueError."""
    if isinstance(epoch, bool) or not hasattr(epoch, "__index__"):
        raise TypeError(f"an epoch must be an integer from 0, got {epoch!r}")
    number = operator.index(epoch)
    if not 0 <= number < 1 << 63:
        raise ValueError(f"an epoch must be an integer from 0, got {number}")
    return number
