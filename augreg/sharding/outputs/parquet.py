"""Parquet shards in the layout of Hugging Face datasets: a row for each copy, with the file of the image in it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet

from augreg.errors import ImageError
from augreg.sharding.outputs.arrow_types import parse
from augreg.sharding.outputs.hashed_file import HashedFile
from augreg.sharding.outputs.members import mask_stem, plain
from augreg.sharding.outputs.output import Output, OutputError, shard_file
from augreg.sharding.records import Column
from augreg.sharding.storage import Storage

__all__ = ["ROW_GROUP", "ParquetWriter", "schema_of"]

ROW_GROUP: Final = 16 << 20
"""Bytes of a row group, about: what a reader has to read for one row, and what a writer holds in memory."""
_ROW: Final = 1 << 10  # what a row takes in memory besides its values
_IMAGE: Final = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def schema_of(columns: Sequence[Column], classes: Sequence[str]) -> Any:
    """The schema of every shard of an output, whatever is in it, with the features that `datasets` reads.

    Raises OutputError for a type that is not known, and for a name that two columns have.
    """
    columns = _with_image(columns)
    fields: list[Any] = []
    features: dict[str, Any] = {}
    for column in columns:
        if column.kind in ("image", "mask"):
            fields.append(pa.field(column.name, _IMAGE))
            features[column.name] = {"_type": "Image"}
        elif column.kind == "label" and classes:
            fields.append(pa.field(column.name, pa.int64()))
            features[column.name] = {"names": list(classes), "_type": "ClassLabel"}
        else:
            fields.append(pa.field(column.name, _type(column)))
            if column.feature:
                features[column.name] = json.loads(column.feature)
    names = [column.name for column in columns]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise OutputError(f"two columns would be called {', '.join(twice)}; rename one with --columns")
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    return pa.schema(fields, metadata=metadata)


def _with_image(columns: Sequence[Column]) -> list[Column]:
    if any(column.kind == "image" for column in columns):
        return list(columns)
    return [Column("image", "image"), *columns]


def _type(column: Column) -> Any:
    """The type of a column. Where nothing says it, the usual one of its name, or text, which takes any value."""
    if not column.type:
        if column.kind == "label":
            return pa.int64()
        if column.kind == "targets" and column.name.startswith(("boxes", "keypoints")):
            return pa.list_(pa.list_(pa.float64()))
        return pa.list_(pa.int64()) if column.name == "labels" else pa.string()
    try:
        kind = parse(column.type)
    except ValueError as error:
        raise OutputError(
            f"column {column.name} is of type {column.type}, which cannot be written to Parquet here ({error}); "
            "remove it from the input, or use --to tar"
        ) from None
    return _moved(kind) if column.kind == "targets" else kind


def _moved(kind: Any, depth: int = 0) -> Any:
    """The type of targets in the output: boxes and points of whole numbers have fractions once they have moved."""
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        field = kind.value_field
        inner = field.with_type(_moved(field.type, depth + 1))
        return (pa.list_ if pa.types.is_list(kind) else pa.large_list)(inner)
    if pa.types.is_fixed_size_list(kind):  # objects may leave the image; the numbers of one do not
        field = kind.value_field
        inner = field.with_type(_moved(field.type, depth + 1))
        return pa.list_(inner, kind.list_size) if depth else pa.list_(inner)
    return pa.float64() if depth > 1 and pa.types.is_integer(kind) else kind


class ParquetWriter:
    """A `Writer` of `shard-000000.parquet`.

    An image is a struct of its bytes and its path, a mask likewise; then come the label, the targets and what is
    carried. All shards have the same schema.
    """

    def __init__(
        self,
        storage: Storage,
        shard: int,
        format: str,
        classes: Sequence[str],
        columns: Sequence[Column],
        row_group: int = ROW_GROUP,
    ) -> None:
        self._schema = schema_of(columns, classes)
        self._format, self._classes, self._most = format, classes, row_group
        self._columns = _with_image(columns)
        self._file = HashedFile(storage, shard_file("parquet", shard))
        flat = [field.name for field in self._schema if not pa.types.is_nested(field.type)]
        self._table = pa.parquet.ParquetWriter(
            pa.PythonFile(self._file, mode="w"), self._schema, use_dictionary=False, write_statistics=flat
        )
        self._rows: list[dict[str, Any]] = []
        self._held = 0  # bytes of the rows

    def add(self, output: Output) -> None:
        """Append a row; the rows are written once there are enough."""
        row = self._row(output)
        size = sum(map(_size, row.values())) + _ROW
        if self._rows and self._held + size > self._most:
            self._flush()
        self._rows.append(row)
        self._held += size

    def _row(self, output: Output) -> dict[str, Any]:
        """The row of a copy. Raises ImageError if a value has no column, or another type than its column."""
        given = {**output.carried, **output.targets}
        row: dict[str, Any] = {}
        for column in self._columns:
            name = column.name
            if column.kind == "image":
                row[name] = (output.image, f"{output.name}.{self._format}")
            elif column.kind == "mask":
                data = output.masks.get(name)
                row[name] = None if data is None else (data, f"{output.name}_{mask_stem(name)}.png")
            else:
                value = self._label(output.label) if column.kind == "label" else given.pop(name, None)
                row[name] = _fitting(name, value, self._schema.field(name).type)
        unknown = {name for name, value in given.items() if value is not None} | (output.masks.keys() - row.keys())
        if unknown or (output.label is not None and not any(column.kind == "label" for column in self._columns)):
            raise ImageError(
                f"it has {', '.join(sorted(unknown)) or 'a label'}, for which there is no column: "
                f"the columns of the input are {', '.join(row)}; use --to tar, or let every image have the same parts"
            )
        return row

    def _label(self, label: int | str | None) -> int | str | None:
        """A label as its column has it: the number of a class that has names."""
        if not self._classes or label is None:
            return label
        if isinstance(label, str):
            if label not in self._classes:
                raise ImageError(f"its label {label!r} is none of the {len(self._classes)} classes")
            return self._classes.index(label)
        if not -1 <= label < len(self._classes):  # -1 is that of images without a class in Hugging Face's data
            raise ImageError(f"its label is {label}, and the {len(self._classes)} classes have numbers from 0")
        return label

    def _flush(self) -> None:
        arrays = []
        for column, field in zip(self._columns, self._schema, strict=True):
            values = [row[field.name] for row in self._rows]
            arrays.append(_images(values) if column.kind in ("image", "mask") else pa.array(values, field.type))
        table = pa.Table.from_arrays(arrays, schema=self._schema)
        self._rows, self._held = [], 0
        self._table.write_table(table, row_group_size=len(table))

    def close(self) -> tuple[int, str]:
        """Write the rest and the footer, and give the file its name."""
        if self._rows:
            self._flush()
        self._table.close()
        return self._file.put()

    def abort(self) -> None:
        """Remove the unfinished file."""
        self._rows = []
        self._file.discard()
        with contextlib.suppress(Exception):
            self._table.close()  # or it would be closed, with a footer, once it is garbage


def _images(values: list[Any]) -> Any:
    """The array of images, or None, each its bytes and path. Of mappings, pyarrow 15 would leak the bytes."""
    parts = [pa.array([value and value[part] for value in values], _IMAGE[part].type) for part in (0, 1)]
    return pa.StructArray.from_arrays(parts, fields=list(_IMAGE), mask=pa.array([value is None for value in values]))


def _fitting(name: str, value: Any, kind: Any) -> Any:
    """A value as the type of its column takes it. Raises ImageError if it does not."""
    if value is None:
        return None
    try:
        if pa.types.is_string(kind) and not isinstance(value, str):
            if isinstance(value, bytes | bytearray):
                value = bytes(value).decode()
            else:
                value = json.dumps(value, ensure_ascii=False, default=plain)
        elif pa.types.is_binary(kind) and isinstance(value, str):
            value = value.encode()
        elif hasattr(value, "tolist"):
            value = value.tolist()
        if _loses(value, pa.array([value], kind).to_pylist()[0]):
            raise ValueError("it has fractions or keys that the column has not")
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise ImageError(f"its {name} does not fit the column, which is {kind}: {error}") from None
    return value


def _loses(value: Any, stored: Any) -> bool:
    """Whether pyarrow dropped a part of a value without a word: fractions, or keys that its type has not."""
    if isinstance(value, float):
        return type(stored) is int and stored != value
    if isinstance(value, Mapping) and isinstance(stored, Mapping):
        return any(name not in stored or _loses(each, stored[name]) for name, each in value.items())
    if isinstance(value, list | tuple) and isinstance(stored, list | tuple):
        return any(map(_loses, value, stored))
    return False


def _size(value: Any) -> int:
    """About how many bytes a value has."""
    if isinstance(value, bytes | str):
        return len(value)
    if isinstance(value, Mapping):
        return sum(map(_size, value.values()))
    if isinstance(value, list | tuple):
        return sum(map(_size, value))
    return 8
