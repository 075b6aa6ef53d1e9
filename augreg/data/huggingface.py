"""Hugging Face datasets: a transform for `with_transform` and `set_transform`.

`Augmented` takes a `datasets.Dataset` as it is, and that is the better way: it knows the index. This is for programs
that want a Dataset in the end. Such a transform is not told which rows it got, so a column has to say so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from augreg.data.epoch import SharedEpoch
from augreg.data.keys import Key, checked_id
from augreg.data.samples import Layout
from augreg.data.sides import augment, checked_side, epoch_needed
from augreg.pipeline import Test, Train

__all__ = ["Transform", "transform"]


class Transform:
    """Does `pipe.train` or `pipe.test` to the rows of a batch: a dict of lists in, a dict of lists out."""

    def __init__(self, side: Train | Test, layout: Layout, index: str | None, epoch: int | None) -> None:
        self.side = side
        self._layout = layout
        self._index = index
        self._epoch = SharedEpoch(epoch)

    def set_epoch(self, epoch: int) -> None:
        """The epoch from now on, here and in the workers of a loader, started or not."""
        self._epoch.set(epoch)

    def __call__(self, rows: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
        """The rows afterwards, with the same columns. Raises KeyError for a missing one, ImageError for a picture."""
        lacking = [name for name in (*self._layout.places.values(), self._index) if name and name not in rows]
        if lacking:
            raise KeyError(
                f"the rows have no column {lacking[0]!r}; they have: {', '.join(map(repr, rows))}. A column of row "
                "numbers comes from dataset.add_column('idx', range(len(dataset))), before anything is shuffled"
            )
        count = len(rows[self._layout.image])
        done = [self._row({name: values[number] for name, values in rows.items()}) for number in range(count)]
        return {name: [row[name] for row in done] for name in rows}

    def _row(self, row: dict[str, Any]) -> Any:
        if self._index is None:
            return augment(self.side, self._layout, row, Key(None, ""))
        epoch = self._epoch.get()
        if epoch is None:
            raise TypeError(epoch_needed("transform"))
        return augment(self.side, self._layout, row, Key(epoch, checked_id(row[self._index], "the id of a row")))


def transform(
    side: Train | Test,
    *,
    index: str | None = None,
    image: str = "image",
    names: Mapping[str, str] | None = None,
    epoch: int | None = None,
) -> Transform:
    """A transform for `dataset.with_transform(..)`. It pickles, and so does the dataset.

    `index` is the column that says which sample a row is, and has to be given for `pipe.train`: integers or strings.
    `image` is the column of pictures, `names` those of other targets by ours: {"mask": "annotation"}. `epoch` can be
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
