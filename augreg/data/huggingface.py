"""Hugging Face datasets: a transform for `with_transform` and `set_transform`.

`Augmented` takes a `datasets.Dataset` as it is, and that is the better way: it knows the index. This is for programs
that want a Dataset in the end. Such a transform is not told which rows it got, so a column has to say so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from augreg.batch.samples import Layout
from augreg.data.sides import EpochAwareSide, augment, checked_side
from augreg.pipeline import Test, Train

__all__ = ["Transform", "transform"]


class Transform(EpochAwareSide):
    """Does `pipe.train` or `pipe.test` to the rows of a batch: a dict of lists in, a dict of lists out."""

    def __init__(self, side: Train | Test, layout: Layout, index: str | None, epoch: int | None) -> None:
        super().__init__(side, layout, epoch)
        self._index = index

    def __call__(self, rows: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
        """The rows afterwards, with the same columns. Raises KeyError for a missing one, ImageError for an image."""
        for name, place in (*self._layout.places.items(), ("index", self._index)):
            if place is not None and place not in rows:
                have = ", ".join(map(repr, rows))
                raise KeyError(f"the rows have no column {place!r}; they have: {have}. {_advice(name)}")
        count = len(rows[self._layout.image])
        done = [self._row({name: values[number] for name, values in rows.items()}) for number in range(count)]
        return {name: [row[name] for row in done] for name in rows}

    def _row(self, row: dict[str, Any]) -> Any:
        if self._index is None:
            return self._layout.run(row, self.side)
        return augment(self.side, self._layout, row, self._key(row[self._index], "the id of a row"))


def _advice(name: str) -> str:
    """What to do where a column is missing."""
    dropped = "Some trainers drop columns that the model does not take: remove_unused_columns=False"
    if name == "index":
        numbers = "dataset.add_column('idx', range(len(dataset))), before anything is shuffled"
        return f"A column of row numbers comes from {numbers}. {dropped}"
    place = "image='..'" if name == "image" else f"names={{{name!r}: '..'}}"
    return f"Say which is the {name}: transform(.., {place}). {dropped}"


def transform(
    side: Train | Test,
    *,
    index: str | None = None,
    image: str = "image",
    names: Mapping[str, str | None] | None = None,
    epoch: int | None = None,
) -> Transform:
    """A transform for `dataset.with_transform(..)`. It pickles, and so does the dataset.

    `index` is the column that says which sample a row is, and has to be given for `pipe.train`: integers or strings.
    `image` is the column of images, `names` those of other targets by ours: {"mask": "annotation"}. `epoch` can be
    set later by `set_epoch`. Raises TypeError where the index is missing.
    """
    if isinstance(checked_side(side), Train) and index is None:
        raise TypeError(
            "a transform of a Hugging Face dataset is not told which rows it got, so pipe.train needs a column that "
            "says so: dataset.add_column('idx', range(len(dataset))) and transform(pipe.train, index='idx'); or wrap "
            "the dataset itself: augreg.data.Augmented(dataset, pipe.train)"
        )
    return Transform(
        side, Layout({"image": image, **(names or {})}), index if isinstance(side, Train) else None, epoch
    )
