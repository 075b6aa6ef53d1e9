"""The names of files in a storage: relative paths with `/`, those of shards, and those of temporary files."""

from __future__ import annotations

import os
import secrets
import zlib

__all__ = ["FOLDER", "PART", "checked", "is_temporary", "shard_name", "temporary_name", "temporary_start"]

FOLDER = ".augreg"
"""The folder in an output for what is no data."""

PART = ".augreg-part"
"""How the names of temporary files end. They begin with a dot."""


def shard_name(shard: int) -> str:
    """The name of a shard: its number, with six digits or more."""
    return f"{shard:06d}"


def checked(name: str) -> str:
    """The name, if it stays inside of the storage. Raises ValueError for an absolute one, and for `..` in it."""
    parts = name.split("/")
    if not name or "\0" in name or not {"", ".", ".."}.isdisjoint(parts):
        raise ValueError(f"{name!r} is not the name of a file in the output: give a relative path without `..`")
    if os.sep != "/" and (os.sep in name or ":" in name):
        raise ValueError(f"{name!r} is not the name of a file in the output: give a path with `/` and without drive")
    return name


def temporary_start(name: str) -> str:
    """How the names of the temporary files for a name begin: short, or one that is just allowed became too long."""
    return f".{zlib.crc32(os.fsencode(name)):08x}-"


def temporary_name(name: str) -> str:
    """A name for a temporary file beside the file `name`, which no other process uses."""
    folder, slash, last = name.rpartition("/")
    return f"{folder}{slash}{temporary_start(last)}{os.getpid()}-{secrets.token_hex(4)}{PART}"


def is_temporary(name: str) -> bool:
    """Whether a file is a temporary one."""
    last = name.rpartition("/")[2]
    return last.startswith(".") and last.endswith(PART)
