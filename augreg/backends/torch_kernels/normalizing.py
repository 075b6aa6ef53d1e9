"""Normalization of byte images to float32: equal in every bit. The op Normalize without a mean image."""

from __future__ import annotations

import torch

from augreg.backends import intensity
from augreg.backends.torch_kernels.columns import to_device
from augreg.backends.torch_kernels.tables import after, looked_up

__all__ = ["normalized"]


def normalized(
    images: torch.Tensor, mean: tuple[float, ...], std: tuple[float, ...], tables: torch.Tensor | None = None
) -> torch.Tensor:
    """(value / 255 - mean) / std per channel, computed in float64 and rounded once, after the byte tables if given.

    `tables` are those of `tables.looked_up`, N x 256 or N x C x 256; with them, both are one pass.
    """
    floats = to_device(intensity.normalize_tables(mean, std, images.shape[1])[None], images.device)
    if tables is not None:
        floats = after(tables, floats)
    return looked_up(images, floats)
