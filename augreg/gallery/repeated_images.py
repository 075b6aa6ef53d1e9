"""Images that a page shows several times: their data is in the style once, and each `img` refers to it by its class.

The `img` itself has an empty image of the same size, so that it keeps its place, its text alternative and its size.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from augreg.images.thumbnails import Thumbnail

__all__ = ["Repeated", "repeated_images", "style_of"]


class Repeated(NamedTuple):
    """The class of a repeated image, and the empty image of its size that takes its place."""

    name: str
    placeholder: str


def repeated_images(parts: Any) -> Mapping[str, Repeated]:
    """The images that occur more than once in tuples, lists and mappings, by their data URI, in order."""
    images = list(_thumbnails(parts))
    counts = Counter(image.src for image in images)
    several = {image.src: image for image in images if counts[image.src] > 1}
    return {src: Repeated(f"i{number}", _empty(image)) for number, (src, image) in enumerate(several.items())}


def style_of(repeated: Mapping[str, Repeated]) -> str:
    """The style with the data of repeated images."""
    if not repeated:
        return ""
    names = ", ".join(f".{one.name}" for one in repeated.values())
    rules = [f"{names} {{ background-size: 100% 100%; print-color-adjust: exact; forced-color-adjust: none; }}"]
    rules += [f".{one.name} {{ background-image: url({src}); }}" for src, one in repeated.items()]
    return "".join(f"{rule}\n" for rule in rules)


def _thumbnails(value: Any) -> Iterator[Thumbnail]:
    if isinstance(value, Thumbnail):
        yield value
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from _thumbnails(one)
    elif isinstance(value, tuple | list):
        for one in value:
            yield from _thumbnails(one)


def _empty(image: Thumbnail) -> str:
    size = f"width='{image.width}' height='{image.height}'"
    return f"data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' {size}/%3E"
