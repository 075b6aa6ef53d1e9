"""Tiles: the unit of the page, an image with words under it, or the reason why there is no image."""

from __future__ import annotations

from typing import Any, NamedTuple

from numpy.typing import NDArray

from augreg.gallery.error_text import reason
from augreg.gallery.thumbnails import Thumbnail, thumbnail, viewable
from augreg.ops import Normalize

__all__ = ["Tile", "failed", "tile"]


class Tile(NamedTuple):
    """`heading` and `words` are its caption, `note` what was done to make it viewable, `alt` says it all at once."""

    heading: str
    words: str
    alt: str = ""
    note: str = ""
    image: Thumbnail | None = None
    broken: str = ""


def tile(
    array: NDArray[Any], subject: str, heading: str, words: str, longest: int, normalize: Normalize | None = None
) -> Tile:
    """A tile of a height x width x channels image; `subject` is what the image is of."""
    image, note = viewable(array, normalize)
    height, width = array.shape[:2]
    alt = ", ".join(part for part in (subject, heading, words, note, f"{height}x{width}") if part)
    return Tile(heading, words, alt, note, thumbnail(image, longest))


def failed(heading: str, error: Exception | str) -> Tile:
    """A tile that says why it has no image."""
    return Tile(heading, "", broken=error if isinstance(error, str) else reason(error))
