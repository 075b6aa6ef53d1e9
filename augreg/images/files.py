"""Files are read by one function: regular files only, and no more of them than fits.

A FIFO without a writer would be waited for forever, and a device such as /dev/zero has no end.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Final

__all__ = ["MOST_BYTES", "read_file"]

MOST_BYTES: Final = 1 << 30
"""The most bytes of an image, encoded: 1 GiB."""
_KINDS: Final = (
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISSOCK, "a socket"),
)
_FLAGS: Final = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)


def read_file(path: str | os.PathLike[str], most: int = MOST_BYTES) -> bytes:
    """The bytes of a regular file, or of one that a link leads to.

    Raises OSError, whose `strerror` says why, also if it is something else than a file or has more than `most` bytes.
    """
    path = Path(path)
    _check(path.stat(), path, most)  # before it is opened: opening a device may already do something
    with os.fdopen(os.open(path, _FLAGS), "rb") as file:
        size = _check(os.fstat(file.fileno()), path, most)
        data = file.read(size + 1) or b""  # None from one that would have to be waited for, such as /proc/kmsg
        while len(data) > size:  # it grows, or is one of those that say 0
            more = file.read(1 << 20)
            if not more:
                break
            data += more
            if len(data) > most:
                raise _too_large(path, most)
    return data


def _check(found: os.stat_result, path: Path, most: int) -> int:
    """The size of a regular file that is not too large. Raises OSError for others."""
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(found.st_mode):
        kind = next((name for is_kind, name in _KINDS if is_kind(found.st_mode)), "something else")
        raise OSError(errno.EINVAL, f"not a file but {kind}", str(path))
    if found.st_size > most:
        raise _too_large(path, most)
    return found.st_size


def _too_large(path: Path, most: int) -> OSError:
    return OSError(errno.EFBIG, f"it has more than {most:,} bytes, the most that is read", str(path))
