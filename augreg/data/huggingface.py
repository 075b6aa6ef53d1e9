"""Hugging Face: a transform for the datasets library, and a `data_collator` for the Trainer of transformers.

`Augmented` accepts a `datasets.Dataset` directly and is preferable, since it knows the index. `transform` is for
programs that need a Dataset: it does not know which rows it gets, so they need a column of ids. `collator` gives the
parts of a batch the names of the model's arguments; augreg.training.huggingface has the loss and the callback.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from augreg.batch.collate import Collate
from augreg.batch.samples import Layout
from augreg.data.sides import EpochAwareSide, augment, checked_side
from augreg.named_views.result import NamedViews
from augreg.pipeline import Pipeline
from augreg.sides import Test, Train

__all__ = ["Collator", "Transform", "collator", "transform"]

_LABELS = ("label", "labels")


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
        # the columns of a spec with named views are these
        names = augmented[0] if augmented and isinstance(augmented[0], NamedViews) else rows
        return {name: [row[name] for row in augmented] for name in names}

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


class Collator:
    """Stacks and mixes a batch as `pipe.collate` does, and returns it by the names of the model's arguments."""

    def __init__(self, collate: Collate, inputs: Mapping[str, Any]) -> None:
        """`inputs` maps arguments of the model to the parts of a sample, by key or position; see `collator`."""
        self._collate = collate
        self._inputs = dict(inputs)

    def __call__(self, samples: Sequence[Any]) -> dict[str, Any]:
        """The batch. Raises KeyError for a part that the samples do not have, and what `pipe.collate` raises."""
        first = samples[0]
        layout = getattr(samples, "layout", None) or getattr(first, "layout", None)
        if isinstance(first, Mapping) and layout is None and ("image" not in first or self._collate.mixes):
            raise KeyError(
                f"the rows have no {'key' if 'image' in first else 'image'}; they have: "
                f"{', '.join(map(repr, first))}. The Trainer removes columns, and with them what augreg knows of a "
                "row: set TrainingArguments(.., remove_unused_columns=False), and give the Trainer "
                "Augmented(dataset, pipe.train) as its dataset"
            )
        if not isinstance(first, Mapping | tuple | list):
            raise TypeError(
                f"a sample is a tuple or a mapping with an image and a label, got a {type(first).__name__}"
            )
        batch = self._collate(samples)
        parts = batch if isinstance(batch, Mapping) else dict(enumerate(batch))
        result = {argument: parts[place] for argument, place in self._places(parts, layout).items()}
        dtype = str(result["pixel_values"].dtype)
        if not dtype.startswith(("torch.float", "torch.bfloat")):
            raise TypeError(
                f"the images are {dtype}, and a model takes tensors of floats: "
                "add normalize to the image section, without `output: numpy`"
            )
        return result

    def _places(self, parts: Mapping[Any, Any], layout: Layout | None) -> dict[str, Any]:
        """The place of each argument's value among the parts of the batch."""
        image = layout.image if layout is not None else 0 if 0 in parts else "image"
        places = {"pixel_values": image, **self._inputs}
        if "labels" not in places:
            declared = {} if layout is None else layout.places
            others = [place for place in parts if place != places["pixel_values"]]
            if "label" in declared:
                places["labels"] = declared["label"]
            elif isinstance(places["pixel_values"], int):  # a tuple
                if len(others) > 1:
                    raise ValueError(
                        f"members {', '.join(map(str, others))} of a sample could each be the labels: "
                        "name one, as in collator(pipe, labels=1)"
                    )
                places.update({"labels": others[0]} if others else {})
            else:
                named = [place for place in _LABELS if place in parts]
                places.update({"labels": named[0]} if named else {})
        for argument, place in places.items():
            if place not in parts:
                raise KeyError(
                    f"the argument {argument!r} of the model is to be the part {place!r} of a sample, which has: "
                    f"{', '.join(map(repr, parts))}"
                )
        return places


def collator(pipe: Pipeline, **inputs: str | int) -> Collator:
    """The `data_collator` of a Trainer whose datasets are `Augmented(.., pipe.train)` and `Augmented(.., pipe.test)`.

    A batch is {"pixel_values": images, "labels": labels}; the labels of mixed images are `SoftLabels`. In a mapping
    the labels are under `label` or `labels`, in a tuple they are the only member beside the image. `inputs` names
    parts of a sample for other arguments of the model, or for these two where they are not found:
    `collator(pipe, labels="fine_label", pixel_mask="mask")`. Parts that are not named are left out.
    """
    return Collator(pipe.collate, inputs)
