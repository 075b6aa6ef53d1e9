"""Data sets, pipelines and loaders for the tests of `OnDevice`. Worker processes find the classes by name."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from images import made
from PIL import Image
from torch.utils.data import DataLoader, WeightedRandomSampler

import augreg
from augreg import Pipeline, Registry, ops
from augreg.data import Augmented, EpochSampler, OnDevice
from augreg.data.finishing import Finisher

EXACT = "native" if "native" in Registry.installed().backends else "pillow"
JITTER = {"color_jitter": {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4}}
IMAGENET = {"normalize": "imagenet"}
CROPS: list[Any] = [{"random_resized_crop": 16}, "horizontal_flip", JITTER, IMAGENET]
GRAY = {"normalize": {"mean": [0.3], "std": [0.4]}}
DIGITS: list[Any] = [{"random_crop": {"size": 8, "padding": 2}}, "horizontal_flip", {"brightness": 0.5}]
MIXUP, CUTMIX = {"mixup": {"alpha": 1.0}}, {"cutmix": {"alpha": 1.0}}
COUNT = 22


@augreg.transform("halved", kind="erasing", preview=({},))
class Halved:
    """Halve all pixel values by a function that cannot be sent to another process."""

    def sample(self, rng: Any, scene: Any) -> Any:
        return ops.call(lambda image: image // 2, size=scene.size)


@augreg.transform("upper_half", kind="geometry", preview=({},))
class UpperHalf:
    """Keep the upper half, by a function whose result tells the size."""

    def sample(self, rng: Any, scene: Any) -> Any:
        return ops.call(_upper, geometry=True, mask=_upper)


def _upper(image: Any) -> Any:
    return image[: len(image) // 2].copy()


def pipe_of(image: Sequence[Any], batch: Sequence[Any] = (), **options: Any) -> Pipeline:
    registry = Registry.installed().add(Halved).add(UpperHalf)
    spec = {"seed": 5, "classes": 10, "image": image, "batch": batch, "output": "torch", "backend": EXACT, **options}
    return Pipeline.from_spec(spec, registry)


class Photos:
    """(image, label), each image of a size of its own: as an array, floats, or JPEG bytes."""

    def __init__(self, kind: str = "array") -> None:
        self.kind = kind

    def __len__(self) -> int:
        return COUNT

    def __getitem__(self, index: int) -> Any:
        dtype = "float32" if self.kind == "float" else "uint8"
        scale = 5 if self.kind == "jpeg" else 1
        name = "noise" if self.kind == "float" else "smooth"  # a bicubic kernel overshoots at edges
        image: Any = made(name, scale * (20 + index % 5), scale * (23 + index % 7), dtype=dtype)
        if self.kind == "jpeg":
            file = io.BytesIO()
            Image.fromarray(image).save(file, "JPEG")
            image = file.getvalue()
        return image, index % 10


class Annotated(Photos):
    """Mappings with masks of three instances, boxes and keypoints; every third one has no box."""

    def __getitem__(self, index: int) -> Any:
        image, label = super().__getitem__(index)
        height, width = image.shape[:2]
        parts = made("noise", height, width, 3) > 128
        boxes = [[2.0, 3.0, 15.0, 12.0], [1.0, 1.0, width - 1.0, height - 1.0]] if index % 3 else []
        points = torch.tensor([[4.0, 5.0], [width / 2, height / 2]])
        return {"image": image, "mask": parts, "boxes": boxes, "keypoints": points, "category": label}


class Masked(Photos):
    """Mappings with a mask of three channels."""

    def __getitem__(self, index: int) -> Any:
        image, label = super().__getitem__(index)
        return {"image": image, "mask": np.ascontiguousarray(255 - image), "label": label}


class Instances(Photos):
    """Mappings with two objects each: boxes, masks as the channels of an array, and labels."""

    def __getitem__(self, index: int) -> Any:
        image, label = super().__getitem__(index)
        height, width = image.shape[:2]
        boxes = np.array([[0, 0, width // 2, height], [width // 4, height // 4, width, height]], np.float32)
        masks = np.zeros((height, width, 2), np.uint8)
        for k, (x0, y0, x1, y1) in enumerate(boxes.astype(int)):
            masks[y0:y1, x0:x1, k] = 1
        return {"image": image, "boxes": boxes, "masks": masks, "labels": [label, f"of {label}"]}


class Stereo(Photos):
    """Mappings with two images, of which the second is a tensor."""

    def __getitem__(self, index: int) -> Any:
        image, label = super().__getitem__(index)
        return {"image": image, "image2": torch.from_numpy(255 - image).permute(2, 0, 1), "label": label}


class Bare(Photos):
    def __getitem__(self, index: int) -> Any:
        return super().__getitem__(index)[0]


def loaders(
    pipe: Pipeline, dataset: Any, side: str = "train", sampler: Any = None, **options: Any
) -> tuple[Any, Any]:
    """The loader that finishes batches in its workers, and the one that leaves the rest to the CPU as a device."""
    views = {"views": options.pop("views")} if "views" in options else {}
    ids = {"ids": options.pop("ids")} if "ids" in options else {}
    found = []
    for defer in (False, True):
        data = Augmented(dataset, getattr(pipe, side), defer=defer, **views, **ids)
        keys = EpochSampler(data if sampler is None else sampler(data), epoch=1)
        given = {"batch_size": 5, "collate_fn": pipe.collate, "sampler": keys, **options}
        found.append(DataLoader(data, **given))
    return found[0], OnDevice(found[1], pipe, "cpu")


def alike(one: Any, other: Any) -> bool:
    """Whether batches have one structure, and equal numbers in every bit."""
    if isinstance(one, torch.Tensor):
        return isinstance(other, torch.Tensor) and one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict):
        return list(one) == list(other) and all(alike(one[key], other[key]) for key in one)
    if isinstance(one, tuple | list):
        return type(one) is type(other) and len(one) == len(other) and all(map(alike, one, other))
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other)
    return bool(one == other)


def check_equal(plain: Any, on_device: Any) -> None:
    """Check all batches, also those that the kernels for devices make."""
    batches = list(plain)  # all are kept: nothing may use their memory again
    found = list(on_device)
    assert len(found) == len(on_device) == len(batches) > 1
    assert [number for number, pair in enumerate(zip(batches, found, strict=True)) if not alike(*pair)] == []
    by_kernels = Finisher(on_device.pipe, torch.device("cpu"), kernels=True)
    found = [by_kernels.finish(batch) for batch in on_device.loader]
    assert [number for number, pair in enumerate(zip(batches, found, strict=True)) if not alike(*pair)] == []


def weighted(data: Any) -> Any:
    """Draws some samples several times."""
    return WeightedRandomSampler([1.0, 3.0], 12, generator=torch.Generator())
