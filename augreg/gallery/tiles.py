"""Tiles, the units of the page: an image with a caption, or an error in place of the image."""

from __future__ import annotations

import importlib.util
from typing import Any, NamedTuple

from numpy.typing import NDArray

from augreg.gallery.captions import size_of
from augreg.gallery.error_text import error_text
from augreg.gallery.regularizers import Picture
from augreg.images.thumbnails import Thumbnail, thumbnail, viewable
from augreg.ops import Normalize

__all__ = ["LONGEST", "Tile", "failed", "of_picture", "tile", "torch_installed"]

LONGEST = 192
"""The longer side of the images of cards, in pixels."""


class Tile(NamedTuple):
    """`note` says what was done to make the image viewable; `alt` is the text alternative of the image."""

    heading: str
    caption: str
    alt: str = ""
    note: str = ""
    image: Thumbnail | None = None
    error: str = ""


def tile(
    array: NDArray[Any], subject: str, heading: str, caption: str, longest: int, normalize: Normalize | None = None
) -> Tile:
    """A tile of a height x width x channels image; `subject` names what the image shows, for the text alternative."""
    image, note = viewable(array, normalize)
    alt = ", ".join(part for part in (subject, heading, caption, note, size_of(*array.shape[:2])) if part)
    return Tile(heading, caption, alt, note, thumbnail(image, longest))


def failed(heading: str, error: Exception | str) -> Tile:
    """A tile with an error in place of the image."""
    return Tile(heading, "", error=error if isinstance(error, str) else error_text(error))


def of_picture(picture: Picture) -> Tile:
    """A tile of a picture of a regularizer or of a target."""
    return tile(*picture, LONGEST)


def torch_installed() -> bool:
    """Whether torch is installed, which pictures of regularizers need; does not import it."""
    return importlib.util.find_spec("torch") is not None
