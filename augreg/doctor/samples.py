"""Finds the images, the labels and the other targets in samples and batches of any form.

What an array is depends on where it stands. In a sample, an array of three axes is an image, and one of two axes is a
gray image if neither side is very short: boxes are N x 4. In a batch, images are stacked into four or five axes, or
into three if they are gray, or they are a list, as in detection.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from augreg.doctor.arrays import digest, is_list, to_array

__all__ = ["Batch", "Path", "Sample", "digest_image", "label_in", "label_rows", "split", "split_batch"]

_SHORTEST = 6  # pixels of the shorter side of a gray image; boxes and points have fewer columns

_IMAGE_NAMES = (
    "image", "images", "pixel_values", "img", "imgs", "picture", "x", "input", "inputs", "jpg", "jpeg", "png", "webp",
)  # fmt: skip
_LABEL_NAMES = (
    "label", "labels", "target", "targets", "y", "class", "cls", "label_ids", "fine_label", "coarse_label",
)  # fmt: skip
_TARGET_NAMES = (
    *_LABEL_NAMES, "mask", "masks", "pixel_mask", "segmentation", "semantic", "boxes", "bboxes", "bbox", "keypoints",
    "points", "area", "iscrowd", "objects", "annotations", "class_labels", "attention_mask", "input_ids", "depth",
    "flow", "disparity", "json", "txt",
)  # fmt: skip
_TARGET_TYPES = ("BoundingBoxes", "Mask", "KeyPoints")  # of torchvision.tv_tensors


Path = tuple[int | str, ...]
"""Where a part of a batch stands: its position in lists, and its name in mappings."""


class Sample(NamedTuple):
    """An image and its label; each is None if none was found."""

    image: Any
    label: Any


class Batch(NamedTuple):
    """The images of a batch, each as an array, its labels unchanged, and all parts but the images, by path."""

    images: list[NDArray[Any]]
    labels: Any
    others: dict[Path, Any]


def _is_target(value: Any) -> bool:
    return any(cls.__name__ in _TARGET_TYPES and "tv_tensors" in cls.__module__ for cls in type(value).__mro__)


def _is_image(value: Any) -> bool:
    """Whether a value in a sample is one image, or a stack of frames or views of it."""
    if hasattr(value, "getbands"):
        return True
    ndim = getattr(value, "ndim", 0)
    if not isinstance(ndim, int) or not 2 <= ndim <= 5 or _is_target(value) or to_array(value) is None:
        return False
    return ndim > 2 or min(value.shape) >= _SHORTEST


def _is_stack(value: Any) -> bool:
    """Whether a value in a batch is a stack of images."""
    ndim = getattr(value, "ndim", 0)
    if not isinstance(ndim, int) or not 3 <= ndim <= 6 or _is_target(value) or to_array(value) is None:
        return False
    return ndim > 3 or min(value.shape[1:]) >= _SHORTEST


def _images_in(part: Any, batch: bool, whole: bool = True) -> Any:
    """The image of a part of a sample, or the images (a stack or a list) of a part of a batch; else None."""
    if (_is_stack if batch and whole else _is_image)(part):
        return part
    if isinstance(part, Mapping):
        return split(part, batch, whole).image
    if is_list(part) and part:
        if batch and whole and all(_is_image(each) and getattr(each, "ndim", 3) < 4 for each in part):
            return list(part)
        if (_is_stack if batch and whole else _is_image)(part[0]):  # views of an image: use the first
            return part[0]
    return None


def split(item: Any, batch: bool = False, whole: bool = True, skip: Collection[int] = ()) -> Sample:
    """Find the image and label of a sample or, with `batch`, the images (an array or a list) and labels of a batch.

    If there are several views of an image, as in contrastive learning, the first is used. `whole` is False for the
    batches of a loader that yields single samples. `skip` are positions in a list that are known not to be labels.
    """
    if isinstance(item, Mapping):
        label = next((item[name] for name in _LABEL_NAMES if name in item), None)
        for name in (*_IMAGE_NAMES, *(name for name in item if name not in _TARGET_NAMES)):
            image = _images_in(item[name], batch, whole) if name in item else None
            if image is not None:
                inner = split(item[name], batch, whole).label if isinstance(item[name], Mapping) else None
                return Sample(image, inner if label is None else label)
        return Sample(None, label)
    if is_list(item) and not _is_image(item):
        for number, part in enumerate(item):
            image = _images_in(part, batch, whole)
            if image is not None:
                inner = split(part, batch, whole).label if isinstance(part, Mapping) else None
                return Sample(image, _label_beside(item, number, inner, skip))
        return Sample(None, None)
    return Sample(_images_in(item, batch, whole), None)


def _label_beside(item: Any, number: int, inner: Any, skip: Collection[int]) -> Any:
    """The label in a list beside the image: what follows it, a text aside; else what stands before it."""
    places = [*range(number + 1, len(item)), *range(number)]
    rest = [item[place] for place in places if place not in skip and not _is_text(item[place])]
    return rest[0] if rest else inner


def _is_text(part: Any) -> bool:
    return isinstance(part, str | bytes) or (is_list(part) and bool(part) and isinstance(part[0], str | bytes))


def split_batch(batch: Any, whole: bool = True, skip: Collection[int] = ()) -> Batch:
    """Split a batch into images and the rest. `whole` and `skip` are as in `split`."""
    if whole and _is_list_of_samples(batch):  # from a collate_fn that returns its samples
        samples = [split(part, skip=skip) for part in batch]
        arrays = [to_array(sample.image) for sample in samples]
        others = {path: part for n, each in enumerate(batch) for path, part in _others(each, samples[n], (n,))}
        return Batch([_frame(array) for array in arrays if array is not None], [s.label for s in samples], others)
    sample = split(batch, batch=True, whole=whole, skip=skip)
    others = dict(_others(batch, sample))
    if isinstance(sample.image, list):
        arrays = [to_array(part) for part in sample.image]
        return Batch([array for array in arrays if array is not None], sample.label, others)
    array = to_array(sample.image)
    if array is None:
        return Batch([], sample.label, others)
    if not whole and array.ndim < 4:
        return Batch([array], sample.label, others)
    return Batch([_frame(image) for image in array], sample.label, others)


def _frame(array: NDArray[Any]) -> NDArray[Any]:
    """The first frame, view or slice of an image with more than three axes."""
    while array.ndim > 3:
        array = array[0]
    return array


def _is_list_of_samples(batch: Any) -> bool:
    """Whether a batch is a list of samples: not (images, targets), as `tuple(zip(*samples))` makes it."""
    if not is_list(batch) or not batch or not all(isinstance(part, Mapping) or is_list(part) for part in batch):
        return False
    if len({(type(part), len(part)) for part in batch}) > 1:
        return all(isinstance(part, Mapping) and split(part).image is not None for part in batch)
    if any(split(part).image is None for part in batch):
        return False
    if isinstance(batch[0], Mapping):
        return True
    columns = [len({_signature(each) for each in part}) == 1 for part in batch]
    rows = [len({_signature(each) for each in row}) == 1 for row in zip(*batch, strict=True)]
    return not all(columns) or (all(rows) and len(batch[0]) > 1 and not _is_image(batch[0][0]))


def _signature(part: Any) -> Any:
    array = to_array(part)
    return type(part).__name__ if array is None else (array.dtype.kind, array.ndim)


def _others(item: Any, sample: Sample, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """The parts of a batch without its images, by path: ("mask",), (1,), (1, 0, "boxes")."""
    if item is sample.image or item is None:
        return
    if isinstance(item, Mapping):
        for name in item:
            yield from _others(item[name], sample, (*path, str(name)))
    elif is_list(item) and item and any(isinstance(p, Mapping) or is_list(p) or _has_axes(p) for p in item):
        if not (isinstance(sample.image, list) and item[0] is sample.image[0]):
            for number, part in enumerate(item):
                yield from _others(part, sample, (*path, number))
    else:
        yield path, item


def _has_axes(part: Any) -> bool:
    return hasattr(part, "getbands") or (hasattr(part, "ndim") and to_array(part) is not None)


def label_in(label: Any) -> Any:
    """The label itself, if a label is a mapping that has it under a usual name, and no boxes."""
    for _ in range(4):
        if not isinstance(label, Mapping) or any(name in label for name in ("boxes", "bboxes", "bbox")):
            break
        label = next((label[name] for name in _LABEL_NAMES if name in label), None)
    return label


def label_rows(labels: Any) -> NDArray[Any] | None:
    """The labels of a batch as an array, one row for each image; for SoftLabels those before mixing."""
    labels = label_in(labels)
    if hasattr(labels, "dense"):
        labels = getattr(labels, "labels", None)
    array = to_array(labels)
    if array is None and isinstance(labels, list | tuple) and labels:
        try:
            array = to_array(np.asarray([_row(each) for each in labels]))
        except (ValueError, TypeError):  # rows of different lengths
            return None
    return array


def _row(label: Any) -> Any:
    label = label_in(label)
    array = to_array(label)
    return label if array is None else array


def digest_image(sample: Any) -> bytes:
    """The digest of a sample's image, or of the whole sample if no image is found."""
    image = split(sample).image
    return digest(sample if image is None else image)
