"""The classes that a DataLoader is declared to take, as bases for type checkers. At run time torch is not needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from torch.utils.data import Dataset, Sampler

    MapDataset: TypeAlias = Dataset[Any]
    IndexSampler: TypeAlias = Sampler[Any]
else:
    MapDataset = IndexSampler = object
