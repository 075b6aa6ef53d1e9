"""timm's transforms, on PIL images."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import torch
from PIL import Image
from timm.data.auto_augment import AutoAugment, auto_augment_policy, rand_augment_transform
from timm.data.random_erasing import RandomErasing
from timm.data.transforms import RandomResizedCropAndInterpolation
from torchvision import transforms

from peer_rows.rows import MEAN, SIZE, STD, Row, Work, one_by_one


def _steps(name: str) -> list[Any]:
    normalize = [transforms.ToTensor(), transforms.Normalize(MEAN, STD)]
    hints = {"translate_const": 100, "img_mean": (124, 116, 104)}
    if name in ("A", "A2"):
        policy = AutoAugment(auto_augment_policy("original", hints)) if name == "A" else None
        small = [transforms.RandomCrop(32, 4), transforms.RandomHorizontalFlip()]
        hole = RandomErasing(1.0, min_area=0.25, max_area=0.25, min_aspect=1.0, device="cpu")
        return [*small, policy or rand_augment_transform("rand-m9-n2", hints), *normalize, hole]
    crop = [RandomResizedCropAndInterpolation(SIZE, interpolation="bilinear"), transforms.RandomHorizontalFlip()]
    if name == "C":
        return [
            *crop,
            AutoAugment(auto_augment_policy("original", hints)),
            *normalize,
            RandomErasing(0.25, device="cpu"),
        ]
    return [*crop, transforms.ColorJitter(0.4, 0.4, 0.4, 0.1), *normalize]


def pipelines(name: str, row: Row, inputs: list[Any]) -> dict[str, Work]:
    """The rows on PIL images."""
    compose = transforms.Compose(_steps(name))

    def one(index: int) -> np.ndarray[Any, Any]:
        given = inputs[index % len(inputs)]
        image = Image.open(io.BytesIO(given)).convert("RGB") if row.encoded else Image.fromarray(given)
        made: torch.Tensor = compose(image)
        return made.numpy()

    return {"timm": one_by_one(one)}
