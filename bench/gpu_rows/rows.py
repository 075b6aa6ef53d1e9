"""The rows: what goes in, and augreg's pipelines."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from comparison import photo_files
from PIL import Image, ImageOps

from augreg import Pipeline
from augreg.columns.philox import addresses_of
from augreg.devices.batches import transformed

__all__ = ["ALONE", "MEAN", "ROWS", "STD", "Row", "Work", "batch", "images_of", "ours", "photos"]

ALONE = "augreg, one by one on the CPU"
_FEW = 32  # images are enough where they are made one by one
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_NORMALIZE = {"normalize": {"mean": list(MEAN), "std": list(STD)}}
_JITTER = {"color_jitter": {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4}}
_CROP = [{"random_resized_crop": 224}, "horizontal_flip", _JITTER, _NORMALIZE]
_CIFAR = [{"random_crop": {"size": 32, "padding": 4}}, "horizontal_flip", {"auto_augment": "cifar10"}]


class Row(NamedTuple):
    """A row of the table: images of `size` (height, width) become `side` x `side`."""

    what: str
    steps: list[Any]
    size: tuple[int, int]
    side: int
    batch: int
    small: int  # the batch on the CPU
    is_list: bool = False
    is_test: bool = False


ROWS = {
    "crop": Row("random resized crop, flip, jitter .4 .4 .4, normalize", _CROP, (375, 500), 224, 256, 16),
    "list": Row("as crop, from a list of images in host memory", _CROP, (375, 500), 224, 256, 16, is_list=True),
    "rand": Row("RandAugment(2, 9), normalize", ["rand_augment", _NORMALIZE], (224, 224), 224, 256, 16),
    "auto": Row(
        "AutoAugment for ImageNet, normalize", [{"auto_augment": "imagenet"}, _NORMALIZE], (224, 224), 224, 256, 16
    ),
    "cifar": Row(
        "pad 4 and crop, flip, AutoAugment, cutout 16, normalize",
        [*_CIFAR, {"cutout": {"size": 16}}, _NORMALIZE],
        (32, 32),
        32,
        1024,
        256,
    ),
    "test": Row(
        "test: resize 256, center crop, normalize",
        [{"resize": 256}, {"center_crop": 224}, _NORMALIZE],
        (375, 500),
        224,
        256,
        16,
        is_test=True,
    ),
}


class Work(NamedTuple):
    """Makes a batch of `count` images."""

    run: Callable[[], Any]
    count: int


def photos(size: tuple[int, int], count: int) -> Sequence[torch.Tensor]:
    """So many images, 3 x height x width: the photos of the gallery, or parts of them where they are small."""
    height, width = size
    found = [Image.open(path).convert("RGB") for path in photo_files()]
    if max(size) < 100:
        found = [_part(photo, place) for photo in found for place in range(16)]
    arrays = [np.array(ImageOps.fit(photo, (width, height), Image.Resampling.BICUBIC)) for photo in found]
    tensors = [torch.from_numpy(array).permute(2, 0, 1).contiguous() for array in arrays]
    return [tensors[number % len(tensors)].clone() for number in range(count)]


def _part(photo: Image.Image, place: int) -> Image.Image:
    width, height = photo.width // 4, photo.height // 4
    x, y = place % 4 * width, place // 4 * height
    return photo.crop((x, y, x + width, y + height))


def images_of(row: Row, count: int, device: str) -> Any:
    """The batch of a row: a stack on the device, or a list in host memory that the device can read."""
    images = photos(row.size, count)
    if row.is_list:
        return [image.pin_memory() for image in images] if device == "cuda" else images
    return torch.stack(list(images)).to(device)


def batch(pipe: Pipeline, images: Any, indices: Sequence[int] | None, device: str) -> Any:
    """`pipe.train.batch`, or of `pipe.test` without indices; on the CPU too by the kernels that a GPU runs.

    There `batch` itself runs image by image, because that is faster.
    """
    if indices is None:
        draws = pipe.test.batch_draws(None)
    else:
        draws = pipe.train.batch_draws(addresses_of(pipe.options.seed, indices, 0, 0))
    return transformed(images, draws, device, kernels=True)


def ours(row: Row, images: Any, device: str) -> dict[str, Work]:
    """By `batch`, with new draws at each call, and one by one from the memory of the CPU."""
    pipe, number, count = Pipeline.from_spec({"seed": 7, "image": row.steps}), itertools.count(), len(images)
    few = [image.cpu() for image in images[:_FEW]]

    def train() -> Any:
        start = next(number) * count
        return batch(pipe, images, range(start, start + count), device)

    def one_by_one() -> Any:
        if row.is_test:
            return torch.stack([pipe.test(image) for image in few])
        return torch.stack([pipe.train(image, index=next(number)) for image in few])

    batches = (lambda: batch(pipe, images, None, device)) if row.is_test else train
    return {"augreg": Work(batches, count), ALONE: Work(one_by_one, len(few))}
