"""Files at locations: paths of this machine, and URLs that fsspec opens. What cannot be read raises OSError."""

from __future__ import annotations

import contextlib
import errno
import glob
import os
import re
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import takewhile
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple, cast

from augreg.images.files import MOST_BYTES, read_file
from augreg.images.folders import MANIFEST, is_output
from augreg.sharding.records import InputError

__all__ = [
    "WILD", "File", "expanded", "files_below", "filesystem", "is_folder", "is_url", "joined", "located",
    "named_files", "open_file", "output_name", "parent_of", "path_of", "read", "reason", "remote_errors",
]  # fmt: skip

_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_BRACES: Final = re.compile(r"\{([^{}]*)\}")
_RANGE: Final = re.compile(r"(\d+)\.\.(\d+)")
_WILD: Final = re.compile(r"[*?\[]")
WILD: Final = "*?[{"
"""The letters with which patterns begin."""
_LEADS_OUT: Final = ("", "/", ".")
_MOST_FILES: Final = 10_000_000
_AT_ONCE: Final = 16  # remote files whose size is asked for at once


class File(NamedTuple):
    """A file that holds several samples: its location, its name below the input, and its size."""

    location: str
    name: str
    size: int


def is_url(location: str) -> bool:
    """Whether a location is a URL."""
    return _URL.match(location) is not None


def located(location: str) -> str:
    """A location as it is used: `file://` and `local://` URLs are paths."""
    return re.sub(r"\A(file|local)://", "", location)


def joined(folder: str, name: str) -> str:
    """The location of a file in a folder. Absolute paths and URLs stay as they are."""
    name = located(name)
    if is_url(name) or os.path.isabs(name):  # noqa: PTH117 - fast
        return name
    return f"{folder.rstrip('/')}/{name}" if is_url(folder) else os.path.join(folder, name)  # noqa: PTH118 - fast


def parent_of(location: str) -> str:
    """The folder that a file is in."""
    return location.rpartition("/")[0] if is_url(location) else os.path.dirname(location)  # noqa: PTH120


def path_of(location: str) -> str:
    """A location without the query and the fragment of an HTTP URL, for its name and its suffix."""
    return re.split(r"[?#]", location, maxsplit=1)[0] if location.startswith(("http://", "https://")) else location


def output_name(path: str) -> str:
    """The path of a file in the output: below it, whatever the path or the URL of the input is."""
    if path[:1] not in _LEADS_OUT and "//" not in path and "/." not in path and path[-1] != "/":
        return path  # as nearly all are
    path = re.sub(r"\A[A-Za-z][A-Za-z0-9+.-]*://[^/]*/", "", path_of(located(path)))
    return "/".join(part for part in path.split("/") if part not in ("", ".", "..")) or "image"


def filesystem(url: str) -> tuple[Any, str]:
    """The file system of a URL, and the path in it. Raises InputError if it is not known, or a package is missing."""
    try:
        import fsspec.core
    except ModuleNotFoundError:
        raise InputError(f"{url}: URLs need fsspec: pip install 'augreg[shards]'") from None
    try:
        system, path = fsspec.core.url_to_fs(url)
    except (ImportError, ValueError) as error:  # what fsspec says of a package, or of a protocol
        raise InputError(f"{url}: cannot be opened: {error}") from None
    return system, path


def read(location: str, most: int = MOST_BYTES) -> bytes:
    """The bytes of a file. Raises OSError, whose `strerror` says why, also if it has more than `most` bytes."""
    if not is_url(location):
        return read_file(location, most)
    with open_file(location) as file, remote_errors(location):
        data = file.read(most + 1)
    if len(data) > most:
        raise OSError(errno.EFBIG, f"it has more than {most:,} bytes, the most that is read", location)
    return data


def open_file(location: str) -> BinaryIO:
    """A file to read and to seek in. Raises OSError, also for what is no file."""
    if is_url(location):
        system, path = filesystem(location)
        with remote_errors(location):
            return cast(BinaryIO, system.open(path, "rb"))
    if not stat.S_ISREG(Path(location).stat().st_mode):
        raise OSError(errno.EINVAL, "not a file", location)
    return Path(location).open("rb")


