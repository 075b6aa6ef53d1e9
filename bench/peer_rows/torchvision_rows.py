"""torchvision's transforms v2 on byte tensors, and on PIL images."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import torch
from PIL import Image
from torchvision.io import ImageReadMode, decode_jpeg
from torchvision.transforms import AutoAugmentPolicy, v2

from peer_rows.rows import MEAN, SIZE, STD, Row, Work, one_by_one


def _steps(name: str) -> list[Any]:
    normalize = [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)]
    if name in ("A", "A2"):
        policy = v2.AutoAugment(AutoAugmentPolicy.CIFAR10) if name == "A" else v2.RandAugment(2, 9)
        hole = v2.RandomErasing(1.0, scale=(0.25, 0.25), ratio=(1.0, 1.0))
        return [v2.RandomCrop(32, 4), v2.RandomHorizontalFlip(), policy, *normalize, hole]
    crop = [v2.RandomResizedCrop(SIZE, antialias=True), v2.RandomHorizontalFlip()]
    if name == "C":
        return [*crop, v2.AutoAugment(AutoAugmentPolicy.IMAGENET), *normalize, v2.RandomErasing(0.25)]
    return [*crop, v2.ColorJitter(0.4, 0.4, 0.4, 0.1), *normalize]


def pipelines(name: str, row: Row, inputs: list[Any]) -> dict[str, Work]:
    """Both kinds of images."""
    compose = v2.Compose(_steps(name))
    if row.encoded:
        tensors = [torch.frombuffer(bytearray(data), dtype=torch.uint8) for data in inputs]

        def tensor(index: int) -> Any:
            return decode_jpeg(tensors[index % len(tensors)], ImageReadMode.RGB)

        def picture(index: int) -> Any:
            return Image.open(io.BytesIO(inputs[index % len(inputs)])).convert("RGB")
    else:

        def tensor(index: int) -> Any:
            return torch.from_numpy(np.ascontiguousarray(inputs[index % len(inputs)].transpose(2, 0, 1)))

        def picture(index: int) -> Any:
            return Image.fromarray(inputs[index % len(inputs)])

    return {
        "torchvision tensor": one_by_one(lambda index: compose(tensor(index)).numpy()),
        "torchvision PIL": one_by_one(lambda index: compose(picture(index)).numpy()),
    }
