"""WebDataset: a function for `.map(..)` whose random draws are seeded by the `__key__` of each sample."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any

from augreg.batch.keys import Key
from augreg.batch.samples import Layout, SampleMapping
from augreg.data.repeats import Occurrences
from augreg.data.sides import EpochAwareSide, augment, checked_side
from augreg.sides import Test, Train

__all__ = ["Mapper", "mapper"]


class Mapper(EpochAwareSide):
    """Applies `pipe.train` or `pipe.test` to the samples of a stream: a dict with `__key__` in, a dict out.

    Images may stay encoded: the pipeline decodes them.
    """

    def __init__(
        self,
        side: Train | Test,
        layout: Layout,
        key: Callable[[Mapping[str, Any]], int | str],
        epoch: int | None,
        resampled: bool,
    ) -> None:
        super().__init__(side, layout, epoch)
        self._id = key
        self._resampled = resampled
        self._repeats, self._counted = Occurrences(), epoch  # what was drawn in this process, in this epoch

    def __call__(self, sample: Mapping[str, Any]) -> SampleMapping:
        """The augmented sample, with its `key`. Raises KeyError if a part is missing, ImageError for a bad image."""
        key = self._key(self._id(sample), "the id of a sample")
        if self._resampled and key.epoch is not None:
            key = key._replace(view=self._view(key))
        augmented: SampleMapping = augment(self.side, self._layout, sample, key)
        return augmented

    def _view(self, key: Key) -> int:
        """How often this process has drawn the sample, numbered so that no two processes have the same views."""
        if key.epoch != self._counted:
            self._repeats, self._counted = Occurrences(), key.epoch
        place, count = _process()
        return self._repeats.number(key.index) * count + place


def _process() -> tuple[int, int]:
    """The number of this process among the workers of all ranks, and how many these are, as WebDataset counts."""
    rank, ranks, worker, workers = importlib.import_module("webdataset.utils").pytorch_worker_info()
    return rank * workers + worker, ranks * workers


def own_key(sample: Mapping[str, Any]) -> str:
    """The key that WebDataset gives a sample: its path in the archive without the suffix."""
    return str(sample["__key__"])


def mapper(
    side: Train | Test,
    *,
    image: str = "jpg",
    names: Mapping[str, str | None] | None = None,
    key: Callable[[Mapping[str, Any]], int | str] = own_key,
    epoch: int | None = None,
    resampled: bool = False,
) -> Mapper:
    """A function for `webdataset.WebDataset(..).map(..)`, with `.set_epoch(epoch)`.

    `image` is the name of the part with the image, and `names` maps the names of other targets to their parts:
    {"mask": "seg.png", "label": "cls"}; {"label": None} means that there are no labels. `key` returns the id of a
    sample, which must be unique across shards: give another function if `__key__` is not.

    `resampled` is for streams that draw shards with replacement: each occurrence of a sample in an epoch is then
    another view. It depends on the workers which one, as the stream does; without it equal keys give equal images.
    """
    return Mapper(checked_side(side), Layout({"image": image, **(names or {})}), key, epoch, resampled)
