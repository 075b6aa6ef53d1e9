"""Tar shards in the layout of WebDataset: the files of a copy stand beside one another and share the name before the
first dot.
"""

from __future__ import annotations

import re
import tarfile
from typing import Final

from augreg.errors import ImageError
from augreg.sharding.outputs.hashed_file import HashedFile
from augreg.sharding.outputs.members import document, files_carried, mask_stem
from augreg.sharding.outputs.output import Output, shard_file
from augreg.sharding.storage import Storage
from augreg.sharding.storage_names import checked

__all__ = ["TarWriter", "escaped"]

_BLOCK: Final = 512
_SKIPPED: Final = re.compile(r"__[^/]*__/")
_CODE: Final = re.compile(r"%(?=2E|25)|\.")


def escaped(name: str) -> str:
    """A name whose last part has no dots, where WebDataset would split it: `%2E` for `.`.

    What looks like such a code has `%25` for `%`, so different names stay different.
    """
    folder, slash, last = name.rpartition("/")
    return folder + slash + _CODE.sub(lambda found: "%2E" if found[0] == "." else "%25", last)


class TarWriter:
    """A `Writer` of `shard-000000.tar`.

    The members of a copy are `NAME.png` (or its format), `NAME.mask.png`, `NAME.cls`, `NAME.json` and what is
    carried, in this order; where another `cls` is carried, the label is in the JSON. Their headers have no time,
    owner or host, so the bytes are a function of the copies. Long names, and those that are not ASCII, are stored as
    POSIX.1-2001 (PAX) says.
    """

    def __init__(self, storage: Storage, shard: int, format: str) -> None:
        self._format = format
        self._file = HashedFile(storage, shard_file("tar", shard))
        self._names: set[str] = set()

    def add(self, output: Output) -> None:
        """Append the members of a copy."""
        name = _checked(output.name)
        if name in self._names:
            raise ImageError(f"{name}.{self._format} is already the copy of another image in this shard; rename one")
        members = self._members(output)
        try:
            headers = [_header(f"{name}.{suffix}", len(data)) for suffix, data in members.items()]
        except UnicodeEncodeError:
            raise ImageError(f"{name!a}: the name cannot be stored as UTF-8; rename the image") from None
        for header, data in zip(headers, members.values(), strict=True):
            self._file.write(header)
            self._file.write(data)
            self._file.write(bytes(-len(data) % _BLOCK))
        self._names.add(name)

    def _members(self, output: Output) -> dict[str, bytes]:
        """The data of a copy by suffix, in order. Raises ImageError if two parts have the same."""
        apart = output.label is not None and "cls" not in output.carried
        described = document(output, label=not apart)
        parts = [
            (self._format, output.image),
            *((f"{mask_stem(name)}.png", data) for name, data in sorted(output.masks.items())),
            *([("cls", str(output.label).encode())] if apart else []),
            *([("json", described)] if described is not None else []),
            *files_carried(output).items(),
        ]
        seen: set[str] = set()
        for suffix, _ in parts:
            if suffix.lower() in seen:  # the case that WebDataset reads it in
                raise ImageError(
                    f"two of its parts would be called .{suffix}; choose another --format, or leave one out"
                )
            seen.add(suffix.lower())
        return dict(parts)

    def close(self) -> tuple[int, str]:
        """Write the end of the archive, and give the file its name."""
        self._file.write(bytes(2 * _BLOCK))
        return self._file.put()

    def abort(self) -> None:
        """Remove the unfinished file."""
        self._file.discard()


def _checked(name: str) -> str:
    if _SKIPPED.match(name):
        raise ImageError(f"{name}: readers of WebDataset's layout skip names like __x__; rename the folder")
    try:
        return escaped(checked(name))
    except ValueError as error:
        raise ImageError(str(error)) from None


def _header(name: str, size: int) -> bytes:
    member = tarfile.TarInfo(name)  # whose time, user and group are 0
    member.size, member.mode = size, 0o644
    return member.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict")
