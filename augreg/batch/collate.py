"""Collating: the samples of a batch become arrays or tensors, and the pipeline's batch section mixes them.

Mixing is keyed by the samples' own keys, so a batch of the same samples in the same order comes out the same
wherever it is put together. Samples of the test side are only gathered.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, overload

import numpy as np
from PIL import Image

from augreg.batch.keys import Key
from augreg.batch.labels import SoftLabels
from augreg.batch.mixer import LABELS, Mixer, unnamed_numbers
from augreg.batch.samples import Layout

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

__all__ = ["Collate"]

_NO_KEYS: Final = (
    "the batch section draws by the samples' keys, and these samples have none: let the loader read an "
    "augreg.data.Augmented, with no other dataset around it, or mix by pipe.batch(images, labels, keys=..)"
)
_BARE: Final = (
    "the batch section draws by the samples' keys, and bare images have no place for one: give what "
    "Augmented.__getitems__ returns as it is, as a DataLoader does, or let the dataset give (image, label)"
)


class Collate:
    """`collate_fn` for loaders, usually had as `pipe.collate`. It pickles.

    Tuples come out as a tuple of batches, mappings as a dict of batches; labels of a mixed batch as `SoftLabels`.
    Batches are tensors where torch is installed, unless the spec says `output: numpy`. What cannot be stacked, such
    as boxes of several images, stays a list.
    """

    def __init__(self, mixer: Mixer, output: str = "auto") -> None:
        """`mixer` mixes the batches of the train side; `output` is the option of that name of a spec."""
        self._mixer = mixer
        self._output = output

    @overload
    def __call__(self, samples: Sequence[Mapping[Any, Any]]) -> dict[Any, Any]: ...
    @overload
    def __call__(self, samples: Sequence[tuple[Any, ...] | list[Any]]) -> tuple[Any, ...]: ...
    @overload
    def __call__(self, samples: Sequence[NDArray[Any] | Tensor]) -> NDArray[Any] | Tensor: ...
    def __call__(self, samples: Sequence[Any]) -> Any:
        """The batch of these samples. Raises ValueError for images of several sizes, or if it cannot be mixed."""
        if len(samples) == 0:
            raise ValueError("there are no samples to collate")
        columns = _columns(samples)
        layout = _layout(samples)
        if layout.image not in columns:
            raise ValueError(f"a sample has no {layout.image!r}; it has: {', '.join(map(repr, columns))}")
        images = columns[layout.image]
        whole = getattr(samples, "images", None)
        if whole is None:
            whole = self._stacked(images)
        # a tensor that holds arrays only lends them its memory: their axes are in the order of arrays
        shares_memory = isinstance(images[0], np.ndarray) and not isinstance(whole, np.ndarray)
        images = whole.numpy() if shares_memory else whole
        batch = {
            place: images if place == layout.image else self._gathered(values) for place, values in columns.items()
        }
        if self._mixer.steps:
            keys = _keys(samples)
            if keys[0].epoch is not None:
                batch = self._mixed(batch, layout, keys)
        batch = {place: self._delivered(value) for place, value in batch.items()}
        if shares_memory:
            batch[layout.image] = whole
        if isinstance(samples[0], Mapping):
            return batch
        return tuple(batch.values()) if isinstance(samples[0], tuple | list) else batch[layout.image]

    def _mixed(self, batch: Mapping[Any, Any], layout: Layout, keys: Sequence[Key]) -> dict[Any, Any]:
        """The batch with its images, masks and labels mixed, the images in place."""
        names = {place: layout.names.get(place, place) for place in batch}
        label = _label(batch, layout, len(keys))
        if label is not None:
            names[label] = "label"
        given = {names[place]: value for place, value in batch.items()}
        if layout.unlabeled:
            given.setdefault("label", None)
        ids = [key.index for key in keys]
        done = self._mixer(given, keys=ids, epoch=keys[0].epoch or 0, out={"image": given["image"]})
        return {place: done[names[place]] for place in batch}

    @property
    def _torch(self) -> Any:
        """The module, if batches are to be tensors."""
        return _torch() if self._output != "numpy" else None

    def _stacked(self, images: Sequence[Any]) -> Any:
        """The images in one array or tensor."""
        if isinstance(images[0], Image.Image):
            raise ValueError(
                "the images come out as PIL images, which make no batch: add normalize to the image section, or "
                "say `output: torch` or `output: numpy`"
            )
        shapes = Counter(tuple(image.shape) for image in images)
        if len(shapes) > 1:
            sizes = ", ".join("x".join(map(str, shape)) for shape, _ in shapes.most_common(4))
            raise ValueError(
                f"the images of a batch have {len(shapes)} shapes ({sizes}{', ..' if len(shapes) > 4 else ''}): "
                "give the image section a step that leaves one size, such as random_resized_crop: 224 or resize: "
                "{size: [224, 224]}, or the loader a collate_fn of your own that keeps a list"
            )
        return self._gathered(images)

    def _gathered(self, values: Sequence[Any]) -> Any:
        """The values of one place in the samples, stacked if they can be."""
        numbers = hasattr(values[0], "shape") or isinstance(values[0], int | float)
        try:
            if self._torch is not None and not isinstance(values[0], np.ndarray):
                return self._torch.utils.data.default_collate(list(values))
            return np.stack([np.asarray(value) for value in values]) if numbers else list(values)
        except (RuntimeError, TypeError, ValueError):  # of several shapes, or of no kind that can be stacked
            return list(values)

    def _delivered(self, value: Any) -> Any:
        """A batch as it is handed out."""
        if self._torch is None:
            return value
        if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
            return self._torch.from_numpy(value)
        return value.to("cpu") if isinstance(value, SoftLabels) else value


@functools.cache
def _torch() -> Any:
    try:
        import torch
    except ImportError:
        return None
    return torch


def _columns(samples: Sequence[Any]) -> dict[Any, list[Any]]:
    """The samples' parts, place by place. Raises ValueError where samples differ in what they have."""
    first = samples[0]
    if not isinstance(first, Mapping | tuple | list):
        return {0: list(samples)}
    places = list(first) if isinstance(first, Mapping) else list(range(len(first)))
    for sample in samples:
        if len(sample) != len(places) or (
            isinstance(first, Mapping) and any(place not in sample for place in places)
        ):
            held = [", ".join(map(repr, one)) if isinstance(one, Mapping) else len(one) for one in (first, sample)]
            raise ValueError(f"the samples of a batch have different parts: {held[0]} and {held[1]}")
    return {place: [sample[place] for sample in samples] for place in places}


