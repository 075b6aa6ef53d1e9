"""An epoch in shared memory: worker processes see it change while they run.

Some frameworks (accelerate, Fabric) call `set_epoch` before each pass and count the passes from 0, also in a resumed
run. So an epoch that was set and not used yet cannot be set to a lower one, and an epoch that is held cannot be set
at all.
"""

from __future__ import annotations

import operator
from multiprocessing.context import get_spawning_popen
from multiprocessing.sharedctypes import RawArray
from typing import Any

__all__ = ["SharedEpoch", "check_not_lost", "checked_epoch"]

_UNKNOWN = -1
_EPOCH, _UNUSED, _HELD = range(3)
_LOST = (
    "epoch {before} was set, and epoch {epoch} is set before any pass has used it. Frameworks that count passes "
    "from 0 (accelerate, Fabric) do this in a resumed run: use `for epoch in Epochs(count, part, start={before})` of"
    " augreg.training, which holds the epoch, or part.hold_epoch({before}); accelerate has loader.set_epoch({before})"
)


class SharedEpoch:
    """An epoch that is shared with the worker processes that receive it when they start.

    Set it before a pass begins: a worker that prefetches would use it for the previous pass too. A copy in the same
    process shares the epoch; a pickle has the current number, except one that is made to start a process.
    """

    def __init__(self, epoch: int | None = None) -> None:
        """`epoch` is an integer from 0, or None if it is not known yet."""
        self._cell: Any = RawArray("q", [_UNKNOWN, False, False])
        if epoch is not None:
            self.set(epoch)

    def set(self, epoch: int) -> None:
        """Set the epoch, here and in the workers, unless one is held.

        Raises TypeError or ValueError unless it is an integer from 0, and RuntimeError if it would be a lower one
        than was set before, which no pass has used.
        """
        epoch, cell = checked_epoch(epoch), self._cell
        if cell[_HELD]:
            return
        check_not_lost(cell[_EPOCH], epoch, bool(cell[_UNUSED]))
        cell[_EPOCH], cell[_UNUSED] = epoch, True

    def hold(self, epoch: int | None) -> None:
        """Set the epoch and keep it: `set` does nothing until another is held, or None, which lets it go."""
        if epoch is not None:
            self._cell[_EPOCH], self._cell[_UNUSED] = checked_epoch(epoch), True
        self._cell[_HELD] = epoch is not None

    def get(self) -> int | None:
        """The epoch, or None if it has not been set."""
        value: int = self._cell[_EPOCH]
        return None if value == _UNKNOWN else value

    def use(self) -> int | None:
        """The epoch for a sample, which is now used; None if it has not been set."""
        self._cell[_UNUSED] = False
        return self.get()

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


def check_not_lost(before: int, epoch: int, unused: bool) -> None:
    """Raise RuntimeError if an epoch that was set and not used would be replaced by a lower one."""
    if unused and epoch < before:
        raise RuntimeError(_LOST.format(before=before, epoch=epoch))


def checked_epoch(epoch: Any) -> int:
    """An epoch as an integer from 0. Raises TypeError or ValueError."""
    if isinstance(epoch, bool) or not hasattr(epoch, "__index__"):
        raise TypeError(f"an epoch must be an integer from 0, got {epoch!r}")
    number = operator.index(epoch)
    if not 0 <= number < 1 << 63:
        raise ValueError(f"an epoch must be an integer from 0, got {number}")
    return number
