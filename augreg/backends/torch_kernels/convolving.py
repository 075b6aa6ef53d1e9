"""Convolution with a kernel for each image, equal to NumPy's in every bit. The op Convolve."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from augreg.backends.convolving import separated
from augreg.backends.torch_kernels import columns

__all__ = ["convolved"]

Floats: TypeAlias = NDArray[np.float32]


def convolved(images: torch.Tensor, kernels: Floats) -> torch.Tensor:
    """Each image by its kernel, N x rows x columns on the host, or one for all; sums are float32.

    As for one image, those whose kernel is a product are convolved along one axis after the other.
    """
    halves = separated(kernels)
    if halves.products.all():
        total = _by_axes(images, halves.down, halves.across)
    elif not halves.products.any():
        total = _by_all(images, kernels)
    else:
        total = torch.empty_like(images, dtype=torch.float32)
        for chosen in (halves.products, ~halves.products):
            places = np.flatnonzero(chosen)
            here = columns.to_device(places, images.device)
            part = images.index_select(0, here)
            by_axes = halves.products[places[0]]
            found = (
                _by_axes(part, halves.down[places], halves.across[places])
                if by_axes
                else _by_all(part, kernels[places])
            )
            total.index_copy_(0, here, found)
    return total if images.dtype == torch.float32 else total.round_().clamp_(0, 255).to(torch.uint8)


def _by_all(images: torch.Tensor, kernels: Floats) -> torch.Tensor:
    """The sum over all weights; one that is 0 for an image adds nothing to it."""
    height, width = images.shape[2:]
    padded = _mirrored(_mirrored(images, 2, kernels.shape[1]), 3, kernels.shape[2])
    total = torch.zeros(images.shape, dtype=torch.float32, device=images.device)
    on_device = columns.to_device(kernels, images.device)
    for y, x in np.argwhere(kernels.any(0)).tolist():
        total += padded[:, :, y : y + height, x : x + width] * on_device[:, y, x, None, None, None]
    return total


def _by_axes(images: torch.Tensor, down: Floats, across: Floats) -> torch.Tensor:
    for axis, weights in ((2, down), (3, across)):
        length = images.shape[axis]
        padded = _mirrored(images, axis, weights.shape[1])
        total = torch.zeros(images.shape, dtype=torch.float32, device=images.device)
        on_device = columns.to_device(weights, images.device)
        for number in np.flatnonzero(weights.any(0)).tolist():
            total += padded.narrow(axis, number, length) * on_device[:, number, None, None, None]
        images = total
    return images


def _mirrored(images: torch.Tensor, axis: int, taps: int) -> torch.Tensor:
    """With a border for so many weights, where the image is mirrored and its edge is not repeated."""
    places = np.pad(np.arange(images.shape[axis]), taps // 2, mode="reflect")
    return images.index_select(axis, columns.to_device(places, images.device))
