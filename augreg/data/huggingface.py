"""Hugging Face datasets: a transform for `with_transform` and `set_transform`.

`Augmented` accepts a `datasets.Dataset` directly and is preferable, since it knows the index. This module is for
programs that need a Dataset. A transform of a Dataset does not know which rows it gets, so they need a column of ids.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from augreg.batch.samples import Layout
from augreg.data.sides import EpochAwareSide, augment, checked_side
from augreg.pipeline import Test, Train

__all__ = ["Transform", "transform"]


class Transform(EpochAwareSide):
    """Applies `pipe.train` or `pipe.test` to the rows of a batch: a dict of lists in, a dict of lists out."""

    def __init__(self, side: Train | Test, layout: Layout, index: str | None, epoch: int | None) -> None:
        super().__init__(side, layout, epoch)
        self._index = index

    def __call__(self, rows: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
        """The augmented rows, in the same columns. Raises KeyError if one is missing, ImageError for an image."""
        for name, column in (*self._layout.places.items(), ("index", self._index)):
            if column is not None and column not in rows:
                columns = ", ".join(map(repr, rows))
                raise KeyError(f"the rows have no column {column!r}; they have: {columns}. {_advice(name)}")
        count = len(rows[self._layout.image])
        augmented = [self._row({name: values[number] for name, values in rows.items()}) for number in range(count)]
        return {name: [row[name] for row in augmented] for name in rows}

    def _row(self, row: dict[str, Any]) -> Any:
        if self._index is None:
            return self._layout.run(row, self.side)
        return augment(self.side, self._layout, row, self._key(row[self._index], "the id of a row"))


def _advice(name: str) -> str:
    """What to do about a missing column."""
    dropped = "Some trainers drop columns that are not arguments of the model: use remove_unused_columns=False"
    if name == "index":
        numbers = "dataset.add_column('idx', range(len(dataset))), before anything is shuffled"
        return f"To add a column of row numbers: {numbers}. {dropped}"
    argument = "image='..'" if name == "image" else f"names={{{name!r}: '..'}}"
    return f"Name the column of the {name}: transform(.., {argument}). {dropped}"


def transform(
    side: Train | Test,
    *,
    index: str | None = None,
    image: str = "image",
    names: Mapping[str, str | None] | None = None,
    epoch: int | None = None,
) -> Transform:
    """A transform for `dataset.with_transform(..)`. It pickles, and so does the dataset.

    `index` is the column with the id of each sample, integers or strings; it is required for `pipe.train`. `image` is
    the column of images, and `names` maps the names of other targets to their columns: {"mask": "annotation"}.
    `epoch` can be set later by `set_epoch`. Raises TypeError if `index` is required and missing.
    """
    if isinstance(checked_side(side), Train) and index is None:
        raise TypeError(
            "a transform of a Hugging Face dataset does not know which rows it gets, so pipe.train needs a column of "
            "ids: dataset.add_column('idx', range(len(dataset))) and transform(pipe.train, index='idx'); or wrap "
            "the dataset itself: augreg.data.Augmented(dataset, pipe.train)"
        )
    return Transform(
        side, Layout({"image": image, **(names or {})}), index if isinstance(side, Train) else None, epoch
    )
