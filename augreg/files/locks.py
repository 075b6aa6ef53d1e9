"""Locks between processes, which end with the process that holds them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

__all__ = ["BusyError", "locked"]


class BusyError(Exception):
    """Another run is writing to the same place."""


@contextlib.contextmanager
def locked(path: Path, message: str) -> Iterator[int | None]:
    """Lock an existing file or folder while the block runs, which gets its descriptor.

    Raises BusyError with the message if somebody else holds the lock. A file system without such locks locks nothing;
    on a system without them the block gets None.
    """
    try:
        import fcntl
    except ImportError:
        yield None
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BusyError(message) from None
        except OSError:
            pass
        yield handle
    finally:
        os.close(handle)
