"""A file whose size and hash are known once it is written, without reading it again."""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path

from augreg.sharding.storage import Storage

__all__ = ["HashedFile"]

_BUFFER = 1 << 20


class HashedFile:
    """The file of a name in a storage, written under a temporary name until it is whole."""

    def __init__(self, storage: Storage, name: str) -> None:
        self._storage, self._name = storage, name
        self._path: Path | None = storage.temporary(name)
        self._file = self._path.open("xb", buffering=_BUFFER)
        self._hash = hashlib.sha256()
        self.size = 0

    closed = False
    """For pyarrow, which asks; `close` and `flush` are for it, too."""

    def close(self) -> None:
        """Nothing: `put` and `discard` close the file."""

    def flush(self) -> None:
        """Nothing: `put` does it."""

    def write(self, data: bytes) -> int:
        """Append bytes; after `discard`, ignore them."""
        if not self._file.closed:
            self._file.write(data)
            self._hash.update(data)
            self.size += len(data)
        return len(data)

    def put(self) -> tuple[int, str]:
        """Give the file its name. Returns its size and its SHA-256 in hexadecimal. Raises OSError."""
        self._file.close()
        if self._path is None:
            raise ValueError("the file was discarded")
        self._storage.put(self._name, self._path)
        self._path = None
        return self.size, self._hash.hexdigest()

    def discard(self) -> None:
        """Remove the file, unless it has its name."""
        with contextlib.suppress(OSError):  # of what could not be written before
            self._file.close()
        if self._path is not None:
            self._path.unlink(missing_ok=True)
            self._path = None
