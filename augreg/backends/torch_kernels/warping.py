"""Nearest, bilinear and bicubic warps, a map per image, equal to Pillow's in every bit. The op Warp.

Pillow computes the positions of a nearest affine map in 16.16 fixed point, or as running sums where that does not
fit, or where rows stay rows. It computes all others in float64. The same is done here; the weights between pixels are
float64 as well. Differences of pixels of float images are float32, as Pillow's are.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from augreg.backends.torch_kernels.columns import host, to_device
from augreg.backends.torch_kernels.moving import filling, picked

__all__ = ["positions", "scaling", "warped"]

Floats: TypeAlias = NDArray[np.float64]
Places: TypeAlias = tuple[torch.Tensor, torch.Tensor]


def scaling(size: tuple[int, int], height: int, width: int) -> Floats:
    """The map, 1 x 8, of an image of this size that is scaled to height x width."""
    return np.array([[size[1] / width, 0.0, 0.0, 0.0, size[0] / height, 0.0, 0.0, 0.0]])


def warped(
    images: torch.Tensor,
    matrices: torch.Tensor | Floats,
    height: int,
    width: int,
    interpolation: str = "nearest",
    fill: torch.Tensor | None = None,
) -> torch.Tensor:
    """Resample each image through its map to height x width; `fill` where that shows a point outside of it.

    `matrices` is N x 8 float64 as in the op Warp, on the CPU: the kind of each map is read there, and running sums
    are made there in order. One row is for all images. `fill` is N x C or N x 1 pixel values, 0 without it. Bilinear
    warps take some 40 bytes of memory per byte of the result, bicubic ones 60. The images are bytes, or float32.
    """
    matrices = host(matrices).astype(np.float64)
    color = filling(fill, images)
    if interpolation == "bilinear":
        return _bilinear(images, *positions(matrices, height, width, images.device), color)
    if interpolation == "bicubic":
        return _bicubic(images, *positions(matrices, height, width, images.device), color)
    affine = (matrices[:, 6:] == 0.0).all(1)
    straight = affine & (matrices[:, 1] == 0.0) & (matrices[:, 3] == 0.0)
    fixed = affine & ~straight & _fits(matrices, height, width)
    kinds = ((straight, _apart), (fixed, _fixed), (affine & ~straight & ~fixed, _together), (~affine, positions))
    for chosen, places in kinds:
        if chosen.all():
            return _nearest(images, *places(matrices, height, width, images.device), color)
    out = images.new_empty((*images.shape[:2], height, width))
    for chosen, places in kinds:
        which = chosen.nonzero()[0]
        if len(which):
            here = to_device(which, images.device)
            fills = color if len(color) == 1 else color.index_select(0, here)
            found = places(matrices[which], height, width, images.device)
            out.index_copy_(0, here, _nearest(images.index_select(0, here), *found, fills))
    return out


def _fits(matrices: Floats, height: int, width: int) -> NDArray[np.bool_]:
    """Whether the corners of the result show points whose coordinates 16.16 fixed point holds."""
    fits = np.ones(len(matrices), bool)
    for x, y in ((0, 0), (width, height), (0, height), (width, 0)):
        for a, b, c in (matrices[:, :3].T, matrices[:, 3:6].T):
            fits &= np.abs(x * a + y * b + c) < 32768.0
    return fits


def _apart(matrices: Floats, height: int, width: int, device: torch.device) -> Places:
    """Positions of a map that keeps rows and columns apart: x as N x 1 x width, y as N x height x 1."""
    a, _, c, _, e, f, _, _ = matrices.T
    found = np.concatenate([_sums(c + a * 0.5, a, width), _sums(f + e * 0.5, e, height)], 1)
    places = to_device(found, device)
    return places[:, None, :width], places[:, width:, None]


def _together(matrices: Floats, height: int, width: int, device: torch.device) -> Places:
    """Positions of an affine map that does not fit fixed point, N x height x width each: sums down, then across."""
    found = []
    for a, b, c in (matrices[:, :3].T, matrices[:, 3:6].T):
        rows = _sums(c + b * 0.5 + a * 0.5, b, height)
        found.append(to_device(_sums(rows, np.broadcast_to(a[:, None], rows.shape), width), device))
    return found[0], found[1]


def _sums(start: Floats, step: Floats, length: int) -> Floats:
    """start, start + step, start + step + step, .., added up in this order, in a new last axis."""
    steps = np.repeat(step[..., None], length, -1)
    steps[..., 0] = start
    sums: Floats = np.add.accumulate(steps, -1)
    return sums


def _fixed(matrices: Floats, height: int, width: int, device: torch.device) -> Places:
    """Pixels of an affine map, N x height x width each, in 65536ths that are then rounded down."""
    a, b, c, d, e, f, _, _ = matrices.T
    numbers = np.stack([c + a * 0.5 + b * 0.5, a, b, f + d * 0.5 + e * 0.5, d, e])
    whole = to_device(np.floor(numbers * 65536.0 + 0.5).astype(np.int64), device)[..., None, None]
    down, across = torch.arange(height, device=device)[:, None], torch.arange(width, device=device)
    found = [(start + down * by_y + across * by_x) >> 16 for start, by_x, by_y in (whole[:3], whole[3:])]
    return found[0], found[1]


def positions(matrices: Floats, height: int, width: int, device: torch.device) -> Places:
    """x and y of the points that the pixels of the result show, N x height x width, in float64."""
    a, b, c, d, e, f, g, h = to_device(matrices.T, device)[..., None, None]
    across = torch.arange(width, dtype=torch.float64, device=device) + 0.5
    down = torch.arange(height, dtype=torch.float64, device=device)[:, None] + 0.5
    x, y = a * across + b * down + c, d * across + e * down + f
    if (matrices[:, 6:] == 0.0).all():
        return x, y
    depth = g * across + h * down + 1.0
    return x / depth, y / depth


def _inside(x: torch.Tensor, y: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
    return (x >= 0) & (x < images.shape[3]) & (y >= 0) & (y < images.shape[2])


def _nearest(images: torch.Tensor, x: torch.Tensor, y: torch.Tensor, fill: torch.Tensor) -> torch.Tensor:
    inside = _inside(x, y, images)
    rows, columns = _pixels(y, images.shape[2])[:, None], _pixels(x, images.shape[3])[:, None]
    return torch.where(inside[:, None], picked(images, rows, columns), fill)


def _pixels(places: torch.Tensor, side: int) -> torch.Tensor:
    """The pixels along a side that these places are in; any pixel for a place outside, which may be no number."""
    finite = places.nan_to_num(0.0) if places.is_floating_point() else places
    return finite.clamp(0, side - 1).to(torch.int64)


def _taps(x: torch.Tensor, y: torch.Tensor, images: torch.Tensor, reach: int) -> tuple[Any, ...]:
    """Which positions are inside; for x and for y, the pixels around them, and how far they are beyond the middle."""
    inside = _inside(x, y, images)
    found: list[Any] = [inside[:, None]]
    for place, side in ((x, images.shape[3]), (y, images.shape[2])):
        place = torch.where(inside, place, 0.5)[:, None] - 0.5
        before = place.floor()
        steps = range(1 - reach, reach + 1)
        found += [[(before + step).clamp(0, side - 1).to(torch.int64) for step in steps], place - before]
    return tuple(found)


def _bilinear(images: torch.Tensor, x: torch.Tensor, y: torch.Tensor, fill: torch.Tensor) -> torch.Tensor:
    inside, columns, across, rows, down = _taps(x, y, images, 1)
    mixed = []
    for row in rows:
        first, second = (_exact(picked(images, row, column)) for column in columns)
        mixed.append(first + (second - first) * across)
    found = mixed[0] + (mixed[1] - mixed[0]) * down
    return torch.where(inside, found.to(images.dtype), fill)


def _bicubic(images: torch.Tensor, x: torch.Tensor, y: torch.Tensor, fill: torch.Tensor) -> torch.Tensor:
    inside, columns, across, rows, down = _taps(x, y, images, 2)
    mixed = [_cubic([_exact(picked(images, row, column)) for column in columns], across) for row in rows]
    found = _cubic(mixed, down)
    if images.dtype == torch.uint8:
        found = found.clamp_(0.0, 255.0)
    return torch.where(inside, found.to(images.dtype), fill)


def _exact(pixels: torch.Tensor) -> torch.Tensor:
    """Bytes as float64, where their sums are exact; the differences of float32 are float32, and are not here."""
    return pixels if pixels.is_floating_point() else pixels.to(torch.float64)


def _cubic(around: list[torch.Tensor], part: torch.Tensor) -> torch.Tensor:
    """The cubic through four values, between the second and the third of them."""
    a, b, c, d = around
    return b + part * ((c - a) + part * ((2 * (a - b) + c - d) + part * (b - a - c + d)))
