"""WebDataset: a function for `.map(..)`, which draws by a sample's `__key__`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from augreg.batch.samples import Layout
from augreg.data.sides import EpochAwareSide, augment, checked_side
from augreg.pipeline import Test, Train

__all__ = ["Mapper", "mapper"]


class Mapper(EpochAwareSide):
    """Does `pipe.train` or `pipe.test` to the samples of a stream: a dict with `__key__` in, a dict out.

    The bytes of an image can be left encoded: the pipeline decodes them.
    """

    def __init__(
        self, side: Train | Test, layout: Layout, key: Callable[[Mapping[str, Any]], int | str], epoch: int | None
    ) -> None:
        super().__init__(side, layout, epoch)
        self._id = key

    def __call__(self, sample: Mapping[str, Any]) -> Any:
        """The sample afterwards, with its `key`. Raises KeyError for a missing part, ImageError for an image."""
        return augment(self.side, self._layout, sample, self._key(self._id(sample), "the id of a sample"))


def own_key(sample: Mapping[str, Any]) -> str:
    """The key that WebDataset gives a sample: its path in the archive, less the ending."""
    return str(sample["__key__"])


def mapper(
    side: Train | Test,
    *,
    image: str = "jpg",
    names: Mapping[str, str | None] | None = None,
    key: Callable[[Mapping[str, Any]], int | str] = own_key,
    epoch: int | None = None,
) -> Mapper:
    """A function for `webdataset.WebDataset(..).map(..)`, with `.set_epoch(epoch)`.

    `image` is the part that holds the image, `names` those of other targets by ours: {"mask": "seg.png", "label":
    "cls"}; {"label": None} says there is none. `key` gives a sample's id; it has to differ between shards too, so
    give another function where `__key__` does not.
    """
    return Mapper(checked_side(side), Layout({"image": image, **(names or {})}), key, epoch)
