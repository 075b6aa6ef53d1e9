"""A dataset whose images are augmented. It is the outermost wrapper, so that it gets the index and the epoch."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from augreg.batch.keys import Key, checked_id
from augreg.batch.samples import Batch, Layout, Views, layout_for
from augreg.data.batches import BatchBuffer, in_torch_worker
from augreg.data.declared_types import MapDataset
from augreg.data.epoch import SharedEpoch, checked_epoch
from augreg.data.sides import augment, checked_side
from augreg.images import buffers
from augreg.pipeline import Pipeline
from augreg.sides import Test, Train
from augreg.steps.calls import explains

__all__ = ["Augmented"]

_NO_EPOCH = (
    "the index {index!r} has no epoch, so every epoch would have the same images: create the DataLoader with "
    "sampler=EpochSampler(data) in place of shuffle=True. If a framework creates the loader, call "
    "data.set_epoch(epoch) before each pass begins (Lightning begins it too early for that: see "
    "docs/loaders/lightning.md; for the Trainer of transformers, docs/trainers.md). Augmented(.., epoch=0) stays in "
    "one epoch on purpose"
)


class Augmented(MapDataset):
    """A map-style dataset with `pipe.train` or `pipe.test` applied to its items.

    An item of the dataset is an image, a tuple or list that begins with one, or a mapping with one under `image` and
    targets by the names of docs/targets.md. The result has the same form, and a `key` unless it is a bare image. The
    index is a `Key(epoch, index, view)`, as an `EpochSampler` yields it, or a pair (epoch, index); for `pipe.test`,
    or after `set_epoch`, a plain index works too. Loaders that read whole batches call `__getitems__`, which puts the
    images into one array.
    """

    @explains(
        "Augmented(dataset, side)",
        {
            **dict.fromkeys(
                ("transform", "transforms", "train", "pipeline"), "the second one is pipe.train or pipe.test"
            ),
            "seed": "the seed is an option of the spec: pipe.replace(seed=..)",
            **dict.fromkeys(
                ("shuffle", "batch_size", "sampler"), "this belongs to the DataLoader or its EpochSampler"
            ),
        },
    )
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
        views: int = 1,
        defer: bool = False,
    ) -> None:
        """Wrap a dataset with `__getitem__` and `__len__`; `side` is `pipe.train` or `pipe.test`.

        `epoch` sets the epoch for plain indices. `ids` gives each sample an id, which seeds its random draws in place
        of the index: a list, the key of the id in a mapping, or a function of the dataset's item. Samples with ids do
        not change when the dataset is sorted or filtered. For mappings, `image` is the key of the image, and `names`
        maps the names of other targets to their keys: {"mask": "segmentation", "label": "fine_label"};
        {"label": None} means that there are no labels. For tuples, `fields` names the members: ("image", "mask").
        With `views` above 1, an item is a tuple of so many augmented samples of one image, each with other draws.

        With `defer`, the batches of a loader have images that are yet to be made: `OnDevice(loader, pipe, device)`
        makes them. Single items are made as ever.
        """
        if isinstance(dataset, Augmented):
            raise TypeError("this dataset is already an Augmented: put all steps into one pipeline")
        if isinstance(dataset, str | os.PathLike):
            raise TypeError(
                f"expected a dataset, got {dataset!r}: for a folder, give augreg.data.folder({dataset!r})"
            )
        if isinstance(dataset, Pipeline | Train | Test):
            raise TypeError("the dataset comes first: Augmented(dataset, pipe.train)")
        if not hasattr(dataset, "__getitem__") or not hasattr(dataset, "__len__"):
            raise TypeError(
                f"a {type(dataset).__name__} has no __getitem__ and __len__; for a stream, see augreg.data.webdataset"
            )
        if not isinstance(ids, str) and isinstance(ids, Sequence) and len(ids) != len(dataset):
            raise ValueError(f"there are {len(ids)} ids for {len(dataset)} samples")
        if isinstance(views, bool) or not isinstance(views, int) or views < 1:
            raise ValueError(
                f"views is the number of augmented samples of one image, an integer from 1, got {views!r}"
            )
        if views > 1 and isinstance(side, Test):
            raise ValueError(f"views={views} of pipe.test would be {views} equal samples: leave views out")
        if defer and isinstance(side, Train | Test) and side._options.output == "numpy":
            raise ValueError("deferred images become tensors on a device: leave `output: numpy` out of the spec")
        if defer and isinstance(side, Train | Test) and side.named_views:
            raise ValueError("the named views of a spec cannot be deferred: leave defer out")
        self.dataset = dataset
        self.side = checked_side(side)
        self.views = views
        self.defer = defer
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

    def hold_epoch(self, epoch: int | None) -> None:
        """Set the epoch, and ignore `set_epoch` until another is held; None ends this. `Epochs` calls it."""
        self._epoch.hold(epoch)

    def __getitem__(self, key: Any) -> Any:
        """The sample with this key, `(epoch, index)` or `(epoch, index, view)`; of several views, the tuple of them.

        A plain index works if the epoch is set.
        """
        epoch, index, view = self._place(key, self._epoch.use())
        item = self.dataset[index]
        layout, keys = self._layout(item), self._keys(epoch, index, view, item)
        samples = [augment(self.side, layout, item, key) for key in keys]
        return samples[0] if self.views == 1 else Views(samples)

    def __getitems__(self, keys: Sequence[Any]) -> list[Any]:
        """The samples with these keys: a list, with the images in one array if they all have the same shape.

        Samples with named views have no such array.
        """
        if self.side.named_views:
            return [self[key] for key in keys]
        epoch = self._epoch.use()
        places = [self._place(key, epoch) for key in keys]
        indices = [index for _, index, _ in places]
        if hasattr(self.dataset, "__getitems__"):
            items = self.dataset.__getitems__(indices)
        else:
            items = (self.dataset[index] for index in indices)
        if self.defer:
            return self._deferred(places, list(items))
        batches = [Batch([], [], None, Layout({"image": 0})) for _ in range(self.views)]
        memory = [BatchBuffer(len(places), self._for_torch and in_torch_worker()) for _ in batches]
        for (epoch, index, view), item in zip(places, items, strict=True):
            layout = self._layout(item)
            for batch, buffer, key in zip(batches, memory, self._keys(epoch, index, view, item), strict=True):
                batch.layout = layout
                with buffers.offered(buffer.place):
                    batch.append(augment(self.side, layout, item, key, buffer.add))
                batch.keys.append(key)
        for batch, buffer in zip(batches, memory, strict=True):
            batch.images = buffer.images
        return _of_views(batches)

    def _deferred(self, places: Sequence[Any], items: Sequence[Any]) -> Batch:
        from augreg.data.deferring import deferred_batch

        layouts = [self._layout(item) for item in items]
        keys = [
            self._keys(epoch, index, view, item) for (epoch, index, view), item in zip(places, items, strict=True)
        ]
        return _of_views([deferred_batch(self.side, items, layouts, own) for own in zip(*keys, strict=True)])

    @property
    def _for_torch(self) -> bool:
        """Whether batches become tensors."""
        return str(self.side._options.output) != "numpy"

    def _place(self, key: Any, epoch: int | None) -> tuple[int | None, Any, int]:
        """The epoch (None for `pipe.test`), the index within the dataset, and the number of the view.

        `epoch` is that of plain indices.
        """
        known, index, view = (*key, 0)[:3] if isinstance(key, tuple) and len(key) in (2, 3) else (None, key, 0)
        if isinstance(index, int) and index < 0:
            index += len(self.dataset)
        if isinstance(self.side, Test):
            return None, index, 0
        if known is not None:
            return checked_epoch(known), index, view
        if epoch is None:
            raise TypeError(_NO_EPOCH.format(index=index))
        return epoch, index, view

    def _keys(self, epoch: int | None, index: Any, view: int, item: Any) -> list[Key]:
        """The key of each view of a sample that was drawn `view` times before."""
        sample = self._id(index, item)
        return [Key(epoch, sample, view * self.views + number) for number in range(self.views)]

    def _id(self, index: Any, item: Any) -> int | str:
        ids = self._ids
        if ids is None:
            return checked_id(index, "the index of a sample")
        if callable(ids):
            return checked_id(ids(item), "the result of ids for a sample")
        if not isinstance(ids, str):
            return checked_id(ids[index], f"the id of sample {index!r}")
        if not isinstance(item, Mapping) or ids not in item:
            keys = ", ".join(map(repr, item)) if isinstance(item, Mapping) else f"none, it is a {type(item).__name__}"
            raise KeyError(f"a sample has no {ids!r}, which ids= names as the key of its id; its keys are: {keys}")
        return checked_id(item[ids], f"the id of a sample under {ids!r}")


def _of_views(batches: Sequence[Batch]) -> Batch:
    """The only batch, or one of samples that are `Views`."""
    first = batches[0]
    if len(batches) == 1:
        return first
    return Batch(map(Views, zip(*batches, strict=True)), first.keys, None, first.layout, batches)
