"""Colors of byte images: luma, saturation, hue. Equal in every bit. The ops Enhance with `gray`, and Hue."""

from __future__ import annotations

import torch

from augreg.backends import plain
from augreg.backends.intensity import LUMA
from augreg.backends.torch_kernels.division import divided

__all__ = ["blend", "luma", "saturated", "shifted_hue"]


def luma(images: torch.Tensor) -> torch.Tensor:
    """The luma of each pixel, rounded to a byte: N x H x W. Raises ImageError unless the images are gray or RGB."""
    plain.need_color("luma", images.shape[1])
    if images.shape[1] == 1:
        return images[:, 0]
    red, green, blue = images.unbind(1)
    # whole numbers of 65536ths below 2^24 of them, which float32 holds exactly; a number of Python would make what
    # torch's default dtype is
    half = torch.full((), 0.5, dtype=torch.float32, device=images.device)
    total = torch.add(half, red, alpha=LUMA[0] / 65536)
    return total.add_(green, alpha=LUMA[1] / 65536).add_(blue, alpha=LUMA[2] / 65536).to(torch.uint8)


def blend(degenerate: torch.Tensor, images: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    """degenerate + factor * (image - degenerate) in float32, clipped and truncated, as Pillow's `Image.blend`."""
    base = degenerate.to(torch.float32)
    mixed = (images - base).mul_(factor.to(images.device, torch.float32)[:, None, None, None])
    return mixed.add_(base).clamp_(0.0, 255.0).to(torch.uint8)


def saturated(images: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    """Mix each image with its luma: N factors, where 0 gives gray and 1 the image."""
    plain.need_color("saturation", images.shape[1])
    return images if images.shape[1] == 1 else blend(luma(images)[:, None], images, factor)


def shifted_hue(images: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
    """Shift the hue by N fractions of the circle, in Pillow's 256 steps of it; less than one step changes nothing."""
    plain.need_color("hue", images.shape[1])
    if images.shape[1] == 1:
        return images
    steps = (255.0 * shift.to(images.device, torch.float64)).to(torch.int64)[:, None, None]
    found = _turned(images.to(torch.float32), (steps % 256).to(torch.float32)).to(torch.uint8)
    return torch.where((steps == 0)[..., None], images, found)


def _turned(images: torch.Tensor, steps: torch.Tensor) -> torch.Tensor:
    """Colors through hue, saturation and value, of which each is rounded to a byte as Pillow does."""
    red, green, blue = images.unbind(1)
    value, least = images.amax(1), images.amin(1)
    chroma = value - least
    middle = torch.maximum(torch.minimum(red, green), torch.minimum(torch.maximum(red, green), blue))
    part = (value - middle) / torch.where(chroma > 0.0, chroma, 1.0)
    of_red, of_green = red == value, green == value
    # a sixth of the circle is 2 here, and a color lies within it before or after its middle; `place` is from 0 to 1.
    # Each rounding matters: where a hue is a whole byte, Pillow truncates it to that byte or to the one before
    sixth = torch.where(of_red, 1.0, torch.where(of_green, 3.0, 5.0)).to(torch.float32)
    forward = torch.where(of_red, green - blue, torch.where(of_green, blue - red, red - green))
    place = divided(torch.where(forward >= 0.0, sixth - part, sixth - 2.0 + part), 6.0)
    place = torch.where(place < 0.0, place + 1.0, place)
    hue = 2.0 * ((place * 255.0).trunc() + steps)
    hue = torch.where(hue >= 512.0, hue - 512.0, hue)
    saturation = (chroma * 255.0 / value.clamp(min=1.0)).trunc()
    full, lost = value * 21675.0 + 10837.5, value * saturation  # in 85 * 255ths; whole numbers below 2^24 from here
    shares = torch.stack((170.0 - (hue - 255.0).abs(), (hue - 170.0).abs() - 85.0, (hue - 340.0).abs() - 85.0), 1)
    return divided(full[:, None] - lost[:, None] * shares.clamp(0.0, 85.0), 21675.0).trunc()
