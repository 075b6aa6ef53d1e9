"""Batches for tests of kernels: images as a tensor, and what Pillow's backend makes of them one at a time."""

from __future__ import annotations

from collections.abc import Sequence

import images
import numpy as np
import torch

from augreg.backends import backend
from augreg.ops import Op

__all__ = ["assert_same", "one_by_one", "pictures", "tensor", "top_left"]


def pictures(count: int, height: int, width: int, channels: int, seed: int = 0) -> list[np.ndarray]:
    """Byte images of one size, of every kind in turn, each cut from a larger one at another place."""
    rng = np.random.default_rng([seed, height, width, channels])
    found = []
    for number in range(count):
        top, left = rng.integers(0, 9, 2)
        whole = images.made(images.MADE[number % len(images.MADE)], height + 8, width + 8, channels)
        found.append(np.ascontiguousarray(whole[top : top + height, left : left + width]))
    return found


def tensor(arrays: Sequence[np.ndarray]) -> torch.Tensor:
    """height x width x channels arrays as one N x C x H x W tensor."""
    return torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2).contiguous()


def top_left(arrays: Sequence[np.ndarray]) -> tuple[torch.Tensor, torch.Tensor]:
    """height x width x channels arrays of any sizes at the top left of one tensor, 0 elsewhere; and N x 2 sizes."""
    sizes = torch.tensor([array.shape[:2] for array in arrays])
    batch = torch.zeros((len(arrays), arrays[0].shape[2], *sizes.amax(0).tolist()), dtype=torch.uint8)
    for place, array in zip(batch, arrays, strict=True):
        place[:, : array.shape[0], : array.shape[1]] = torch.from_numpy(array).permute(2, 0, 1)
    return batch, sizes


def one_by_one(ops: Sequence[Op | Sequence[Op]], arrays: Sequence[np.ndarray]) -> torch.Tensor:
    """Each image after its op or ops on the backend `pillow`, as one tensor."""
    found = []
    for each, array in zip(ops, arrays, strict=True):
        for op in [each] if isinstance(each, Op) else each:
            array = backend("pillow").apply(op, array)
        found.append(array)
    return tensor(found)


def assert_same(found: torch.Tensor, ops: Sequence[Op | Sequence[Op]], arrays: Sequence[np.ndarray]) -> None:
    """The same values as one image at a time, and the same dtype."""
    wanted = one_by_one(ops, arrays)
    assert (found.shape, found.dtype) == (wanted.shape, wanted.dtype)
    differ = (found != wanted).flatten(1).sum(1)
    assert not differ.any(), [(number, str(ops[number])) for number in differ.nonzero()[:, 0].tolist()]
