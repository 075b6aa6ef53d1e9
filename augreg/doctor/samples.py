"""Finds the images and labels in samples and batches of any form; digests and thumbnails of them."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Batch",
    "Sample",
    "channel_axis",
    "digest",
    "digest_image",
    "label_rows",
    "split",
    "split_batch",
    "thumbnail",
    "to_array",
]

_THUMBNAIL_SIDE = 16

_IMAGE_NAMES = (
    "image", "images", "pixel_values", "img", "imgs", "picture", "x", "input", "inputs", "jpg", "png", "webp",
)  # fmt: skip
_LABEL_NAMES = ("label", "labels", "target", "targets", "y", "class", "cls", "label_ids")


class Sample(NamedTuple):
    """An image and its label; each is None if none was found."""

    image: Any
    label: Any


class Batch(NamedTuple):
    """The images of a batch, each as an array, and its labels unchanged."""

    images: list[NDArray[Any]]
    labels: Any


def to_array(value: Any) -> NDArray[Any] | None:
    """Convert an array, a tensor on any device, or a PIL image to a NumPy array; None for anything else."""
    if isinstance(value, np.ndarray):
        return value if value.dtype.kind in "buif" else None
    if hasattr(value, "detach") and hasattr(value, "cpu"):
        tensor = value.detach().cpu()
        return np.asarray(tensor.float().numpy() if "bfloat16" in str(tensor.dtype) else tensor.numpy())
    if hasattr(value, "getbands"):
        return np.asarray(value)
    return None


def _is_image(value: Any) -> bool:
    return hasattr(value, "getbands") or (getattr(value, "ndim", 0) >= 2 and to_array(value) is not None)


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray)


def split(item: Any, batch: bool = False) -> Sample:
    """Find the image and label of a sample or, with `batch`, the images (an array or a list) and labels of a batch.

    If there are several views of an image, as in contrastive learning, the first is used.
    """
    if _is_image(item):
        return Sample(item, None)
    if isinstance(item, Mapping):
        names = [name for name in _IMAGE_NAMES if name in item and _image_in(item[name], batch) is not None]
        names += [name for name in item if _is_image(item[name])]
        label = next((item[name] for name in _LABEL_NAMES if name in item), None)
        return Sample(_image_in(item[names[0]], batch) if names else None, label)
    if _is_list(item):
        for number, part in enumerate(item):
            image = _image_in(part, batch)
            if image is not None:
                inner = split(part, batch).label if isinstance(part, Mapping) else None
                return Sample(image, item[number + 1] if number + 1 < len(item) else inner)
    return Sample(None, None)


def _image_in(part: Any, batch: bool) -> Any:
    if _is_image(part):
        return part
    if isinstance(part, Mapping):
        return split(part, batch).image
    if _is_list(part) and part and _is_image(part[0]):
        return list(part) if batch and getattr(part[0], "ndim", 3) < 4 else part[0]
    return None


def split_batch(batch: Any, whole: bool = True) -> Batch:
    """Split a batch into images and labels. `whole` is False if the loader yields single samples."""
    if _is_list(batch) and batch and all(isinstance(part, tuple | list | Mapping) for part in batch):
        samples = [split(part) for part in batch]  # from a collate_fn that returns its samples
        arrays = [to_array(sample.image) for sample in samples]
        if all(array is not None and array.ndim < 4 for array in arrays) and len({type(part) for part in batch}) == 1:
            return Batch([array for array in arrays if array is not None], [sample.label for sample in samples])
    image, label = split(batch, batch=True)
    if isinstance(image, list):
        arrays = [to_array(part) for part in image]
        return Batch([array for array in arrays if array is not None], label)
    array = to_array(image)
    if array is None:
        return Batch([], label)
    if array.ndim == 4 or (array.ndim == 3 and whole):
        return Batch(list(array), label)
    if array.ndim == 5:  # views or frames: use the first
        return Batch([part[0] for part in array], label)
    return Batch([array], label)


def channel_axis(shape: tuple[int, ...]) -> int | None:
    """The axis of the channels in an image's shape; None for an image without one."""
    if len(shape) != 3:
        return None
    first, last = shape[0] in (1, 3, 4), shape[2] in (1, 3, 4)
    if first != last:
        return 0 if first else 2
    return 0 if shape[0] <= shape[2] else 2


def thumbnail(image: Any) -> NDArray[np.float64] | None:
    """A gray image of 16 x 16 block means, less its mean; None if it is not one image with finite pixel values."""
    array = to_array(image)
    if array is None or array.ndim not in (2, 3) or not array.size or not np.isfinite(array).all():
        return None
    axis = channel_axis(array.shape)
    gray = np.asarray(array, np.float64) if axis is None else array.astype(np.float64).mean(axis=axis)
    rows, columns = (np.linspace(0, n, min(n, _THUMBNAIL_SIDE) + 1).astype(int) for n in gray.shape)
    blocks = np.add.reduceat(np.add.reduceat(gray, rows[:-1], axis=0), columns[:-1], axis=1)
    areas = np.outer(np.diff(rows), np.diff(columns))
    means = blocks / areas
    return np.asarray(means - means.mean())


def label_rows(labels: Any) -> NDArray[Any] | None:
    """The labels of a batch as an array, one row for each image; for SoftLabels those before mixing."""
    if hasattr(labels, "dense"):
        labels = getattr(labels, "labels", None)
    array = to_array(labels)
    if array is None and isinstance(labels, list | tuple) and labels:
        try:
            array = to_array(np.asarray([each if to_array(each) is None else to_array(each) for each in labels]))
        except ValueError:  # rows of different lengths
            return None
    return array


def digest_image(sample: Any) -> bytes:
    """The digest of a sample's image, or of the whole sample if no image is found."""
    image = split(sample).image
    return digest(sample if image is None else image)


def digest(value: Any) -> bytes:
    """A hash of 16 bytes: equal for bit-equal images, or equal plain data."""
    state = hashlib.blake2b(digest_size=16)
    _feed(state, value)
    return state.digest()


def _feed(state: Any, value: Any) -> None:
    array = to_array(value)
    if array is not None:
        state.update(f"{array.dtype.str}{array.shape}".encode())
        state.update(np.ascontiguousarray(array).tobytes())
    elif isinstance(value, Mapping):
        for name in value:
            state.update(repr(name).encode())
            _feed(state, value[name])
    elif _is_list(value):
        state.update(f"[{len(value)}".encode())
        for part in value:
            _feed(state, part)
    else:
        try:
            state.update(pickle.dumps(value))
        except Exception:  # if it cannot be pickled, hash its type only
            state.update(type(value).__qualname__.encode())
