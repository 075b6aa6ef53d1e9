"""What goes into an output shard, and what takes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from augreg.errors import AugregError
from augreg.sharding.storage_names import shard_name

__all__ = ["KINDS", "Output", "OutputError", "Writer", "shard_file"]

KINDS: Final = ("tar", "parquet", "folder")
"""The kinds of outputs."""


class OutputError(AugregError):
    """An output that cannot be stored as asked for: a format, a column, a missing package."""


@dataclass(frozen=True)
class Output:
    """A copy of an image with what belongs to it.

    `name` is its path without suffix, with `/` between folders. `image` is a file of the format of the output, and
    the values of `masks` are PNG files. `targets`, `label` and `carried` are as in `Sample`; they may hold arrays.
    """

    name: str
    image: bytes
    masks: Mapping[str, bytes] = field(default_factory=dict)
    targets: Mapping[str, Any] = field(default_factory=dict)
    label: int | str | None = None
    carried: Mapping[str, Any] = field(default_factory=dict)


class Writer(Protocol):
    """Takes the copies of one shard."""

    def add(self, output: Output) -> None:
        """Store a copy. Raises ImageError if only this one cannot be stored: nothing of it is, and others can be.

        Raises OSError if nothing can be written, such as on a full disk: then call `abort`.
        """

    def close(self) -> tuple[int, str]:
        """Finish the shard under its name. Returns its size in bytes and its SHA-256. Raises OSError."""

    def abort(self) -> None:
        """Leave nothing unfinished behind. After `close`, and a second time, it does nothing."""


def shard_file(to: str, shard: int) -> str:
    """The name of the file of a shard."""
    return f"shard-{shard_name(shard)}.{to}"
