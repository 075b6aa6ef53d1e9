"""Tars in WebDataset's layout: members that differ after the first dot of their names only are one sample."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import os
import re
import tarfile
import zlib
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, BinaryIO, Final, cast

from augreg.images.files import MOST_BYTES
from augreg.images.folders import key_of
from augreg.sharding.inputs.listed import Listed, Seen, shards_of_files, share
from augreg.sharding.inputs.locations import File, open_file, output_name, reason
from augreg.sharding.inputs.names import NamesWriter
from augreg.sharding.inputs.roles import Roles, id_of, label_of
from augreg.sharding.records import Column, InputError, Sample

__all__ = ["SUFFIXES", "TarInput", "open_tars"]

SUFFIXES: Final = (".tar", ".tar.gz", ".tgz")
_NAME: Final = re.compile(r"((?:.*/)?[^./][^./]*)\.([^/]*)", re.DOTALL)
"""A key, without the first dot of the file's name and what follows it. Names that begin with a dot have none."""
_META: Final = re.compile(r"__[^/]*__($|/)")
"""Members that WebDataset skips."""
_SEEN: Final = 16
"""Samples of the first file that are read to know what parts samples have."""
_SCANS: Final = 8
"""Files of which the beginnings of samples are kept: 9 bytes for each."""
_DAMAGED: Final = (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, OSError, UnicodeError, ValueError)


class _Members:
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
def _opened(location: str) -> Iterator[_Members]:
    """The members of a file. Raises InputError, also in the block, for a file that is damaged."""
    try:
        with open_file(location) as raw, contextlib.ExitStack() as stack:
            packed = location.lower().endswith(SUFFIXES[1:])
            file = stack.enter_context(gzip.GzipFile(fileobj=raw, mode="rb")) if packed else raw
            # a buffer: to go back by a block in a compressed file would be to read it again from its beginning
            yield _Members(io.BufferedReader(cast(Any, file), 1 << 18) if packed else raw)
    except _DAMAGED as error:
        what = "a damaged tar" if not isinstance(error, OSError) or error.errno is None else "cannot be read"
        raise InputError(f"{location}: {what}: {reason(error)}; replace the file") from None


@dataclass
class _Group:
    """The members of a sample by their suffix in lower case; what cannot be read has a reason instead."""

    key: str
    offset: int
    members: dict[str, tarfile.TarInfo] = field(default_factory=dict)
    failure: str = ""

    def add(self, suffix: str, member: tarfile.TarInfo) -> None:
        """Add a member; one that is no file, or of a suffix that is there, is a reason."""
        if not member.isreg():
            kind = "a link" if member.issym() or member.islnk() else "no file"
            self.failure = self.failure or f".{suffix} is {kind}; the tar must hold the file itself"
        elif suffix in self.members:
            self.failure = self.failure or f".{suffix} is there twice; each sample needs a key of its own"
        self.members[suffix] = member


def _groups(members: _Members) -> Iterator[_Group]:
    """The members that follow one another and have one key."""
    group: _Group | None = None
    for member in members:
        match = _NAME.fullmatch(member.name)
        if member.isdir() or match is None or _META.match(member.name):
            continue
        if group is None or match[1] != group.key:
            if group is not None:
                yield group
            group = _Group(match[1], member.offset)
        group.add(match[2].lower(), member)
    if group is not None:
        yield group


