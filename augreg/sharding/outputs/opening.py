"""Open the writer of a shard, and check a shard that was written."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from augreg.sharding.outputs import folder
from augreg.sharding.outputs.output import KINDS, OutputError, Writer, shard_file
from augreg.sharding.outputs.tar import TarWriter
from augreg.sharding.records import Column
from augreg.sharding.storage import Storage

__all__ = ["check_output", "digest_of", "open_writer"]

_PIECE = 1 << 20


def check_output(to: str, format: str, classes: Sequence[str] = (), columns: Sequence[Column] = ()) -> None:
    """Raise OutputError if no shard can be stored like this, which `open_writer` would say for each."""
    if to not in KINDS:
        raise OutputError(f"outputs are {', '.join(KINDS)}, not {to!r}")
    if to != "parquet":
        return
    if format == "npy":  # datasets would need a fixed size for arrays, and nothing decodes bytes of npy
        raise OutputError(
            "Parquet stores images as files of images, and npy is none: use --to tar, or leave normalize out of the "
            "spec and normalize the images when they are loaded"
        )
    try:
        from augreg.sharding.outputs.parquet import schema_of
    except ModuleNotFoundError as error:
        if error.name != "pyarrow":
            raise
        raise OutputError("Parquet needs pyarrow: pip install 'augreg[shards]'") from None
    schema_of(columns, classes)


def open_writer(
    to: str,
    storage: Storage,
    shard: int,
    *,
    format: str,
    classes: Sequence[str] = (),
    columns: Sequence[Column] = (),
    masks: Sequence[str] = (),
    row_group: int | None = None,
) -> Writer:
    """The writer of an output shard: `to` is tar, parquet or folder.

    `format` is that of the images: png, jpg, webp or npy. `classes` are the names of the labels, and `columns` what
    the samples of the input have, which are the columns of Parquet. `masks` are those of which the files of a folder
    must not have the names of images. `row_group` is the size of its row groups in
    bytes. Raises OutputError as `check_output` does, and OSError if the storage cannot be written to.
    """
    check_output(to, format, classes, columns)
    if to == "tar":
        return TarWriter(storage, shard, format)
    if to == "folder":
        return folder.FolderWriter(storage, shard, format, classes, masks)
    from augreg.sharding.outputs.parquet import ROW_GROUP, ParquetWriter

    return ParquetWriter(storage, shard, format, classes, columns, row_group or ROW_GROUP)


def digest_of(to: str, storage: Storage, shard: int) -> tuple[int, str]:
    """The size in bytes and the SHA-256 of a stored shard, read again: what `Writer.close` returned for it.

    Raises OSError for a file that is missing or cannot be read.
    """
    if to == "folder":
        return folder.digest(storage, shard)
    total, size = hashlib.sha256(), 0
    with storage.open(shard_file(to, shard)) as file:
        while data := file.read(_PIECE):
            total.update(data)
            size += len(data)
    return size, total.hexdigest()
