"""Ops that change pixel values, on batches of images: from the records to the kernels of `torch_kernels`.

A record has plain numbers or arrays with one for each image (see `augreg.columns`).
"""

from __future__ import annotations

import numpy as np
import torch

from augreg.backends import plain
from augreg.backends.torch_kernels import colors, columns, lookups, normalizing, sharpening, tables
from augreg.ops import Enhance, Hue, Lookup, Normalize

__all__ = ["enhanced", "hue_shifted", "looked_up", "normalized"]


def looked_up(op: Lookup, images: torch.Tensor) -> torch.Tensor:
    """Each pixel value by a table."""
    return tables.looked_up(images, lookups.column_tables(op.stages, images))


def enhanced(op: Enhance, images: torch.Tensor) -> torch.Tensor:
    """Saturation and sharpness."""
    if op.degenerate == "gray":
        plain.need_color("saturation", images.shape[1])
        if images.shape[1] == 1:
            return images
    (factor,) = columns.uploaded([op.factor], len(images), images.device)
    return colors.saturated(images, factor) if op.degenerate == "gray" else sharpening.sharpened(images, factor)


def hue_shifted(op: Hue, images: torch.Tensor) -> torch.Tensor:
    """Hue, on a circle of 256 steps."""
    plain.need_color("hue", images.shape[1])
    if images.shape[1] == 1 or not np.any(np.trunc(np.multiply(255.0, op.shift))):
        return images
    (shift,) = columns.uploaded([op.shift], len(images), images.device)
    return colors.shifted_hue(images, shift)


def normalized(op: Normalize, images: torch.Tensor) -> torch.Tensor:
    """Pixel values as floats, after the stages of the op."""
    found = lookups.column_tables(op.stages, images) if op.stages else None
    return normalizing.normalized(images, op.mean, op.std, found)
