"""Locks between processes, by files that the operating system locks: a process that ends, or is killed, has none."""

from __future__ import annotations

import contextlib
import os
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import IO

__all__ = ["held", "release", "taken"]

if sys.platform == "win32":
    import msvcrt

    def _lock(file: IO[bytes], wait: bool) -> bool:
        while True:
            try:
                file.seek(0)
                msvcrt.locking(file.fileno(), msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)
            except OSError:
                if wait:  # it gives up after ten seconds
                    continue
                return False
            return True

else:
    import fcntl

    def _lock(file: IO[bytes], wait: bool) -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            return False
        return True


_open: weakref.WeakSet[IO[bytes]] = weakref.WeakSet()


def _close_in_child() -> None:
    """Close the locked files that a forked process, such as a worker of a loader, has got: it may live longer."""
    for file in list(_open):
        file.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_in_child)


@contextlib.contextmanager
def held(path: Path) -> Iterator[None]:
    """A context in which this thread alone has the lock of a file. It waits for the lock."""
    with path.open("ab") as file:
        _lock(file, wait=True)
        _open.add(file)
        yield  # closing the file gives the lock back


def taken(path: Path) -> IO[bytes] | None:
    """The file with its lock, if nobody has it; None if somebody has. `release` gives it back."""
    file = path.open("ab")
    if _lock(file, wait=False):
        _open.add(file)
        return file
    file.close()
    return None


def release(file: IO[bytes]) -> None:
    """Give a lock back. The file stays: one that another process has open must not get a second lock."""
    file.close()
