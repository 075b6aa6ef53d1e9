"""Tars in WebDataset's layout: members that differ after the first dot of their names only are one sample."""

from __future__ import annotations

import json
import os
import re
import tarfile
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

from augreg.images.files import MOST_BYTES
from augreg.images.folders import key_of
from augreg.sharding.inputs.listed import Listed, Seen, shards_of_files, share
from augreg.sharding.inputs.locations import File, output_name
from augreg.sharding.inputs.names import NamesWriter
from augreg.sharding.inputs.roles import Roles, id_of, label_of
from augreg.sharding.inputs.tar_members import PACKED, TarMembers, opened
from augreg.sharding.records import Column, InputError, Sample

__all__ = ["SUFFIXES", "TarInput", "open_tars"]

SUFFIXES: Final = (".tar", *PACKED)
_NAME: Final = re.compile(r"((?:.*/)?[^./][^./]*)\.([^/]*)", re.DOTALL)
"""A key, without the first dot of the file's name and what follows it. Names that begin with a dot have none."""
_META: Final = re.compile(r"__[^/]*__($|/)")
"""Members that WebDataset skips."""
_TEXTS: Final = ("txt", "json")
"""Members that are columns of text in Parquet, where the first of them are UTF-8."""
_SEEN: Final = 64
"""Samples of the first files that are read to know what parts samples have."""
_SCANS: Final = 8
"""Files of which the beginnings of samples are kept: 9 bytes for each."""


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


def _groups(members: TarMembers) -> Iterator[_Group]:
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


def _name(group: _Group) -> str:
    """The name of the outputs of a sample: it is unique in its tar, where ids may not be."""
    return output_name(key_of(group.key))


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
            with opened(location) as members:
                for group, repeated in self._own(location, members):
                    yield self._sample(members, group, source, repeated)

    def _own(self, location: str, members: TarMembers) -> Iterator[tuple[_Group, bool]]:
        """The groups of this part, and whether their keys were there before."""
        if self.parts == 1:
            seen = Seen()
            yield from ((group, seen.again(_name(group))) for group in _groups(members))
            return
        starts, again = _scanned(location, members)
        first, last = share(len(starts), self.part, self.parts)
        if first < last:
            members.go_to(starts[first])
            yield from zip(islice(_groups(members), last - first), map(bool, again[first:last]), strict=True)

    def _sample(self, members: TarMembers, group: _Group, source: str, repeated: bool) -> Sample:
        key = key_of(group.key)
        failure = group.failure
        if repeated:
            failure = "the key is there twice in the tar, or one of the same path; give each sample its own"
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


def _scanned(location: str, members: TarMembers) -> tuple[array[int], bytearray]:
    """Where each sample of a file begins, and whether its key was there before.

    It is kept in this process for the other shards of the file.
    """
    stamp = members.stamp()
    if location in _scans and _scans[location][0] == stamp:
        return _scans[location][1:]
    seen, starts, again = Seen(), array("Q"), bytearray()
    for group in _groups(members):  # headers only: it seeks over the data
        starts.append(group.offset)
        again.append(seen.again(_name(group)))
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
    return Sample(str(index), index, output_name(key), source, image=image, **found)


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
    sources = _sources(location, [file.name for file in found]) if len(found) > 1 else [""]
    files = tuple((file.location, source) for file, source in zip(found, sources, strict=True))
    packed = any(file.location.lower().endswith(SUFFIXES[1:]) for file in found)  # each part reads all before it
    shards = len(files) if packed else shards_of_files([file.size for file in found])
    return TarInput("tar", fingerprint, None, len(files), (), _columns(files, roles), shards, files, roles)


def _sources(location: str, names: Sequence[str]) -> list[str]:
    """What each file is called as the source of samples: its name without the suffix.

    It keeps the suffix where another file has the same without, or is in a folder of this name: `a.tar` and `a.tgz`,
    or `a.tar` with `b/c.jpg` and `a/b.tar` with `c.jpg`. Raises InputError where two names would still be equal.
    """
    short = [_source(name) for name in names]
    times = Counter(map(str.casefold, short))
    folders = {parent for source in short for parent in _parents(source.casefold())}
    found = [
        name if times[source.casefold()] > 1 or source.casefold() in folders else source
        for name, source in zip(names, short, strict=True)
    ]
    for name, count in Counter(map(str.casefold, found)).items():
        if count > 1:
            raise InputError(f"{location}: two of the tars would be called {name}; rename or leave out one of them")
    return found


def _parents(path: str) -> Iterator[str]:
    while path := path.rpartition("/")[0]:
        yield path


def _source(name: str) -> str:
    suffix = next((suffix for suffix in SUFFIXES if name.lower().endswith(suffix)), "")
    return name[: len(name) - len(suffix)] if suffix else os.path.splitext(name)[0]  # noqa: PTH122


def _columns(files: Sequence[tuple[str, str]], roles: Roles) -> tuple[Column, ...]:
    """The parts of the first samples that can be read. Raises InputError if none can."""
    problem = ""
    good: list[Sample] = []
    for location, _ in files[:8]:
        if len(good) == _SEEN:
            break
        seen: list[Sample] = []
        try:
            seen.extend(islice(TarPiece(((location, ""),), roles).samples(), _SEEN - len(good)))
        except InputError as error:
            problem = problem or str(error)
        good += [sample for sample in seen if not sample.failure]
        if not seen:
            problem = (
                problem or f"{location}: no samples in it; members are named as in WebDataset, KEY.jpg and KEY.cls"
            )
        elif not good:
            problem = f"{location}: {seen[0].key}: {seen[0].failure}"
    if not good:
        raise InputError(problem)
    columns = _parts(good)
    _check_columns(files[0][0], columns, roles)
    return columns


def _check_columns(location: str, columns: Sequence[Column], roles: Roles) -> None:
    """Raise InputError for a part that the user names and that no sample has."""
    found = {column.name for column in columns} | {"id"}
    for name, place in roles.columns.items():
        if name not in found and place not in found:
            raise InputError(
                f"{location}: none of its first samples has {place!r}, which is to be the {name}; "
                f"their parts are: {', '.join(sorted(found - {'id'}))}"
            )


def _parts(samples: Sequence[Sample]) -> tuple[Column, ...]:
    found: dict[Column, None] = {}
    labels: set[type] = set()
    types: dict[str, str] = {}
    for sample in samples:
        found[Column("image", "image")] = None
        found |= dict.fromkeys(Column(name, "mask") for name in sample.masks)
        found |= dict.fromkeys(Column(name, "targets") for name in sample.targets)
        if sample.label is not None:
            labels.add(type(sample.label))
        for name, data in sample.carried.items():
            text = name in _TEXTS and types.get(name) != "binary" and _is_text(data)
            types[name] = "string" if text else "binary"
    found |= dict.fromkeys(Column(name, "carried", kind) for name, kind in types.items())
    label = [Column("label", "label", "int64" if labels == {int} else "string")] if labels else []
    return *found, *label


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
