"""Tables that depend on statistics of each image: contrast, auto_contrast and equalize, equal in every bit.

Counts are whole numbers, so that the order in which a device adds does not matter.
"""

from __future__ import annotations

import torch

from augreg.backends.torch_kernels.colors import luma
from augreg.backends.torch_kernels.division import divided
from augreg.backends.torch_kernels.tables import blended, multiplied

__all__ = ["auto_contrast", "contrast", "equalize", "histograms", "histograms_after", "multiply_add_mean"]


def histograms(images: torch.Tensor) -> torch.Tensor:
    """How often each byte occurs in each channel: N x C x 256, int64."""
    pixels = images.flatten(2)
    return _added(pixels, torch.ones(1, dtype=torch.int64, device=images.device).expand(pixels.numel()))


def histograms_after(counts: torch.Tensor, tables: torch.Tensor) -> torch.Tensor:
    """The histograms of the images after tables, without a pass over the pixels."""
    rows = tables[:, None] if tables.ndim == 2 else tables
    return _added(rows.expand_as(counts), counts.flatten())


def _added(values: torch.Tensor, amounts: torch.Tensor) -> torch.Tensor:
    """The sums of the amounts by byte, image and channel: N x C x 256, for N x C x K bytes.

    The sum is over one axis, because torch refuses others on CUDA where a user asks for deterministic algorithms.
    """
    images, channels = values.shape[:2]
    sums = torch.zeros(images * channels * 256, dtype=torch.int64, device=values.device)
    starts = torch.arange(0, len(sums), 256, device=values.device).view(images, channels, 1)
    return sums.scatter_add_(0, (values + starts).flatten(), amounts).view(images, channels, 256)


def contrast(images: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    """Tables, N x 256, that move values away from the image's mean luma, or toward it. Needs gray or RGB images."""
    gray = luma(images)
    total = gray.sum(dim=(1, 2), dtype=torch.int64).to(torch.float64)
    base = (divided(total, float(gray.shape[1] * gray.shape[2])) + 0.5).floor()
    return blended(base, factor.to(images.device))


def multiply_add_mean(counts: torch.Tensor, factor: torch.Tensor, addition: torch.Tensor) -> torch.Tensor:
    """Tables, N x 256, of the value times the factor, plus a multiple of the mean of all values of the image."""
    totals = counts.sum(1)
    values = torch.arange(256, device=counts.device)
    mean = (totals * values).sum(1).to(torch.float64) / totals.sum(1).to(torch.float64)
    return multiplied(factor, addition * mean)


def auto_contrast(counts: torch.Tensor, cutoff: torch.Tensor | None = None) -> torch.Tensor:
    """Tables, N x C x 256, that stretch the range of values that occur to 0..255.

    `cutoff` is N percentages of the pixels to leave out at each end.
    """
    if cutoff is None:
        upward = downward = counts > 0
    else:
        total = counts.sum(2, keepdim=True)
        share = total.to(torch.float64) * cutoff.to(counts.device, torch.float64)[:, None, None]
        most = torch.div(share, torch.full_like(share, 100.0), rounding_mode="floor").to(torch.int64)
        upward, downward = counts.cumsum(2) > most, counts.flip(2).cumsum(2).flip(2) > most
    values = torch.arange(256, device=counts.device)
    low = torch.where(upward, values, 255).amin(2, keepdim=True)
    high = torch.where(downward, values, 0).amax(2, keepdim=True)
    stretches = low < high  # not where most of the pixels are left out: low is above high then
    reach = torch.where(stretches, high - low, 1).to(torch.float64)
    scale = torch.full_like(reach, 255.0) / reach
    stretched = (values * scale + -low * scale).to(torch.int64).clamp(0, 255)
    return torch.where(stretches, stretched, values).to(torch.uint8)


def equalize(counts: torch.Tensor) -> torch.Tensor:
    """Tables, N x C x 256: the cumulative histogram, in steps."""
    until = counts.cumsum(2)
    values = torch.arange(256, device=counts.device)
    highest = torch.where(counts > 0, values, 0).amax(2, keepdim=True)
    step = (until[..., -1:] - counts.gather(2, highest)) // 255
    divisor = step.clamp(min=1)
    steps = ((divisor // 2 + until - counts) // divisor).clamp(max=255)
    return torch.where(step > 0, steps, values).to(torch.uint8)
