"""Nearest and bilinear warps, a map per image, equal to Pillow's in every bit. The op Warp.

Pillow computes the positions of a nearest affine map in 16.16 fixed point, or as running sums where that does not
fit, or where rows stay rows. It computes all others in float64. The same is done here; bilinear weights are float64
as well.
"""

from __future__ import annotations

import torch

from augreg.backends.torch_kernels.moving import filling, picked

__all__ = ["warped"]


def warped(
    images: torch.Tensor,
    matrices: torch.Tensor,
    height: int,
    width: int,
    interpolation: str = "nearest",
    fill: torch.Tensor | None = None,
) -> torch.Tensor:
    """Resample each byte image through its map to height x width; `fill` where that shows a point outside of it.

    `matrices` is N x 8 float64 as in the op Warp, on the CPU: the kind of each map is read there, and running sums
    are made there in order. `fill` is N x C or N x 1 pixel values, 0 without it. Bilinear warps take some 40 bytes of
    memory per byte of the result.
    """
    matrices = matrices.to("cpu", torch.float64)
    color = filling(fill, images).expand(len(images), -1, 1, 1)
    if interpolation == "bilinear":
        return _bilinear(images, *_positions(matrices.to(images.device), height, width), color)
    out = images.new_empty((*images.shape[:2], height, width))
    affine = (matrices[:, 6:] == 0.0).all(1)
    straight = affine & (matrices[:, 1] == 0.0) & (matrices[:, 3] == 0.0)
    fixed = affine & ~straight & _fits(matrices, height, width)
    cpu, device = matrices.device, images.device
    for chosen, places, made_on in (
        (straight, _apart, cpu),
        (fixed, _fixed, device),
        (affine & ~straight & ~fixed, _together, cpu),
        (~affine, _positions, device),
    ):
        which = chosen.nonzero()[:, 0]
        if len(which):
            here = which.to(device)
            columns, rows = places(matrices[which].to(made_on), height, width)
            out[here] = _nearest(images[here], columns.to(device), rows.to(device), color[here])
    return out


def _fits(matrices: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Whether the corners of the result show points whose coordinates 16.16 fixed point holds."""
    fits = torch.ones(len(matrices), dtype=torch.bool)
    for x, y in ((0, 0), (width, height), (0, height), (width, 0)):
        for a, b, c in (matrices[:, :3].unbind(1), matrices[:, 3:6].unbind(1)):
            fits &= (x * a + y * b + c).abs() < 32768.0
    return fits


def _apart(matrices: torch.Tensor, height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Positions of a map that keeps rows and columns apart: x as N x 1 x width, y as N x height x 1."""
    a, _, c, _, e, f, _, _ = matrices.unbind(1)
    return _sums(c + a * 0.5, a, width)[:, None], _sums(f + e * 0.5, e, height)[:, :, None]


def _together(matrices: torch.Tensor, height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Positions of an affine map that does not fit fixed point, N x height x width each: sums down, then across."""
    found = []
    for a, b, c in (matrices[:, :3].unbind(1), matrices[:, 3:6].unbind(1)):
        rows = _sums(c + b * 0.5 + a * 0.5, b, height)
        found.append(_sums(rows, a[:, None].expand_as(rows), width))
    return found[0], found[1]


def _sums(start: torch.Tensor, step: torch.Tensor, length: int) -> torch.Tensor:
    """start, start + step, start + step + step, .., added up in this order, in a new last axis."""
    steps = step[..., None].repeat(*[1] * step.ndim, length)
    steps[..., 0] = start
    return steps.cumsum(-1)


def _fixed(matrices: torch.Tensor, height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Pixels of an affine map, N x height x width each, in 65536ths that are then rounded down."""
    found = []
    down = torch.arange(height, device=matrices.device)[:, None]
    across = torch.arange(width, device=matrices.device)
    for a, b, c in (matrices[:, :3].unbind(1), matrices[:, 3:6].unbind(1)):
        start, by_x, by_y = (
            (number * 65536.0 + 0.5).floor().to(torch.int64)[:, None, None]
            for number in (c + a * 0.5 + b * 0.5, a, b)
        )
        found.append((start + down * by_y + across * by_x) >> 16)
    return found[0], found[1]


def _positions(matrices: torch.Tensor, height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """x and y of the points that the pixels of the result show, N x height x width, in float64."""
    a, b, c, d, e, f, g, h = matrices[:, :, None, None].unbind(1)
    across = torch.arange(width, dtype=torch.float64, device=matrices.device) + 0.5
    down = torch.arange(height, dtype=torch.float64, device=matrices.device)[:, None] + 0.5
    depth = g * across + h * down + 1.0
    return (a * across + b * down + c) / depth, (d * across + e * down + f) / depth


def _inside(x: torch.Tensor, y: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
    return (x >= 0) & (x < images.shape[3]) & (y >= 0) & (y < images.shape[2])


def _nearest(images: torch.Tensor, x: torch.Tensor, y: torch.Tensor, fill: torch.Tensor) -> torch.Tensor:
    inside = _inside(x, y, images)
    rows, columns = (torch.where(inside, place, 0).to(torch.int64)[:, None] for place in (y, x))
    return torch.where(inside[:, None], picked(images, rows, columns), fill)


def _bilinear(images: torch.Tensor, x: torch.Tensor, y: torch.Tensor, fill: torch.Tensor) -> torch.Tensor:
    inside = _inside(x, y, images)
    x, y = (torch.where(inside, place, 0.5)[:, None] - 0.5 for place in (x, y))
    left, top = x.floor(), y.floor()
    across, down = x - left, y - top
    columns = [(left + step).clamp(0, images.shape[3] - 1).to(torch.int64) for step in (0, 1)]
    mixed = []
    for step in (0, 1):
        rows = (top + step).clamp(0, images.shape[2] - 1).to(torch.int64)
        first, second = (picked(images, rows, column).to(torch.float64) for column in columns)
        mixed.append(first + (second - first) * across)
    found = (mixed[0] + (mixed[1] - mixed[0]) * down).to(torch.uint8)
    return torch.where(inside[:, None], found, fill)
