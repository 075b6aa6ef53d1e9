"""Brightness, contrast and saturation of different byte images in one pass: equal in every bit."""

from __future__ import annotations

import torch

from augreg.backends.torch_kernels.colors import blend, luma
from augreg.backends.torch_kernels.division import divided

__all__ = ["faded"]


def faded(images: torch.Tensor, of_luma: torch.Tensor, of_mean: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    """Blend each image with its luma, with its mean luma, or with black: saturation, contrast or brightness.

    `of_luma` and `of_mean` (N each) are 1 for what an image is blended with, and 0 for the others. Needs RGB images.
    """
    gray = luma(images)
    total = gray.sum(dim=(1, 2), dtype=torch.int64).to(torch.float64)
    mean = (divided(total, float(gray[0].numel())) + 0.5).floor_().to(torch.float32)
    shares, means = of_luma.to(torch.float32)[:, None, None], (mean * of_mean.to(torch.float32))[:, None, None]
    return blend((gray * shares).add_(means)[:, None], images, factor)
