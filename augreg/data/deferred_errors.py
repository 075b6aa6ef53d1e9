"""What is said of loaders whose batches a device cannot finish."""

from __future__ import annotations

from typing import Final

__all__ = ["NOT_DEFERRED", "OTHER_PIPELINE"]

NOT_DEFERRED: Final = (
    "the batches of this loader are finished by its workers, so nothing is left for the device: make it as "
    "DataLoader(Augmented(dataset, pipe.train, defer=True), batch_size, collate_fn=pipe.collate, ..)"
)
OTHER_PIPELINE: Final = (
    "the dataset of this loader has another pipeline than was given to OnDevice: give both the same, "
    "Augmented(dataset, pipe.train, defer=True) and OnDevice(loader, pipe, device)"
)
