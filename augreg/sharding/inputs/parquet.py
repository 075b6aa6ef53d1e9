"""Parquet files with a column of images, as Hugging Face datasets and others write them: each row is a sample."""

from __future__ import annotations

import contextlib
import json
import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Final

import numpy as np

from augreg.sharding.inputs.listed import Listed, default_shards, share
from augreg.sharding.inputs.locations import File, joined, open_file, output_name, parent_of, read, reason
from augreg.sharding.inputs.names import NamesWriter
from augreg.sharding.inputs.roles import Role, Roles, id_of, label_of
from augreg.sharding.inputs.stems import first_twice
from augreg.sharding.records import Column, InputError, Sample

__all__ = ["SUFFIXES", "ParquetInput", "open_parquet"]

SUFFIXES: Final = (".parquet",)
_BYTES: Final = 1 << 23
"""About how many bytes of rows are decoded at once."""
_ROWS: Final = 1024
"""At most this many rows."""
_FOOTERS: Final = 16
"""Files whose footers are read at once."""
_LABEL: Final = re.compile(r"(dictionary<values=)?(large_)?(u?int\d+|string)")
"""Types of classes: others, such as numbers with fractions, are none."""
_IMAGE_TYPES: Final = ("binary", "large_binary", "string", "large_string")


@dataclass(frozen=True)
class Rows:
    """Rows of a file, by their numbers in it, and the number of its first row among all."""

    location: str
    first: int
    start: int
    stop: int


@dataclass(frozen=True)
class ParquetPiece:
    """Rows of some files."""

    rows: tuple[Rows, ...]
    roles: Mapping[str, Role]
    width: int
    """Digits of the numbers in names, so that names are in the order of the rows."""

    def samples(self) -> Iterator[Sample]:
        """The samples in order. Raises InputError for a file that cannot be read, after the samples before."""
        for rows in self.rows:
            for number, row in enumerate(_read(rows), rows.first + rows.start):
                yield self._sample(row, number, parent_of(rows.location))

    def _sample(self, row: Mapping[str, Any], number: int, folder: str) -> Sample:
        index: int | str = number
        found: dict[str, Any] = {"masks": {}, "targets": {}, "carried": {}}
        image = b""
        failure = ""
        for column, value in row.items():
            role = self.roles[column]
            try:
                if role.kind == "id":
                    index = id_of(value)
                if role.kind == "image":
                    image = _image(value, folder)
                    if not image:
                        raise ValueError("there is no image: it is null")
                elif role.kind in ("carried", "id"):
                    found["carried"][column] = value
                elif value is None:
                    pass
                elif role.kind == "mask":
                    found["masks"][role.name] = _image(value, folder)
                elif role.kind == "label":
                    found["label"] = label_of(value)
                else:
                    found["targets"][role.name] = value
            except OSError as error:
                failure = failure or f"{column}: cannot be read: {reason(error)}"
            except ValueError as error:
                failure = failure or f"{column}: {error}"
        key = str(index)
        name = f"{number:0{self.width}d}" if index is number else output_name(key)
        if failure:
            return Sample(key, index, name, failure=failure)
        return Sample(key, index, name, image=image, **found)


def _image(value: Any, folder: str) -> bytes:
    """The file of an image: its bytes, or what is at its path. Raises OSError."""
    if isinstance(value, Mapping):
        value = value["bytes"] if value.get("bytes") is not None else value.get("path")
    if isinstance(value, str):
        return read(joined(folder, value))
    return b"" if value is None else bytes(value)


