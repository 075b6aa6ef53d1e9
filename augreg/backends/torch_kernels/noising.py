"""Sensor noise, and boxes of noise, with keys and amounts of each image. The op Noise, and Paint with noise.

All but the normal numbers themselves is computed as in `backends.photography`; `fields` says how equal those are.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from augreg.backends.torch_kernels import columns, fields
from augreg.errors import ImageError

__all__ = ["box", "noisy"]


def noisy(
    images: torch.Tensor, name: str, amounts: list[torch.Tensor], keys: NDArray[np.uint64], clip: bool
) -> torch.Tensor:
    """The images with noise of this kind; `amounts` are columns of N, `keys` N or one. `clip` is for floats."""
    _, channels, height, width = images.shape
    planes = channels + (name == "iso")
    normal = fields.normal(keys, height * width * planes, images.device)
    normal = normal.view(-1, height, width, planes).permute(0, 3, 1, 2)
    values = images if images.dtype == torch.float32 else images.to(torch.float32) * float(np.float32(1 / 255))
    amount, *others = (number.to(torch.float32).view(-1, 1, 1, 1) for number in amounts)
    if name == "iso":
        values = values + amount * _root(values.clamp(min=0.0)) * normal[:, :1] + others[0] * normal[:, 1:]
    elif name == "gaussian":
        values = values + amount * normal
    elif name == "shot":
        mean = values.clamp(min=0.0) * amount
        photons = mean + _root(mean) * normal + (normal * normal - 1.0) * float(np.float32(1 / 6))
        values = torch.where(mean == 0.0, 0.0, photons.round_().clamp_(min=0.0) / amount)
    else:
        raise ImageError(f"there is no noise named {name!r}")
    if images.dtype == torch.float32:
        return values.clamp(0.0, 1.0) if clip else values
    return (values * 255.0).round_().clamp_(0.0, 255.0).to(torch.uint8)


def _root(values: torch.Tensor) -> torch.Tensor:
    """The square root in float32, rounded from float64: torch's own is not always the nearest number on a CPU."""
    return values.to(torch.float64).sqrt_().to(torch.float32)


def box(images: torch.Tensor, boxes: NDArray[np.float64], kind: str, keys: NDArray[np.uint64]) -> torch.Tensor:
    """The images with a box of noise each: `boxes` is 4 x N (top, left, height, width), on the host."""
    device, channels = images.device, images.shape[1]
    top, left, height, width = columns.to_device(boxes.astype(np.int64), device)[..., None, None]
    rows = torch.arange(images.shape[2], device=device)[:, None] - top
    places = torch.arange(images.shape[3], device=device) - left
    inside = ((rows >= 0) & (rows < height) & (places >= 0) & (places < width))[:, None]
    pixel = torch.where(inside, (rows * width + places)[:, None] * channels, 0)
    numbers = (pixel + torch.arange(channels, device=device)[:, None, None]).flatten(1)
    most = int((boxes[2] * boxes[3]).max(initial=1)) * channels
    units = fields.units(keys, most + 1, device).expand(len(images), -1)
    if kind == "normal":
        found = fields.normal_at(units, numbers, (height * width)[:, :, 0] * channels)
    else:
        found = fields.rounded(units.gather(1, numbers))
    found = found.view(images.shape)
    return torch.where(inside, found if images.dtype == torch.float32 else (found * 256.0).to(torch.uint8), images)
