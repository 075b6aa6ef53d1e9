"""What travels from an input through the pipeline to an output shard."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from augreg.errors import AugregError

__all__ = ["Column", "Input", "InputError", "Piece", "Sample"]


class InputError(AugregError):
    """A part of the input that cannot be read: a damaged shard, a missing column. It says where and what to do."""


@dataclass(frozen=True)
class Sample:
    """An image with what belongs to it, encoded as it was stored.

    `key` names the sample in errors; `index` is its address for the draws. `name` is the stem of its outputs, with
    folders: the key without its suffix, or with it where another sample would have the same. `source` is the file
    that holds the sample, without its suffix, where each of several files holds several: a name in a tar is unique
    in its file only. `image` and the values of `masks` are files of images as bytes. `targets` are boxes, labels,
    keypoints: lists of numbers and strings under the keys that the pipeline knows. `label` is the class of the
    image: its number, or its name. `carried` travels unchanged: members of a tar as bytes under their suffix
    without its first dot, values of columns. `carried["json"]` of a tar has no longer the keys that are targets.
    Where a sample cannot be read, `failure` says why, and the rest is empty; the samples after it can be read.
    """

    key: str
    index: int | str
    name: str = ""
    source: str = ""
    image: bytes = b""
    masks: Mapping[str, bytes] = field(default_factory=dict)
    targets: Mapping[str, Any] = field(default_factory=dict)
    label: int | str | None = None
    carried: Mapping[str, Any] = field(default_factory=dict)
    failure: str = ""


class Column(NamedTuple):
    """A part that the samples of an input have: its name, and what it is: image, mask, targets, label or carried.

    `type` is the type of its values in Parquet as text, such as int64, or "" where the input does not say. `feature`
    is what Hugging Face datasets notes about it, as JSON, such as the names of classes.
    """

    name: str
    kind: str
    type: str = ""
    feature: str = ""


class Piece(Protocol):
    """What one output shard reads of an input. It is small and pickles."""

    def samples(self) -> Iterator[Sample]:
        """The samples in order, read one by one. Raises InputError where the rest of the piece cannot be read."""


class Input(Protocol):
    """A list of samples in a fixed order, the same on every machine."""

    kind: str
    """folder, tar, parquet or list."""
    fingerprint: str
    """A hash of the list: of the names in it, and of the sizes of files that hold several samples."""
    count: int | None
    """The number of samples; None where it is not known before the files are read."""
    names: int
    """The number of names in the list: of samples, or of files that hold several."""
    classes: tuple[str, ...]
    """The names of the classes, where they are known: labels are numbers into it."""
    columns: tuple[Column, ...]
    """The parts of a sample."""
    default_shards: int
    """How many output shards to make if the user does not say."""

    def piece(self, shard: int, shards: int) -> Piece:
        """What output shard `shard` of `shards` reads. Every sample is in exactly one piece."""