def reason(error: BaseException) -> str:
    """Why something cannot be read, without the path."""
    return (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__


def is_folder(location: str) -> bool:
    """Whether there is a folder. Raises InputError if there is nothing, or it cannot be known."""
    try:
        if not is_url(location):
            return stat.S_ISDIR(Path(location).stat().st_mode)
        system, path = filesystem(location)
        with remote_errors(location):
            return bool(system.info(path)["type"] == "directory")
    except FileNotFoundError:
        raise InputError(f"{location}: no such file or folder") from None
    except OSError as error:
        raise InputError(f"{location}: cannot be read: {reason(error)}") from None


def expanded(location: str) -> list[str] | None:
    """The locations that a pattern stands for, sorted where it has wildcards; None for what is no pattern.

    `shard-{000..127}.tar` and `{train,val}.tar` are written out, `*`, `?` and `[..]` are searched for. Raises
    InputError if nothing is found.
    """
    if not is_url(location) and Path(location).exists():  # whatever its name is
        return None
    braced = list(_braces(location))
    searched = not location.startswith(("http://", "https://"))  # there, ? begins a query, and nothing is listed
    if len(braced) == 1 and not (searched and _WILD.search(location)):
        return None
    found = [name for each in braced for name in (_globbed(each) if searched and _WILD.search(each) else [each])]
    if not found:
        raise InputError(f"{location}: no file has such a name")
    return found


def _braces(location: str) -> Iterator[str]:
    match = _BRACES.search(location)
    span = _RANGE.fullmatch(match[1]) if match else None
    if match is None or (span is None and "," not in match[1]):
        yield location
        return
    if span is None:
        parts: Any = match[1].split(",")
    else:
        first, last = int(span[1]), int(span[2])
        if abs(last - first) >= _MOST_FILES:
            raise InputError(f"{location}: these are more than {_MOST_FILES:,} files")
        width = max(map(len, span.groups())) if any(len(end) > 1 and end[0] == "0" for end in span.groups()) else 0
        numbers = range(first, last + 1) if first <= last else range(first, last - 1, -1)
        parts = (f"{number:0{width}d}" for number in numbers)
    for part in parts:
        yield from _braces(location[: match.start()] + part + location[match.end() :])


def _globbed(pattern: str) -> list[str]:
    if not is_url(pattern):
        return sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 - of strings, relative or not
    system, path = filesystem(pattern)
    with remote_errors(pattern):
        return sorted(system.unstrip_protocol(name) for name in system.glob(path))


def named_files(locations: list[str]) -> list[File]:
    """The files at locations, with names below the folder that they share. Raises InputError for one without size."""
    folders = [parent_of(location).split("/") for location in locations]
    lowest, highest = min(folders), max(folders)  # what these two share, all share
    shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(lowest, highest, strict=False)))
    names = ["/".join(location.split("/")[shared if any(lowest) else 0 :]) for location in locations]
    with ThreadPoolExecutor(_AT_ONCE if any(map(is_url, locations)) else 1) as pool:
        sizes = list(pool.map(_size, locations))
    return [File(*each) for each in zip(locations, names, sizes, strict=True)]


def files_below(folder: str, suffixes: tuple[str, ...], leave_out: str = "") -> list[File]:
    """The files below a folder that end in one of the suffixes, sorted by name.

    Hidden ones are left out, and so are the folder `leave_out` and those that `augreg apply` wrote.
    """
    names = _remote_files(folder, leave_out) if is_url(folder) else _local_files(folder, leave_out)
    found = [File(joined(folder, name), name, size) for name, size in names if name.lower().endswith(suffixes)]
    return sorted(found, key=lambda file: file.name.split("/"))


def _local_files(folder: str, leave_out: str) -> Iterator[tuple[str, int]]:
    skipped = os.path.realpath(leave_out) if leave_out else None
    for place, inner, names in os.walk(folder):
        inner[:] = [
            name
            for name in inner
            if not name.startswith(".")
            and os.path.realpath(os.path.join(place, name)) != skipped  # noqa: PTH118
            and not is_output(os.path.join(place, name))  # noqa: PTH118
        ]
        for name in names:
            path = os.path.join(place, name)  # noqa: PTH118
            if not name.startswith("."):
                with contextlib.suppress(OSError):  # a link that leads nowhere
                    yield os.path.relpath(path, folder), Path(path).stat().st_size


def _remote_files(folder: str, leave_out: str) -> Iterator[tuple[str, int]]:
    system, root = filesystem(folder)
    root = root.rstrip("/")
    skipped = filesystem(leave_out)[1].rstrip("/") if is_url(leave_out) else None
    with remote_errors(folder):
        for place, inner, files in system.walk(root, detail=True):
            if place != root and MANIFEST in files:
                inner.clear()
                continue
            for name in [name for name in inner if name.startswith(".") or f"{place}/{name}" == skipped]:
                del inner[name]
            for name, about in files.items():
                if name and not name.startswith("."):
                    yield f"{place}/{name}".removeprefix(f"{root}/"), int(about.get("size") or 0)


def _size(location: str) -> int:
    try:
        if not is_url(location):
            with open_file(location):
                return Path(location).stat().st_size
        system, path = filesystem(location)
        with remote_errors(location):
            return int(system.size(path) or 0)
    except OSError as error:
        raise InputError(f"{location}: cannot be read: {reason(error)}") from None


@contextlib.contextmanager
def remote_errors(location: str) -> Iterator[None]:
    """What libraries of remote file systems raise, as OSError with a reason."""
    try:
        yield
    except FileNotFoundError:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), location) from None
    except OSError as error:
        raise error if error.strerror else OSError(errno.EIO, str(error) or type(error).__name__, location) from None
    except InputError:
        raise
    except Exception as error:  # those of botocore, aiohttp and others
        raise OSError(errno.EIO, f"{type(error).__name__}: {error}", location) from None
