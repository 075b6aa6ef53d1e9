"""Shadows, lightness, fog and flares. The ops Shade, Fog and Flare; their regions are made on the host.

Bytes of regions are equal in every bit.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from augreg.backends import intensity, plain
from augreg.backends.raining import drops
from augreg.backends.regions import Classes, regions, union
from augreg.backends.torch_kernels.columns import to_device, uploaded
from augreg.columns.records import Columns
from augreg.ops import Shade

__all__ = ["by_regions", "lightness", "rained", "relit", "shaded"]


def by_regions(op: Any, images: torch.Tensor) -> torch.Tensor:
    """The images after the maps of classes of their ops."""
    count, channels, height, width = images.shape
    white = 255.0 if images.dtype == torch.uint8 else 1.0
    alone: list[Any] = Columns(op, np.arange(count)).each()
    each = [regions(one, height, width, channels, white) for one in alone]
    for maps in zip(*each, strict=True):
        images = _classified(list(maps), images)
    return images


def _classified(maps: list[Classes], images: torch.Tensor) -> torch.Tensor:
    """Each image after its map of classes."""
    count, channels = images.shape[:2]
    most = max(len(one.tables) for one in maps)
    of = to_device(np.stack([one.of for one in maps]), images.device)[:, None]
    of = of + most * torch.arange(count, device=images.device).view(-1, 1, 1, 1)
    planes = maps[0].tables.shape[1]
    every = torch.arange(channels, device=images.device).view(1, -1, 1, 1) * (planes > 1)
    place = of * planes + every
    if images.dtype == torch.uint8:
        tables = np.zeros((count, most, planes, 256), np.uint8)
        for own, one in zip(tables, maps, strict=True):
            own[: len(one.tables)] = one.tables
        found = to_device(tables, images.device).view(-1)
        return found[place * 256 + images]
    numbers = np.zeros((2, count, most, planes), np.float32)
    for number, one in enumerate(maps):
        numbers[0, number, : len(one.tables)], numbers[1, number, : len(one.tables)] = one.factor, one.addition
    factor, addition = to_device(numbers.reshape(2, -1), images.device)
    return (images * factor[place] + addition[place]).clamp_(0.0, 1.0)


def shaded(op: Shade, images: torch.Tensor) -> torch.Tensor:
    """Pixel values, or their lightness, times a factor within polygons."""
    if op.of == "values":
        return by_regions(op, images)
    count, channels, height, width = images.shape
    plain.need_color("lightness", channels)
    masks = [union(one.polygons, height, width) for one in Columns(op, np.arange(count)).each()]  # type: ignore[attr-defined]
    inside = to_device(np.stack(masks), images.device)[:, None]
    factor, below = (
        number.to(torch.float32).view(-1, 1, 1, 1) for number in uploaded([op.factor, op.below], count, images.device)
    )
    values = images if images.dtype == torch.float32 else images.to(torch.float32) * float(np.float32(1 / 255))
    before = lightness(values)
    values = relit(values, before, (before * factor).clamp_(0.0, 1.0))
    found = values if images.dtype == torch.float32 else (values * 255.0).round_().to(torch.uint8)
    return torch.where(inside & (before < below), found, images)


def rained(op: Any, images: torch.Tensor) -> torch.Tensor:
    """The images with drops of rain, clipped, and as much darker as the ops say."""
    count, channels, height, width = images.shape
    masks = np.stack([drops(one, height, width) for one in Columns(op, np.arange(count)).each()])  # type: ignore[arg-type]
    intensity.per_channel((0.0,) * len(op.fill), channels, "fill")
    brightness, *fill = (
        one.to(torch.float32).view(-1, 1, 1, 1) for one in uploaded([op.brightness, *op.fill], count, images.device)
    )
    layer = to_device(masks, images.device)[:, None] * torch.cat(fill, 1)
    if images.dtype == torch.float32:
        return ((images + layer).clamp_(max=1.0) * brightness).clamp_(0.0, 1.0)
    whole = (layer.round_() + images).clamp_(max=255.0) * brightness
    return whole.round_().clamp_(0.0, 255.0).to(torch.uint8)


def lightness(values: torch.Tensor) -> torch.Tensor:
    """The mean of the largest and the smallest channel, N x 1 x H x W."""
    return (values.amax(1, keepdim=True) + values.amin(1, keepdim=True)) * 0.5


def relit(values: torch.Tensor, before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
    """As `augreg.backends.weather.relit`, for images from 0 to 1."""
    most, most_after = (torch.minimum(one, 1.0 - one) for one in (before, after))
    ratio = most_after / torch.where(most > 0.0, most, 1.0)
    return ((values - before) * ratio + after).clamp_(0.0, 1.0)
