"""Colors of float images, with pixel values from 0 to 1: the formulas of `backends.intensity` and `backends.plain`.

They are computed in float32 as there. Three may differ in the last bits: a luma, whose sum NumPy leaves to a library,
a mean, whose order of additions is another one, and a power.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from augreg.backends import plain
from augreg.backends.intensity import LUMA
from augreg.backends.torch_kernels import columns, measuring, tables
from augreg.backends.torch_kernels.division import divided
from augreg.backends.torch_kernels.lookups import numbers
from augreg.errors import ImageError
from augreg.ops import ImageStatistic, PointFunction

__all__ = ["after_stages", "saturated", "sharpened", "shifted_hsv", "shifted_hue", "shifted_hue_by"]


def after_stages(images: torch.Tensor, stages: Sequence[PointFunction | ImageStatistic]) -> torch.Tensor:
    """The images after all stages, whose amounts may be arrays with a number for each image."""
    amounts = iter(
        columns.uploaded([each for stage in stages for each in numbers(stage)], len(images), images.device)
    )
    for stage in stages:
        if isinstance(stage.amount, bytes):
            table = columns.to_device(np.frombuffer(stage.amount, np.uint8)[None, None], images.device)
            images = _between(table, images)
        else:
            images = _after(stage.name, [next(amounts) for _ in numbers(stage)], images)
    return images


def _after(name: str, amounts: Sequence[torch.Tensor], images: torch.Tensor) -> torch.Tensor:
    if name == "invert":
        return 1.0 - images
    if name in ("equalize", "auto_contrast"):
        counts = measuring.histograms((images * 255.0).round_().clamp_(0, 255).to(torch.uint8))
        found = measuring.equalize(counts) if name == "equalize" else measuring.auto_contrast(counts, *amounts)
        return _between(found, images)
    exact, *others = [amount.view(-1, 1, 1, 1) for amount in amounts]  # float64
    number = exact.to(torch.float32)
    match name:
        case "brightness":
            return (images * number).clamp_(0.0, 1.0)
        case "posterize":
            steps = 2.0 ** exact.trunc().to(torch.float32)
            kept = torch.minimum((images * steps).floor_().clamp_(min=0.0), steps - 1.0) / steps
            return torch.where(exact < 8, kept, images)
        case "solarize":
            return torch.where(images < divided(exact, 255.0).to(torch.float32), images, 1.0 - images)
        case "solarize_add":
            raised = (images + divided(exact.trunc(), 255.0).to(torch.float32)).clamp_(0.0, 1.0)
            return torch.where(images < float(np.float32(128 / 255)), raised, images)
        case "gamma":
            # in float64: a power of float32 depends on the place in memory on a CPU, in its last bit
            return (images.clamp(0.0, 1.0).to(torch.float64) ** number.to(torch.float64)).to(torch.float32)
        case "curve":
            high = others[0]
            return tables.bezier(exact, high, images.to(torch.float64)).clamp_(0.0, 1.0).to(torch.float32)
        case "contrast":
            gray = _luma(images)
            mean = gray.mean(dim=(1, 2, 3), keepdim=True, dtype=torch.float64).to(torch.float32)
            return _blend(mean, images, exact)
        case "multiply_add" | "multiply_add_mean":
            (addition,) = others
            if name == "multiply_add_mean":
                addition = addition * images.mean(dim=(1, 2, 3), keepdim=True, dtype=torch.float64)
            return (images * number + addition.to(torch.float32)).clamp_(0.0, 1.0)
    raise ImageError(f"there is no point function or image statistic named {name!r}")


def _between(tables: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
    """Byte tables, N x C x 256, or with one row for all, applied linearly between their entries, in float64."""
    count, channels = images.shape[:2]
    entries = divided(tables.to(torch.float64), 255.0).expand(count, channels, 256)
    place = (images * 255.0).to(torch.float64).clamp_(0.0, 255.0).flatten(2)
    before = place.floor().clamp_(max=254.0)
    first = entries.gather(2, before.to(torch.int64))
    second = entries.gather(2, before.to(torch.int64) + 1)
    found = (second - first) * (place - before) + first
    found = torch.where(place == 255.0, second, found)
    return found.to(torch.float32).view(images.shape)


def _luma(images: torch.Tensor) -> torch.Tensor:
    """N x 1 x H x W. Raises ImageError unless the images are gray or RGB."""
    plain.need_color("luma", images.shape[1])
    if images.shape[1] == 1:
        return images
    red, green, blue = images.unbind(1)
    weights = [float(np.float32(weight) / np.float32(65536)) for weight in LUMA]
    return (red * weights[0] + green * weights[1] + blue * weights[2])[:, None]


def _blend(degenerate: torch.Tensor, images: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    """degenerate + factor * (image - degenerate), clipped; images with a factor of 1 stay as they are."""
    mixed = degenerate + factor.to(torch.float32) * (images - degenerate)
    return torch.where(factor == 1.0, images, mixed.clamp_(0.0, 1.0))


def saturated(images: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    """Mix each image with its luma: N factors in float64, where 0 gives gray and 1 the image."""
    return _blend(_luma(images), images, factor.view(-1, 1, 1, 1))


def sharpened(images: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    """Mix each image with a smoothed copy: N factors in float64, where 0 gives the copy and 1 the image."""
    smooth = images.clone()
    if min(images.shape[2:]) > 2:
        rows = images[:, :, :-2] + images[:, :, 1:-1] + images[:, :, 2:]
        total = rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:]
        smooth[:, :, 1:-1, 1:-1] = divided(total + 4.0 * images[:, :, 1:-1, 1:-1], 13.0)
    return _blend(smooth, images, factor.view(-1, 1, 1, 1))


def shifted_hue(images: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
    """Shift the hue of RGB images by N fractions of the circle."""
    return shifted_hue_by(images, shift.to(torch.float32)[:, None, None])


def shifted_hue_by(images: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
    """Shift the hue of the pixels of RGB images by fractions of the circle, N x H x W or N x 1 x 1."""
    red, green, blue = images.unbind(1)
    value, least = images.amax(1), images.amin(1)
    chroma = value - least
    safe = torch.where(chroma > 0, chroma, 1.0)
    sixth = torch.where(
        value == red,
        (green - blue) / safe,
        torch.where(value == green, 2.0 + (blue - red) / safe, 4.0 + (red - green) / safe),
    )
    part = divided(sixth, 6.0) + shift
    turned = part.remainder(1.0) * 6.0
    channels = []
    for offset in (5.0, 3.0, 1.0):
        place = (turned + offset).remainder(6.0)
        channels.append(value - chroma * torch.minimum(place, 4.0 - place).clamp_(0.0, 1.0))
    return torch.stack(channels, 1)


def shifted_hsv(
    images: torch.Tensor, hue: torch.Tensor, saturation: torch.Tensor, value: torch.Tensor
) -> torch.Tensor:
    """Shift hue, saturation and value of gray or RGB images, N numbers each: the formulas of `backends.hsv`."""
    plain.need_color("a shift of hue, saturation and value", images.shape[1])
    add, more = (shift.to(torch.float32).view(-1, 1, 1, 1) for shift in (saturation, value))
    if images.shape[1] == 1:
        return (images + more).clamp_(0.0, 1.0)
    images = torch.where((hue == 0.0).view(-1, 1, 1, 1), images, shifted_hue(images, hue)).clamp_(min=0.0)
    brightest = images.amax(1, keepdim=True)
    chroma = brightest - images.amin(1, keepdim=True)
    colored = chroma > 0
    share = (chroma / torch.where(colored, brightest, 1.0) + add).clamp_(0.0, 1.0)
    share = torch.where(colored, share, 0.0)
    below = (brightest - images) / torch.where(colored, chroma, 1.0)
    return (brightest + more).clamp_(0.0, 1.0) * (1.0 - share * below)
