"""Blurs, each image by its own amount, equal to Pillow's and NumPy's in every bit. The op Filter, but for the median.

On bytes, a Gaussian is Pillow's three extended boxes along each side; on floats it is a sampled Gaussian.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from augreg.backends.plain import SHARP
from augreg.backends.torch_kernels import columns
from augreg.backends.torch_kernels.moving import picked

__all__ = ["boxed", "gaussian", "motion"]

Column: TypeAlias = NDArray[np.float64]
_PASSES = 3
_LINE = 128
"""A line of motion has so many points for each pixel of its reach."""


def boxed(images: torch.Tensor, sigma: Column) -> torch.Tensor:
    """Byte images blurred with Gaussians of these deviations: N of them, on the host."""
    radius, whole, fraction = columns.to_device(np.stack(_boxes(sigma)), images.device)
    for _ in range(2):
        for _ in range(_PASSES):
            images = _by_box(images, radius, whole, fraction)
        images = images.mT.contiguous()
    return images


def _boxes(sigma: Column) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Radius, weight within it and weight of the pixel beyond it, in 2^-24ths; in single precision, like Pillow.

    The box whose threefold repetition has the deviation: Gwosdek et al. 2011.
    """
    one, sigma32 = np.float32(1), sigma.astype(np.float32)
    variance = sigma32 * sigma32 / np.float32(_PASSES)
    length = np.sqrt(12.0 * variance.astype(np.float64) + 1.0).astype(np.float32)
    low = np.floor((length.astype(np.float64) - 1.0) / 2.0).astype(np.float32)
    part = (2 * low + one) * (low * (low + one) - 3 * variance)
    part = part / (6 * (variance - (low + one) * (low + one)))
    size = low + part
    radius = size.astype(np.int64)
    whole = (np.float32(1 << 24) / (size * 2 + one)).astype(np.int64)
    return radius, whole, ((1 << 24) - (radius * 2 + 1) * whole) // 2


def _by_box(images: torch.Tensor, radius: torch.Tensor, whole: torch.Tensor, fraction: torch.Tensor) -> torch.Tensor:
    """One pass along the rows, with edges repeated; sums between two places are differences of running sums."""
    length = images.shape[3]
    sums = torch.nn.functional.pad(images.cumsum(3, dtype=torch.int32), (1, 0))
    place = torch.arange(length, device=images.device)
    low, high = place - radius[:, None], place + radius[:, None]

    def at(values: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        return values.gather(3, places[:, None, None].expand(*images.shape))

    def pixel(places: torch.Tensor) -> torch.Tensor:
        return at(images, places.clamp(0, length - 1)).to(torch.int32)

    total = at(sums, high.clamp(max=length - 1) + 1) - at(sums, low.clamp(min=0))
    total += images[..., :1] * (-low).clamp(min=0).to(torch.int32)[:, None, None]
    total += images[..., -1:] * (high - (length - 1)).clamp(min=0).to(torch.int32)[:, None, None]
    ends = pixel(low - 1) + pixel(high + 1)
    of_whole, of_fraction = whole.view(-1, 1, 1, 1), fraction.view(-1, 1, 1, 1)
    return ((total * of_whole + ends * of_fraction + (1 << 23)) >> 24).to(torch.uint8)


def gaussian(images: torch.Tensor, sigma: Column, edges: str = "edge") -> torch.Tensor:
    """Float32 images convolved with Gaussians of these deviations, cut off at 4 of them: N, on the host.

    The edges are repeated (`edge`), or mirrored (`symmetric`).
    """
    weights = _sampled(sigma)
    reach = weights.shape[0] // 2
    if not reach:
        return images
    on_device = columns.to_device(weights, images.device)[..., None, None, None]
    for axis in (2, 3):
        length = images.shape[axis]
        places = np.pad(np.arange(length), reach, mode=edges)  # type: ignore[call-overload]
        padded = images.index_select(axis, columns.to_device(places, images.device))
        total = torch.zeros_like(images)
        for number, weight in enumerate(on_device):
            total += padded.narrow(axis, number, length) * weight
        images = total
    return images


def _sampled(sigma: Column) -> NDArray[np.float32]:
    """The weights, taps x N; 0 beyond the reach of an image's own."""
    own = np.where(sigma < SHARP, 0, np.maximum(1, np.ceil(4.0 * sigma))).astype(np.int64)
    most = int(own.max(initial=0))
    found = np.zeros((2 * most + 1, len(sigma)), np.float32)
    found[most, own == 0] = 1.0
    for reach in np.unique(own[own > 0]).tolist():  # sums of as many weights as an image alone has
        which = (own == reach).nonzero()[0]
        values = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma[which, None]) ** 2)
        found[most - reach : most + reach + 1, which] = (values / values.sum(1, keepdims=True)).T
    return found


