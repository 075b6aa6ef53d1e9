"""The photos of the gallery: find them in folders, and read them, or record why they cannot be read."""

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
from augreg.gallery.error_text import error_text
from augreg.images.codecs import to_array
from augreg.images.suffixes import SUFFIXES

__all__ = ["Photo", "find", "read", "samples", "shrunk"]

_SAMPLES = ("chelsea.jpg", "coffee.jpg", "astronaut.jpg", "rocket.jpg")


class Photo(NamedTuple):
    """An image with the name of its file: its pixels, or the error; and the sample that it belongs to, if any."""

    name: str
    array: NDArray[Any] | None
    error: str = ""
    sample: Mapping[Any, Any] | None = None


def samples() -> list[Path]:
    """The sample photos: inside the installed package, or beside it in the repository."""
    inside = Path(str(importlib.resources.files("augreg.gallery"))) / "photos"
    beside = Path(__file__).parents[2] / "gallery" / "photos"
    for folder in (inside, beside):
        if folder.is_dir():
            return [folder / name for name in _SAMPLES]
    raise FileNotFoundError(f"the sample photos are not at {inside}; give your own with --images")


def find(paths: Iterable[Path]) -> list[Path]:
    """The files among these paths, and the images in the folders among them. Raises FileNotFoundError."""
    files: list[Path] = []
    for path in paths:
        if not path.exists():
            raise FileNotFoundError(f"{path}: no such file or folder; give images or folders of images")
        inside = _images(path) if path.is_dir() else [path]
        if not inside:
            raise FileNotFoundError(f"{path}: no images in this folder; image files end in {', '.join(SUFFIXES)}")
        files += inside
    return files


def _images(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file())


def read(images: Iterable[Any], channels: str = "rgb", size: int | None = None) -> list[Photo]:
    """Read images, and shrink them to a shorter side of `size`; an image that cannot be read has an error instead."""
    photos = []
    for number, image in enumerate(images, 1):
        sample = image if isinstance(image, Mapping) else None
        if sample is not None:
            image = sample.get("image")
        source = image if isinstance(image, str | Path) else getattr(image, "filename", "")
        name = Path(source).name if source else f"image {number}"
        try:
            array = to_array(image, channels).array
            # boxes and keypoints of a sample are for the original size
            photos.append(Photo(name, array if size is None or sample else shrunk(array, size), sample=sample))
        except ImageError as error:
            photos.append(
                Photo(name, None, error_text(error).replace(str(source), name) if source else error_text(error))
            )
    return photos


def shrunk(array: NDArray[Any], shorter: int) -> NDArray[Any]:
    """Shrink an image to this shorter side; a smaller image is returned unchanged."""
    height, width = array.shape[:2]
    scale = shorter / min(height, width)
    if scale >= 1:
        return array
    size = max(1, round(height * scale)), max(1, round(width * scale))
    return np.array(backend("pillow").apply(ops.resize(*size, "bicubic"), array))