def _read(rows: Rows) -> Iterator[dict[str, Any]]:
    """The rows one by one; of the file, only the row groups that they are in are read, one after another.

    As pyarrow reads, up to about one row group is in memory.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # without a pre-buffer, and with a small buffer, half as much of a row group is in memory
        with open_file(rows.location) as raw, pq.ParquetFile(raw, buffer_size=1 << 20, pre_buffer=False) as file:
            groups = [file.metadata.row_group(number) for number in range(file.num_row_groups)]
            ends = np.cumsum([group.num_rows for group in groups])
            first = int(np.searchsorted(ends, rows.start, side="right"))
            last = int(np.searchsorted(ends, rows.stop, side="left"))
            for number in range(first, last + 1):
                group = groups[number]
                at = int(ends[number]) - group.num_rows
                count = min(_ROWS, max(1, _BYTES * group.num_rows // max(1, group.total_byte_size)))
                for batch in file.iter_batches(count, row_groups=[number]):
                    wanted = batch.slice(max(0, rows.start - at), max(0, rows.stop - max(at, rows.start)))
                    at += len(batch)
                    yield from wanted.to_pylist()
    except (OSError, ValueError, pa.ArrowException) as error:
        raise InputError(f"{rows.location}: cannot be read: {_line(error)}; replace the file") from None


def _line(error: BaseException) -> str:
    return reason(error).splitlines()[0]


@dataclass
class ParquetInput(Listed):
    """Rows of Parquet files."""

    files: tuple[str, ...]
    ends: tuple[int, ...]
    """The number of rows of each file and of those before it."""
    roles: Mapping[str, Role]

    def piece(self, shard: int, shards: int) -> ParquetPiece:
        """What an output shard reads: rows, of as many files as they are in."""
        start, stop = share(self.ends[-1], shard, shards)
        rows = []
        for number in range(bisect_right(self.ends, start), len(self.files)):
            first = self.ends[number - 1] if number else 0
            if first >= stop:
                break
            end = min(stop, self.ends[number])
            rows.append(Rows(self.files[number], first, max(start, first) - first, end - first))
        return ParquetPiece(
            tuple(part for part in rows if part.start < part.stop), self.roles, len(str(self.ends[-1]))
        )


def open_parquet(location: str, found: Sequence[File], roles: Roles) -> ParquetInput:
    """The rows of Parquet files, which all have the same columns. Only the ends of the files are read."""
    if not found:
        raise InputError(f"{location}: no Parquet files in it")
    with ThreadPoolExecutor(_FOOTERS) as pool:
        footers = list(pool.map(_footer, [file.location for file in found]))
    schema = footers[0][0]
    for file, (other, _) in zip(found, footers, strict=True):
        if not other.equals(schema, check_metadata=False):
            raise InputError(
                f"{file.location}: its columns are not those of {found[0].location}: {_difference(schema, other)}"
            )
    features = _features(schema)
    columns = _roles(location, schema, features, roles)
    id = roles.columns.get("id", "")
    if id and (twice := first_twice(lambda: _ids(found, id))) is not None:
        raise InputError(
            f"{location}: {id} {twice!r} is there twice, and outputs are named after it; give each row its own, or "
            "leave id out of --columns"
        )
    writer = NamesWriter("parquet")
    for file, (_, rows) in zip(found, footers, strict=True):
        writer.add(f"{file.name}\n{file.size}\n{rows}")
    ends = tuple(accumulate(rows for _, rows in footers))
    if not ends[-1]:
        raise InputError(f"{location}: no rows in it")
    label = next((column for column, role in columns.items() if role.kind == "label"), "")
    names = features.get(label, {}).get("names") if isinstance(features.get(label), dict) else None
    parts = tuple(_column(field, columns[field.name], features.get(field.name)) for field in schema)
    return ParquetInput(
        "parquet", writer.finish()[1], ends[-1], len(found), tuple(map(str, names or ())), parts,
        max(len(found), default_shards(ends[-1])), tuple(file.location for file in found), ends, columns,
    )  # fmt: skip


def _footer(location: str) -> tuple[Any, int]:
    """The schema and the number of rows of a file."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ModuleNotFoundError:
        raise InputError(f"{location}: Parquet needs pyarrow: pip install 'augreg[shards]'") from None
    try:
        with open_file(location) as raw, pq.ParquetFile(raw, pre_buffer=False) as file:
            return file.schema_arrow, file.metadata.num_rows
    except (OSError, ValueError, pa.ArrowException) as error:
        raise InputError(f"{location}: cannot be read: {_line(error)}") from None


