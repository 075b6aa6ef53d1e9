"""Walk over a folder: the images in it and below it, in the order of their paths."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from augreg.images.files import read_file
from augreg.images.suffixes import SUFFIXES

__all__ = ["MANIFEST", "MASK", "is_image", "is_output", "key_of", "masked", "stem_of", "walk"]

MANIFEST = "augreg.json"
"""The file that `augreg apply` leaves beside its output."""
MASK = "_mask"
"""`photo_mask.png` is the mask of `photo.jpg`."""
_MOST_MANIFEST = 1 << 28
_SUFFIXES = frozenset(SUFFIXES)
_FOLDER = "\1"  # marks the name of a folder; it sorts before all that a name can go on with, but for \1 itself


def is_image(name: str) -> bool:
    """Whether a file is an image by its suffix."""
    return name[name.rfind(".") :].lower() in _SUFFIXES


def stem_of(name: str) -> str:
    """The path of a file without the suffix of an image; the same path if it has none."""
    return name[: name.rfind(".")] if is_image(name) else name


def masked(stem: str) -> str:
    """The path without suffix of the image of which a file is the mask by its name; "" for other names."""
    image = stem.removesuffix(MASK)
    return image if image != stem and image and not image.endswith("/") else ""


def key_of(name: str) -> str:
    """The key of a file: its path, where bytes that are not UTF-8 are escaped, to be hashed and printed."""
    return name if name.isascii() else os.fsencode(name).decode("utf-8", "backslashreplace")


def is_output(folder: str | Path) -> bool:
    """Whether `augreg apply` wrote a folder: it has its manifest."""
    try:
        manifest = json.loads(read_file(Path(folder, MANIFEST), _MOST_MANIFEST))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(manifest, dict) and {"fingerprint", "made_with"} <= manifest.keys()


def walk(
    folder: str | Path,
    leave_out: str | Path | None = None,
    outputs: list[Path] | None = None,
    sort: Callable[[Iterable[str]], Iterable[str]] = sorted,
) -> Iterator[str]:
    """The paths of all images below a folder, relative to it, with `/`, sorted by their parts.

    Links are followed, but not in cycles; hidden files and folders are skipped. `leave_out` is a folder to skip.
    Folders below that `augreg apply` wrote are skipped too, and added to `outputs`. `sort` sorts the names in one
    folder. Raises OSError for a folder that cannot be read.
    """
    skipped = None if leave_out is None else os.path.realpath(leave_out)

    def below(place: str, prefix: str, above: tuple[str, ...]) -> Iterator[str]:
        above = (*above, os.path.realpath(place))
        for name in sort(_entries(place)):
            if not name.endswith(_FOLDER):
                yield prefix + name
                continue
            name = name[:-1]
            inner = f"{place}/{name}"
            real = os.path.realpath(inner)
            if real in above or real == skipped:
                continue
            if not is_output(inner):
                yield from below(inner, f"{prefix}{name}/", above)
            elif outputs is not None:
                outputs.append(Path(inner))

    return below(str(folder), "", ())


def _entries(folder: str) -> Iterator[str]:
    """The names of the images and, marked, of the folders in a folder."""
    with os.scandir(folder) as entries:
        for entry in entries:
            name = entry.name
            if name.startswith("."):
                continue
            if entry.is_dir():
                yield name + _FOLDER
            elif name[name.rfind(".") :].lower() in _SUFFIXES:
                yield name
