"""The train or the test side of a pipeline, done to one item of a dataset, and told the epoch."""

from __future__ import annotations

import functools
from typing import Any

from augreg.batch.keys import Key, checked_id
from augreg.batch.samples import Layout, Sample, SampleMapping
from augreg.data.epoch import SharedEpoch
from augreg.errors import ImageError
from augreg.pipeline import Test, Train

__all__ = ["EpochAwareSide", "augment", "checked_side", "with_key"]


def checked_side(side: Any) -> Any:
    """The side of a pipeline, `pipe.train` or `pipe.test`. Raises TypeError for anything else."""
    if not isinstance(side, Train | Test):
        raise TypeError(f"give the side of a pipeline, pipe.train or pipe.test, got {type(side).__name__}")
    return side


class EpochAwareSide:
    """The side of a pipeline as a function that a framework calls, which is told the epoch by `set_epoch`."""

    def __init__(self, side: Train | Test, layout: Layout, epoch: int | None) -> None:
        self.side = side
        self._layout = layout
        self._epoch = SharedEpoch(epoch)

    def set_epoch(self, epoch: int) -> None:
        """The epoch from now on, here and in the workers of a loader, started or not; call it before each pass."""
        self._epoch.set(epoch)

    def _key(self, given: Any, where: str) -> Key:
        """The key of a sample with this id. Raises TypeError where it would be drawn and the epoch is not known."""
        epoch = self._epoch.get() if isinstance(self.side, Train) else None
        if epoch is None and isinstance(self.side, Train):
            who = type(self).__name__.lower()
            raise TypeError(
                "the epoch is not known, so every epoch would draw the same images: call set_epoch(epoch) of the "
                f"{who} before each epoch, or give {who}(.., epoch=0) to keep to one on purpose"
            )
        return Key(epoch, checked_id(given, where))


def augment(side: Any, layout: Layout, item: Any, key: Key) -> Any:
    """The item after `side`, in the form that it has, with its key; a bare image has no place for one.

    The key's epoch is None for the test side. Raises ImageError, which names the sample.
    """
    call = side if key.epoch is None else functools.partial(side, index=key.index, epoch=key.epoch)
    try:
        sample = layout.run(item, call)
    except ImageError as error:
        raise ImageError(f"sample {key.index!r}: {error}") from error
    return with_key(sample, key, layout)


def with_key(sample: Any, key: Key, layout: Layout) -> Any:
    """The sample with its key, if it is of a kind that has one."""
    if isinstance(sample, Sample | SampleMapping):
        sample.key, sample.layout = key, layout
    return sample
