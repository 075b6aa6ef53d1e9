"""Collating: stacks the samples of a batch, and mixes them by the batch section of the pipeline.

Mixing is seeded by the keys of the samples, so the same samples in the same order always give the same batch. Samples
of `pipe.test` are stacked, but not mixed.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from typing import TYPE_CHECKING, Any, Final, overload

import numpy as np
from PIL import Image

from augreg.batch.keys import Key
from augreg.batch.label_keys import LABELS, unnamed_numbers
from augreg.batch.labels import SoftLabels
from augreg.batch.mixer import Mixer
from augreg.batch.object_keys import keys_of_boxes
from augreg.batch.samples import Deferred, Layout, Views
from augreg.named_views.result import NamedViews
from augreg.steps.calls import explains

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

__all__ = ["Collate"]

_NO_KEYS: Final = (
    "the batch section is seeded by the keys of the samples, and these samples have none: use an "
    "augreg.data.Augmented as the dataset of the loader, or mix by pipe.batch(images, labels, keys=..)"
)
_INSTANCES: Final = {"boxes", "bboxes", "bbox", "keypoints", "masks"}
"""Targets of which a sample has several: lists beside them have one member for each."""
_BARE: Final = (
    "the batch section is seeded by the keys of the samples, and bare images cannot carry one: collate the result "
    "of Augmented.__getitems__ itself, as a DataLoader does, or let the dataset return (image, label)"
)


class Collate:
    """The `collate_fn` of a DataLoader, usually used as `pipe.collate`. It can be pickled, as its pipeline can.

    A batch of tuples is a tuple of stacked arrays, a batch of mappings is a dict of them; the labels of a mixed batch
    are `SoftLabels`. Of samples with several views there is a tuple of such batches, one for each view, and each is
    mixed separately; of those with named views there are batches by name. Arrays are tensors if torch is installed,
    unless the spec has `output: numpy`. What cannot be stacked, such as the boxes of several images, stays a list.
    """

    def __init__(self, mixer: Mixer, output: str = "auto") -> None:
        """`mixer` mixes the batches of the train side; `output` is the option of that name of a spec."""
        self._mixer = mixer
        self._output = output

    @property
    def mixes(self) -> bool:
        """Whether there is a batch section, which needs the keys of the samples."""
        return bool(self._mixer.steps)

    @overload
    def __call__(self, samples: Sequence[Mapping[Any, Any]]) -> dict[Any, Any]: ...
    @overload
    def __call__(self, samples: Sequence[tuple[Any, ...] | list[Any]]) -> tuple[Any, ...]: ...
    @overload
    def __call__(self, samples: Sequence[NDArray[Any] | Tensor]) -> NDArray[Any] | Tensor: ...
    @explains(
        "pipe.collate(samples)", {"": "it takes a list of samples; pipe.batch(images, labels, keys=..) mixes a batch"}
    )
    def __call__(self, samples: Sequence[Any]) -> Any:
        """The batch of these samples. Raises ValueError if the images differ in size, or if it cannot be mixed."""
        if len(samples) == 0:
            raise ValueError("there are no samples to collate")
        if isinstance(samples[0], Views):
            return tuple(map(self, getattr(samples, "views", None) or zip(*samples, strict=True)))
        if isinstance(samples[0], NamedViews):
            named = _columns(samples)
            return NamedViews((name, self(views)) for name, views in named.items())
        columns = _columns(samples)
        layout = _layout(samples)
        if layout.image not in columns:
            raise ValueError(f"a sample has no {layout.image!r}; it has: {', '.join(map(repr, columns))}")
        images = columns[layout.image]
        whole = getattr(samples, "images", None)
        if whole is None:
            whole = self.stacked_images(images)
        # a tensor of arrays only provides the shared memory: its axes are in the order of arrays
        shares_memory = isinstance(images[0], np.ndarray) and not isinstance(whole, np.ndarray)
        images = whole.numpy() if shares_memory else whole
        # boxes and what goes with them are of any length, and stay lists also if all samples have as many
        named = {layout.names.get(place, place): values for place, values in columns.items()}
        of_boxes, instances = keys_of_boxes(named, self._mixer.targets), bool(_INSTANCES & named.keys())
        batch = {
            place: list(values)
            if name in of_boxes or (instances and isinstance(values[0], list | tuple))
            else self._stacked(values)
            for (name, values), place in zip(named.items(), columns, strict=True)
            if place != layout.image
        }
        batch = {place: images if place == layout.image else batch[place] for place in columns}
        if isinstance(whole, Deferred):
            whole.arrays = [place for place, value in batch.items() if isinstance(value, np.ndarray)]
        elif self._mixer.steps:
            batch = self.mixed(batch, layout, _keys(samples))
        batch = {place: self._to_output(value) for place, value in batch.items()}
        if shares_memory:
            batch[layout.image] = whole
        if isinstance(samples[0], Mapping):
            return batch
        return tuple(batch.values()) if isinstance(samples[0], tuple | list) else batch[layout.image]

    def mixed(self, batch: Mapping[Any, Any], layout: Layout, keys: Sequence[Key]) -> dict[Any, Any]:
        """The batch with mixed images, masks and labels; the images are changed in place. At test time, the batch."""
        if keys[0].epoch is None or not self._mixer.steps:
            return dict(batch)
        names = {place: layout.names.get(place, place) for place in batch}
        named = {names[place]: value for place, value in batch.items()}
        label = _label(batch, layout, len(keys), self._mixer.declared, self._mixer.object_keys(named, len(keys)))
        if label is not None:
            names[label] = "label"
        sample = {names[place]: value for place, value in batch.items()}
        if layout.unlabeled:
            sample.setdefault("label", None)
        mixed = self._mixer(sample, keys=keys, epoch=keys[0].epoch or 0, out={"image": sample["image"]})
        found = {place: mixed[names[place]] for place in batch}
        added = {key: value for key, value in mixed.items() if key not in sample}
        if isinstance(layout.image, int):
            _check_weights(added)
            return found
        return {**found, **added}

    @property
    def _torch(self) -> Any:
        """The module torch if batches are tensors, else None."""
        return _torch() if self._output != "numpy" else None

    def stacked_images(self, images: Sequence[Any]) -> Any:
        """The images in one array or tensor, or in one for each view.

        Raises ValueError if they are PIL images or differ in shape.
        """
        if isinstance(images[0], NamedViews):
            return self(images)
        if isinstance(images[0], Image.Image):
            raise ValueError(
                "the images are PIL images, which cannot be stacked: add normalize to the image section, or "
                "set `output: torch` or `output: numpy`"
            )
        shapes = Counter(tuple(image.shape) for image in images)
        if len(shapes) > 1:
            sizes = ", ".join("x".join(map(str, shape)) for shape, _ in shapes.most_common(4))
            raise ValueError(
                f"the images of a batch have {len(shapes)} shapes ({sizes}{', ..' if len(shapes) > 4 else ''}): "
                "add a step with a fixed output size to the image section, such as random_resized_crop: 224 or "
                "resize: {size: [224, 224]}, or use your own collate_fn that returns a list"
            )
        return self._stacked(images)

    def _stacked(self, values: Sequence[Any]) -> Any:
        """The values of one part of the samples, stacked if possible, else a list.

        Lists and tuples of numbers are stacked as rows. torch's default_collate would transpose them.
        """
        first = values[0]
        if isinstance(first, Mapping):
            if all(isinstance(value, Mapping) and value.keys() == first.keys() for value in values):
                return {key: self._stacked([value[key] for value in values]) for key in first}
            return list(values)
        if isinstance(first, list | tuple):
            if not _are_rows(values):
                return list(values)
            return self._torch.tensor(list(values)) if self._torch is not None else np.asarray(values)
        numbers = hasattr(values[0], "shape") or isinstance(values[0], int | float)
        try:
            if self._torch is not None and not isinstance(values[0], np.ndarray):
                return self._torch.utils.data.default_collate(list(values))
            return np.stack([np.asarray(value) for value in values]) if numbers else list(values)
        except (RuntimeError, TypeError, ValueError):  # different shapes, or a type that cannot be stacked
            return list(values)

    def _to_output(self, value: Any) -> Any:
        """A part of the batch as a tensor if batches are tensors."""
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
    """The values of each part of the samples. Raises ValueError if the samples have different parts."""
    first = samples[0]
    if not isinstance(first, Mapping | tuple | list):
        return {0: list(samples)}
    places = list(first) if isinstance(first, Mapping) else list(range(len(first)))
    for sample in samples:
        if len(sample) != len(places) or (
            isinstance(first, Mapping) and any(place not in sample for place in places)
        ):
            parts = [", ".join(map(repr, s)) if isinstance(s, Mapping) else len(s) for s in (first, sample)]
            raise ValueError(f"the samples of a batch have different parts: {parts[0]} and {parts[1]}")
    return {place: [sample[place] for sample in samples] for place in places}


def _are_rows(values: Sequence[Any]) -> bool:
    """Whether these are lists of numbers, all of one length."""
    return len(values[0]) > 0 and all(
        isinstance(value, list | tuple)
        and len(value) == len(values[0])
        and all(isinstance(number, int | float | np.number) for number in value)
        for value in values
    )


def _check_weights(added: Mapping[Any, Sequence[Any]]) -> None:
    """Raise ValueError if objects have weights that a sample without keys has no place for."""
    for key, weights in added.items():
        if any(float(weight) != 1.0 for each in weights for weight in each):
            raise ValueError(
                f"images are averaged, and the weights of their objects, {key!r}, have no place in a tuple: let the "
                "dataset return mappings, {'image': image, 'boxes': boxes, ..}, or mix without mixup"
            )


def _label(batch: Mapping[Any, Any], layout: Layout, count: int, declared: Set[str], of_objects: Set[Any]) -> Any:
    """The place of the labels if the layout does not name it; None if there are none.

    In a tuple, labels are the only integers next to the image. Raises ValueError if the place is not certain: labels
    that are not found would stay unmixed next to mixed images.
    """
    named = {layout.names.get(place, place): value for place, value in batch.items()}
    candidates = [] if layout.unlabeled else unnamed_numbers(named, count, declared, of_objects)
    if not isinstance(layout.image, int):  # a mapping
        if candidates:
            raise ValueError(
                "the batch section mixes labels with their images, and no part of a sample is named 'label': give "
                f"Augmented names={{'label': {candidates[0]!r}}}, or names={{'label': None}} if there are none"
            )
        return None
    candidates = [place for place in candidates if place not in layout.places]
    if len(candidates) > 1:
        raise ValueError(
            f"members {', '.join(map(str, candidates))} of a sample could each be the label, which the batch section "
            "mixes: name the members in the Augmented, as in fields=('image', 'other', 'label')"
        )
    if candidates:
        return candidates[0]
    return 1 if 1 in batch and 1 not in layout.names and not set(LABELS) & layout.places.keys() else None


def _layout(samples: Sequence[Any]) -> Layout:
    """The layout of the samples: the one that `Augmented` attached, else the default."""
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
