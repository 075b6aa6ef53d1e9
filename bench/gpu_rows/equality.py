"""Whether batches on a device have the values of single images by the backend `pillow`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch

from augreg import Pipeline
from gpu_rows.rows import batch, photos

__all__ = ["SPECS", "Compared", "compared"]

_CROP = {"random_resized_crop": 48}
SPECS: dict[str, list[Any]] = {
    "crop, resize, flip, jitter, normalize": [
        _CROP, "horizontal_flip",
        {"color_jitter": {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1}},
        {"normalize": "imagenet"},
    ],
    "RandAugment, normalize": ["rand_augment", {"normalize": "imagenet"}],
    "AutoAugment for ImageNet, normalize": [{"auto_augment": "imagenet"}, {"normalize": "imagenet"}],
    "AutoAugment for CIFAR-10, cutout": [
        {"random_crop": {"size": 64, "padding": 4}}, "horizontal_flip", {"auto_augment": "cifar10"},
        {"normalize": "cifar10"}, {"cutout": {"size": 16}},
    ],
    "AutoAugment for SVHN": [{"auto_augment": "svhn"}],
    "TrivialAugment": ["trivial_augment_wide"],
    "a policy of timm": [{"timm_policy": "rand-m9-mstd0.5-inc1"}],
    "3-Augment": ["three_augment"],
    "AugMix": ["aug_mix"],
    "resize, bilinear": [_CROP],
    "resize, bicubic": [{"random_resized_crop": {"size": 48, "interpolation": "bicubic"}}],
    "resize, lanczos": [{"random_resized_crop": {"size": 48, "interpolation": "lanczos"}}],
    "resize, nearest": [{"random_resized_crop": {"size": 48, "interpolation": "nearest"}}],
    "resize up": [{"random_resized_crop": 150}],
    "random crop": [{"random_crop": {"size": 64, "padding": 8}}],
    "border, mirrored": [{"pad": {"padding": 9, "mode": "reflect"}}],
    "symmetries": ["d4"],
    "rotate, nearest": [{"rotate": {"degrees": 30, "interpolation": "nearest"}}],
    "rotate, bilinear": [{"rotate": {"degrees": 30, "interpolation": "bilinear"}}],
    "affine, bicubic": [{"affine": {"degrees": 20, "scale": [0.8, 1.2], "interpolation": "bicubic"}}],
    "perspective": ["perspective"],
    "brightness": [{"brightness": [0.5, 1.5]}],
    "contrast": [{"contrast": [0.5, 1.5]}],
    "saturation": [{"saturation": [0.0, 2.0]}],
    "hue": [{"hue": [-0.5, 0.5]}],
    "sharpness": [{"sharpness": [0.0, 2.0]}],
    "posterize, solarize, equalize": [{"posterize": [1, 8]}, "solarize", "equalize"],
    "auto_contrast, gamma, invert": ["auto_contrast", {"gamma": [0.5, 2.0]}, "invert"],
    "grayscale, half of the images": [{"grayscale": {"p": 0.5}}],
    "erasing": [{"random_erasing": {"p": 0.5}}],
    "gaussian blur": ["gaussian_blur"],
    "elastic": ["elastic"],
    "gaussian noise": ["gaussian_noise"],
    "channels in another order": ["channel_shuffle"],
}  # fmt: skip
_SIZES = (96, 128), (75, 75)


class Compared(NamedTuple):
    """How many images of a spec were equal in every bit, and the worst difference of the others."""

    images: int
    equal: int
    worst: float  # in the unit of the values: levels of a byte, or normalized


def compared(device: str, count: int, seconds: float) -> Iterator[tuple[str, Compared | str]]:
    """Each spec at so many addresses, in batches of half as many of each of two sizes, while there is time."""
    started = time.perf_counter()
    for name, steps in SPECS.items():
        if time.perf_counter() - started > seconds:
            yield name, "no time left"
            continue
        spec = {"seed": 11, "image": steps, "output": "torch", "backend": "pillow"}
        try:
            yield name, _compared(spec, device, count // len(_SIZES))
        except Exception as error:  # one spec that fails does not hide what the others give
            yield name, f"{type(error).__name__}: {error}"


def _compared(spec: dict[str, Any], device: str, count: int) -> Compared:
    pipe = Pipeline.from_spec(spec)
    images = equal = 0
    worst = 0.0
    for turn, size in enumerate(_SIZES):
        given = torch.stack(list(photos(size, count)))
        indices = range(turn * count, (turn + 1) * count)
        found = batch(pipe, given.to(device), indices, device)
        for index, image, result in zip(indices, given, found, strict=True):
            expected, got = pipe.train(image, index=index), result.cpu()
            images += 1
            if got.shape != expected.shape or got.dtype != expected.dtype:
                worst = float("inf")
            elif torch.equal(_bits(got), _bits(expected)):
                equal += 1
            else:
                worst = max(worst, float((got.double() - expected.double()).abs().max()))
    return Compared(images, equal, worst)


def _bits(image: torch.Tensor) -> torch.Tensor:
    return image.contiguous().view(torch.int32) if image.dtype == torch.float32 else image
