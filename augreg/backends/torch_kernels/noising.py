"""Sensor noise, and boxes of noise, with keys and amounts of each image. The op Noise, and Paint with noise.

All but the normal numbers themselves is computed as in `backends.photography`; `fields` says how equal those are.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from augreg.backends import plain
from augreg.backends.grain import most_counts
from augreg.backends.photography import noise_planes
from augreg.backends.torch_kernels import columns, fields, floats
from augreg.backends.torch_kernels.columns import Number
from augreg.backends.torch_kernels.weather import lightness, relit
from augreg.errors import ImageError

__all__ = ["box", "noisy"]


def noisy(
    images: torch.Tensor,
    name: str,
    amounts: list[torch.Tensor],
    keys: NDArray[np.uint64],
    clip: bool,
    rate: Number = 0.0,
) -> torch.Tensor:
    """The images with noise of this kind; `amounts` are columns of N, `keys` N or one. `clip` is for floats.

    `rate` is the first of the amounts on the host.
    """
    _, channels, height, width = images.shape
    planes = noise_planes(name, channels)
    make = fields.uniform if "factor" in name else fields.normal
    found = make(keys, height * width * planes, images.device)
    found = found.view(-1, height, width, planes).permute(0, 3, 1, 2)
    values = images if images.dtype == torch.float32 else images.to(torch.float32) * float(np.float32(1 / 255))
    if name == "lightness":
        most = float(np.max(rate)) * 0.5
        values = _grained(values, found.expand(len(images), -1, -1, -1), amounts, most)
    else:
        amount, *others = (number.to(torch.float32).view(-1, 1, 1, 1) for number in amounts)
        values = _with_noise(name, values, found, amount, others)
    if images.dtype == torch.float32:
        return values.clamp(0.0, 1.0) if clip else values
    return (values * 255.0).round_().clamp_(0.0, 255.0).to(torch.uint8)


def _with_noise(
    name: str, values: torch.Tensor, found: torch.Tensor, amount: torch.Tensor, others: list[torch.Tensor]
) -> torch.Tensor:
    """Values from 0 to 1 with noise from these numbers."""
    if name == "iso":
        return values + amount * _root(values.clamp(min=0.0)) * found[:, :1] + others[0] * found[:, 1:]
    if name in ("gaussian", "gray"):
        return values + amount * found
    if name in ("factor", "gray factor"):
        return values * (amount + (others[0] - amount) * found)
    if name == "shot":
        mean = values.clamp(min=0.0) * amount
        photons = mean + _root(mean) * found + (found * found - 1.0) * float(np.float32(1 / 6))
        return torch.where(mean == 0.0, 0.0, photons.round_().clamp_(min=0.0) / amount)
    raise ImageError(f"there is no noise named {name!r}")


def _grained(values: torch.Tensor, normal: torch.Tensor, amounts: list[torch.Tensor], most: float) -> torch.Tensor:
    """Noise of the lightness, as `augreg.backends.grain` makes it; `most` is the largest mean of a count."""
    plain.need_color("noise of the lightness", values.shape[1])
    rate, gain, hue = amounts
    mean = lightness(values).flatten(1).to(torch.float64).std(dim=1, correction=0) * rate
    if values.shape[1] == 3:
        shifted = floats.shifted_hue_by(values, hue.to(torch.float32).view(-1, 1, 1) * normal[:, 1])
        values = torch.where(hue.view(-1, 1, 1, 1) == 0.0, values, shifted)
    counts = torch.arange(most_counts(most), device=values.device, dtype=torch.float64)
    log = mean.clamp(min=1e-300).log()[:, None]
    total = (counts * log - mean[:, None] - torch.lgamma(counts + 1.0)).exp().cumsum(1).clamp(max=1.0)
    limits = torch.special.ndtri(total)
    found = torch.searchsorted(limits, normal[:, 0].flatten(1).to(torch.float64).contiguous())
    before = lightness(values)
    count = found.view(before.shape).to(torch.float32)
    after = before + count * gain.to(torch.float32).view(-1, 1, 1, 1) * (1.0 - before)
    return relit(values, before, after.clamp_(0.0, 1.0))


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
