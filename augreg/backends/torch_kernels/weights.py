"""The weights of a pass of an antialiased resize, for each image of a batch: those of Pillow in every bit.

docs/backends.md has the definition. Everything up to the rounding to 22 binary digits is in float64, in Pillow's
order of operations. Lanczos needs a sine, which math libraries may round differently in the last bit: a weight would
change only if it lay within 1e-15 of the middle between two.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from augreg.backends.torch_kernels import columns
from augreg.backends.torch_kernels.division import divided

__all__ = ["BITS", "Side", "Weights", "most_taps", "weigh"]

BITS: Final = 22
"""The weights have so many binary digits after the point."""
_REACH: Final = {"bilinear": 1.0, "bicubic": 2.0, "lanczos": 3.0}


class Side(NamedTuple):
    """One side of the boxes to be resized, as columns of N numbers each, on the host.

    The pixels from `offset` on, `size` of them, can be read. Of those, the `extent` from `begin` on, which need not
    be whole pixels, becomes `whole` pixels, and the result is the `wanted` of these from `start` on; the last of them
    comes first where `backward` is set.
    """

    offset: Any
    size: Any
    begin: Any
    extent: Any
    start: Any
    whole: Any
    wanted: int
    backward: Any = False

    def taps(self, interpolation: str, which: Any = slice(None)) -> int:
        """How many pixels a pixel of the result reads at most, in these images."""
        return most_taps(float((np.asarray(self.extent) / np.asarray(self.whole))[which].max()), interpolation)


class Weights(NamedTuple):
    """Pixel i of the result of image n is the sum over t of values[t, n, i] * pixel[first[n, i] + t], in 2^-22ths.

    `first` is N x wanted; `values` is taps x N x wanted, int32. Beyond the kernel or the box the values are 0, and
    the places may lie beyond the image. For float images `values` is float64, and not in 2^-22ths. One row in place
    of N is for all images. `overshoots` is whether weights may be negative, and sums of bytes below 0 or above 255.
    """

    first: torch.Tensor
    values: torch.Tensor
    overshoots: bool

    def of(self, index: torch.Tensor, taps: int) -> Weights:
        """Those of some images, which read so many pixels at most."""
        values = self.values[:taps].index_select(1, index)
        return Weights(self.first.index_select(0, index), values, self.overshoots)


def most_taps(scale: float, interpolation: str) -> int:
    """How many pixels a pixel of the result reads at most, where up to `scale` pixels become one."""
    return math.ceil(2.0 * _REACH[interpolation] * max(1.0, scale)) + 1  # one more for rounded positions


def weigh(sides: Sequence[Side], interpolation: str, device: torch.device, whole: bool = True) -> list[Weights]:
    """The weights of each side, as whole numbers or in float64, on the device.

    All are made at once, with one copy to the device: on a GPU, the number of operations is what takes time.
    """
    count = max(np.size(number) for side in sides for number in side)
    table = columns.to_device(np.concatenate([_numbers(side, interpolation, count) for side in sides], 1), device)
    first, values = _weighed(table, max(side.wanted for side in sides), interpolation, sides)
    if whole:
        scaled = values * float(1 << BITS)
        values = torch.where(scaled < 0.0, scaled - 0.5, scaled + 0.5).to(torch.int32)
    found = []
    for number, side in enumerate(sides):
        rows = slice(number * count, (number + 1) * count)
        own = values[: side.taps(interpolation), rows, : side.wanted]
        found.append(Weights(first[rows, : side.wanted], own, interpolation != "bilinear"))
    return found


def _numbers(side: Side, interpolation: str, count: int) -> NDArray[np.float64]:
    """What the weights of a side depend on, 8 x N: in float64 as on a device, but before the copy to it."""
    offset, size, begin, extent, start, whole = (np.asarray(number, np.float64) for number in side[:6])
    scale = extent / whole
    wide = np.maximum(scale, 1.0)
    start = start + np.where(side.backward, side.wanted - 1.0, 0.0)
    step = np.where(side.backward, -1.0, 1.0)
    return columns.table([offset, size, begin, scale, _REACH[interpolation] * wide, 1.0 / wide, start, step], count)


def _weighed(
    table: torch.Tensor, wanted: int, interpolation: str, sides: Sequence[Side]
) -> tuple[torch.Tensor, torch.Tensor]:
    """The first pixel that each pixel of the result reads, and the weights from there on."""
    taps = max(side.taps(interpolation) for side in sides)
    offset, size, begin, scale, reach, narrow, start, step = table[..., None].unbind(0)
    place = torch.arange(wanted, dtype=torch.float64, device=table.device) * step + start
    center = begin + (place + 0.5) * scale
    first = (center - reach + 0.5).trunc().clamp(min=0.0)
    last = torch.minimum((center + reach + 0.5).trunc(), size)
    pixel = first + torch.arange(taps, dtype=torch.float64, device=table.device)[:, None, None]
    values = _kernel((pixel - center + 0.5) * narrow, interpolation)
    values = torch.where(pixel < last, values, 0.0)
    total = values[0]
    for tap in range(1, taps):  # in this order: a sum of torch has another one, and rounds differently
        total = total + values[tap]
    return (offset + first).to(torch.int64), values / torch.where(total == 0.0, 1.0, total)


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
