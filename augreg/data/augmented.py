"""A dataset whose images are augmented. It is the outermost wrapper, so that it gets the index and the epoch."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from augreg.batch.keys import Key, checked_id
from augreg.batch.samples import Batch, Layout, layout_for
from augreg.data.batches import BatchBuffer, in_torch_worker
from augreg.data.epoch import SharedEpoch, checked_epoch
from augreg.data.sides import augment, checked_side, with_key
from augreg.pipeline import Test, Train

if TYPE_CHECKING:
    from torch.utils.data import Dataset

    _Dataset: TypeAlias = Dataset[Any]  # what a DataLoader is declared to take
else:
    _Dataset = object  # torch is not needed

__all__ = ["Augmented"]

_NO_EPOCH = (
    "the index {index!r} has no epoch, so every epoch would have the same images: create the DataLoader with "
    "sampler=EpochSampler(data) in place of shuffle=True. If a framework creates the loader, call "
    "data.set_epoch(epoch) before each pass begins (Lightning begins it too early for that: see "
    "docs/loaders/lightning.md). Augmented(.., epoch=0) stays in one epoch on purpose"
)


class Augmented(_Dataset):
    """A map-style dataset with `pipe.train` or `pipe.test` applied to its items.

    An item of the dataset is an image, a tuple or list that begins with one, or a mapping with one under `image`
    and targets by the names of docs/targets.md. The result has the same form, and a `key` unless it is a bare image.
    The index is a `Key(epoch, index)`, as an `EpochSampler` yields it; for `pipe.test`, or after `set_epoch`, a plain
    index works too. Loaders that read whole batches call `__getitems__`, which puts the images into one array.
    """

    def __init__(
        self,
        dataset: Any,
        side: Train | Test,
        *,
        epoch: int | None = None,
        ids: str | Callable[[Any], int | str] | Sequence[int | str] | None = None,
        image: str = "image",
        names: Mapping[str, str | None] | None = None,
        fields: Sequence[str] | None = None,
    ) -> None:
        """Wrap a dataset with `__getitem__` and `__len__`; `side` is `pipe.train` or `pipe.test`.

        `epoch` sets the epoch for plain indices. `ids` gives each sample an id, which seeds its random draws in place
        of the index: a list, the key of the id in a mapping, or a function of the dataset's item. Samples with ids do
        not change when the dataset is sorted or filtered. For mappings, `image` is the key of the image, and `names`
        maps the names of other targets to their keys: {"mask": "segmentation", "label": "fine_label"};
        {"label": None} means that there are no labels. For tuples, `fields` names the members: ("image", "mask").
        """
        if isinstance(dataset, Augmented):
            raise TypeError("this dataset is already an Augmented: put all steps into one pipeline")
        if not hasattr(dataset, "__getitem__") or not hasattr(dataset, "__len__"):
            raise TypeError(
                f"a {type(dataset).__name__} has no __getitem__ and __len__; for a stream, see augreg.data.webdataset"
            )
        if not isinstance(ids, str) and isinstance(ids, Sequence) and len(ids) != len(dataset):
            raise ValueError(f"there are {len(ids)} ids for {len(dataset)} samples")
        self.dataset = dataset
        self.side = checked_side(side)
        self._ids = ids
        self._epoch = SharedEpoch(epoch)
        self._layout = functools.partial(layout_for, image=image, names=names, fields=fields)

    def __len__(self) -> int:
        return len(self.dataset)

    @property
    def epoch(self) -> int | None:
        """The epoch of plain indices; None if it is not set."""
        return self._epoch.get()

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of plain indices, in this process and in running or future workers.

        For frameworks that replace the sampler; call it before the first batch of the epoch is requested.
        """
        self._epoch.set(epoch)

    def __getitem__(self, key: Any) -> Any:
        """The sample with this key, `(epoch, index)`, or with this index if the epoch is set."""
        epoch, index = self._place(key)
        item = self.dataset[index]
        return augment(self.side, self._layout(item), item, self._key(epoch, index, item))

    def __getitems__(self, keys: Sequence[Any]) -> Batch:
        """The samples with these keys: a list, with the images in one array if they all have the same shape."""
        places = [self._place(key) for key in keys]
        indices = [index for _, index in places]
        if hasattr(self.dataset, "__getitems__"):
            items = self.dataset.__getitems__(indices)
        else:
            items = (self.dataset[index] for index in indices)
        batch = Batch([], [], None, Layout({"image": 0}))
        buffer = BatchBuffer(len(places), self._for_torch and in_torch_worker())
        for (epoch, index), item in zip(places, items, strict=True):
            batch.layout = layout = self._layout(item)
            key = self._key(epoch, index, item)
            sample = augment(self.side, layout, item, key)
            sample = layout.with_image(sample, buffer.add(layout.image_of(sample)))
            batch.append(with_key(sample, key, layout))
            batch.keys.append(key)
        batch.images = buffer.images
        return batch

    @property
    def _for_torch(self) -> bool:
        """Whether batches become tensors."""
        return str(self.side._options.output) != "numpy"

    def _place(self, key: Any) -> tuple[int | None, Any]:
        """The epoch (None for `pipe.test`) and the index within the dataset."""
        known, index = key if isinstance(key, tuple) and len(key) == 2 else (None, key)
        if isinstance(index, int) and index < 0:
            index += len(self.dataset)
        if isinstance(self.side, Test):
            return None, index
        if known is not None:
            return checked_epoch(known), index
        known = self._epoch.get()
        if known is None:
            raise TypeError(_NO_EPOCH.format(index=index))
        return known, index

    def _key(self, epoch: int | None, index: Any, item: Any) -> Key:
        ids = self._ids
        if ids is None:
            return Key(epoch, checked_id(index, "the index of a sample"))
        if callable(ids):
            return Key(epoch, checked_id(ids(item), "the result of ids for a sample"))
        if not isinstance(ids, str):
            return Key(epoch, checked_id(ids[index], f"the id of sample {index!r}"))
        if not isinstance(item, Mapping) or ids not in item:
            keys = ", ".join(map(repr, item)) if isinstance(item, Mapping) else f"none, it is a {type(item).__name__}"
            raise KeyError(f"a sample has no {ids!r}, which ids= names as the key of its id; its keys are: {keys}")
        return Key(epoch, checked_id(item[ids], f"the id of a sample under {ids!r}"))
