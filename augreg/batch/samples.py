"""The forms of a sample in a dataset (image, tuple, mapping), and the results that carry a key."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from PIL import Image

from augreg.batch.keys import Key
from augreg.named_views.declared import PATCH_MASK
from augreg.named_views.result import NamedViews

__all__ = ["Batch", "Deferred", "DeferredImage", "Layout", "Sample", "SampleMapping", "Views", "layout_for"]

_TARGETS = ("boxes", "keypoints", "masks", "mask")


class Sample(tuple[Any, ...]):
    """An augmented sample from a tuple or a list, with its `Key` as `key`."""

    key: Key
    layout: Layout


class SampleMapping(dict[Any, Any]):
    """An augmented sample from a mapping, with its `Key` as `key`."""

    key: Key
    layout: Layout


class Views(tuple[Any, ...]):
    """The views of one image: several augmented samples, each as it would be by itself."""


class Batch(list[Any]):
    """The samples of a batch as a list, with additional data for collating them.

    `keys` are the keys of the samples. `images` is one array or tensor with all images, of which the image of each
    sample is a view; None if they are not arrays of one shape; or they are `Deferred`. `layout` is the layout of the
    samples. If the samples are `Views`, `views` has a batch for each view, and the keys are those of the first.
    """

    def __init__(
        self, samples: Iterable[Any], keys: Sequence[Key], images: Any, layout: Layout, views: Sequence[Batch] = ()
    ) -> None:
        super().__init__(samples)
        self.keys, self.images, self.layout, self.views = list(keys), images, layout, tuple(views)

    def __reduce__(self) -> Any:
        return Batch, (list(self), self.keys, self.images, self.layout, self.views)


class DeferredImage:
    """Stands for the image of a sample whose batch has `Deferred` images: only `pipe.collate` knows what to do."""


class Deferred:
    """The images of a batch, which are to be made on a device: `augreg.data.OnDevice` does it, and mixes the batch.

    `images` is what `augreg.devices` needs for this. `keys` and `layout` are those of the batch. `fingerprint` is
    that of the pipeline. `arrays` are the places of other members that were arrays, in whose order their axes are.
    """

    def __init__(
        self, images: Any, keys: Sequence[Key], layout: Layout, fingerprint: str, arrays: Collection[Any] = ()
    ) -> None:
        self.images, self.keys, self.layout = images, keys, layout
        self.fingerprint, self.arrays = fingerprint, arrays

    def pin_memory(self, device: Any = None) -> Deferred:
        """The same in pinned memory, as DataLoader's `pin_memory` asks."""
        return Deferred(self.images.pinned(), self.keys, self.layout, self.fingerprint, self.arrays)


