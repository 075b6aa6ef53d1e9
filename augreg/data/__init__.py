"""Loaders: augreg with torch's DataLoader, Hugging Face datasets, WebDataset, Lightning and torchdata.

    from augreg.data import Augmented, EpochSampler

    data = Augmented(dataset, pipe.train)                  # outermost: the index and the epoch reach the pipeline
    sampler = EpochSampler(data, seed=0)                   # yields (epoch, index)
    loader = DataLoader(data, 64, sampler=sampler, collate_fn=pipe.collate, num_workers=8)

Nothing here imports a framework before it is used. `augreg.data.huggingface` and `augreg.data.webdataset` hold what
is special to each.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from augreg.data.augmented import Augmented
    from augreg.data.collate import Collate
    from augreg.data.epoch import SharedEpoch
    from augreg.data.folders import Folder, folder
    from augreg.data.keys import Key
    from augreg.data.sampler import EpochSampler
    from augreg.data.samples import Batch, Sample, SampleMapping

__all__ = [
    "Augmented",
    "Batch",
    "Collate",
    "EpochSampler",
    "Folder",
    "Key",
    "Sample",
    "SampleMapping",
    "SharedEpoch",
    "folder",
]

_HOMES = {
    "Augmented": "augmented",
    "Batch": "samples",
    "Collate": "collate",
    "EpochSampler": "sampler",
    "Folder": "folders",
    "Key": "keys",
    "Sample": "samples",
    "SampleMapping": "samples",
    "SharedEpoch": "epoch",
    "folder": "folders",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"augreg.data.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'augreg.data' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