def _ids(found: Sequence[File], column: str) -> Iterator[str]:
    """The names of outputs after their ids. A file that cannot be read, and an id that is none, is said later."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    for each in found:
        with contextlib.suppress(OSError, pa.ArrowException), open_file(each.location) as raw:
            for batch in pq.ParquetFile(raw, pre_buffer=False).iter_batches(columns=[column]):
                for value in batch.column(0).to_pylist():
                    with contextlib.suppress(ValueError):
                        yield output_name(str(id_of(value)))


def _difference(schema: Any, other: Any) -> str:
    ours, theirs = ({field.name: str(field.type) for field in each} for each in (schema, other))
    for name in sorted({*ours, *theirs}):
        if ours.get(name) != theirs.get(name):
            return f"{name} is {theirs.get(name, 'missing')} and not {ours.get(name, 'there')}"
    return "they are in another order"


def _features(schema: Any) -> dict[str, Any]:
    """What Hugging Face datasets noted about the columns; empty for files of others."""
    try:
        features = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
    except (KeyError, TypeError, ValueError):
        return {}
    return features if isinstance(features, dict) else {}


def _roles(location: str, schema: Any, features: Mapping[str, Any], roles: Roles) -> dict[str, Role]:
    """The role of each column. Raises InputError where it is not clear, or not of a type that can be read."""
    types = {field.name: str(field.type) for field in schema}
    for name, place in roles.columns.items():
        if place not in types:
            outer, dot, _ = place.partition(".")
            nested = f"flatten {outer!r} first, as flatten() of datasets does" if dot and outer in types else ""
            raise InputError(
                f"{location}: no column {place!r}, which is to be the {name}; {nested or roles.advice(types, name)}"
            )
    if len(types) < len(schema):
        raise InputError(f"{location}: two columns of one name among {', '.join(schema.names)}")
    images = [field.name for field in schema if _is_image(field.type, features.get(field.name))]
    try:
        found = roles.of_columns(types)
    except InputError as error:
        raise InputError(f"{location}: {error}") from None
    for name, role in found.items():
        if role.kind != "label" or _LABEL.match(types[name]):
            continue
        if "list" in types[name].partition("<")[0] and roles.labels_objects:  # one for each object
            found[name] = Role("targets", role.name)
        elif name in roles.places:
            raise InputError(
                f"{location}: column {name!r} is to be the label and is {types[name]}; expected numbers or names "
                "of classes; leave it out of --columns, and it is carried as it is"
            )
        else:
            found[name] = Role("carried", name)
    if not any(role.kind == "image" for role in found.values()):
        free = [name for name in images if found[name].kind == "carried" and name not in roles.places]
        if len(free) == 1:
            found[free[0]] = Role("image", "image")
        else:
            raise InputError(
                f"{location}: {'several columns' if free else 'no column'} of images; {roles.advice(types)}"
            )
    for name, role in found.items():
        if role.kind in ("image", "mask") and name not in images and types[name] not in _IMAGE_TYPES:
            raise InputError(
                f"{location}: column {name!r} is to be the {role.name} and is {types[name]}; "
                "expected files of images: binary, or struct<bytes, path>"
                + f"; --columns other={name} carries it as it is"
                * (role.kind == "mask")
            )
        if role.kind == "carried" and name in images and name not in roles.places:
            raise InputError(
                f"{location}: column {name!r} has images as well, and nothing says whether they follow the image; "
                f"say it: --columns mask={name} or other={name}"
            )
    return found


def _is_image(kind: Any, feature: Any) -> bool:
    import pyarrow as pa

    return (isinstance(feature, dict) and feature.get("_type") == "Image") or (
        pa.types.is_struct(kind) and {field.name for field in kind} == {"bytes", "path"}
    )


def _column(field: Any, role: Role, feature: Any) -> Column:
    """What is said of a column; that of the id is carried too."""
    if role.kind in ("image", "mask"):
        return Column(role.name, role.kind)
    if role.kind == "label":
        return Column("label", "label", "int64" if "int" in str(field.type).partition("<")[0] else "string")
    name, kind = (role.name, "targets") if role.kind == "targets" else (field.name, "carried")
    plain = not isinstance(feature, dict | list) or (isinstance(feature, dict) and feature.get("_type") == "Value")
    return Column(name, kind, str(field.type), "" if plain else json.dumps(feature))