@dataclass(frozen=True)
class TarPiece:
    """The samples of whole files, or a part of those of one file."""

    files: tuple[tuple[str, str], ...]
    """Locations, and what each is called as the source of samples."""
    roles: Roles
    part: int = 0
    parts: int = 1

    def samples(self) -> Iterator[Sample]:
        """The samples in order. Raises InputError for a file that is damaged, after the samples before the damage."""
        for location, source in self.files:
            with _opened(location) as members:
                for group, repeated in self._own(location, members):
                    yield self._sample(members, group, source, repeated)

    def _own(self, location: str, members: _Members) -> Iterator[tuple[_Group, bool]]:
        """The groups of this part, and whether their keys were there before."""
        if self.parts == 1:
            seen = Seen()
            yield from ((group, seen.again(group.key)) for group in _groups(members))
            return
        starts, again = _scanned(location, members)
        first, last = share(len(starts), self.part, self.parts)
        if first < last:
            members.go_to(starts[first])
            yield from zip(islice(_groups(members), last - first), map(bool, again[first:last]), strict=True)

    def _sample(self, members: _Members, group: _Group, source: str, repeated: bool) -> Sample:
        key = key_of(group.key)
        failure = "the key is there twice in the tar; give each sample its own" if repeated else group.failure
        size = sum(member.size for member in group.members.values())
        if not failure and size > MOST_BYTES:
            failure = f"it has {size:,} bytes, and at most {MOST_BYTES:,} are read"
        if failure:
            return Sample(key, key, output_name(key), source, failure=failure)
        parts = {suffix: members.read(member) for suffix, member in group.members.items()}
        try:
            return _made(key, source, parts, self.roles)
        except (InputError, ValueError, RecursionError) as error:
            return Sample(key, key, output_name(key), source, failure=str(error))


_scans: dict[str, tuple[Any, array[int], bytearray]] = {}
"""Of the last files, what tells one version of a file from another, and the result of `_scanned`."""


def _scanned(location: str, members: _Members) -> tuple[array[int], bytearray]:
    """Where each sample of a file begins, and whether its key was there before.

    It is kept in this process for the other shards of the file.
    """
    stamp = members.stamp()
    if location in _scans and _scans[location][0] == stamp:
        return _scans[location][1:]
    seen, starts, again = Seen(), array("Q"), bytearray()
    for group in _groups(members):  # headers only: it seeks over the data
        starts.append(group.offset)
        again.append(seen.again(group.key))
    while len(_scans) >= _SCANS:
        del _scans[next(iter(_scans))]
    _scans[location] = stamp, starts, again
    return starts, again


def _made(key: str, source: str, parts: dict[str, bytes], roles: Roles) -> Sample:
    """A sample of its parts by suffix. Raises InputError or ValueError for parts of which none can be made."""
    found: dict[str, Any] = {"masks": {}, "targets": {}, "carried": {}}
    index: int | str | None = None if "id" in roles.columns else key
    images = {}
    for suffix, data in parts.items():
        role = roles.of_member(suffix)
        if role.kind == "image":
            images[suffix] = data
        elif role.kind == "mask":
            if role.name in found["masks"]:
                raise InputError(f"two members are {role.name}; {roles.advice(parts, 'mask')}")
            found["masks"][role.name] = data
        elif role.kind == "label":
            found["label"] = label_of(data)
        elif role.kind == "id":
            index = id_of(data.decode().strip(), written=True)
            found["carried"][suffix] = data
        elif role.kind == "targets":
            found["targets"][role.name] = _json(data, suffix)
        elif role.kind == "json":
            index = _take(data, found, roles, index)
        elif role.kind == "carried":
            found["carried"][suffix] = data
        else:
            raise InputError(
                f".{suffix} is an image as well, and nothing says whether it follows the image; "
                f"say it: --columns mask={suffix} or other={suffix}"
            )
    if len(images) != 1:
        what = "several images" if images else "no image"
        raise InputError(f"{what}; {roles.advice(parts)}")
    if index is None:
        raise InputError(f"no {roles.columns['id']!r}, which is to be the id; {roles.advice(parts, 'id')}")
    image = next(iter(images.values()))
    return Sample(str(index), index, output_name(str(index)), source, image=image, **found)


def _take(data: bytes, found: dict[str, Any], roles: Roles, index: int | str | None) -> int | str | None:
    """Take what the JSON of a sample says; what it does not know stays in it. Returns the address of the sample."""
    about = _json(data, "json")
    if not isinstance(about, dict):
        found["carried"]["json"] = data
        return index
    rest = {}
    for key, value in about.items():
        role = roles.of_key(key)
        if role.kind == "label" and key in roles.places:
            found["label"] = label_of(value)
            continue
        if role.kind == "targets" or (role.kind == "label" and isinstance(value, list) and roles.labels_objects):
            if value is not None:
                found["targets"][role.name] = value
            continue
        if role.kind == "id":
            index = id_of(value)
        rest[key] = value
    if len(rest) == len(about):
        found["carried"]["json"] = data
    elif rest:
        found["carried"]["json"] = json.dumps(rest, ensure_ascii=False).encode("utf-8", "surrogatepass")
    return index


