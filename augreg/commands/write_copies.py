"""The work of `augreg apply` on one image: read it, make its copies, and write them."""

from __future__ import annotations

import errno
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
from augreg.commands.output_folder import finished, identity, write
from augreg.errors import ImageError
from augreg.images.codecs import to_array
from augreg.images.files import read_file
from augreg.pipeline import Pipeline

__all__ = ["FORMATS", "Task", "WriteCopies", "encode"]

_NO_MORE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
# Options for Pillow; visually lossless where the format is lossy.
FORMATS: Mapping[str, Mapping[str, Any]] = {
    "png": {"format": "PNG"},
    "jpg": {"format": "JPEG", "quality": 95, "subsampling": 0},
    "webp": {"format": "WEBP", "quality": 95},
}


@dataclass(frozen=True)
class Task:
    """An image, its key, and the copies to write: (number, path of the image, path of the mask or None)."""

    image: Path
    key: str
    mask: Path | None
    copies: tuple[tuple[int, Path, Path | None], ...]


@dataclass(frozen=True)
class WriteCopies:
    """Writes the copies of a task; pickled for the worker processes."""

    spec: Mapping[str, Any]
    format: str
    epoch: int = 0
    test: bool = False
    out: Path | None = None
    identity: tuple[int, int] | None = None
    """What the folder `out` was when the run began; None to write to wherever the paths lead."""

    @functools.cached_property
    def pipeline(self) -> Pipeline:
        """The pipeline of the spec; created once in each process."""
        return Pipeline.from_spec(self.spec)

    def __getstate__(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    def __call__(self, task: Task) -> None:
        """Write every missing copy; the mask first, because an existing image counts as a finished copy."""
        read = to_array(task.image, self.pipeline.options.channels)
        pipeline = self.pipeline.replace(channels="rgba") if read.alpha else self.pipeline  # an array shows no alpha
        mask, palette = (None, None) if task.mask is None else _read_mask(task.mask)
        for view, to, mask_to in task.copies:
            if parallel.stopping():
                return
            copy, copy_mask = self._copy(pipeline, read.array, mask, task.key, view)
            if mask_to is not None and not finished(mask_to):
                self._write(mask_to, _encode_mask(copy_mask, palette))
            if not finished(to):
                self._write(to, encode(copy, self.format))

    def _write(self, path: Path, data: bytes) -> None:
        """Write a file. Raises StopError if no other could be written either, and ImageError if only this one not."""
        try:
            self._check_folder()
            write(path, data, self.out)
        except OSError as error:
            self._check_folder()
            why = error.strerror or str(error)
            if error.errno in _NO_MORE:
                raise parallel.StopError(f"{self.out or path.parent}: cannot be written to: {why}") from None
            if error.errno == errno.ENAMETOOLONG:  # the name is said once, that of the image
                raise ImageError(f"its copies cannot be written: {why}; give the image a shorter name") from None
            raise ImageError(f"{path.name}: cannot be written: {why}") from None

    def _check_folder(self) -> None:
        if self.identity is not None and self.out is not None and identity(self.out) != self.identity:
            raise parallel.StopError(f"{self.out} was moved, removed or replaced during the run; put it back")

    def _copy(self, pipeline: Pipeline, image: Any, mask: Any, key: str, view: int) -> tuple[Any, Any]:
        sample = image if mask is None else {"image": image, "mask": mask}
        if self.test:
            result = pipeline.test(sample)
        else:
            result = pipeline.train(sample, index=key, epoch=self.epoch, view=view)
        return (result, None) if mask is None else (result["image"], result["mask"])


def encode(array: NDArray[Any], name: str) -> bytes:
    """Encode an image in a file format. Raises ImageError if the format cannot store the image."""
    buffer = io.BytesIO()
    if name == "npy":
        np.save(buffer, array, allow_pickle=False)
        return buffer.getvalue()
    if array.dtype != np.uint8:
        raise ImageError(f"{name} stores bytes, and this image is {array.dtype}; use --format npy")
    channels = array.shape[2]
    if channels not in (1, 3, 4) or (channels == 4 and name == "jpg"):
        raise ImageError(f"{name} cannot store {channels} channels; use --format {'png or ' * (channels == 4)}npy")
    pixels = array[..., 0] if channels == 1 else array
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, **FORMATS[name])
    return buffer.getvalue()


def _read_mask(path: Path) -> tuple[NDArray[np.uint8], Any]:
    """The labels of a mask, and its palette if it has one: the indices are the labels, the colors are for display."""
    try:
        with Image.open(io.BytesIO(read_file(path))) as image:
            upright = ImageOps.exif_transpose(image)
            if upright.mode == "1":
                upright = upright.convert("L")
            if upright.mode not in ("L", "P", "RGB", "RGBA"):
                raise ImageError(
                    f"{path}: a mask of mode {upright.mode} is not supported; save its labels as 8-bit gray"
                )
            return np.asarray(upright), upright.getpalette() if upright.mode == "P" else None
    except ImageError:
        raise
    except (OSError, ValueError, SyntaxError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or error
        raise ImageError(f"{path}: the mask cannot be read: {reason}") from None


def _encode_mask(mask: Any, palette: Any) -> bytes:
    labels = np.asarray(mask)
    image = Image.fromarray(labels[..., 0] if labels.ndim == 3 and labels.shape[2] == 1 else labels)
    if palette is not None:
        image.putpalette(palette)  # restores mode P
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
