"""Crops, flips, transposes and borders, by places of pixels: equal in every bit. The ops Move, and Pad + Move."""

from __future__ import annotations

from typing import Final, TypeAlias

import torch

__all__ = ["MODES", "cut", "cut_padded", "filling", "flipped", "picked", "within"]

MODES: Final = ("constant", "edge", "reflect", "symmetric", "wrap")
Flags: TypeAlias = torch.Tensor | None


def flipped(images: torch.Tensor, flip_y: Flags = None, flip_x: Flags = None) -> torch.Tensor:
    """Reverse the rows and the columns of the images whose flags (N each) are set."""
    for flags, axis in ((flip_y, -2), (flip_x, -1)):
        if flags is not None:
            chosen = flags.to(images.device, torch.bool)[:, None, None, None]
            images = torch.where(chosen, images.flip(axis), images)
    return images


def cut(
    images: torch.Tensor,
    top: torch.Tensor,
    left: torch.Tensor,
    height: int,
    width: int,
    transpose: Flags = None,
    flip_y: Flags = None,
    flip_x: Flags = None,
) -> torch.Tensor:
    """Cut out a box that becomes height x width, then transpose it, then reverse its rows, then its columns.

    `top`, `left` and the flags are columns of N. The box must lie within the image: it is height x width, or width x
    height where the image is transposed. The images may be of any dtype.
    """
    device = images.device
    down = _counted(height, flip_y, device)[:, None, :, None]
    across = _counted(width, flip_x, device)[:, None, None, :]
    if transpose is not None:
        chosen = transpose.to(device, torch.bool)[:, None, None, None]
        down, across = torch.where(chosen, across, down), torch.where(chosen, down, across)
    return picked(images, down + _column(top, device), across + _column(left, device))


def cut_padded(
    images: torch.Tensor,
    top: torch.Tensor,
    left: torch.Tensor,
    height: int,
    width: int,
    fill: torch.Tensor | None = None,
    mode: str = "constant",
    flip_y: Flags = None,
    flip_x: Flags = None,
) -> torch.Tensor:
    """Cut out a height x width box that may extend beyond the image, as if it had a border; then flip it.

    `mode` is that of the op Pad, one of MODES. `fill` (N x C or N x 1 pixel values, 0 without it) is for `constant`;
    on byte images it is rounded.
    """
    device = images.device
    rows = _counted(height, flip_y, device)[:, None, :, None] + _column(top, device)
    columns = _counted(width, flip_x, device)[:, None, None, :] + _column(left, device)
    old_height, old_width = images.shape[2:]
    found = picked(images, within(rows, old_height, mode), within(columns, old_width, mode))
    if mode != "constant":
        return found
    inside = (rows >= 0) & (rows < old_height) & (columns >= 0) & (columns < old_width)
    return torch.where(inside, found, filling(fill, images))


def filling(fill: torch.Tensor | None, images: torch.Tensor) -> torch.Tensor:
    """A fill as a pixel per image, N x C x 1 x 1 or N x 1 x 1 x 1, rounded (halves to even) and clipped for bytes.

    Float64 is rounded as for one image alone; float32 may have been rounded to a half before.
    """
    if fill is None:
        return images.new_zeros((1, 1, 1, 1))
    if images.dtype == torch.uint8 and fill.dtype != torch.uint8:
        fill = fill.round().clamp(0, 255)
    return fill.to(images.device, images.dtype)[:, :, None, None]


def _column(numbers: torch.Tensor, device: torch.device) -> torch.Tensor:
    return numbers.to(device, torch.int64)[:, None, None, None]


def _counted(length: int, flip: Flags, device: torch.device) -> torch.Tensor:
    """0, 1, .. for each image, backward where its flag is set: N x length, or 1 x length without flags."""
    places = torch.arange(length, device=device)[None]
    return places if flip is None else torch.where(flip.to(device, torch.bool)[:, None], length - 1 - places, places)


def picked(images: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    """The pixels at these places; the indices broadcast to N x C x height x width, and are not stored as such."""
    numbers = torch.arange(images.shape[0], device=images.device)[:, None, None, None]
    channels = torch.arange(images.shape[1], device=images.device)[None, :, None, None]
    return images[numbers, channels, rows, columns]


def within(places: torch.Tensor, length: int, mode: str) -> torch.Tensor:
    """The pixels that a border repeats, for places beyond the image too."""
    if mode == "symmetric":
        places = places % (2 * length)
        return torch.minimum(places, 2 * length - 1 - places)
    if mode == "reflect" and length > 1:
        places = places % (2 * length - 2)
        return torch.minimum(places, 2 * length - 2 - places)
    if mode == "wrap":
        return places % length
    return places.clamp(0, length - 1)
