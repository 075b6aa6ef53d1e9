"""Functions on images, as users have them, importable by name: for tests/test_foreign.py and its worker."""

from __future__ import annotations

import random

import numpy as np
import torch
from PIL import Image, ImageOps


def darker(array, strength=0.5):
    return (array * strength).astype(array.dtype)


def writes(array):
    array[:] = 0
    return array


def seeded(array, seed):
    return np.random.default_rng(seed).integers(0, 256, array.shape, dtype=np.uint8)


def from_globals(array):
    numbers = (random.randrange(256), np.random.randint(256), int(torch.randint(256, ())))  # noqa: NPY002
    return np.broadcast_to(np.array(numbers, np.uint8), array.shape)


def mirrored(image: Image.Image) -> Image.Image:
    return ImageOps.mirror(image)


def planes(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.flip(0)


def halved(array):
    return array[::2, ::2]


def not_a_image(array):
    return "no"


def floats(array):
    return array.astype(np.float32) / 255


def fails(array):
    raise RuntimeError("out of film")


class Posterize:
    """A callable object, as torchvision's transforms are."""

    def __call__(self, array):
        return array & 0xE0


posterize = Posterize()