def motion(images: torch.Tensor, length: Column, degrees: Column) -> torch.Tensor:
    """Images averaged along lines of these lengths and angles: N of each, on the host. Edges are repeated."""
    line = _line(length, degrees)
    device = images.device
    down, across = columns.to_device(np.stack([line.down, line.across]), device)
    weights = columns.to_device(line.weights, device)
    rows, places = (torch.arange(side, device=device) for side in images.shape[2:])
    total = torch.zeros(images.shape, dtype=torch.float32, device=device)
    for y, x, weight in zip(down.unbind(0), across.unbind(0), weights.unbind(0), strict=True):
        row = (rows + y[:, None]).clamp(0, images.shape[2] - 1)[:, None, :, None]
        column = (places + x[:, None]).clamp(0, images.shape[3] - 1)[:, None, None, :]
        total += picked(images, row, column) * weight.view(-1, 1, 1, 1)
    return total if images.dtype == torch.float32 else total.round_().clamp_(0, 255).to(torch.uint8)


class _Line(NamedTuple):
    """The pixels of lines, taps x N: how far they are from the middle, and what they weigh, with 0 after the last."""

    down: NDArray[np.int64]
    across: NDArray[np.int64]
    weights: NDArray[np.float32]


def _line(length: Column, degrees: Column) -> _Line:
    """As `photography.motion_kernel`, for all images at once: those of one reach have the same number of points."""
    reaches = np.ceil(np.maximum(0.0, length - 1.0) / 2.0).astype(np.int64) + 1
    parts: list[Any] = []
    most = 0
    for reach in np.unique(reaches).tolist():
        which = (reaches == reach).nonzero()[0]
        side = 2 * reach + 1
        kernels = _kernels(reach, length[which, None] - 1.0, degrees[which])
        image, place = kernels.nonzero()
        tap = np.arange(len(image)) - np.searchsorted(image, image)  # their number within each image
        most = max(most, int(tap.max(initial=0)) + 1)
        parts.append((tap, which[image], place // side - reach, place % side - reach, kernels[image, place]))
    size = most, len(length)
    found = _Line(np.zeros(size, np.int64), np.zeros(size, np.int64), np.zeros(size, np.float32))
    for tap, image, down, across, weights in parts:
        found.down[tap, image], found.across[tap, image], found.weights[tap, image] = down, across, weights
    return found


def _kernels(reach: int, extent: Column, degrees: Column) -> NDArray[np.float32]:
    """One row of weights for each line of this reach."""
    count, side = len(degrees), 2 * reach + 1
    along = (np.arange(_LINE * reach) + 0.5) / (_LINE * reach) - 0.5
    angles = [math.radians(angle) for angle in degrees.tolist()]
    x = along * extent * np.array([[math.cos(angle)] for angle in angles]) + reach
    y = -along * extent * np.array([[math.sin(angle)] for angle in angles]) + reach
    left, top = x.astype(int), y.astype(int)
    right, down = x - left, y - top
    other, up = 1 - right, 1 - down
    first = top * side + left
    places = np.concatenate((first, first + 1, first + side, first + side + 1), 1)
    shares = np.concatenate((up * other, up * right, down * other, down * right), 1)
    places += np.arange(count)[:, None] * side * side
    kernels = np.bincount(places.ravel(), shares.ravel(), count * side * side).reshape(count, side * side)
    weights: NDArray[np.float32] = (kernels / kernels.sum(1, keepdims=True)).astype(np.float32)
    return weights
