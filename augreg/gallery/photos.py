"""The photos that the gallery shows: found in folders, read once, and kept with the reason where they are broken."""

from __future__ import annotations

import importlib.resources
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from augreg import ops
from augreg.backends import backend
from augreg.errors import ImageError
from augreg.gallery.reasons import reason
from augreg.images.codecs import to_array
from augreg.images.suffixes import SUFFIXES

__all__ = ["Photo", "find", "read", "samples", "shrunk"]

_SAMPLES = ("chelsea.jpg", "coffee.jpg", "astronaut.jpg", "rocket.jpg")


class Photo(NamedTuple):
    """An image by its file's name: its pixels, or why there are none; and the sample that it came in, if in one."""

    name: str
    array: NDArray[Any] | None
    broken: str = ""
    sample: Mapping[Any, Any] | None = None


def samples() -> list[Path]:
    """The sample photos: inside the installed package, or beside it in the repository."""
    inside = Path(str(importlib.resources.files("augreg.gallery"))) / "photos"
    beside = Path(__file__).parents[2] / "gallery" / "photos"
    for folder in (inside, beside):
        if folder.is_dir():
            return [folder / name for name in _SAMPLES]
    raise FileNotFoundError(f"the sample photos are not at {inside}; name your own with --images")


def find(paths: Iterable[Path]) -> list[Path]:
    """The files among these paths, and the images in the folders. Raises FileNotFoundError."""
    found: list[Path] = []
    for path in paths:
        if not path.exists():
            raise FileNotFoundError(f"{path}: there is no such file or folder; give images or folders of images")
        inside = _images(path) if path.is_dir() else [path]
        if not inside:
            raise FileNotFoundError(f"{path}: no images in this folder; they end in {', '.join(SUFFIXES)}")
        found += inside
    return found


def _images(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file())


def read(images: Iterable[Any], channels: str = "rgb", size: int | None = None) -> list[Photo]:
    """What can be read of these, shrunk to a shorter side of `size`, and why the rest cannot."""
    photos = []
    for number, image in enumerate(images, 1):
        sample = image if isinstance(image, Mapping) else None
        if sample is not None:
            image = sample.get("image")
        source = image if isinstance(image, str | Path) else getattr(image, "filename", "")
        name = Path(source).name if source else f"image {number}"
        try:
            array = to_array(image, channels).array
            # boxes and points belong to the size that they were given for
            photos.append(Photo(name, array if size is None or sample else shrunk(array, size), sample=sample))
        except ImageError as error:
            photos.append(Photo(name, None, reason(error).replace(str(source), name) if source else reason(error)))
    return photos


def shrunk(array: NDArray[Any], shorter: int) -> NDArray[Any]:
    """An image whose shorter side is at most this."""
    height, width = array.shape[:2]
    scale = shorter / min(height, width)
    if scale >= 1:
        return array
    size = max(1, round(height * scale)), max(1, round(width * scale))
    return np.array(backend("pillow").apply(ops.resize(*size, "bicubic"), array))
