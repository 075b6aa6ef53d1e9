"""The output folder of `augreg apply`: atomic writes, a lock, and a manifest of the run that wrote the files.

A file is written under a temporary name in the same folder and then renamed, so a file with its final name is
complete, and a killed run is resumed by skipping the files that exist. (After a power cut a file may be empty: an
empty file counts as unfinished.)
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import stat
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from augreg.files.locks import BusyError, locked
from augreg.images.files import read_file
from augreg.images.folders import MANIFEST
from augreg.sharding.manifest import OtherOutputError, change, version_notes
from augreg.sharding.storage_names import PART, is_temporary

__all__ = [
    "MANIFEST", "BusyError", "OtherOutputError", "claim", "finished", "identity", "lock", "numbers",
    "other_files", "read_manifest", "remove", "remove_temporary_files", "replace_manifest", "write",
]  # fmt: skip

_MOST = 1 << 28  # bytes of a manifest, which may name every file that an --overwrite left over
_NUMBER = re.compile(r"-(\d{1,10})(?:_mask)?\.[a-z]+\Z", re.ASCII)
_FREE = ("spec", "copies", "left_over")  # may differ: the fingerprint identifies the spec, and the others may change


def write(path: Path, data: bytes, below: Path | None = None) -> None:
    """Write a file completely or not at all. Missing folders are made, but not `below`, which must be there."""
    if below is None:
        path.parent.mkdir(parents=True, exist_ok=True)
    else:
        for folder in reversed([folder for folder in path.parents if folder.is_relative_to(below)][:-1]):
            folder.mkdir(exist_ok=True)
    # the name is short: with more than its own in it, a name that is just allowed would become too long
    part = path.with_name(f".{os.getpid()}-{zlib.crc32(os.fsencode(path.name)):08x}{PART}")
    try:
        part.write_bytes(data)
        part.replace(path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            part.unlink()


def identity(folder: Path) -> tuple[int, int] | None:
    """What a folder is, whatever its name is now; None if there is none."""
    try:
        found = folder.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def finished(path: Path) -> bool:
    """Whether a file, and nothing else, exists and is not empty."""
    try:
        found = path.stat()
    except OSError:  # missing, or its name is too long to be there
        return False
    return stat.S_ISREG(found.st_mode) and found.st_size > 0


def remove(paths: Iterable[Path]) -> None:
    """Remove files; those that are missing, or cannot even exist, and folders are passed over."""
    for path in paths:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            if error.errno not in (errno.ENAMETOOLONG, errno.ENOTDIR) and not path.is_dir():
                raise


def numbers(folder: Path) -> list[int]:
    """The numbers of the copies in a folder and below it: those at the ends of the names of files."""
    names = (name for _, _, names in os.walk(folder) for name in names)
    return sorted({int(match[1]) for name in names if (match := _NUMBER.search(name))})


def remove_temporary_files(folder: Path) -> None:
    """Remove the temporary files that a killed run left behind."""
    for place, _, names in os.walk(folder):
        for name in names:
            if is_temporary(name):
                Path(place, name).unlink(missing_ok=True)


@contextlib.contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Lock the folder against other runs while the block runs; the lock ends with the process. Raises BusyError.

    On a system or a file system without such locks, this does nothing.
    """
    with locked(
        folder, f"{folder}: another augreg apply is writing there; wait until it ends, or choose another folder"
    ):
        yield


def claim(folder: Path, manifest: Mapping[str, Any], made_with: Mapping[str, str]) -> list[str]:
    """Check that the files in the folder belong to this manifest; write the manifest into an empty folder.

    Returns notes on harmless differences. Raises OtherOutputError, which says what to do.
    """
    path = folder / MANIFEST
    if path.is_symlink() or path.exists():
        before = _read(path)
        differs = [key for key in manifest if key not in _FREE and before.get(key) != manifest[key]]
        if differs:
            changes = ", ".join(change(key, before, manifest[key]) for key in differs)
            raise OtherOutputError(
                f"{folder} contains the output of another run: {changes}; choose another folder, or use --overwrite"
            )
        return version_notes(folder, before, made_with)
    if any(folder.iterdir()):
        raise OtherOutputError(
            f"{folder} is not empty, and was not written by augreg apply; choose another folder, or use --overwrite"
        )
    replace_manifest(folder, manifest, made_with)
    return []


def replace_manifest(folder: Path, manifest: Mapping[str, Any], made_with: Mapping[str, str]) -> None:
    """Write the manifest, in place of an existing one."""
    data = json.dumps({**manifest, "made_with": dict(made_with)}, indent=2) + "\n"
    write(folder / MANIFEST, data.encode())


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a folder; empty if there is none, or if it cannot be read."""
    try:
        return _read(folder / MANIFEST)
    except (OtherOutputError, FileNotFoundError):
        return {}


def other_files(folder: Path) -> list[str]:
    """Every file below the folder except the manifest, as paths with `/`."""
    paths = (Path(place, name) for place, _, names in os.walk(folder) for name in names)
    return sorted(path.relative_to(folder).as_posix() for path in paths if path != folder / MANIFEST)


def _read(path: Path) -> dict[str, Any]:
    try:
        manifest = json.loads(read_file(path, _MOST).decode())
    except (ValueError, RecursionError):
        manifest = None
    except FileNotFoundError:
        raise
    except OSError as error:
        raise OtherOutputError(
            f"{path} cannot be read: {error.strerror}; remove it, or choose another folder"
        ) from None
    if not _valid(manifest):
        raise OtherOutputError(f"{path} is not a manifest of augreg apply; choose another folder, or use --overwrite")
    found: dict[str, Any] = manifest
    return found


def _valid(manifest: Any) -> bool:
    """Whether a manifest is one, as far as a run relies on it; somebody may have edited it."""
    if not isinstance(manifest, dict):
        return False
    copies, left, made = manifest.get("copies", 1), manifest.get("left_over", []), manifest.get("made_with", {})
    return (
        type(copies) is int
        and 1 <= copies < 2**31
        and isinstance(left, list)
        and all(isinstance(name, str) for name in left)
        and isinstance(made, dict)
    )
