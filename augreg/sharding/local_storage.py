"""Files in a folder of this machine, or in one that several machines share."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from augreg.files.locks import locked
from augreg.images.files import read_file
from augreg.sharding.storage_names import FOLDER, checked, is_temporary, temporary_name, temporary_start

__all__ = ["LocalStorage"]

_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


class LocalStorage:
    """A `Storage` in a folder."""

    def __init__(self, folder: str | os.PathLike[str], location: str = "") -> None:
        self.location = location or str(folder)
        self._folder = Path(folder).absolute()  # a worker may have another current folder

    @property
    def local(self) -> Path | None:
        """The folder."""
        return self._folder

    def make(self) -> None:
        """Make the folder, and those above it."""
        self._folder.mkdir(parents=True, exist_ok=True)

    def exists(self, name: str) -> bool:
        """Whether there is a file, and no folder, of this name."""
        return (self._folder / checked(name)).is_file()

    def names(self, prefix: str = "", temporary: bool = False) -> list[str]:
        """The names of all files that start with the prefix, or the temporary files in its folder and below."""
        folder, _, start = prefix.rpartition("/")
        return sorted(name for name in self._walk(folder, start) if is_temporary(name) == temporary)

    def _walk(self, folder: str, start: str = "") -> Iterator[str]:
        try:
            entries = list(os.scandir(self._folder / folder))
        except (FileNotFoundError, NotADirectoryError):
            return
        for entry in entries:
            name = f"{folder}/{entry.name}" if folder else entry.name
            if entry.is_dir(follow_symlinks=False):
                if entry.name.startswith(start):
                    yield from self._walk(name)
            elif (entry.name.startswith(start) or is_temporary(entry.name)) and entry.is_file():
                yield name

    def read(self, name: str) -> bytes:
        """The bytes of a file of at most 1 GiB. Raises FileNotFoundError if there is none."""
        return read_file(self._folder / checked(name))

    def open(self, name: str) -> BinaryIO:
        """A file to read from piece by piece. Raises FileNotFoundError if there is none."""
        return (self._folder / checked(name)).open("rb")

    def write(self, name: str, data: bytes, durable: bool = True) -> None:
        """Write a file under a temporary name and rename it."""
        part = self.temporary(name)
        try:
            _write(part, data, durable)
            part.replace(self._folder / name)
        finally:
            part.unlink(missing_ok=True)

    def create(self, name: str, data: bytes) -> bool:
        """Write a file if there is none of this name, and return whether it did: of several processes, one does."""
        part, path = self.temporary(name), self._folder / name
        try:
            _write(part, data, durable=True)
            try:
                os.link(part, path)
            except FileExistsError:
                return False
            except OSError as error:
                if error.errno not in _NO_LINKS:
                    raise
                with self.lock(f"create-{name}"):
                    if path.exists():
                        return False
                    part.replace(path)
            return True
        finally:
            part.unlink(missing_ok=True)

    def put(self, name: str, local_file: Path) -> None:
        """Rename a file that `temporary` gave the path of."""
        path = self._place(name)
        with local_file.open("rb") as written:
            os.fsync(written.fileno())  # or a power cut could leave an empty file with the name
        local_file.replace(path)

    def temporary(self, name: str) -> Path:
        """A path in the folder of the file, which no other process uses."""
        return self._place(name).parent / temporary_name(name).rpartition("/")[2]

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        (self._folder / checked(name)).unlink(missing_ok=True)

    def remove_temporary(self, name: str) -> None:
        """Remove the temporary files for this name that killed processes left."""
        path = self._folder / checked(name)
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            for entry in list(os.scandir(path.parent)):
                if entry.name.startswith(temporary_start(path.name)) and is_temporary(entry.name):
                    Path(entry.path).unlink(missing_ok=True)

    def free_bytes(self) -> int | None:
        """How much fits in, for a folder that exists or is to be made."""
        existing = next(folder for folder in (self._folder, *self._folder.parents) if folder.exists())
        return shutil.disk_usage(existing).free

    @contextlib.contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Hold the lock of `.augreg/NAME.lock`, a file that is removed with the lock. Raises BusyError."""
        path = self._place(f"{FOLDER}/{name}.lock")
        message = f"{self.location}: another run is writing {name}; wait until it ends, or choose another output"
        while True:
            path.touch()
            with contextlib.ExitStack() as held:
                try:
                    handle = held.enter_context(locked(path, message))
                except FileNotFoundError:
                    continue  # whoever had it has just removed it
                if handle is not None:
                    if not _is_at(handle, path):
                        continue
                    held.callback(_remove_if, handle, path)
                yield
                return

    def _place(self, name: str) -> Path:
        """The path of a file to write, whose folders are made. A link in their place could lead out of the output."""
        path = self._folder / checked(name)
        for folder in reversed(path.parents[: len(path.parts) - len(self._folder.parts) - 1]):
            if folder.is_symlink():
                raise OSError(errno.ELOOP, "a link is in the place of this folder; remove it", str(folder))
            folder.mkdir(exist_ok=True)
        return path


def _write(path: Path, data: bytes, durable: bool) -> None:
    with path.open("xb") as file:
        file.write(data)
        if durable:
            file.flush()
            os.fsync(file.fileno())


def _is_at(handle: int, path: Path) -> bool:
    """Whether an open file is the one of this path: the one before may have been removed."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def _remove_if(handle: int, path: Path) -> None:
    if _is_at(handle, path):
        path.unlink(missing_ok=True)
