"""The photos of the gallery: find them in folders, and read them, or record why they cannot be read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from augreg import ops
from augreg.backends import backend
from augreg.commands.input_images import Source, find_images
from augreg.data.sample_photos import SAMPLE_PHOTOS, sample_photo
from augreg.errors import ImageError
from augreg.gallery.error_text import hide_folders
from augreg.images.codecs import to_array

__all__ = ["Photo", "classes_of", "find", "one_of_each_class", "read", "samples", "shrunk"]


class Photo(NamedTuple):
    """An image with the name of its file: its pixels, or the error; the sample that it belongs to, and its class."""

    name: str
    array: NDArray[Any] | None
    error: str = ""
    sample: Mapping[Any, Any] | None = None
    label: str = ""


def samples() -> list[Path]:
    """The sample photos. Raises FileNotFoundError if they are not installed."""
    return [sample_photo(name) for name in SAMPLE_PHOTOS]


def find(paths: Iterable[Path]) -> dict[Path, str]:
    """The files among these paths, and the images in and below the folders among them, each with a name to show.

    The name is the path below the folder. Of the class folders in a folder, the first image of each comes first, then
    the second of each. Masks beside images and folders that `augreg apply` wrote are left out. Raises ImageError for
    a path that is missing or has no images.
    """
    return {source.path: source.key for path in paths for source in _in_turn(find_images(path, masks=True))}


def _in_turn(sources: Sequence[Source], depth: int = 0) -> list[Source]:
    """The images of each folder in turn: the first of each, the second of each; and so in the folders below."""
    folders: dict[str, list[Source]] = {}
    for source in sources:
        parts = source.key.split("/")
        folders.setdefault(parts[depth] if depth < len(parts) - 1 else "", []).append(source)
    ordered = [_in_turn(inside, depth + 1) if name else inside for name, inside in folders.items()]
    return [source for turn in zip_longest(*ordered) for source in turn if source is not None]


def classes_of(names: Mapping[Path, str]) -> dict[Path, str]:
    """The class of each image by the path below the folder, which `find` gives: the first folder in it.

    If every image is at least two folders deep, the first folders are splits, and the second ones the classes. Empty
    for fewer than two classes.
    """
    parts = {path: name.split("/")[:-1] for path, name in names.items()}
    depth = 1 if parts and all(len(folders) > 1 for folders in parts.values()) else 0
    found = {path: folders[depth] for path, folders in parts.items() if len(folders) > depth}
    return found if len(set(found.values())) > 1 else {}


def one_of_each_class(names: Mapping[Path, str]) -> list[Path]:
    """The first image of each class; all images if there are no classes."""
    first: dict[str, Path] = {}
    for path, label in classes_of(names).items():
        first.setdefault(label, path)
    return list(first.values()) or list(names)


def read(
    images: Iterable[Any], channels: str = "rgb", size: int | None = None, names: Mapping[Any, str] | None = None
) -> list[Photo]:
    """Read images, and shrink them to a shorter side of `size`; an image that cannot be read has an error instead.

    `names` are the names of paths, which otherwise are called by the name of their file.
    """
    photos = []
    labels = classes_of(names or {})
    for number, image in enumerate(images, 1):
        sample = image if isinstance(image, Mapping) else None
        if sample is not None:
            image = sample.get("image")
        source = image if isinstance(image, str | Path) else getattr(image, "filename", "")
        name = Path(source).name if source else f"image {number}"
        if names and isinstance(image, Path):
            name = names.get(image, name)
        try:
            array = to_array(image, channels).array
            # boxes and keypoints of a sample are for the original size
            label = labels.get(image, "") if isinstance(image, Path) else ""
            photos.append(Photo(name, array if size is None or sample else shrunk(array, size), "", sample, label))
        except ImageError as error:
            message = str(error).replace(str(source), name) if source else str(error)
            photos.append(Photo(name, None, hide_folders(message)))
    return photos


def shrunk(array: NDArray[Any], shorter: int) -> NDArray[Any]:
    """Shrink an image to this shorter side; a smaller image is returned unchanged."""
    height, width = array.shape[:2]
    scale = shorter / min(height, width)
    if scale >= 1:
        return array
    size = max(1, round(height * scale)), max(1, round(width * scale))
    return np.array(backend("pillow").apply(ops.resize(*size, "bicubic"), array))
