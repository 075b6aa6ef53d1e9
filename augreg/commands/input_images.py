"""Find the images in a folder and below it, each with its key and, if there is one, its mask."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from augreg.commands.output_folder import is_output
from augreg.errors import ImageError
from augreg.images.suffixes import SUFFIXES

__all__ = ["Source", "find_images"]

_MASK = "_mask"


class Source(NamedTuple):
    """The file of an image; its key, which is its path below the folder, with `/`; and the file of its mask."""

    path: Path
    key: str
    mask: Path | None = None

    @property
    def without_suffix(self) -> Path:
        """The key without its suffix, as a path."""
        return Path(self.key).with_suffix("")


def find_images(
    folder: Path, masks: bool | Path = False, leave_out: Path | None = None, outputs: list[Path] | None = None
) -> list[Source]:
    """Every image below a folder, sorted by path; or, if `folder` is a file, that one image.

    `masks` is a folder that has the masks at the same paths, or True for masks beside the images: `photo_mask.png`
    is the mask of `photo.jpg`. `leave_out` is a folder to skip. Folders below it that `augreg apply` wrote are
    skipped too, and added to `outputs`. Raises ImageError if there are no images.
    """
    if folder.is_file():
        folder, paths = folder.parent, [folder]
    elif folder.is_dir():
        paths = sorted(_walk(folder, leave_out, outputs))
    else:
        raise ImageError(f"{folder}: no such file or folder; give an image or a folder of images")
    if not paths:
        raise ImageError(f"{folder}: no images in it or below it; image files end in {', '.join(SUFFIXES)}")
    keys = {path: _key(path, folder) for path in paths}
    if masks is False:
        return [Source(path, key) for path, key in keys.items()]
    if masks is True:
        images = {path.with_suffix("") for path in paths}
        beside = {path.with_suffix(""): path for path in paths if _masked_image(path) in images}
        return [
            Source(path, key, beside.get(path.with_name(path.stem + _MASK)))
            for path, key in keys.items()
            if _masked_image(path) not in images
        ]
    if not masks.is_dir():
        raise ImageError(f"{masks}: no such folder; --masks expects a folder with the same paths as the images")
    below = {path.relative_to(masks).with_suffix(""): path for path in _walk(masks)}
    return [Source(path, key, below.get(path.relative_to(folder).with_suffix(""))) for path, key in keys.items()]


def _masked_image(path: Path) -> Path | None:
    """The image, without suffix, of which a file would be the mask by its name; None for a name without `_mask`."""
    stem = path.stem
    return path.with_name(stem.removesuffix(_MASK)) if stem.endswith(_MASK) and stem != _MASK else None


def _key(path: Path, folder: Path) -> str:
    # a name that is not UTF-8 still needs a key that can be hashed and printed
    return os.fsencode(path.relative_to(folder).as_posix()).decode("utf-8", "backslashreplace")


def _walk(
    folder: Path, leave_out: Path | None = None, outputs: list[Path] | None = None, above: tuple[str, ...] = ()
) -> Iterator[Path]:
    """The image files below a folder. Links are followed, but not in cycles; hidden files are skipped."""
    above = (*above, os.path.realpath(folder))
    for entry in os.scandir(folder):
        path = folder / entry.name
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            real = os.path.realpath(path)
            if real in above or (leave_out is not None and real == os.path.realpath(leave_out)):
                continue
            if not is_output(path):
                yield from _walk(path, leave_out, outputs, above)
            elif outputs is not None:
                outputs.append(path)
        elif path.suffix.lower() in SUFFIXES:
            yield path
