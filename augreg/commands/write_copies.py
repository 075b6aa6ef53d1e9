"""The work of `augreg apply` on one image: read it, make its copies, write them."""

from __future__ import annotations

import functools
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from augreg.commands import parallel
from augreg.commands.output_folder import finished, write
from augreg.errors import ImageError
from augreg.images.codecs import to_array
from augreg.pipeline import Pipeline

__all__ = ["FORMATS", "Augment", "Task", "encoded"]

# How each format is written: visually lossless where it is not exact.
FORMATS: Mapping[str, Mapping[str, Any]] = {
    "png": {"format": "PNG"},
    "jpg": {"format": "JPEG", "quality": 95, "subsampling": 0},
    "webp": {"format": "WEBP", "quality": 95},
}


@dataclass(frozen=True)
class Task:
    """An image, its key, and the copies to make: (copy's number, image's file, mask's file or None)."""

    image: Path
    key: str
    mask: Path | None
    copies: tuple[tuple[int, Path, Path | None], ...]


@dataclass(frozen=True)
class Augment:
    """Makes the copies of a task; pickled for the worker processes."""

    spec: Mapping[str, Any]
    format: str
    epoch: int = 0
    test: bool = False

    @functools.cached_property
    def pipeline(self) -> Pipeline:
        """The pipeline of the spec; made in each process once."""
        return Pipeline.from_spec(self.spec)

    def __getstate__(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    def __call__(self, task: Task) -> None:
        """Write every copy that is not there yet; the mask first, since an image counts as finished."""
        image = to_array(task.image, self.pipeline.options.channels).array
        mask, palette = (None, None) if task.mask is None else _mask(task.mask)
        for view, to, mask_to in task.copies:
            if parallel.stopping():
                return
            made, made_mask = self._made(image, mask, task.key, view)
            if mask_to is not None and not finished(mask_to):
                write(mask_to, _mask_bytes(made_mask, palette))
            if not finished(to):
                write(to, encoded(made, self.format))

    def _made(self, image: Any, mask: Any, key: str, view: int) -> tuple[Any, Any]:
        given = image if mask is None else {"image": image, "mask": mask}
        if self.test:
            made = self.pipeline.test(given)
        else:
            made = self.pipeline.train(given, index=key, epoch=self.epoch, view=view)
        return (made, None) if mask is None else (made["image"], made["mask"])


def encoded(array: NDArray[Any], name: str) -> bytes:
    """An image in a file's format. Raises ImageError for what the format cannot hold."""
    buffer = io.BytesIO()
    if name == "npy":
        np.save(buffer, array, allow_pickle=False)
        return buffer.getvalue()
    if array.dtype != np.uint8:
        raise ImageError(f"{name} holds bytes, and this image is {array.dtype}; write --format npy")
    channels = array.shape[2]
    if channels not in (1, 3, 4) or (channels == 4 and name == "jpg"):
        raise ImageError(f"{name} cannot hold {channels} channels; write --format {'png or ' * (channels == 4)}npy")
    pixels = array[..., 0] if channels == 1 else array
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, **FORMATS[name])
    return buffer.getvalue()


def _mask(path: Path) -> tuple[NDArray[np.uint8], Any]:
    """A mask's labels, and its palette if it has one: a palette's colors are for looking, its indices are labels."""
    try:
        with Image.open(path) as image:
            upright = ImageOps.exif_transpose(image)
            if upright.mode == "1":
                upright = upright.convert("L")
            if upright.mode not in ("L", "P", "RGB", "RGBA"):
                raise ImageError(
                    f"{path}: a mask of mode {upright.mode} cannot be taken; save its labels as 8-bit gray"
                )
            return np.asarray(upright), upright.getpalette() if upright.mode == "P" else None
    except ImageError:
        raise
    except (OSError, ValueError, SyntaxError) as error:
        raise ImageError(f"{path}: the mask cannot be read: {error}") from None


def _mask_bytes(mask: Any, palette: Any) -> bytes:
    labels = np.asarray(mask)
    image = Image.fromarray(labels[..., 0] if labels.ndim == 3 and labels.shape[2] == 1 else labels)
    if palette is not None:
        image.putpalette(palette)  # makes the mode P again
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
