"""Files anywhere that fsspec writes to: object stores, file servers, the memory of a test."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, cast

import fsspec

from augreg.images.files import MOST_BYTES
from augreg.sharding.storage_names import checked, is_temporary, temporary_name, temporary_start

__all__ = ["RemoteStorage"]


class RemoteStorage:
    """A `Storage` at a URL.

    Opening raises ValueError for an unknown protocol, and ImportError if it needs a package, as fsspec does. An
    object store shows an object once its upload is complete. Elsewhere, where files can be renamed, they are
    uploaded under a temporary name.
    """

    local: Path | None = None

    def __init__(self, location: str) -> None:
        self.location = location
        self._system, root = fsspec.core.url_to_fs(location)
        self._root = root.rstrip("/")

    def __reduce__(self) -> tuple[type[RemoteStorage], tuple[str]]:
        return type(self), (self.location,)

    @property
    def _renames(self) -> bool:
        """Whether files can be renamed: the `mv` of fsspec itself only copies."""
        return type(self._system).mv is not fsspec.AbstractFileSystem.mv

    def _path(self, name: str) -> str:
        return f"{self._root}/{checked(name)}"

    def make(self) -> None:
        """Make the folder, where there are folders."""
        if self._renames:
            with self._errors(self.location):
                self._system.makedirs(self._root, exist_ok=True)

    def exists(self, name: str) -> bool:
        """Whether there is a file of this name."""
        path = self._path(name)
        with self._errors(name):
            self._system.invalidate_cache()
            return bool(self._system.isfile(path))

    def names(self, prefix: str = "", temporary: bool = False) -> list[str]:
        """The names of all files that start with the prefix, or the temporary files in its folder and below."""
        system, root = self._system, self._root
        folder, slash, _ = prefix.rpartition("/")
        with self._errors(prefix):
            system.invalidate_cache()  # other machines write here too
            try:
                paths = system.find(f"{root}/{folder}" if folder else root)
            except FileNotFoundError:
                return []
        names = (path.removeprefix(f"{root}/") for path in paths)
        start = folder + slash if temporary else prefix
        return sorted(name for name in names if name.startswith(start) and is_temporary(name) == temporary)

    def read(self, name: str) -> bytes:
        """The bytes of a file of at most 1 GiB. Raises FileNotFoundError if there is none."""
        with self.open(name) as file, self._errors(name):
            data = file.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise OSError(errno.EFBIG, f"it has more than {MOST_BYTES:,} bytes, the most that is read", name)
        return data

    def open(self, name: str) -> BinaryIO:
        """A file to read from piece by piece. Raises FileNotFoundError if there is none."""
        path = self._path(name)
        with self._errors(name):
            return cast(BinaryIO, self._system.open(path, "rb"))

    def write(self, name: str, data: bytes, durable: bool = True) -> None:
        """Upload a file. What is durable is up to the store."""
        self._upload(name, len(data), lambda path: self._system.pipe_file(path, data))

    def create(self, name: str, data: bytes) -> bool:
        """Upload a file if there is none of this name, and return whether it did.

        Of several processes one does where the store can promise it, as S3, Google and Azure can. Elsewhere two that
        come in the same moment may both do.
        """
        if self.exists(name):
            return False
        if self._renames:
            self.write(name, data)
            return True
        with self._errors(name):
            try:
                self._system.pipe_file(self._path(name), data, mode="create")
            except FileExistsError:
                return False
        return True

    def put(self, name: str, local_file: Path) -> None:
        """Upload a local file, and remove it."""
        size = local_file.stat().st_size
        self._upload(name, size, lambda path: self._system.put_file(str(local_file), path))
        local_file.unlink()

    def _upload(self, name: str, size: int, send: Callable[[str], object]) -> None:
        system, path = self._system, self._path(name)
        with self._errors(name):
            if self._renames:
                system.makedirs(path.rpartition("/")[0], exist_ok=True)
            to = self._path(temporary_name(name)) if self._renames else path
            try:
                send(to)
                if to != path:
                    self._rename(to, path)
            except BaseException:
                with contextlib.suppress(Exception):
                    if to != path or system.size(path) != size:
                        system.rm_file(to)
                raise

    def _rename(self, part: str, path: str) -> None:
        try:
            self._system.mv(part, path)
        except Exception:  # where a file in the way is not replaced
            if not self._system.exists(path):
                raise
            self._system.rm_file(path)
            self._system.mv(part, path)

    def temporary(self, name: str) -> Path:
        """A path in the folder for temporary files of this machine, such as $TMPDIR."""
        return Path(tempfile.gettempdir(), temporary_name(self._local_name(name)))

    def _local_name(self, name: str) -> str:
        return hashlib.sha256(f"{self.location}\n{checked(name)}".encode()).hexdigest()

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        path = self._path(name)
        with self._errors(name), contextlib.suppress(FileNotFoundError):
            self._system.rm_file(path)

    def remove_temporary(self, name: str) -> None:
        """Remove the local temporary files for this name whose processes are gone, and those that were uploaded."""
        start = temporary_start(self._local_name(name))
        for entry in list(os.scandir(tempfile.gettempdir())):
            if entry.name.startswith(start) and is_temporary(entry.name) and not _runs(entry.name):
                Path(entry.path).unlink(missing_ok=True)
        if self._renames:
            folder, slash, last = name.rpartition("/")
            for part in self.names(folder + slash, temporary=True):
                if part.startswith(folder + slash + temporary_start(last)):
                    self.remove(part)

    def free_bytes(self) -> int | None:
        """None: nobody says."""
        return None

    @contextlib.contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Nothing: two processes that do the same upload the same bytes."""
        checked(name)
        yield

    @contextlib.contextmanager
    def _errors(self, name: str) -> Iterator[None]:
        """Turn what the libraries of the stores raise into OSError."""
        try:
            yield
        except OSError as error:
            if error.strerror is None:  # a message only
                number = errno.ENOENT if isinstance(error, FileNotFoundError) else errno.EIO
                raise type(error)(number, str(error) or type(error).__name__, name) from None
            raise
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            raise OSError(errno.EIO, f"{self.location} says {reason}", name) from error


def _runs(part: str) -> bool:
    """Whether the process that made a temporary file of this machine still runs."""
    number = part.split("-")[1]
    if not number.isdecimal():
        return False
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True
