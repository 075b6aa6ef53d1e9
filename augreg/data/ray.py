"""Ray Data: a function for `map_batches` whose random draws are seeded by a column of ids, and a `collate_fn`.

    from augreg.data.ray import Augment

    augment = Augment(pipe, id="path", epoch=epoch)
    rows = ray.data.read_images(folder, include_paths=True).map_batches(augment)
    for batch in rows.iter_torch_batches(batch_size=64, collate_fn=augment.collate): ..

An image depends on (epoch, id) alone: neither on batches, blocks and workers, nor on what was lost and made again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np
from numpy.typing import NDArray

from augreg.batch.keys import Key, checked_id
from augreg.batch.samples import Batch, Layout, SampleMapping
from augreg.data.epoch import checked_epoch
from augreg.data.sides import augment, checked_side
from augreg.errors import ImageError
from augreg.images.encoding import decode_mask
from augreg.pipeline import Pipeline
from augreg.sides import Test, Train
from augreg.targets.kinds import kind_of

if TYPE_CHECKING:
    from augreg.data.ray_collate import CollateFn

__all__ = ["Augment"]

VIEW: Final = "view"
"""The column with the number of a copy."""
_FILE: Final = {"bytes", "path"}
"""The members of an image in the Parquet files of Hugging Face."""
_NO_EPOCH: Final = (
    "pipe.train needs an epoch, or every epoch would have the same images: make one Augment for each epoch, "
    "Augment(pipe, epoch=epoch); Augment(pipe, epoch=0) stays in one epoch on purpose"
)
_NO_ID: Final = (
    "An id stays with its row, also where Ray reads or splits in another order; the number of a row does "
    "not. Use a key of the table, Augment(.., id='name'), or the path: read_images(.., include_paths=True), id='path'"
)


class Augment:
    """Applies `pipe.train` or `pipe.test` to the batches of `dataset.map_batches(..)`.

    Batches of every `batch_format` work: arrays, pandas, pyarrow. Images are arrays, files as bytes, paths, or the
    images of Hugging Face's Parquet files; masks are arrays or files as bytes. The result has the same rows and
    columns. Images of one size become one array, others an array of arrays.

    It pickles as its spec. For actors: `map_batches(Augment, fn_constructor_args=[pipe], fn_constructor_kwargs=..)`.
    """

    def __init__(
        self,
        pipe: Pipeline | Train | Test,
        *,
        id: str = "id",
        image: str = "image",
        names: Mapping[str, str | None] | None = None,
        epoch: int | None = None,
        copies: int = 1,
    ) -> None:
        """`pipe` is a pipeline, for its train side, or `pipe.train` or `pipe.test`.

        `id` is the column with the id of each row, integers or strings that stay with the row and occur once;
        `pipe.test` needs none. `image` is the column of the image, and `names` maps the names of other targets to
        their columns: {"mask": "segmentation", "label": "class"}; {"label": None} means that there are no labels.
        With `copies` above 1, each row becomes so many rows with other draws, numbered by a column `view`. Raises
        TypeError or ValueError; for `pipe.train` without an epoch too.
        """
        side = pipe.train if isinstance(pipe, Pipeline) else checked_side(pipe)
        if isinstance(side, Train) and epoch is None:
            raise TypeError(_NO_EPOCH)
        if isinstance(copies, bool) or not isinstance(copies, int) or copies < 1:
            raise ValueError(f"copies is the number of rows for each row, an integer from 1, got {copies!r}")
        if copies > 1 and isinstance(side, Test):
            raise ValueError(f"copies={copies} of pipe.test would be {copies} equal rows: leave copies out")
        if side.named_views:
            raise ValueError("the named views of a spec have no columns: use one Augment for a spec of each view")
        self.side = side
        self._pipeline: Pipeline = pipe if isinstance(pipe, Pipeline) else cast("Pipeline", side._pipeline)
        self.epoch = checked_epoch(epoch) if isinstance(side, Train) else None
        self._id, self._copies = id, copies
        self._layout = Layout({"image": image, **(names or {})})

    def __call__(self, batch: Any) -> dict[str, NDArray[Any]]:
        """The augmented batch. Raises KeyError if a column is missing, ImageError for an image or a mask."""
        columns = _columns(batch)
        self._check(columns)
        if self._copies > 1 and VIEW in columns:
            raise ValueError(f"the column {VIEW!r} is there already, and copies are numbered in it: rename it")
        count = len(columns[self._layout.image])
        rows = [{name: _plain(values[number]) for name, values in columns.items()} for number in range(count)]
        augmented = [self._augmented(row, view) for row in rows for view in range(self._copies)]
        rows = [row for row in rows for _ in range(self._copies)]
        names = list(dict.fromkeys(name for row in augmented for name in row)) if augmented else list(columns)
        result = {}
        for name in names:
            values = [row[name] for row in augmented]
            if name in columns and all(value is row[name] for value, row in zip(values, rows, strict=True)):
                result[name] = np.repeat(columns[name], self._copies, axis=0) if self._copies > 1 else columns[name]
            else:
                result[name] = _column(values)
        if self._copies > 1:
            result[VIEW] = np.tile(np.arange(self._copies), count)
        return result

    @property
    def collate(self) -> CollateFn:
        """The `collate_fn` of `iter_torch_batches` for augmented rows: tensors, mixed as `pipe.collate` does.

        The labels of mixed images are `SoftLabels`; what cannot be a tensor, such as strings, becomes a list. Which
        images are mixed with each other depends on the batch, which in a stream depends on the workers.
        """
        return _collate_fn(self.collated)

    @property
    def augment_and_collate(self) -> CollateFn:
        """A `collate_fn` as `collate`, for rows that are not augmented yet: in the process that iterates."""
        return _collate_fn(self, self.collated)

    def collated(self, batch: Any) -> Any:
        """What `collate` makes of a batch: the result of `pipe.collate`."""
        columns = {name: _writable(values) for name, values in _columns(batch).items()}
        self._check(columns)
        images = columns[self._layout.image]
        if self.side._options.output == "torch" and images.dtype != object:
            import torch

            columns[self._layout.image] = images = torch.from_numpy(images)
        rows = [{name: _plain(values[number]) for name, values in columns.items()} for number in range(len(images))]
        keys = [self._key(row, row[VIEW] if self._copies > 1 else 0) for row in rows]
        whole = images if images.dtype != object else None
        aside = {self._id, VIEW} if self._copies > 1 else {self._id}  # numbers that are no labels
        samples = [SampleMapping((name, value) for name, value in row.items() if name not in aside) for row in rows]
        collated = self._pipeline.collate(Batch(samples, keys, whole, self._layout))
        tensors = not isinstance(collated[self._layout.image], np.ndarray)
        return {**collated, **{name: _aside(columns[name], tensors) for name in columns if name in aside}}

    def _check(self, columns: Mapping[str, Any]) -> None:
        """Raise KeyError for a column that is missing."""
        needed = dict(self._layout.places)
        if isinstance(self.side, Train):
            needed["id"] = self._id
        for name, column in needed.items():
            if column not in columns:
                advice = _NO_ID if name == "id" else f"Name the column of the {name}: Augment(.., {_argument(name)})"
                found = ", ".join(map(repr, columns)) or "none"
                raise KeyError(f"the rows have no column {column!r}; they have: {found}. {advice}")

    def _augmented(self, row: dict[str, Any], view: int) -> Mapping[str, Any]:
        key = self._key(row, view)
        try:
            given = {name: self._decoded(name, value) for name, value in row.items()}
        except ImageError as error:
            raise ImageError(f"sample {key.index!r}: {error}") from None
        found: Mapping[str, Any] = augment(self.side, self._layout, given, key)
        return found

    def _key(self, row: Mapping[str, Any], view: int) -> Key:
        given = row.get(self._id, "of the test side") if isinstance(self.side, Test) else row[self._id]
        return Key(self.epoch, checked_id(given, f"the id of a row, in the column {self._id!r},"), view)

    def _decoded(self, column: str, value: Any) -> Any:
        """A value as the pipeline takes it: files of masks are decoded here, files of images there."""
        name = self._layout.names.get(column, column)
        kind = kind_of(name, value, self.side._options.targets)
        if isinstance(value, Mapping) and kind in ("image", "mask") and value.keys() <= _FILE:
            value = value.get("bytes") or value.get("path")
        if kind == "image" and value is None:
            raise ImageError(f"the column {column!r} has no image")
        return decode_mask(value, column)[0] if kind == "mask" and isinstance(value, bytes) else value


def _argument(name: str) -> str:
    return "image='..'" if name == "image" else f"names={{{name!r}: '..'}}"


def _collate_fn(*functions: Callable[[Any], Any]) -> CollateFn:
    try:
        from augreg.data.ray_collate import CollateFn
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("augreg"):
            raise
        message = f"a collate_fn of Ray needs {error.name.partition('.')[0]}: pip install 'augreg[ray]'"
        raise ModuleNotFoundError(message, name=error.name) from None
    return CollateFn(*functions)


def _columns(batch: Any) -> dict[str, Any]:
    """The columns of a batch as arrays. Raises TypeError for anything else, such as a row."""
    if not isinstance(batch, Mapping):
        try:
            from ray.data.block import BlockAccessor

            table = BlockAccessor.for_block(batch).to_arrow()  # pandas would have its own values for missing ones
            batch = BlockAccessor.for_block(table).to_numpy()
        except (ImportError, TypeError) as error:
            raise TypeError(
                f"expected a batch as map_batches gives it, got {type(batch).__name__}: {error}"
            ) from None
    others = [name for name, values in batch.items() if not isinstance(values, np.ndarray)]
    if others:
        raise TypeError(
            f"expected a batch, with an array for each column, but {others[0]!r} is a "
            f"{type(batch[others[0]]).__name__}: use dataset.map_batches(..), not dataset.map(..)"
        )
    return dict(batch)


def _plain(value: Any) -> Any:
    """A value of a column: a number as Python has it, a nested list as lists."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray) and value.dtype == object:
        members = [_plain(member) for member in value]
        return [member.tolist() if isinstance(member, np.ndarray) else member for member in members]
    return value


def _column(values: Sequence[Any]) -> NDArray[Any]:
    """Values as a column: one array if they are numbers, or arrays of one shape."""
    values = [value.numpy() if hasattr(value, "numpy") else value for value in values]
    first = values[0]
    if isinstance(first, np.ndarray) and all(
        isinstance(value, np.ndarray) and (value.shape, value.dtype) == (first.shape, first.dtype) for value in values
    ):
        return np.stack(values)
    if all(isinstance(value, bool | int | float | np.generic) for value in values):
        return np.asarray(values)
    column = np.empty(len(values), object)
    for number, value in enumerate(values):  # assigned at once, lists of one length would become axes
        column[number] = value
    return column


def _aside(values: NDArray[Any], tensors: bool) -> Any:
    """A column as `pipe.collate` has it: a tensor or an array of numbers, a list of strings."""
    if values.dtype.kind not in "iu":
        return values.tolist()
    if not tensors:
        return values
    import torch

    return torch.from_numpy(values)


def _writable(values: NDArray[Any]) -> NDArray[Any]:
    """The values in memory that may be written to: the blocks of Ray are shared, and mixing is done in place."""
    return values if values.flags.writeable else values.copy()
