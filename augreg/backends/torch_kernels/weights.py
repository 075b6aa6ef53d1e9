"""The weights of a pass of an antialiased resize, for each image of a batch: those of Pillow in every bit.

docs/backends.md has the definition. Everything up to the rounding to 22 binary digits is in float64, in Pillow's
order of operations. Lanczos needs a sine, which math libraries may round differently in the last bit: a weight would
change only if it lay within 1e-15 of the middle between two.
"""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple

import torch

from augreg.backends.torch_kernels.division import divided

__all__ = ["BITS", "Side", "Weights", "most_taps", "weigh"]

BITS: Final = 22
"""The weights have so many binary digits after the point."""
_REACH: Final = {"bilinear": 1.0, "bicubic": 2.0, "lanczos": 3.0}


class Side(NamedTuple):
    """One side of the boxes to be resized, as columns of N numbers each: arrays on the host, or tensors.

    The pixels from `offset` on, `size` of them, can be read. Of those, the `extent` from `begin` on, which need not
    be whole pixels, becomes `whole` pixels, and the result is what is wanted of these, from `start` on.
    """

    offset: Any
    size: Any
    begin: Any
    extent: Any
    start: Any
    whole: Any


class Weights(NamedTuple):
    """Pixel i of the result of image n is the sum over t of values[t, n, i] * pixel[first[n, i] + t], in 2^-22ths.

    `first` is N x wanted; `values` is taps x N x wanted, int32. Beyond the kernel or the box the values are 0, and
    the places may lie beyond the image. For float images `values` is float64, and not in 2^-22ths. One row in place
    of N is for all images. Where some weights are negative, `overshoots` is set: sums may be below 0 or above 255.
    """

    first: torch.Tensor
    values: torch.Tensor
    overshoots: bool

    def of(self, images: torch.Tensor) -> Weights:
        """Those of some images, given by their numbers."""
        return Weights(self.first.index_select(0, images), self.values.index_select(1, images), self.overshoots)

    def split(self, images: int) -> tuple[Weights, Weights]:
        """Those of the first images and those of the others."""
        first, values = self.first.tensor_split([images]), self.values.tensor_split([images], 1)
        return Weights(first[0], values[0], self.overshoots), Weights(first[1], values[1], self.overshoots)


def most_taps(scale: float, interpolation: str) -> int:
    """How many pixels a pixel of the result reads at most, where up to `scale` pixels become one."""
    return math.ceil(2.0 * _REACH[interpolation] * max(1.0, scale)) + 1  # one more for rounded positions


def weigh(
    side: Side,
    wanted: int,
    interpolation: str,
    taps: int,
    backward: torch.Tensor | None = None,
    whole: bool = True,
) -> Weights:
    """The weights for `wanted` pixels, as whole numbers or in float64. `taps` is from `most_taps`.

    Where `backward` (N flags) is set, the last pixel of the result comes first.
    """
    device = side.extent.device
    size, begin = side.size.to(torch.float64)[:, None], side.begin.to(torch.float64)[:, None]
    scale = (side.extent.to(torch.float64) / side.whole.to(torch.float64))[:, None]
    wide = scale.clamp(min=1.0)
    reach = _REACH[interpolation] * wide
    place = torch.arange(wanted, dtype=torch.float64, device=device)[None]
    if backward is not None:
        place = torch.where(backward.to(device, torch.bool)[:, None], wanted - 1 - place, place)
    place = place + side.start.to(torch.float64)[:, None]
    center = begin + (place + 0.5) * scale
    first = (center - reach + 0.5).trunc().clamp(min=0.0)
    last = torch.minimum((center + reach + 0.5).trunc(), size)
    pixel = first + torch.arange(taps, dtype=torch.float64, device=device)[:, None, None]
    values = _kernel((pixel - center + 0.5) * wide.reciprocal(), interpolation)
    values = torch.where(pixel < last, values, 0.0)
    total = values[0]
    for tap in range(1, taps):  # in this order: a sum of torch has another one, and rounds differently
        total = total + values[tap]
    values = values / torch.where(total == 0.0, 1.0, total)
    places = side.offset.to(torch.int64)[:, None] + first.to(torch.int64)
    overshoots = interpolation != "bilinear"
    if not whole:
        return Weights(places, values, overshoots)
    scaled = values * float(1 << BITS)
    halves = torch.where(scaled < 0.0, scaled - 0.5, scaled + 0.5) if overshoots else scaled + 0.5
    return Weights(places, halves.to(torch.int32), overshoots)


def _kernel(x: torch.Tensor, interpolation: str) -> torch.Tensor:
    if interpolation == "lanczos":
        return torch.where((x >= -3.0) & (x < 3.0), _sinc(x) * _sinc(divided(x, 3.0)), 0.0)
    x = x.abs()
    if interpolation == "bilinear":
        return (1.0 - x).clamp(min=0.0)
    near = (1.5 * x - 2.5) * x * x + 1.0
    far = (((x - 5.0) * x + 8.0) * x - 4.0) * -0.5
    return torch.where(x < 1.0, near, torch.where(x < 2.0, far, 0.0))


def _sinc(x: torch.Tensor) -> torch.Tensor:
    angle = x * math.pi
    return torch.where(x == 0.0, 1.0, angle.sin() / torch.where(x == 0.0, 1.0, angle))
