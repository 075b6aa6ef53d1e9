"""Files in folders, as plain `augreg apply` names them, with a list for each shard of the files in it."""

from __future__ import annotations

import errno
import hashlib
import json
import zlib
from collections.abc import Iterator, Sequence
from typing import Final

from augreg.errors import ImageError
from augreg.images.folders import MANIFEST
from augreg.sharding.outputs.members import document, files_carried, has_label, mask_stem
from augreg.sharding.outputs.output import Output
from augreg.sharding.storage import Storage
from augreg.sharding.storage_names import FOLDER, checked, is_temporary, shard_name

__all__ = ["FolderWriter", "digest"]

_RESERVED: Final = (MANIFEST, FOLDER)
_OF_THE_FILE: Final = (errno.ENAMETOOLONG, errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ELOOP, errno.EILSEQ)
_PIECE: Final = 1 << 20
_MOST_LIST: Final = 1 << 30


class FolderWriter:
    """A `Writer` of files below the output: `cat/photo-0.png`, `cat/photo-0_mask.png`, `cat/photo-0.json`.

    The JSON has the targets, and the label where the folder does not say it; where it has another label already, the
    label is in `cat/photo-0.cls`. Each file is whole or not there, and the list of a shard, which `close` writes,
    names its files: `.augreg/files/000000`. Files that were written before an `abort` stay; the next run replaces
    them. A file survives a power cut if the system had written it by then: this waits for none of them, as there may
    be millions.
    """

    def __init__(
        self, storage: Storage, shard: int, format: str, classes: Sequence[str] = (), masks: Sequence[str] = ()
    ) -> None:
        self._storage, self._shard, self._format, self._classes = storage, shard, format, classes
        self._mask_ends = tuple(f"_{mask_stem(mask)}" for mask in masks)
        self._names: list[str] = []
        self._taken: set[str] = set()
        self._hash, self._size = hashlib.sha256(), 0

    def add(self, output: Output) -> None:
        """Write the files of a copy, the image last: where it is, all are."""
        files = self._files(output)
        taken = {name.casefold() for name in files}  # on some file systems Photo and photo are the same file
        if len(taken) < len(files) or taken & self._taken:
            name = next(iter(taken & self._taken), f"one of {', '.join(files)}")
            raise ImageError(f"{name} would be two files of this shard; rename one of the images")
        for name in (output.name, *files):
            _check(name)
        if output.name.endswith(self._mask_ends):  # of another shard, perhaps; names with the number of a copy do not
            raise ImageError(f"{output.name} would be the mask of another image by its name; rename the image")
        done: list[str] = []
        for name, data in files.items():
            try:
                self._storage.write(name, data, durable=False)
            except OSError as error:
                for each in done:
                    self._storage.remove(each)
                if error.errno in _OF_THE_FILE:
                    raise ImageError(f"{name}: cannot be written: {error.strerror}") from None
                raise
            done.append(name)
        self._taken |= taken
        for name, data in files.items():
            self._names.append(name)
            self._size += len(data)
            _update(self._hash, name, len(data))
            self._hash.update(data)

    def _files(self, output: Output) -> dict[str, bytes]:
        """The files of a copy by name."""
        name = output.name
        shown = output.label is None or self._shows_label(output)
        apart = not shown and has_label(output)
        described = document(output, label=not shown and not apart)
        parts = [
            *((f"{name}_{mask_stem(mask)}.png", data) for mask, data in sorted(output.masks.items())),
            *([(f"{name}.cls", str(output.label).encode())] if apart else []),
            *([(f"{name}.json", described)] if described is not None else []),
            *((f"{name}.{suffix}", data) for suffix, data in files_carried(output).items()),
            (f"{name}.{self._format}", output.image),
        ]
        files = dict(parts)
        if len(files) < len(parts):
            raise ImageError("two of its parts would be the same file; choose another --format, or leave one out")
        return files

    def _shows_label(self, output: Output) -> bool:
        """Whether the top folder of a copy is the name of its class."""
        top, slash, _ = output.name.partition("/")
        label = output.label
        if isinstance(label, int):
            label = self._classes[label] if 0 <= label < len(self._classes) else None
        return bool(slash) and label == top

    def close(self) -> tuple[int, str]:
        """Write the list of the files."""
        data = zlib.compress(json.dumps(self._names).encode(), 6)
        self._storage.write(_list(self._shard), data)
        return self._size, self._hash.hexdigest()

    def abort(self) -> None:
        """Nothing: every file that is there is whole."""


def digest(storage: Storage, shard: int) -> tuple[int, str]:
    """The size and the SHA-256 of the files of a shard, read again. Raises OSError for one that is missing."""
    total, size = hashlib.sha256(), 0
    for name in _listed(storage, shard):
        with storage.open(name) as file:
            length = file.seek(0, 2)
            file.seek(0)
            _update(total, name, length)
            while data := file.read(_PIECE):
                total.update(data)
        size += length
    return size, total.hexdigest()


def _list(shard: int) -> str:
    return f"{FOLDER}/files/{shard_name(shard)}"


def _listed(storage: Storage, shard: int) -> Iterator[str]:
    """The names in the list of a shard. Raises OSError if it is damaged."""
    try:
        data = zlib.decompressobj().decompress(storage.read(_list(shard)), _MOST_LIST)
        names = json.loads(data)
        yield from map(checked, names)
    except (ValueError, TypeError, AttributeError, zlib.error) as error:
        raise OSError(errno.EIO, f"the list of its files is damaged: {error}", _list(shard)) from None


def _update(total: hashlib._Hash, name: str, size: int) -> None:
    total.update(f"{name}\0{size}\0".encode("utf-8", "surrogatepass"))


def _check(name: str) -> None:
    """Raise ImageError for a name that leads out of the output, or to what is no copy in it."""
    try:
        checked(name)
    except ValueError as error:
        raise ImageError(str(error)) from None
    if name.partition("/")[0].casefold() in _RESERVED or is_temporary(name):
        raise ImageError(f"{name} is not a name for a copy, as augreg stores its own state there; rename the image")
