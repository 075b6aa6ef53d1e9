"""Applying `pipe.train` or `pipe.test` to the items of a dataset, in the current epoch."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from augreg.batch.keys import Key, checked_id
from augreg.batch.samples import Layout, Sample, SampleMapping
from augreg.data.epoch import SharedEpoch
from augreg.errors import ImageError
from augreg.named_views.result import NamedViews
from augreg.sides import Test, Train

__all__ = ["EpochAwareSide", "augment", "checked_side", "with_key"]


def checked_side(side: Any) -> Train | Test:
    """`side` itself if it is `pipe.train` or `pipe.test`. Raises TypeError for anything else."""
    if not isinstance(side, Train | Test):
        raise TypeError(f"expected pipe.train or pipe.test, got {type(side).__name__}")
    return side


class EpochAwareSide:
    """`pipe.train` or `pipe.test` as a function for a framework that knows no epoch; `set_epoch` sets it."""

    def __init__(self, side: Train | Test, layout: Layout, epoch: int | None) -> None:
        self.side = side
        self._layout = layout
        self._epoch = SharedEpoch(epoch)

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch, in this process and in running or future workers; call it before each pass."""
        self._epoch.set(epoch)

    def hold_epoch(self, epoch: int | None) -> None:
        """Set the epoch, and ignore `set_epoch` until another is held; None ends this. `Epochs` calls it."""
        self._epoch.hold(epoch)

    def _key(self, given: Any, where: str) -> Key:
        """The key of the sample with this id. Raises TypeError for `pipe.train` if the epoch is not set."""
        epoch = self._epoch.use()
        epoch = epoch if isinstance(self.side, Train) else None
        if epoch is None and isinstance(self.side, Train):
            name = type(self).__name__.lower()
            raise TypeError(
                f"the epoch is not set, so every epoch would have the same images: call set_epoch(epoch) of the "
                f"{name} before each epoch, or use {name}(.., epoch=0) to stay in one epoch on purpose"
            )
        return Key(epoch, checked_id(given, where))


def augment(side: Train | Test, layout: Layout, item: Any, key: Key, keep: Callable[[Any], Any] | None = None) -> Any:
    """The item after `side`, in the same form and with its key; a bare image cannot carry one.

    For `pipe.test` the epoch of the key is None. `keep` takes the image, and returns what the result has instead.
    Raises ImageError, which names the sample.
    """
    epoch, index, view = key
    call = side if epoch is None else functools.partial(side, index=index, epoch=epoch, view=view)
    try:
        sample = layout.run(item, call, keep)
    except ImageError as error:
        raise ImageError(f"sample {key.index!r}: {error}") from error
    return with_key(sample, key, layout)


def with_key(sample: Any, key: Key, layout: Layout) -> Any:
    """The sample, with its key and layout if its type can carry them."""
    if isinstance(sample, Sample | SampleMapping | NamedViews):
        sample.key, sample.layout = key, layout
    if isinstance(sample, NamedViews):
        for view in sample.values():
            with_key(view, key, layout)
    return sample
