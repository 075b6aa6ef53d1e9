"""Files that are written whole or not at all: a reader never sees half of one."""

from __future__ import annotations

import contextlib
import os
import shutil
import zlib
from collections.abc import Iterator
from pathlib import Path

__all__ = ["remove_parts", "whole_file"]

_PART = ".augreg-part"


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """The path to write to, beside the file: what is there gets the file's name, unless the block raises an error.

    A file that is replaced keeps its permissions. A link stays, and the file that it leads to is replaced. What is no
    file, such as /dev/stdout, is written to itself.
    """
    if path.exists() and not path.is_file():
        yield path
        return
    path = Path(os.path.realpath(path))
    # the name is short: with more than its own in it, a name that is just allowed would become too long
    part = path.with_name(f".{os.getpid()}-{zlib.crc32(os.fsencode(path.name)):08x}{_PART}")
    try:
        yield part
        with part.open("rb") as written:
            os.fsync(written.fileno())  # or a crash could leave an empty file with the name
        if path.exists():
            shutil.copymode(path, part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def remove_parts(*folders: Path) -> None:
    """Remove the files that killed processes were writing in these folders. No other process may write there now."""
    for folder in folders:
        for part in folder.glob(f".*{_PART}"):
            part.unlink(missing_ok=True)
