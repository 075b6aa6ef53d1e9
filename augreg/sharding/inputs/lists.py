"""Lists of images: a text file of paths or URLs, a CSV file with a header, or a JSON object on each line."""

from __future__ import annotations

import csv
import functools
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from augreg.images.folders import key_of, stem_of
from augreg.sharding.inputs.listed import Listed, default_shards, share
from augreg.sharding.inputs.locations import joined, open_file, output_name, parent_of, path_of, read, reason
from augreg.sharding.inputs.names import Names, NamesWriter
from augreg.sharding.inputs.roles import Role, Roles, id_of, label_of, number_or_text
from augreg.sharding.inputs.stems import Stems
from augreg.sharding.records import Column, InputError, Sample

__all__ = ["ListInput", "open_list"]

_IMAGES: Final = ("image", "path", "file", "file_name", "filename", "url")
"""Columns that are taken for the image's, if the user names none: the first of these that is there."""
_LONGEST: Final = 1 << 24
"""The most letters of an entry."""
_MOST_COLUMNS: Final = 4096


@dataclass(frozen=True)
class Entries:
    """How the entries of a list are read: what a column is, and whether labels are numbers."""

    kind: str
    base: str
    header: tuple[str, ...]
    roles: Mapping[str, Role]
    numbers: bool = True

    def row(self, entry: str) -> dict[str, Any]:
        """The values of an entry by column. Raises ValueError for one that is not valid."""
        if self.kind == "txt":
            return {"image": entry}
        if self.kind == "jsonl":
            row = json.loads(entry)
            if not isinstance(row, dict):
                raise ValueError("expected a JSON object")
            return row
        try:
            rows = list(csv.reader((entry,), strict=True))
        except csv.Error as error:
            raise ValueError(str(error)) from None
        if len(rows) != 1 or len(rows[0]) != len(self.header):
            raise ValueError(
                f"expected {len(self.header)} values, as in the header, got {len(rows[0]) if rows else 0}"
            )
        return dict(zip(self.header, rows[0], strict=True))

    @functools.cached_property
    def places(self) -> Mapping[str, str]:
        """The columns of the image, the label and the id, where there are such."""
        return {role.kind: column for column, role in self.roles.items() if role.kind in ("image", "label", "id")}

    def key(self, row: Mapping[str, Any]) -> tuple[str, int | str]:
        """The path of the image as it is written, and the address of the sample. Raises ValueError."""
        image, id = self.places.get("image"), self.places.get("id")
        path = None if image is None else row.get(image)
        if not isinstance(path, str) or not path:
            raise ValueError("it has no image")
        return path, key_of(path) if id is None else id_of(row.get(id), written=self.kind == "csv")

    def names(self, entry: str) -> tuple[str, str]:
        """The stem of the outputs of an entry, and the longer one for images that differ only in their suffix."""
        index = self.key(self.row(entry))[1]
        return _short(index), output_name(str(index))

    def __getstate__(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    def sample(self, entry: str, keeps_suffix: bool) -> Sample:
        """The sample of an entry."""
        row = self.row(entry)
        path, index = self.key(row)
        key = str(index)
        name = output_name(key) if keeps_suffix else _short(index)
        masks, targets, label, carried = {}, {}, None, {}
        what = ""
        try:
            image = read(joined(self.base, path))
            for column, value in row.items():
                role = self.roles[column]
                what = f"{column} "
                if value is None or (self.kind == "csv" and value == "" and role.kind != "carried"):
                    continue
                if role.kind == "mask":
                    masks[role.name] = read(joined(self.base, _text(value)))
                elif role.kind == "targets":
                    targets[role.name] = json.loads(value) if self.kind == "csv" else value
                elif role.kind == "label":
                    label = self._label(value)
                elif role.kind in ("carried", "id"):
                    carried[column] = value
        except OSError as error:
            return Sample(key, index, name, failure=f"{what}cannot be read: {reason(error)}")
        except (ValueError, RecursionError) as error:
            return Sample(key, index, name, failure=f"{what}is not valid: {error}")
        return Sample(key, index, name, image=image, masks=masks, targets=targets, label=label, carried=carried)

    def _label(self, value: Any) -> int | str | None:
        if self.kind == "csv":
            return number_or_text(value) if self.numbers else str(value)
        label = label_of(value)
        return label if self.numbers or label is None else str(label)


@dataclass(frozen=True)
class ListPiece:
    """Some entries of a list."""

    entries: Entries
    records: Names
    twins: NDArray[np.bool_] | None

    def samples(self) -> Iterator[Sample]:
        """The samples in order. An image that cannot be read is a failure of its own."""
        for number, record in enumerate(self.records):
            yield self.entries.sample(record, self.twins is not None and bool(self.twins[number]))


@dataclass
class ListInput(Listed):
    """A list of images."""

    entries: Entries
    records: Names
    twins: NDArray[np.bool_] | None = field(repr=False)

    def piece(self, shard: int, shards: int) -> ListPiece:
        """What an output shard reads."""
        start, stop = share(len(self.records), shard, shards)
        twins = None if self.twins is None else self.twins[start:stop]
        return ListPiece(
            self.entries, self.records.part(start, stop), twins if twins is not None and twins.any() else None
        )


def _short(index: int | str) -> str:
    return stem_of(output_name(index)) if isinstance(index, str) else str(index)


def open_list(location: str, roles: Roles) -> ListInput:
    """The images of a list, in its order. Paths are relative to the list. Raises InputError, with the line."""
    kind = path_of(location).lower().rpartition(".")[2]
    try:
        with open_file(location) as raw:
            text = io.TextIOWrapper(raw, "utf-8-sig", "surrogateescape", newline="")
            return _listed(location, kind, roles, text)
    except OSError as error:
        raise InputError(f"{location}: cannot be read: {reason(error)}") from None


def _listed(location: str, kind: str, roles: Roles, text: io.TextIOWrapper) -> ListInput:
    numbered = _entries(location, text, kind == "csv")
    header: tuple[str, ...] = ("image",) if kind == "txt" else ()
    if kind == "csv":
        header = tuple(next(csv.reader((next(numbered, (1, ""))[1],)), ()))
        if len(set(header)) < len(header):
            raise InputError(f"{location}: the header has a column twice: {', '.join(header)}")
    entries = Entries(kind, parent_of(location), header, _roles(location, header, roles))
    if kind == "csv":
        _check_columns(entries.roles, roles, location)
    writer, stems = NamesWriter("list", kind, *header), Stems()
    labels: set[type] = set()
    for line, entry in numbered:
        try:
            row = entries.row(entry)
            if not row.keys() <= entries.roles.keys():  # of JSON: every row may have columns of its own
                entries = replace(entries, roles=_roles(location, row, roles, entries.roles))
            index = entries.key(row)[1]
        except (ValueError, RecursionError) as error:
            raise InputError(f"{location}, line {line}: {error}") from None
        if "label" in entries.places:
            label = row.get(entries.places["label"])
            if label not in (None, ""):
                labels.add(type(number_or_text(label) if kind == "csv" else label))
        writer.add(entry)
        stems.add(_short(index))
    records, fingerprint = writer.finish()
    if not len(records):
        raise InputError(f"{location}: an empty list")
    _check_columns(entries.roles, roles, location)
    if labels and "label" not in roles.columns and (float in labels or labels.isdisjoint((int, str))):  # no classes
        role = Role("targets" if labels == {list} and roles.labels_objects else "carried", "label")  # of each object
        entries, labels = replace(entries, roles={**entries.roles, entries.places["label"]: role}), set()
    entries = replace(entries, numbers=labels <= {int})
    twins = stems.twins(lambda: map(entries.names, records))
    count = len(records)
    return ListInput(
        "list", fingerprint, count, count, (), _columns(entries), default_shards(count), entries, records, twins
    )


def _columns(entries: Entries) -> tuple[Column, ...]:
    """The parts of samples; the id is carried too."""
    types = {"carried": "string" if entries.kind == "csv" else "", "label": "int64" if entries.numbers else "string"}
    return tuple(
        Column(role.name, role.kind, types.get(role.kind, ""))
        if role.kind not in ("carried", "id")
        else Column(column, "carried", types["carried"])
        for column, role in entries.roles.items()
    )


def _roles(
    location: str, columns: Iterable[str], roles: Roles, before: Mapping[str, Role] | None = None
) -> dict[str, Role]:
    """The roles of columns, and of those that were there before. Raises InputError where two would be one part."""
    found = dict(before or {})
    if len(found) > _MOST_COLUMNS:
        raise InputError(f"{location}: its entries have more than {_MOST_COLUMNS:,} different keys")
    try:
        new = roles.of_columns([*found, *(column for column in columns if column not in found)])
    except InputError as error:
        raise InputError(f"{location}: {error}") from None
    found = {**new, **found}
    if not any(role.kind == "image" for role in found.values()):
        alias = next((column for column in _IMAGES if column in found and column not in roles.places), None)
        if alias is not None:
            found[alias] = Role("image", "image")
    return found


def _check_columns(found: Mapping[str, Role], roles: Roles, location: str) -> None:
    """Raise InputError for a list without a column that it must have."""
    missing = [(name, place) for name, place in roles.columns.items() if place not in found]
    if missing:
        name, place = missing[0]
        raise InputError(f"{location}: no column {place!r}, which is to be the {name}; {roles.advice(found, name)}")
    if not any(role.kind == "image" for role in found.values()):
        raise InputError(f"{location}: no column of images; {roles.advice(found)}")


def _entries(location: str, text: io.TextIOWrapper, quoted: bool) -> Iterator[tuple[int, str]]:
    """The entries that are not empty, with the numbers of their lines. In `quoted` ones, quotations span lines."""
    parts: list[str] = []
    letters = quotes = 0
    for line, part in enumerate(iter(lambda: text.readline(_LONGEST + 1), ""), 1):
        parts.append(part)
        letters += len(part)
        quotes += part.count('"') if quoted else 0
        first = line - len(parts) + 1
        if letters > _LONGEST or "\0" in part:
            raise InputError(f"{location}, line {first}: not an entry of a list of images, but something else")
        if quotes % 2:
            continue
        entry = "".join(parts).rstrip("\r\n")
        if entry and not entry.isspace():
            yield first, entry
        parts, letters, quotes = [], 0, 0
    if parts:
        raise InputError(f"{location}, line {first}: a quotation that does not end")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"expected a path or a URL, got {type(value).__name__}")
    return value
