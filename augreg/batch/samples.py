"""Samples as datasets have them, taken apart and put together again, and what carries their keys."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from PIL import Image

from augreg.batch.keys import Key

__all__ = ["Batch", "Layout", "Sample", "SampleMapping", "layout_for"]

_TARGETS = ("boxes", "keypoints", "masks", "mask")


class Sample(tuple[Any, ...]):
    """A sample that a dataset gave as a tuple or a list: its parts, and `key`, which is its `Key`."""

    key: Key
    layout: Layout


class SampleMapping(dict[Any, Any]):
    """A sample that a dataset gave as a mapping: its parts by name, and `key`, which is its `Key`."""

    key: Key
    layout: Layout


class Batch(list[Any]):
    """The samples of a batch, as a list, with what collating them can use.

    `keys` are the samples' own. `images` are their images in one array or tensor, of which each sample's image
    is a row; None where they have no array or not one size. `layout` says where a sample's parts are.
    """

    def __init__(self, samples: Iterable[Any], keys: Sequence[Key], images: Any, layout: Layout) -> None:
        super().__init__(samples)
        self.keys, self.images, self.layout = list(keys), images, layout

    def __reduce__(self) -> Any:
        return Batch, (list(self), self.keys, self.images, self.layout)


class Layout:
    """Where the image and its targets are in a sample: by the names of docs/targets.md.

    `places` maps those names to the keys of a mapping or the positions of a tuple; None says that there is no such
    target. `unlabeled` is whether that was said of the labels.
    """

    def __init__(self, places: Mapping[str, Any]) -> None:
        self.places = {name: place for name, place in places.items() if place is not None}
        self.unlabeled = "label" in places and places["label"] is None
        self.names = {place: name for name, place in self.places.items()}

    @property
    def image(self) -> Any:
        """Where the image is."""
        return self.places["image"]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Layout) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash(tuple(self.places.items()))

    def __repr__(self) -> str:
        return f"Layout({self.places})"

    def named(self, sample: Mapping[Any, Any]) -> dict[Any, Any]:
        """A mapping with the names of ours for its keys. Raises KeyError or ValueError, which say what is missing."""
        lacking = [place for place in self.places.values() if place not in sample]
        if lacking:
            given = ", ".join(map(repr, sample)) or "none"
            raise KeyError(
                f"a sample has no {lacking[0]!r}; its keys are: {given}. Say which holds the image: image="
            )
        found = {self.names.get(key, key): value for key, value in sample.items()}
        if len(found) != len(sample):
            twice = next(name for name, place in self.places.items() if name != place and name in sample)
            raise ValueError(f"a sample has both {self.places[twice]!r}, which was to be {twice!r}, and {twice!r}")
        return found

    def as_given(self, sample: Mapping[Any, Any]) -> dict[Any, Any]:
        """The same with the dataset's own keys again."""
        return {self.places.get(key, key): value for key, value in sample.items()}

    def run(self, item: Any, side: Callable[[Any], Any]) -> Any:
        """The dataset's item after `side`, in the same form: a bare image, a `Sample` or a `SampleMapping`."""
        if isinstance(item, Mapping):
            return SampleMapping(self.as_given(side(self.named(item))))
        if not isinstance(item, tuple | list):
            return side(item)
        members = list(item)
        if len(members) < len(self.places):
            raise ValueError(f"a sample has {len(members)} members, and fields names {', '.join(self.places)}")
        if set(self.places) == {"image"}:
            members[0] = side(members[0])
        else:
            done = side({name: members[place] for name, place in self.places.items()})
            for name, place in self.places.items():
                members[place] = done[name]
        return Sample(members)

    def image_of(self, sample: Any) -> Any:
        """The image of a sample that is done."""
        return sample[self.image] if isinstance(sample, Sample | SampleMapping) else sample

    def with_image(self, sample: Any, image: Any) -> Any:
        """The sample with another image; a mapping is changed in place."""
        if isinstance(sample, SampleMapping):
            sample[self.image] = image
            return sample
        if isinstance(sample, Sample):
            place = self.image
            return Sample((*sample[:place], image, *sample[place + 1 :]))
        return image


def layout_for(
    item: Any,
    image: str = "image",
    names: Mapping[str, str | None] | None = None,
    fields: Sequence[str] | None = None,
) -> Layout:
    """The layout of the items of a dataset, found by looking at one of them.

    Raises ValueError where a target would not follow its image: beside an image in a tuple stands a mask, or a
    mapping of boxes, and nobody said so.
    """
    if isinstance(item, Mapping):
        return Layout({"image": image, **(names or {})})
    if not isinstance(item, tuple | list):
        return Layout({"image": 0})
    if not item:
        raise ValueError("a sample is empty; expected an image, and what else belongs to it")
    if fields is not None:
        if "image" not in fields or len(set(fields)) != len(fields):
            raise ValueError(f"fields names the members of a sample, one of them 'image', got {list(fields)!r}")
        return Layout({name: place for place, name in enumerate(fields)})
    for place, member in enumerate(item[1:], 1):
        if isinstance(member, Mapping) and any(name in member for name in _TARGETS):
            raise ValueError(
                f"member {place} of a sample is a mapping with {', '.join(map(repr, member))}, which would not "
                "follow the image: let the dataset give one mapping, {'image': image, **targets}"
            )
        if _is_pixels(member):
            raise ValueError(
                f"member {place} of a sample is an image or a mask, which would not follow the image: say what "
                "the members are, as in fields=('image', 'mask'), or ('image', 'other') to leave it as it is"
            )
    return Layout({"image": 0})


def _is_pixels(member: Any) -> bool:
    return isinstance(member, Image.Image) or (hasattr(member, "dtype") and getattr(member, "ndim", 0) >= 2)
