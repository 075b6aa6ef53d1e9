"""The images in a folder and below it, each with its key and, where there is one, its mask."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from augreg.errors import ImageError
from augreg.images.suffixes import SUFFIXES

__all__ = ["Source", "find"]

_MASK = "_mask"


class Source(NamedTuple):
    """An image's file; its path below the folder, with `/`, which is its key; and its mask's file."""

    path: Path
    key: str
    mask: Path | None = None

    @property
    def place(self) -> Path:
        """The key without the suffix, as a path."""
        return Path(self.key).with_suffix("")


def find(folder: Path, masks: bool | Path = False, leave_out: Path | None = None) -> list[Source]:
    """Every image below a folder, by key; or the one image that `folder` is itself.

    `masks` is a folder with the same paths below it, or True for masks beside the images: `photo_mask.png` is
    the mask of `photo.jpg`. `leave_out` is a folder not to enter. Raises ImageError where there is nothing.
    """
    if folder.is_file():
        folder, paths = folder.parent, [folder]
    elif folder.is_dir():
        paths = sorted(_walk(folder, leave_out))
    else:
        raise ImageError(f"{folder}: there is no such folder or file; give a folder of images")
    if not paths:
        raise ImageError(f"{folder}: no images in it or below it; they end in {', '.join(SUFFIXES)}")
    found = {path: _key(path, folder) for path in paths}
    if masks is False:
        return [Source(path, key) for path, key in found.items()]
    if masks is True:
        images = {path.with_suffix("") for path in paths}
        here = {path.with_suffix(""): path for path in paths if _of(path) in images}
        return [
            Source(path, key, here.get(path.with_name(path.stem + _MASK)))
            for path, key in found.items()
            if _of(path) not in images
        ]
    if not masks.is_dir():
        raise ImageError(
            f"{masks}: there is no such folder; --masks takes a folder with the same paths as the images"
        )
    there = {path.relative_to(masks).with_suffix(""): path for path in _walk(masks, None)}
    return [Source(path, key, there.get(path.relative_to(folder).with_suffix(""))) for path, key in found.items()]


def _of(path: Path) -> Path | None:
    """What a mask's file would be the mask of, without its suffix."""
    stem = path.stem
    return path.with_name(stem.removesuffix(_MASK)) if stem.endswith(_MASK) and stem != _MASK else None


def _key(path: Path, folder: Path) -> str:
    # a name that is no UTF-8 still needs a key that can be hashed and printed
    return os.fsencode(path.relative_to(folder).as_posix()).decode("utf-8", "backslashreplace")


def _walk(folder: Path, leave_out: Path | None, above: tuple[str, ...] = ()) -> Iterator[Path]:
    """The image files below a folder. Links are followed, but never in a circle; what is hidden is not seen."""
    above = (*above, os.path.realpath(folder))
    for entry in os.scandir(folder):
        path = folder / entry.name
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            real = os.path.realpath(path)
            if real not in above and (leave_out is None or real != os.path.realpath(leave_out)):
                yield from _walk(path, leave_out, above)
        elif path.suffix.lower() in SUFFIXES:
            yield path
