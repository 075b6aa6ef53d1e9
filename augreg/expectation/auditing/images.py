"""The images of an audit, in chunks, from a list, a dataset, a batch, or a DataLoader."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["Chunk", "chunks"]


@dataclass(frozen=True)
class Chunk:
    """Images that follow one another; `first` is the number of the first. `labels` is None if there are none."""

    first: int
    images: list[Any]
    labels: list[int] | None


def chunks(images: Any, labels: Any, size: int, start: int) -> Iterator[Chunk]:
    """Chunks of up to `size` images; the first has `start`, and each twice the one before, up to that.

    Images with labels in `labels`, or pairs of (image, label) from a dataset, or batches of them from a DataLoader.
    Raises ValueError if some images have a label and others have none.
    """
    pairs = _pairs(images, labels)
    first, count = 0, min(start, size)
    while part := list(itertools.islice(pairs, count)):
        known = [label for _, label in part if label is not None]
        if known and len(known) < len(part):
            raise ValueError(f"of the images {first} to {first + len(part) - 1}, only {len(known)} have labels")
        yield Chunk(first, [image for image, _ in part], known or None)
        first, count = first + len(part), min(2 * count, size)


def _pairs(images: Any, labels: Any) -> Iterator[tuple[Any, int | None]]:
    given = _given(images)
    if labels is None:
        yield from given
        return
    answers = iter(_unbatched_labels(labels))
    for number, (image, _) in enumerate(given):
        label = next(answers, None)
        if label is None:
            raise ValueError(f"there are more images than labels: {number} labels")
        yield image, label
    if next(answers, None) is not None:
        raise ValueError("there are more labels than images")


def _given(images: Any) -> Iterator[tuple[Any, int | None]]:
    several = hasattr(images, "__iter__") or hasattr(images, "__getitem__")
    if isinstance(images, str | bytes) or not several:
        raise TypeError(
            f"images must be a list, a dataset or a DataLoader, got {type(images).__name__}; give one image as a list"
        )
    if _is_loader(images):
        for batch in images:
            values, labels = _two(batch)
            known: Iterable[int | None] = itertools.repeat(None) if labels is None else _unbatched_labels(labels)
            yield from zip(values, known, strict=False)
        return
    for item in images if hasattr(images, "__iter__") else map(images.__getitem__, range(len(images))):
        value, label = _two(item)
        yield value, None if label is None else _label(label)


def _is_loader(images: Any) -> bool:
    """Whether this yields batches: a DataLoader, or a loader that has the batch size in its attributes."""
    return hasattr(images, "batch_sampler") or (hasattr(images, "batch_size") and not hasattr(images, "__getitem__"))


def _two(item: Any) -> tuple[Any, Any]:
    """The image (or images) and the label (or labels, or None) of an item."""
    if isinstance(item, tuple | list) and len(item) >= 2:
        return item[0], item[1]
    if isinstance(item, tuple | list) and len(item) == 1:
        return item[0], None
    if isinstance(item, Mapping) and "image" in item:
        return item["image"], item.get("label")
    return item, None


def _unbatched_labels(labels: Any) -> list[int]:
    return [_label(each) for each in labels]


def _label(value: Any) -> int:
    """A class number. Raises TypeError for soft labels and names."""
    number = np.asarray(value.detach().cpu() if hasattr(value, "detach") else value)
    if number.size != 1 or number.dtype.kind not in "iu":
        raise TypeError(
            f"a label is a class number, got {type(value).__name__} of {number.dtype}, shape {number.shape}; "
            "leave the labels out, or give the numbers in labels="
        )
    return int(number.reshape(()))