class Layout:
    """The places of the image and its targets in a sample, by the names of docs/targets.md.

    `places` maps these names to the keys of a mapping or the positions in a tuple; None means that there is no such
    target. `unlabeled` is whether the labels were given as None.
    """

    def __init__(self, places: Mapping[str, Any]) -> None:
        self.places = {name: place for name, place in places.items() if place is not None}
        self.unlabeled = "label" in places and places["label"] is None
        self.names = {place: name for name, place in self.places.items()}

    @property
    def image(self) -> Any:
        """The key or the position of the image."""
        return self.places["image"]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Layout) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash(tuple(self.places.items()))

    def __repr__(self) -> str:
        return f"Layout({self.places})"

    def named(self, sample: Mapping[Any, Any]) -> dict[Any, Any]:
        """The sample with the names of docs/targets.md as keys. Raises KeyError if one is missing, or ValueError."""
        lacking = [place for place in self.places.values() if place not in sample]
        if lacking:
            keys = ", ".join(map(repr, sample)) or "none"
            raise KeyError(f"a sample has no {lacking[0]!r}; its keys are: {keys}. Name the key of the image: image=")
        renamed = {self.names.get(key, key): value for key, value in sample.items()}
        if len(renamed) != len(sample):
            name = next(name for name, place in self.places.items() if name != place and name in sample)
            raise ValueError(
                f"a sample has the key {name!r}, and also {self.places[name]!r}, which is used as {name!r}"
            )
        return renamed

    def as_given(self, sample: Mapping[Any, Any]) -> dict[Any, Any]:
        """The sample with the keys of the dataset again."""
        return {self.places.get(key, key): value for key, value in sample.items()}

    def run(self, item: Any, side: Callable[[Any], Any], keep: Callable[[Any], Any] | None = None) -> Any:
        """The augmented item in the same form: a bare image, a `Sample` or a `SampleMapping`.

        `keep` takes its image, and returns what the result has in its place.
        """
        return self.filled(item, side(self.given(item)), keep)

    def given(self, item: Any) -> Any:
        """What a side gets of an item: its image, or a mapping with the targets by the names of docs/targets.md."""
        if isinstance(item, tuple | list):
            if len(item) < len(self.places):
                raise ValueError(f"a sample has {len(item)} members, but fields names {', '.join(self.places)}")
            if len(self.places) == 1:  # the image alone
                return item[self.image]
            return {name: item[place] for name, place in self.places.items()}
        return self.named(item) if isinstance(item, Mapping) else item

    def filled(self, item: Any, augmented: Any, keep: Callable[[Any], Any] | None = None) -> Any:
        """The item with what a side made of what it was `given`; of samples with named views, one for each view."""
        if isinstance(augmented, NamedViews) and not self._is_given_alone(item):
            return NamedViews((name, self.filled(item, view)) for name, view in augmented.items())
        if isinstance(item, tuple | list):
            members = list(item)
            made = {"image": augmented} if len(self.places) == 1 else augmented
            if PATCH_MASK in made and PATCH_MASK not in self.places:
                raise ValueError("patch masks have no place in a tuple: let the dataset return mappings")
            for name, place in self.places.items():
                members[place] = made[name]
            if keep is not None:
                members[self.image] = keep(members[self.image])
            return Sample(members)
        if isinstance(item, Mapping):
            sample = SampleMapping(self.as_given(augmented))
            if keep is not None:
                sample[self.image] = keep(sample[self.image])
            return sample
        return augmented if keep is None else keep(augmented)

    def _is_given_alone(self, item: Any) -> bool:
        """Whether a side gets the image of an item alone."""
        return not isinstance(item, Mapping) and (not isinstance(item, tuple | list) or len(self.places) == 1)


_IMAGE_FIRST = Layout({"image": 0})


def layout_for(
    item: Any,
    image: str = "image",
    names: Mapping[str, str | None] | None = None,
    fields: Sequence[str] | None = None,
) -> Layout:
    """The layout of the items of a dataset, from one of its items.

    Raises ValueError if a target would not be transformed with its image: a mask or a mapping with boxes next to the
    image in a tuple, without `fields`.
    """
    if not isinstance(item, tuple | list):
        return Layout({"image": image, **(names or {})}) if isinstance(item, Mapping) else _IMAGE_FIRST
    if not item:
        raise ValueError("a sample is empty; expected an image, optionally with targets")
    if fields is not None:
        if "image" not in fields or len(set(fields)) != len(fields):
            raise ValueError(f"fields must name each member once, and one of them 'image', got {list(fields)!r}")
        return Layout({name: place for place, name in enumerate(fields)})
    for place, member in enumerate(item[1:], 1):
        if isinstance(member, int | str | float):  # nearly always: a label
            continue
        if isinstance(member, Mapping) and any(name in member for name in _TARGETS):
            raise ValueError(
                f"member {place} of a sample is a mapping with {', '.join(map(repr, member))}, which would not "
                "be transformed with the image: let the dataset return one mapping, {'image': image, **targets}"
            )
        if _is_pixels(member):
            raise ValueError(
                f"member {place} of a sample is an image or a mask, which would not be transformed with the image: "
                "name the members, as in fields=('image', 'mask'), or ('image', 'other') to leave it unchanged"
            )
    return _IMAGE_FIRST


def _is_pixels(member: Any) -> bool:
    return isinstance(member, Image.Image) or (hasattr(member, "dtype") and getattr(member, "ndim", 0) >= 2)