def _label(batch: Mapping[Any, Any], layout: Layout, count: int) -> Any:
    """Where the labels are, if the layout does not say and they are to be found; None if there are none.

    In a tuple they are the only integers beside the image. Raises ValueError where nobody can know: labels that
    were not found would stay hard beside mixed images.
    """
    given = {layout.names.get(place, place): value for place, value in batch.items()}
    found = [] if layout.unlabeled else unnamed_numbers(given, count)
    if not isinstance(layout.image, int):  # a mapping
        if found:
            raise ValueError(
                "the batch section mixes labels with their images, and nothing here is called 'label': where the "
                f"dataset is wrapped, say names={{'label': {found[0]!r}}}, or names={{'label': None}}"
            )
        return None
    found = [place for place in found if place not in layout.places]
    if len(found) > 1:
        raise ValueError(
            f"members {', '.join(map(str, found))} of a sample may each be its label, which the batch section mixes: "
            "where the dataset is wrapped, say what the members are, as in fields=('image', 'other', 'label')"
        )
    if found:
        return found[0]
    return 1 if 1 in batch and 1 not in layout.names and not set(LABELS) & layout.places.keys() else None


def _layout(samples: Sequence[Any]) -> Layout:
    """Where things are in the samples: as `Augmented` found out, else by their names."""
    for carrier in (samples, samples[0]):
        layout = getattr(carrier, "layout", None)
        if isinstance(layout, Layout):
            return layout
    return Layout({"image": "image" if isinstance(samples[0], Mapping) else 0})


def _keys(samples: Sequence[Any]) -> list[Key]:
    keys = getattr(samples, "keys", None)
    if isinstance(keys, list):
        return keys
    try:
        return [sample.key for sample in samples]
    except AttributeError:
        bare = not isinstance(samples[0], Mapping | tuple | list)
        raise ValueError(_BARE if bare else _NO_KEYS) from None
