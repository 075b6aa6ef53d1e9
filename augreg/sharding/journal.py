"""The journal of a shard: the copies made for it so far, so that the run after a kill does not make them again."""

from __future__ import annotations

import contextlib
import io
import os
import struct
import zlib
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgspec

from augreg.sharding.storage import Storage
from augreg.sharding.storage_names import FOLDER, PART, shard_name

__all__ = ["Copy", "Journal"]

_HEADER: Final = struct.Struct("<32sIII")  # the digest of what a copy was made from, its number, its size, its CRC-32
_ROOM: Final = 1 << 30  # with less free space there is no journal: the output needs it
_PLAIN: Final = (str, int, float, bool, bytes, type(None))


class Copy(NamedTuple):
    """What the pipeline made of an image: encoded images and masks, and plain targets."""

    image: bytes
    masks: Mapping[str, bytes]
    targets: Mapping[str, Any]


class Journal:
    """A file beside the records, for the process that has the lock of the shard. In remote storage there is none.

    It only saves work: where it cannot be written, is damaged, or was made from other images, copies are made anew.
    """

    def __init__(self, storage: Storage, shard: int, job: bytes) -> None:
        """Open the journal of a shard. One that begins with the digest of another job is emptied."""
        self._places: dict[tuple[bytes, int], tuple[int, int, int]] = {}
        self._path = None if storage.local is None else storage.local / FOLDER / f".{shard_name(shard)}{PART}"
        self._file: io.FileIO | None = None
        self.left = True
        """Whether a killed run may have left other temporary files for the shard, too."""
        if (storage.free_bytes() or 0) < _ROOM:
            self.remove()
        elif self._path is not None:
            try:
                self._file = io.FileIO(self._path, "r+", opener=_opened)
                self._find(job)
            except OSError:
                self.remove()

    def _find(self, job: bytes) -> None:
        """Find the copies of a killed run, and cut off what it wrote half."""
        assert self._file is not None
        end, size = len(job), os.fstat(self._file.fileno()).st_size
        self.left = size > 0
        if self._file.read(end) != job:
            self._file.truncate(0)
            self._file.seek(0)
            self._file.write(job)
            return
        while end + _HEADER.size <= size:
            self._file.seek(end)
            digest, view, length, crc = _HEADER.unpack(self._file.read(_HEADER.size))
            start = end + _HEADER.size
            if start + length > size:
                break
            self._places[digest, view] = start, length, crc
            end = start + length
        self._file.truncate(end)
        self._file.seek(end)

    def copy(self, digest: bytes, view: int) -> Copy | None:
        """The copy of this number that was made from what has this digest; None if it is not there."""
        place = self._places.get((digest, view))
        if place is None or self._file is None:
            return None
        start, length, crc = place
        try:
            self._file.seek(start)
            data = self._file.read(length)
            self._file.seek(0, os.SEEK_END)
            return msgspec.msgpack.decode(data, type=Copy) if zlib.crc32(data) == crc else None
        except (OSError, msgspec.DecodeError):
            return None

    def add(self, digest: bytes, view: int, copy: Copy) -> None:
        """Keep a copy. If that cannot be done, as on a full disk, the journal is given up and takes no room."""
        if self._file is None or not _is_plain(copy.targets):
            return
        try:
            data = msgspec.msgpack.encode(copy)
            entry = _HEADER.pack(digest, view, len(data), zlib.crc32(data)) + data
        except (ValueError, OverflowError, struct.error):  # text that is not Unicode, numbers of more than 64 bits
            return
        try:
            whole = self._file.write(entry) == len(entry)
        except OSError:
            whole = False
        if not whole:
            self.remove()

    def remove(self) -> None:
        """Remove the file: the shard is recorded, or the room is needed."""
        self._close()
        if self._path is not None:
            with contextlib.suppress(OSError):
                self._path.unlink(missing_ok=True)

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()


def _opened(path: str, _: int) -> int:
    """Open a file for reading and writing, and make it if it is missing. What a link leads to is left alone."""
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    return os.open(path, flags, 0o666)


def _is_plain(value: Any) -> bool:
    """Whether a value comes back from the journal as it was."""
    if isinstance(value, list):
        return all(map(_is_plain, value))
    if isinstance(value, dict):
        return all(type(key) is str and _is_plain(each) for key, each in value.items())
    return type(value) in _PLAIN
