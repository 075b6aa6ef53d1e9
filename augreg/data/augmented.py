"""A dataset whose images are augmented: the outermost wrap, so that the index and the epoch reach the pipeline."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from augreg.batch.keys import Key, checked_id
from augreg.batch.samples import Batch, Layout, layout_for
from augreg.data.batches import BatchBuffer, in_torch_worker
from augreg.data.epoch import SharedEpoch, checked_epoch
from augreg.data.sides import augment, checked_side, with_key
from augreg.pipeline import Test, Train

__all__ = ["Augmented"]

_NO_EPOCH = (
    "the index {index!r} came without an epoch, so every epoch would draw the same images: give the DataLoader "
    "sampler=EpochSampler(data) in place of shuffle=True. Where a framework makes the loader, call "
    "data.set_epoch(epoch) before each pass begins (Lightning begins it too early for that: "
    "docs/loaders/lightning.md); Augmented(.., epoch=0) keeps to one epoch on purpose"
)


class Augmented:
    """A map-style dataset after `pipe.train` or `pipe.test`.

    An item of the dataset is an image, a tuple or list that begins with one, or a mapping with one under `image`
    and targets by the names of docs/targets.md; the same form comes out, with a `key`. Items are asked for by
    `Key(epoch, index)`, which is what an `EpochSampler` yields; for `pipe.test`, or once the epoch is set, a plain
    index will do. Anything that loads in batches gets them from `__getitems__`, in one array.
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

        `epoch` sets the epoch for plain indices. `ids` are the samples' own ids, by which they are drawn instead of
        by index: a list, the key of a mapping's id, or a function of the dataset's item; so a sample stays what it
        is when the dataset is sorted or cut. For mappings, `image` is the image's key, and `names` those of other
        targets by ours: {"mask": "segmentation", "label": "fine_label"}; {"label": None} says there are none.
        For tuples, `fields` names the members: ("image", "mask").
        """
        if isinstance(dataset, Augmented):
            raise TypeError("this dataset is an Augmented already: put all steps into one pipeline")
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
        """The epoch of plain indices; None while it is not known."""
        return self._epoch.get()

    def set_epoch(self, epoch: int) -> None:
        """The epoch of plain indices from now on, in this process and in all workers, started or not.

        For frameworks that replace the sampler; call it before the epoch's first batch is asked for.
        """
        self._epoch.set(epoch)

    def __getitem__(self, key: Any) -> Any:
        """The sample with this key, `(epoch, index)`, or with this index if its epoch is known."""
        epoch, index = self._place(key)
        item = self.dataset[index]
        return augment(self.side, self._layout(item), item, self._key(epoch, index, item))

    def __getitems__(self, keys: Sequence[Any]) -> Batch:
        """The samples with these keys: a list, with their images in one array where they have one shape."""
        places = [self._place(key) for key in keys]
        indices = [index for _, index in places]
        if hasattr(self.dataset, "__getitems__"):
            items = self.dataset.__getitems__(indices)
        else:
            items = (self.dataset[index] for index in indices)
        batch = Batch([], [], None, Layout({"image": 0}))
        filler = BatchBuffer(len(places), self._for_torch and in_torch_worker())
        for (epoch, index), item in zip(places, items, strict=True):
            batch.layout = layout = self._layout(item)
            key = self._key(epoch, index, item)
            sample = augment(self.side, layout, item, key)
            sample = layout.with_image(sample, filler.add(layout.image_of(sample)))
            batch.append(with_key(sample, key, layout))
            batch.keys.append(key)
        batch.images = filler.images
        return batch

    @property
    def _for_torch(self) -> bool:
        """Whether batches become tensors."""
        return str(self.side._options.output) != "numpy"

    def _place(self, key: Any) -> tuple[int | None, Any]:
        """The epoch, None for the test side, and the index that the dataset is asked for."""
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
            return Key(epoch, checked_id(ids(item), "what ids gives for a sample"))
        if not isinstance(ids, str):
            return Key(epoch, checked_id(ids[index], f"the id of sample {index!r}"))
        if not isinstance(item, Mapping) or ids not in item:
            given = ", ".join(map(repr, item)) if isinstance(item, Mapping) else f"a {type(item).__name__}"
            raise KeyError(f"ids={ids!r} is to be the key of a sample's id; a sample has: {given}")
        return Key(epoch, checked_id(item[ids], f"the id of a sample under {ids!r}"))
