"""Data loading: with torch's DataLoader, Hugging Face datasets, WebDataset, Ray Data, Lightning and torchdata.

    from augreg.data import Augmented, EpochSampler

    data = Augmented(dataset, pipe.train)                  # outermost, so that it gets the index and the epoch
    sampler = EpochSampler(data, seed=0)                   # yields (epoch, index)
    loader = DataLoader(data, 64, sampler=sampler, collate_fn=pipe.collate, num_workers=8)

Frameworks are imported when they are used. `augreg.data.huggingface`, `augreg.data.webdataset` and `augreg.data.ray`
have what those libraries need.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from augreg import lazy

if TYPE_CHECKING:
    from augreg.batch.collate import Collate as Collate
    from augreg.batch.keys import Key as Key
    from augreg.batch.samples import Batch as Batch, Sample as Sample, SampleMapping as SampleMapping
    from augreg.data.augmented import Augmented as Augmented
    from augreg.data.epoch import SharedEpoch as SharedEpoch
    from augreg.data.folders import Folder as Folder, folder as folder
    from augreg.data.on_device import OnDevice as OnDevice
    from augreg.data.sample_photos import sample_photo as sample_photo
    from augreg.data.sampler import EpochSampler as EpochSampler

__getattr__, __dir__, __all__ = lazy.names(
    __name__,
    {
        ".batch.collate": ("Collate",),
        ".batch.keys": ("Key",),
        ".batch.samples": ("Batch", "Sample", "SampleMapping"),
        "augmented": ("Augmented",),
        "epoch": ("SharedEpoch",),
        "folders": ("Folder", "folder"),
        "on_device": ("OnDevice",),
        "sample_photos": ("sample_photo",),
        "sampler": ("EpochSampler",),
    },
)
