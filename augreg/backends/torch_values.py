"""Ops that change pixel values, on batches of images: from the records to the kernels of `torch_kernels`.

A record has plain numbers or arrays with one for each image (see `augreg.columns`).
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from augreg.backends import intensity, plain, torch_geometry
from augreg.backends.torch_kernels import (
    blurring,
    colors,
    columns,
    convolving,
    fields,
    floats,
    lookups,
    mixing,
    noising,
    normalizing,
    sharpening,
    tables,
)
from augreg.backends.torch_kernels.division import single
from augreg.errors import ImageError
from augreg.ops import ColorMatrix, Convolve, DropPixels, Enhance, Filter, Hue, Lookup, Noise, Normalize, ShiftHsv

__all__ = [
    "convolved",
    "dropped",
    "enhanced",
    "filtered",
    "hsv_shifted",
    "hue_shifted",
    "looked_up",
    "mixed",
    "noisy",
    "normalized",
    "refuses_filter",
    "refuses_lookup",
    "refuses_normalize",
]

Column: TypeAlias = NDArray[Any]


def looked_up(op: Lookup, images: torch.Tensor) -> torch.Tensor:
    """Functions of the pixel value; on bytes, they are one table."""
    if images.dtype == torch.float32:
        return floats.after_stages(images, op.stages)
    return tables.looked_up(images, lookups.column_tables(op.stages, images))


def refuses_lookup(op: Lookup, dtype: str, channels: int) -> str:
    """Why it cannot be run on a batch."""
    unknown = [stage.name for stage in op.stages if stage.name not in lookups.NAMES]
    return f"no batch kernel for a function of the pixel value named {unknown[0]!r}" if unknown else ""


def enhanced(op: Enhance, images: torch.Tensor) -> torch.Tensor:
    """Saturation and sharpness."""
    gray = op.degenerate == "gray"
    if gray:
        plain.need_color("saturation", images.shape[1])
        if images.shape[1] == 1:
            return images
    (factor,) = columns.uploaded([op.factor], len(images), images.device)
    if images.dtype == torch.float32:
        return (floats.saturated if gray else floats.sharpened)(images, factor)
    return colors.saturated(images, factor) if gray else sharpening.sharpened(images, factor)


def hue_shifted(op: Hue, images: torch.Tensor) -> torch.Tensor:
    """Hue; on bytes, on a circle of 256 steps."""
    plain.need_color("hue", images.shape[1])
    if images.shape[1] == 1:
        return images
    (shift,) = columns.uploaded([op.shift], len(images), images.device)
    return (floats if images.dtype == torch.float32 else colors).shifted_hue(images, shift)


def hsv_shifted(op: ShiftHsv, images: torch.Tensor) -> torch.Tensor:
    """Hue, saturation and value; bytes are rounded once."""
    shifts = columns.uploaded([op.hue, op.saturation, op.value], len(images), images.device)
    if images.dtype == torch.float32:
        return floats.shifted_hsv(images, *shifts)
    found = floats.shifted_hsv(images * single(1 / 255), *shifts)
    return (found * single(255)).round_().to(torch.uint8)


def mixed(op: ColorMatrix, images: torch.Tensor) -> torch.Tensor:
    """Each channel as a weighted sum of all."""
    channels = images.shape[1]
    if len(op.rows) != channels:
        raise ImageError(
            f"a color matrix was drawn for {len(op.rows)} channels and the images have {channels} channels"
        )
    return mixing.mixed(images, op.rows, op.offsets)


def noisy(op: Noise, images: torch.Tensor) -> torch.Tensor:
    """Sensor noise."""
    amounts = columns.uploaded(op.amounts, len(images), images.device)
    return noising.noisy(images, op.name, amounts, fields.field_keys(op.key, op.frame), op.clip, op.amounts[0])


def dropped(op: DropPixels, images: torch.Tensor) -> torch.Tensor:
    """A fraction of the pixels, or of the values, painted over."""
    count, channels, height, width = images.shape
    planes = channels if op.per_channel else 1
    noise = fields.uniform(fields.field_keys(op.key, op.frame), height * width * planes, images.device)
    noise = noise.view(-1, height, width, planes).permute(0, 3, 1, 2)
    fraction = columns.to_device(columns.table([op.fraction], count).astype(np.float32), images.device)
    fill = torch_geometry.fill_pixels(op.fill, images)
    return torch.where(noise < fraction.view(-1, 1, 1, 1), fill[:, :, None, None], images)


def refuses_filter(op: Filter, dtype: str, channels: int) -> str:
    """Why it cannot be run on a batch."""
    return "" if op.name in ("gaussian", "motion") else f"no batch kernel for {op.name} blur"


def filtered(op: Filter, images: torch.Tensor) -> torch.Tensor:
    """Gaussian and motion blur."""
    amount, angle = columns.table([op.amount, op.angle], len(images))
    if op.name == "motion":
        return blurring.motion(images, amount, angle)
    return (blurring.gaussian if images.dtype == torch.float32 else blurring.boxed)(images, amount)


def convolved(op: Convolve, images: torch.Tensor) -> torch.Tensor:
    """Sums of pixels around each one, by the weights of a kernel."""
    weights = [number for row in op.kernel for number in row]
    kernels = columns.compact(weights, len(images)).T.astype(np.float32)
    return convolving.convolved(images, kernels.reshape(-1, len(op.kernel), len(op.kernel[0])))


def refuses_normalize(op: Normalize, dtype: str, channels: int) -> str:
    """Why it cannot be run on a batch."""
    return "no batch kernel for a mean or std for each image" if columns.differ(*op.mean, *op.std) else ""


def normalized(op: Normalize, images: torch.Tensor) -> torch.Tensor:
    """Pixel values as floats, after the stages of the op."""
    whole = op.mean_image is not None  # then bytes are only converted first, and the mean image is subtracted after
    if images.dtype == torch.float32:
        images = floats.after_stages(images, op.stages)
    else:
        found = lookups.column_tables(op.stages, images) if op.stages else None
        mean, std = ((0.0,), (1.0,)) if whole else (op.mean, op.std)
        images = normalizing.normalized(images, mean, std, found)
        if not whole:
            return images
    channels, device = images.shape[1], images.device
    std32 = intensity.per_channel(op.std or (1.0,), channels, "normalize's std").astype(np.float32)
    if whole:
        means = columns.to_device(plain.mean_image(op, channels), device).permute(2, 0, 1)[None]
        for step in op.window:
            means = torch_geometry.moved(step, means.expand(len(images), -1, -1, -1))
    else:
        mean32 = intensity.per_channel(op.mean, channels, "normalize's mean").astype(np.float32)
        means = columns.to_device(mean32, device)[None, :, None, None]
    return (images - means) / columns.to_device(std32, device)[None, :, None, None]
