"""Collects the boxes and the dense targets of batches, in the forms in which loaders return them.

Boxes stand under a usual name: in a list with one mapping for each image, as torchvision's detection models take it;
in a mapping of lists; or in one padded array. A dense target is an array whose last two axes have the size of its
image, or that stands under the name of a mask.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from augreg.doctor.arrays import channel_axis, is_list, to_array
from augreg.doctor.samples import Batch, Path

__all__ = ["Boxes", "Mask", "Targets"]

_BOXES = ("boxes", "bboxes", "bbox")
_CLASSES = ("labels", "class_labels", "category_id", "category_ids", "category", "categories", "classes", "label")
_MASKS = (
    "mask",
    "masks",
    "segmentation",
    "semantic",
    "semantic_mask",
    "label_mask",
    "seg",
    "labels",
    "label",
    "target",
)
_NO_MASKS = ("pixel_mask", "attention_mask")


class Boxes(NamedTuple):
    """The boxes of one image, n x 4, and what belongs to them; None for what there is not.

    `name` is that of the array, and `form` xyxy, xywh or cxcywh if torchvision's BoundingBoxes say it. `size` is the
    height and width of the image.
    """

    place: str
    name: str
    boxes: NDArray[Any]
    form: str | None
    labels: NDArray[Any] | None
    masks: tuple[int, ...] | None
    size: tuple[int, int] | None


class Mask(NamedTuple):
    """Dense targets of one image or of a batch, and the height and width of the image."""

    place: str
    values: NDArray[Any]
    size: tuple[int, int] | None


class Targets:
    """The boxes and masks of all batches."""

    def __init__(self) -> None:
        self.boxes: list[Boxes] = []
        self.masks: list[Mask] = []
        self.recognized: set[str] = set()  # the batches with such targets

    def add(self, batch: Batch, number: int) -> None:
        """Collect the targets of a batch."""
        groups: dict[Path, dict[str, Any]] = {}
        for path, value in batch.others.items():
            name = _name(path)
            if name is not None:
                groups.setdefault(_without(path, name), {})[name] = value
        found = len(self.boxes) + len(self.masks)
        taken: set[int] = set()
        for path, group in groups.items():
            self._add_boxes(batch, number, path, group, taken)
        for path, value in batch.others.items():
            if id(value) not in taken:
                self._add_mask(batch, number, path, value)
        if len(self.boxes) + len(self.masks) > found:
            self.recognized.add(f"batch {number}")

    def _add_boxes(self, batch: Batch, number: int, path: Path, group: dict[str, Any], taken: set[int]) -> None:
        name = next((name for name in _BOXES if name in group), None)
        if name is None:
            return
        boxes = _numbers(group[name])
        if boxes is None or (boxes.size and boxes.shape[-1] not in (4, 5)):
            return
        taken.update(map(id, group.values()))  # masks of instances are no dense targets
        labels = next((_numbers(group[each]) for each in _CLASSES if each in group), None)
        masks = to_array(group.get("masks"))
        padded = boxes.ndim == 3
        numbers = [part for part in path if isinstance(part, int)]
        number_of_image = numbers[-1] if numbers else 0
        if boxes.shape == (4,):  # one annotation of many, as COCO has them
            boxes, number_of_image = boxes[None], (numbers or [0])[max(0, len(numbers) - 2)]
        for row, rows in enumerate(boxes if padded else [boxes]):
            image = row if padded else number_of_image
            size = _size(batch.images[image]) if image < len(batch.images) else None
            self.boxes.append(
                Boxes(
                    f"batch {number}, image {image}",
                    f"padded {name}" if padded else name,
                    rows,
                    _form(group[name], group),
                    None if padded or (labels is not None and labels.ndim == 0) else labels,
                    masks.shape if masks is not None and masks.ndim == 3 and not padded else None,
                    size,
                )
            )

    def _add_mask(self, batch: Batch, number: int, path: Path, value: Any) -> None:
        name = _name(path)
        if name in _NO_MASKS:
            return
        array = to_array(value)
        if array is None or array.ndim < 2 or array.dtype.kind not in "buif" or not array.size:
            return
        flat = array[:, 0] if array.ndim == 4 and array.shape[1] == 1 else array
        flat = flat[..., 0] if flat.ndim == 4 and flat.shape[-1] == 1 else flat
        flat = flat[0] if flat.ndim == 3 and flat.shape[0] == 1 else flat
        alone = flat.ndim == 2
        image = _image_number(path) if alone else 0
        size = _size(batch.images[min(image, len(batch.images) - 1)]) if batch.images else None
        fits = size is not None and flat.shape[-2:] == size and min(size) > 1
        named = name in _MASKS and min(flat.shape[-2:]) > 8
        if flat.ndim > 3 or not (fits or named) or (name is None and _is_other_view(array, batch)):
            return
        if flat.ndim == 3 and len(batch.images) != len(flat):
            return  # masks of instances, or the channels of an image
        if alone and not fits and len(batch.images) == len(flat):
            return  # one row for each image
        self.masks.append(Mask(f"batch {number}, image {image}" if alone else f"batch {number}", flat, size))


def _is_other_view(array: NDArray[Any], batch: Batch) -> bool:
    """Whether an array of one channel is another image, such as a second view: the images have one channel too, and
    its numbers are of the same dtype, many, and finite."""
    if not batch.images or array.dtype != batch.images[0].dtype or not np.isfinite(array).all():
        return False
    return batch.images[0].size == np.prod(_size(batch.images[0])) and len(np.unique(array)) > 64


def _name(path: Path) -> str | None:
    return next((part for part in reversed(path) if isinstance(part, str)), None)


def _without(path: Path, name: str) -> Path:
    last = len(path) - 1 - path[::-1].index(name)
    return path[:last] + path[last + 1 :]


def _image_number(path: Path) -> int:
    return next((part for part in reversed(path) if isinstance(part, int)), 0)


def _numbers(value: Any) -> NDArray[Any] | None:
    """A list of numbers, or of rows of them, as an array."""
    array = to_array(value)
    if array is None and is_list(value):
        try:
            array = np.asarray(value, dtype=np.float64)
        except (ValueError, TypeError):
            return None
    return array


def _size(image: NDArray[Any]) -> tuple[int, int]:
    axis = channel_axis(image.shape)
    rows, columns = (n for number, n in enumerate(image.shape) if number != axis)
    return rows, columns


def _form(boxes: Any, group: dict[str, Any]) -> str | None:
    form = getattr(getattr(boxes, "format", None), "name", None)
    if isinstance(form, str):
        return form.lower()
    return "cxcywh" if "class_labels" in group else None  # the targets of DETR
