"""The rows: what goes in, what is done, and what comes out."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from comparison import photo_files
from numpy.typing import NDArray
from PIL import Image, ImageOps

__all__ = [
    "DETECTION",
    "MEAN",
    "ROWS",
    "SIZE",
    "STD",
    "Batch",
    "Row",
    "Work",
    "inputs_of",
    "one_by_one",
    "stripes_of",
]

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SIZE = 224
QUALITY = 90
Batch = Sequence[Any] | NDArray[np.float32]
"""Images as float32, channels first: a list of them, or one array."""
Work = Callable[[range], Batch]
"""Makes the images of these indices."""


class Row(NamedTuple):
    """A row of the table."""

    what: str
    size: tuple[int, int]  # of the inputs, (height, width)
    encoded: bool
    output: int  # the side of the results
    chunk: int  # images that are made, and held, at once
    resizes: bool
    targets: str = ""  # besides boxes and labels: a `mask` of classes, or `masks` of the instances


ROWS = {
    "A": Row("32x32: pad 4 and crop, flip, AutoAugment, normalize, cutout 16", (32, 32), False, 32, 256, False),
    "A2": Row("as A with RandAugment(2, 9)", (32, 32), False, 32, 256, False),
    "B": Row("500x375: random resized crop, flip, jitter .4 .4 .4 .1, normalize", (375, 500), False, SIZE, 64, True),
    "C": Row("as B with AutoAugment in place of jitter, and erasing", (375, 500), False, SIZE, 64, True),
    "D": Row("as B from a JPEG", (375, 500), True, SIZE, 64, True),
    "E": Row("as B from a JPEG of 2000x1500", (1500, 2000), True, SIZE, 16, True),
    "J": Row(
        "640x480 with 8 boxes and a mask: scale, pad and crop to 512, flip, affine, jitter .4 .4 .4, normalize",
        (480, 640), False, 512, 16, False, "mask",
    ),
    "K": Row(
        "640x480 with 8 boxes and their masks: letterbox to 640, flip, affine, shift of hue, saturation and value",
        (480, 640), False, 640, 16, False, "masks",
    ),
}  # fmt: skip
DETECTION = ("ours", "albumentations_rows")
"""The modules that have the rows with boxes."""


def one_by_one(work: Callable[[int], Any]) -> Work:
    """The images of a library that makes one at a time."""
    return lambda indices: [work(index) for index in indices]


def inputs_of(row: Row) -> list[Any]:
    """The photos of the gallery at the size of a row, as arrays or JPEGs. For the first rows, parts of them."""
    height, width = row.size
    photos = [Image.open(path).convert("RGB") for path in photo_files()]
    if width == 32:
        photos = [part for photo in photos for part in _parts(photo)]
    images = [ImageOps.fit(photo, (width, height), Image.Resampling.BICUBIC) for photo in photos]
    if row.targets:
        return [_annotated(np.array(image), number, row.targets) for number, image in enumerate(images)]
    return [_jpeg(image) for image in images] if row.encoded else [np.array(image) for image in images]


def _annotated(image: NDArray[np.uint8], number: int, kind: str) -> dict[str, Any]:
    """A sample with 8 boxes, their labels, and masks of what they enclose."""
    rng = np.random.default_rng(number)
    height, width = image.shape[:2]
    corners = rng.uniform((0, 0), (width - 40, height - 40), (8, 2))
    sides = rng.uniform(20, (width / 4, height / 4), (8, 2))
    boxes = np.concatenate((corners, np.minimum(corners + sides, (width, height))), axis=1)
    masks = np.zeros((8, height, width), np.uint8)
    for mask, (left, top, right, bottom) in zip(masks, boxes.astype(int), strict=True):
        mask[top:bottom, left:right] = 1
    classes = (masks * np.arange(1, 9, dtype=np.uint8)[:, None, None]).max(axis=0)
    targets = {"masks": list(masks)} if kind == "masks" else {"mask": classes}
    return {"image": image, "boxes": boxes, "labels": [*range(8)], **targets}


def stripes_of(row: Row) -> list[Any]:
    """Columns that are black and white in turn: what shows whether a resize is antialiased."""
    image = np.zeros((*row.size, 3), np.uint8)
    image[:, ::2] = 255
    return [_jpeg(Image.fromarray(image)) if row.encoded else image]


def _parts(photo: Image.Image) -> Iterable[Image.Image]:
    width, height = photo.width // 4, photo.height // 4
    for place in range(16):
        x, y = place % 4 * width, place // 4 * height
        yield photo.crop((x, y, x + width, y + height))


def _jpeg(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=QUALITY)
    return file.getvalue()
