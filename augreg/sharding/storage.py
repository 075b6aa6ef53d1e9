"""Where an output is stored: a folder of this machine, or any place that fsspec writes to.

A file is there whole or not at all, whenever its writer is killed. Names are paths below the location, with `/`.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO, Protocol

from augreg.errors import AugregError
from augreg.sharding.local_storage import LocalStorage

__all__ = ["Storage", "StorageError", "open_storage"]


class StorageError(AugregError):
    """A location that nothing can be stored at: an unknown protocol, or a missing package."""


class Storage(Protocol):
    """A place for files. It pickles as its location.

    Every method raises OSError if the place cannot be read or written to, and ValueError for a name that leads out.
    """

    location: str
    """As the user wrote it."""

    @property
    def local(self) -> Path | None:
        """The folder, if it is one of this machine."""

    def make(self) -> None:
        """Make the folder itself, if it is missing. Other methods do not: a folder that is moved gets no double."""

    def exists(self, name: str) -> bool:
        """Whether there is a file of this name."""

    def names(self, prefix: str = "", temporary: bool = False) -> list[str]:
        """The names of all files that start with the prefix, sorted.

        With `temporary`, those of the temporary files instead, in the folder of the prefix and below it.
        """

    def read(self, name: str) -> bytes:
        """The bytes of a file of at most 1 GiB. Raises FileNotFoundError if there is none."""

    def open(self, name: str) -> BinaryIO:
        """A file to read from piece by piece. Raises FileNotFoundError if there is none."""

    def write(self, name: str, data: bytes, durable: bool = True) -> None:
        """Write a file, in place of an existing one. If `durable`, it survives a power cut once this returns."""

    def create(self, name: str, data: bytes) -> bool:
        """Write a file if there is none of this name, and return whether it did: of several processes, one does."""

    def put(self, name: str, local_file: Path) -> None:
        """Move a local file here, in place of an existing one: renamed if it is a local place, uploaded if not."""

    def temporary(self, name: str) -> Path:
        """A local path to write to before `put`, which no other process uses."""

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""

    def remove_temporary(self, name: str) -> None:
        """Remove the temporary files for this name that killed processes left. Call it under the lock of the name."""

    def free_bytes(self) -> int | None:
        """How much fits in; None where it is not known."""

    def lock(self, name: str) -> AbstractContextManager[None]:
        """Hold a lock while the block runs; it ends with the process. Raises BusyError if another process has it.

        Locks exist on local file systems only: elsewhere two processes may do the same, with the same result.
        """


def open_storage(location: str) -> Storage:
    """The storage at a local path, a `file://` URL, or a URL that fsspec knows, such as `s3://bucket/folder`.

    Raises StorageError if the protocol is not known, or needs a package that is missing.
    """
    for scheme in ("file://", "local://"):
        if location.startswith(scheme):
            return LocalStorage(location.removeprefix(scheme), location)
    if "://" not in location:
        return LocalStorage(location, location)
    try:
        from augreg.sharding.remote_storage import RemoteStorage

        return RemoteStorage(location)
    except ModuleNotFoundError as error:
        if error.name != "fsspec":
            raise
        raise StorageError(f"{location}: URLs need fsspec: pip install 'augreg[shards]'") from None
    except (ImportError, ValueError) as error:  # what fsspec says of a package, or of a protocol
        raise StorageError(f"{location}: cannot be opened: {error}") from None
