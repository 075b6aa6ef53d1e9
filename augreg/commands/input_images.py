"""Find the images in a folder and below it, each with its key and, if there is one, its mask."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from augreg.errors import ImageError
from augreg.images.folders import MASK, key_of, masked, stem_of, walk
from augreg.images.suffixes import SUFFIXES

__all__ = ["Source", "find_images"]


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
        folder, names = folder.parent, [folder.name]
    elif folder.is_dir():
        names = list(walk(folder, leave_out, outputs))
    else:
        raise ImageError(f"{folder}: no such file or folder; give an image or a folder of images")
    if not names:
        raise ImageError(f"{folder}: no images in it or below it; image files end in {', '.join(SUFFIXES)}")
    if masks is False:
        return [Source(folder / name, key_of(name)) for name in names]
    if masks is True:
        place = folder
        images = {stem_of(name) for name in names}
        found = {stem.removesuffix(MASK): name for name in names if masked(stem := stem_of(name)) in images}
        names = [name for name in names if masked(stem_of(name)) not in images]
    elif masks.is_dir():
        place, found = masks, {stem_of(name): name for name in walk(masks)}
    else:
        raise ImageError(f"{masks}: no such folder; --masks expects a folder with the same paths as the images")
    return [
        Source(folder / name, key_of(name), place / found[stem] if (stem := stem_of(name)) in found else None)
        for name in names
    ]
