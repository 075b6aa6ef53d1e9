"""Displacement fields, with numbers and keys of each image, and images read through them. The op Remap.

The formulas are those of `backends.displacement`, and so are the precisions. Elastic fields and lenses are made on
the device; the few random numbers of grids come from the host, and other fields are made there, one by one.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from augreg.backends import displacement
from augreg.backends.torch_kernels import blurring, bordering, columns, fields
from augreg.backends.torch_kernels.columns import Number
from augreg.backends.torch_kernels.division import divided
from augreg.backends.torch_kernels.moving import filling, picked
from augreg.ops import Remap

__all__ = ["ON_HOST", "elastic", "grid", "lens", "on_host", "remapped"]

ON_HOST: Final = ("waves", "bands", "nodes", "camera", "fisheye", "tiles")
"""Fields that `on_host` makes."""
Keys: TypeAlias = NDArray[np.uint64]
_FAR: Final = 2.0**30


def elastic(
    numbers: tuple[Number, ...], keys: Keys, images: torch.Tensor, noise: Literal["uniform", "normal"] = "uniform"
) -> torch.Tensor:
    """Shifts of rows and columns, N x 2 x height x width: smoothed noise, times alpha.

    Normal noise is divided by its largest absolute value.
    """
    count, _, height, width = images.shape
    alpha, sigma = columns.table(numbers, count)
    if noise == "uniform":
        found = 2.0 * fields.uniform(keys, height * width * 2, images.device) - 1.0
    else:
        found = fields.normal(keys, height * width * 2, images.device)
        found /= found.abs().amax(1, keepdim=True)
    found = found.view(-1, height, width, 2).permute(0, 3, 1, 2).expand(count, -1, -1, -1)
    smooth = blurring.gaussian(found, sigma, "symmetric")
    return columns.to_device(alpha.astype(np.float32), images.device).view(-1, 1, 1, 1) * smooth


def grid(numbers: tuple[Number, ...], keys: Keys, images: torch.Tensor) -> torch.Tensor:
    """The same for inner nodes of a grid, displaced by up to a fraction of a cell, and bilinear shifts in between."""
    count, _, height, width = images.shape
    rows, across = columns.shared(numbers[0], "rows of a grid"), columns.shared(numbers[1], "columns of a grid")
    noise = np.float32(2.0) * fields.on_host(keys, 2 * (rows - 1) * (across - 1)) - np.float32(1.0)
    limit = columns.table([numbers[2]], count)[0].astype(np.float32).reshape(-1, 1, 1, 1)
    cell = np.array([height / rows, width / across]).reshape(2, 1, 1)
    nodes = np.zeros((count, 2, rows + 1, across + 1))
    nodes[:, :, 1:-1, 1:-1] = noise.reshape(len(keys), 2, rows - 1, across - 1) * limit * cell
    found = columns.to_device(nodes, images.device)
    for axis, length, cells in ((2, height, rows), (3, width, across)):
        place = (np.arange(length, dtype=np.float64) + 0.5) * (cells / length)
        first = place.astype(np.intp)
        part = columns.to_device(place - first, images.device)
        part = part[:, None] if axis == 2 else part
        before, after = columns.to_device(np.stack([first, first + 1]), images.device)
        found = found.index_select(axis, before) * (1.0 - part) + found.index_select(axis, after) * part
    return found.to(torch.float32)


def lens(numbers: tuple[Number, ...], images: torch.Tensor) -> torch.Tensor:
    """The same for a radius r that becomes r (1 + k r^2), where r is 1 at the corners."""
    count, _, height, width = images.shape
    (k,) = columns.uploaded(numbers, count, images.device)
    device = images.device
    y = (torch.arange(height, dtype=torch.float64, device=device) + 0.5 - height / 2.0)[:, None]
    x = torch.arange(width, dtype=torch.float64, device=device) + 0.5 - width / 2.0
    stretch = divided(k[:, None, None] * (y * y + x * x), (height * height + width * width) / 4.0)
    return torch.stack(((y * stretch).to(torch.float32), (x * stretch).to(torch.float32)), 1)


def on_host(op: Remap, images: torch.Tensor) -> torch.Tensor:
    """The same for any other field, made on the host as for single images."""
    count, _, height, width = images.shape
    ys = np.arange(height, dtype=np.float32)[:, None] + np.float32(0.5)
    xs = np.arange(width, dtype=np.float32)[None] + np.float32(0.5)
    numbers = columns.table(op.numbers, count).T.tolist()
    keys = np.broadcast_to(fields.field_keys(op.key), count).tolist()
    shifts = np.empty((count, 2, height, width), np.float32)
    for found, given, key in zip(shifts, numbers, keys, strict=True):
        rows, across = displacement.sources(Remap(op.field, tuple(given), key), height, width)
        found[0], found[1] = rows - ys, across - xs
    return columns.to_device(shifts, images.device)


def remapped(
    images: torch.Tensor, shifts: torch.Tensor, interpolation: str, fill: torch.Tensor, mode: str = "constant"
) -> torch.Tensor:
    """The images read at each pixel's center plus its shift.

    Where that is outside, it is `fill`, N x C or 1 x C, or with another `mode` than constant what a border has there.
    """
    height, width = images.shape[2:]
    ys = torch.arange(height, dtype=torch.float32, device=images.device)[:, None] + 0.5 + shifts[:, 0]
    xs = torch.arange(width, dtype=torch.float32, device=images.device) + 0.5 + shifts[:, 1]
    if mode != "constant":
        return bordering.sampled(images, ys, xs, interpolation, mode)
    if interpolation == "bicubic":
        found = bordering.sampled(images, ys, xs, interpolation, "edge")
    else:
        found = (_nearest if interpolation == "nearest" else _bilinear)(images, ys[:, None], xs[:, None])
    inside = (ys >= 0) & (ys < height) & (xs >= 0) & (xs < width)
    return torch.where(inside[:, None], found, filling(fill, images))


def _nearest(images: torch.Tensor, ys: torch.Tensor, xs: torch.Tensor) -> torch.Tensor:
    return picked(images, _within(ys, images.shape[2]), _within(xs, images.shape[3]))


def _bilinear(images: torch.Tensor, ys: torch.Tensor, xs: torch.Tensor) -> torch.Tensor:
    height, width = images.shape[2:]
    ys, xs = ys - 0.5, xs - 0.5
    top, left = ys.floor(), xs.floor()
    down, right = ys - top, xs - left
    columns_at = _within(left, width), _within(left + 1, width)
    lines = []
    for rows in (_within(top, height), _within(top + 1, height)):
        first, second = (picked(images, rows, column).to(torch.float32) for column in columns_at)
        lines.append(first * (1 - right) + second * right)
    mixed = lines[0] * (1 - down) + lines[1] * down
    return mixed if images.dtype == torch.float32 else mixed.round_().to(torch.uint8)


def _within(places: torch.Tensor, size: int) -> torch.Tensor:
    """Positions as whole numbers from 0 to size - 1."""
    return places.clamp(-1.0, _FAR).floor().to(torch.int64).clamp(0, size - 1)
