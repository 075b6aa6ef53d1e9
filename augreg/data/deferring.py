"""Deferring: a batch of which workers do the first part, and `OnDevice` the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from augreg.batch.keys import Key
from augreg.batch.samples import Batch, Deferred, DeferredImage, Layout
from augreg.columns.philox import Addresses, addresses_of
from augreg.data.batches import in_torch_worker
from augreg.data.sides import with_key
from augreg.devices.loading import plain_memory
from augreg.devices.preparing import prepared
from augreg.devices.samples import prepared_samples, read
from augreg.sides import Test, Train

__all__ = ["deferred_batch"]


def deferred_batch(side: Train | Test, items: Sequence[Any], layouts: Sequence[Layout], keys: Sequence[Key]) -> Batch:
    """The samples of a batch without their images, and what is needed to make these on a device.

    Images are drawn for, and read as far as the first op needs them; what has no kernel for batches runs here.
    Targets are moved here. In a worker of torch's DataLoader, pixels are in shared memory. Raises ImageError.
    """
    in_worker = in_torch_worker()
    memory: Any = plain_memory
    if in_worker:
        from augreg.data.worker_memory import shared_tensor as memory
    draws = side.batch_draws(_addresses(side, keys))
    given = [layout.given(item) for layout, item in zip(layouts, items, strict=True)]
    names = [key.index for key in keys]
    if isinstance(given[0], Mapping):
        images, results = prepared_samples(given, draws, names, memory, not in_worker)
    else:
        inputs = [read(image, name, draws.settings.channels) for image, name in zip(given, names, strict=True)]
        images, results = prepared(inputs, draws, memory, not in_worker, sent=True), [{}] * len(inputs)
    samples = [
        with_key(layout.filled(item, result, _without_image), key, layout)
        for layout, item, result, key in zip(layouts, items, results, keys, strict=True)
    ]
    whole = Deferred(images, keys, layouts[-1], side._pipeline.fingerprint)
    return Batch(samples, keys, whole, layouts[-1])


def _without_image(image: Any) -> DeferredImage:
    return DeferredImage()


def _addresses(side: Train | Test, keys: Sequence[Key]) -> Addresses | None:
    """The addresses of the samples; None for `pipe.test`. Raises ValueError if they are of several epochs."""
    epochs = {key.epoch for key in keys}
    if len(epochs) > 1:
        raise ValueError(f"the images of a deferred batch have one epoch, and these have {sorted(epochs, key=str)}")
    (epoch,) = epochs
    if epoch is None:
        return None
    found = addresses_of(side._options.seed, [key.index for key in keys], epoch)
    found.parts[4] = [key.view for key in keys]
    return found