def _json(data: bytes, suffix: str) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ValueError(f".{suffix} is not valid JSON: {error}") from None


@dataclass
class TarInput(Listed):
    """Tars of samples."""

    files: tuple[tuple[str, str], ...]
    roles: Roles

    def piece(self, shard: int, shards: int) -> TarPiece:
        """What an output shard reads: whole files, or a part of one where there are more shards than files."""
        files = len(self.files)
        if shards <= files:
            start, stop = share(files, shard, shards)
            return TarPiece(self.files[start:stop], self.roles)
        number = shard * files // shards
        first, last = (-(-(number + end) * shards // files) for end in (0, 1))  # the shards of this file
        share(1, shard, shards)
        return TarPiece(self.files[number : number + 1], self.roles, shard - first, last - first)


def open_tars(location: str, found: Sequence[File], roles: Roles) -> TarInput:
    """The samples of tars. The first of them is opened, to know what parts they have. Raises InputError."""
    if not found:
        raise InputError(f"{location}: no tars in it")
    writer = NamesWriter("tar")
    for file in found:
        writer.add(f"{file.name}\n{file.size}")
    fingerprint = writer.finish()[1]
    several = len(found) > 1
    files = tuple((file.location, _source(file.name) if several else "") for file in found)
    packed = any(file.location.lower().endswith(SUFFIXES[1:]) for file in found)  # each part reads all before it
    shards = len(files) if packed else shards_of_files([file.size for file in found])
    return TarInput("tar", fingerprint, None, len(files), (), _columns(files, roles), shards, files, roles)


def _source(name: str) -> str:
    suffix = next((suffix for suffix in SUFFIXES if name.lower().endswith(suffix)), "")
    return name[: len(name) - len(suffix)] if suffix else os.path.splitext(name)[0]  # noqa: PTH122


def _columns(files: Sequence[tuple[str, str]], roles: Roles) -> tuple[Column, ...]:
    """The parts of the first samples that can be read. Raises InputError if none can."""
    problem = ""
    for location, _ in files[:8]:
        samples = TarPiece(((location, ""),), roles).samples()
        seen: list[Sample] = []
        try:
            seen.extend(islice(samples, _SEEN))
        except InputError as error:
            problem = problem or str(error)
        columns = _parts(sample for sample in seen if not sample.failure)
        if columns:
            _check_columns(location, columns, roles)
            return columns
        if seen:
            problem = f"{location}: {seen[0].key}: {seen[0].failure}"
        elif not problem:
            problem = f"{location}: no samples in it; members are named as in WebDataset, KEY.jpg and KEY.cls"
    raise InputError(problem)


def _check_columns(location: str, columns: Sequence[Column], roles: Roles) -> None:
    """Raise InputError for a part that the user names and that no sample has."""
    found = {column.name for column in columns} | {"id"}
    for name, place in roles.columns.items():
        if name not in found and place not in found:
            raise InputError(
                f"{location}: none of its first samples has {place!r}, which is to be the {name}; "
                f"their parts are: {', '.join(sorted(found - {'id'}))}"
            )


def _parts(samples: Iterator[Sample]) -> tuple[Column, ...]:
    found: dict[Column, None] = {}
    labels: set[type] = set()
    for sample in samples:
        found[Column("image", "image")] = None
        found |= dict.fromkeys(Column(name, "mask") for name in sample.masks)
        found |= dict.fromkeys(Column(name, "targets") for name in sample.targets)
        if sample.label is not None:
            labels.add(type(sample.label))
        found |= dict.fromkeys(Column(name, "carried", "binary") for name in sample.carried)
    label = [Column("label", "label", "int64" if labels == {int} else "string")] if labels else []
    return *found, *label
