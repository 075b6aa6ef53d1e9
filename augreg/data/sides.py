"""The train or the test side of a pipeline, done to one item of a dataset."""

from __future__ import annotations

import functools
from typing import Any

from augreg.data.keys import Key
from augreg.data.samples import Layout, Sample, SampleMapping
from augreg.errors import ImageError
from augreg.pipeline import Test, Train

__all__ = ["augment", "carrying", "checked_side", "epoch_needed"]


def checked_side(side: Any) -> Any:
    """The side of a pipeline, `pipe.train` or `pipe.test`. Raises TypeError for anything else."""
    if not isinstance(side, Train | Test):
        raise TypeError(f"give the side of a pipeline, pipe.train or pipe.test, got {type(side).__name__}")
    return side


def epoch_needed(who: str) -> str:
    """What to say where a picture is to be drawn and nobody told the epoch to `who`."""
    return (
        "the epoch is not known, so every epoch would draw the same pictures: call set_epoch(epoch) of the "
        f"{who} before each epoch, or give {who}(.., epoch=0) to keep to one on purpose"
    )


def augment(side: Any, layout: Layout, item: Any, key: Key) -> Any:
    """The item after `side`, in the form that it has, with its key; a bare picture has no place for one.

    The key's epoch is None for the test side. Raises ImageError, which names the sample.
    """
    call = side if key.epoch is None else functools.partial(side, index=key.index, epoch=key.epoch)
    try:
        sample = layout.run(item, call)
    except ImageError as error:
        raise ImageError(f"sample {key.index!r}: {error}") from error
    return carrying(sample, key, layout)


def carrying(sample: Any, key: Key, layout: Layout) -> Any:
    """The sample with its key, if it is of a kind that has one."""
    if isinstance(sample, Sample | SampleMapping):
        sample.key, sample.layout = key, layout
    return sample
