"""The members of a tar, compressed or not: their headers one by one, and their bytes."""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import tarfile
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO, Final, cast

from augreg.sharding.inputs.locations import open_file, reason
from augreg.sharding.records import InputError

__all__ = ["PACKED", "TarMembers", "opened"]

PACKED: Final = (".tar.gz", ".tgz")
_DAMAGED: Final = (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, OSError, UnicodeError, ValueError)


class TarMembers:
    """The members of a tar, one by one. Unlike `tarfile`, it takes a damaged header for one, not for the end."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._tar = tarfile.open(fileobj=file, mode="r:")  # noqa: SIM115 - the file is closed by who opened it

    def __iter__(self) -> Iterator[tarfile.TarInfo]:
        last = -1
        while (member := self._next()) is not None:
            if member.offset <= last or member.size < 0:  # negative sizes would lead around in a circle
                raise tarfile.ReadError(f"damaged at byte {last:,}")
            last = member.offset
            yield member
        self._check_end()

    def _next(self) -> tarfile.TarInfo | None:
        """The next member. `tarfile` takes ten times as long for a plain file, so it reads all others."""
        tar, offset = self._tar, self._tar.offset
        if tar.firstmember is None and not tar.pax_headers:  # type: ignore[attr-defined]
            self._file.seek(offset)
            member = _plain_file(self._file.read(tarfile.BLOCKSIZE))
            if member is not None:
                member.offset, member.offset_data = offset, offset + tarfile.BLOCKSIZE
                tar.offset = member.offset_data - (-member.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
                return member
            self._file.seek(offset)
        found = tar.next()
        tar.members = []  # type: ignore[attr-defined]  # it keeps them all
        return found

    def _check_end(self) -> None:
        self._file.seek(self._tar.offset)
        block = self._file.read(tarfile.BLOCKSIZE)
        if not block:
            raise tarfile.ReadError("it ends without the mark of its end: a part is missing")
        if len(block) < tarfile.BLOCKSIZE or block.strip(b"\0"):
            raise tarfile.ReadError(f"damaged at byte {self._tar.offset:,}")

    def stamp(self) -> tuple[int, ...]:
        """What changes when a file of this machine is replaced; of others, nothing is known."""
        try:
            found = os.fstat(self._file.fileno())
        except OSError:
            return ()
        return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns

    def go_to(self, offset: int) -> None:
        """Go on at a member that was seen before."""
        self._tar.offset = offset
        self._tar.firstmember = None  # type: ignore[attr-defined]
        self._file.seek(offset)

    def read(self, member: tarfile.TarInfo) -> bytes:
        """The bytes of a regular member."""
        if member.sparse is None:
            self._file.seek(member.offset_data)
            data = self._file.read(member.size)
        else:
            file = self._tar.extractfile(member)
            assert file is not None
            data = file.read()
        if len(data) < member.size:
            raise tarfile.ReadError("unexpected end of data")
        return data


def _plain_file(header: bytes) -> tarfile.TarInfo | None:
    """The member of a header that is only that of a regular file; None for any other, and for a damaged one."""
    if len(header) < tarfile.BLOCKSIZE or header[156] not in b"0\0" or header[345] or header[124] & 128:
        return None  # the last two are of a longer name, and of a size that is not in octal digits
    try:
        total = int(header[148:156].rstrip(b"\0 "), 8)
        size = int(header[124:136].rstrip(b"\0 "), 8)
    except ValueError:
        return None
    name = header[: header.index(0, 0, 101) if 0 in header[:100] else 100]
    if total != sum(header) - sum(header[148:156]) + 256 or size < 0 or name.endswith(b"/"):
        return None
    member = tarfile.TarInfo(name.decode("utf-8", "surrogateescape"))
    member.size = size
    return member


@contextlib.contextmanager
def opened(location: str) -> Iterator[TarMembers]:
    """The members of a file. Raises InputError, also in the block, for a file that is damaged."""
    try:
        with open_file(location) as raw, contextlib.ExitStack() as stack:
            packed = location.lower().endswith(PACKED)
            file = stack.enter_context(gzip.GzipFile(fileobj=raw, mode="rb")) if packed else raw
            # a buffer: to go back by a block in a compressed file would be to read it again from its beginning
            yield TarMembers(io.BufferedReader(cast(Any, file), 1 << 18) if packed else raw)
    except _DAMAGED as error:
        what = "a damaged tar" if not isinstance(error, OSError) or error.errno is None else "cannot be read"
        raise InputError(f"{location}: {what}: {reason(error)}; replace the file") from None
