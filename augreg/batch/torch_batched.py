"""Blends of a whole batch of tensors in a number of calls that does not depend on how many images there are.

On a GPU every call costs the processor some microseconds, and to read one number back waits for all the work that was
asked for before. So what a blend drew is sent in one copy that nothing waits for, and becomes indices on the device.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from augreg.batch.blends import Mix
from augreg.batch.cells import Integers, Layers
from augreg.batch.numpy_kernels import PRECISION, ROUNDING
from augreg.batch.torch_scaling import most_taps, scaled, taps_of

__all__ = ["mix", "mixed", "move", "paste", "scaled_parts", "send"]

_LARGE = 1 << 24  # bytes of a batch that is mixed in parts
_PARTS = 8  # of a large batch: what is computed in between then fits the cache of a large GPU, such as one of 50 MB


def send(arrays: Sequence[NDArray[Any]], device: torch.device) -> list[Tensor]:
    """Arrays of int64 and float64 as tensors on a device. A GPU gets them in one copy that nothing waits for."""
    if device.type == "mps":  # it has no float64
        arrays = [array.astype(np.float32) if array.dtype == np.float64 else array for array in arrays]
    if device.type in ("cpu", "mps"):
        return [torch.tensor(array, device=device) for array in arrays]
    joined = torch.from_numpy(
        np.concatenate([np.ascontiguousarray(array).view(np.int64).ravel() for array in arrays])
    )
    if device.type == "cuda":
        joined = joined.pin_memory()
    parts = joined.to(device, non_blocking=True).split([array.size for array in arrays])
    return [
        (part.view(torch.float64) if array.dtype == np.float64 else part).view(array.shape)
        for part, array in zip(parts, arrays, strict=True)
    ]


def mix(blend: Mix, images: Tensor, out: Tensor) -> None:
    """Mix all images; `out` may be `images`.

    The rows of a large batch are mixed in several parts: those of all images, so that none has been written that is
    still to be read.
    """
    partners, weights = _partners_and_weights(blend, images)
    whole = images.dtype == torch.uint8
    rest = (1 << PRECISION) - weights if whole else weights
    count = min(_parts(images), images.shape[-2])
    for part, target in zip(images.tensor_split(count, -2), out.tensor_split(count, -2), strict=True):
        if images.dtype in (torch.float32, torch.float64):
            torch.lerp(part[partners], part, weights, out=target)
        elif whole:
            total = (part * weights).add_(ROUNDING).addcmul_(part[partners], rest)
            torch.bitwise_right_shift(total, PRECISION, out=target)
        else:
            target.copy_(_lerp(part, partners, weights))


def _parts(images: Tensor) -> int:
    return _PARTS if images.numel() * images.element_size() > _LARGE else 1


def scaled_parts(images: Tensor) -> int:
    """In how many parts a layer of a batch is scaled: what a part takes in float64 then fits the cache, too."""
    return 1 if _parts(images) == 1 else 2 * _PARTS


def mixed(blend: Mix, images: Tensor) -> Tensor:
    """Floats after a mix, in a new tensor, with the gradient."""
    return _lerp(images, *_partners_and_weights(blend, images))


def _lerp(images: Tensor, partners: Tensor, weights: Tensor) -> Tensor:
    return torch.lerp(images[partners].to(weights.dtype), images.to(weights.dtype), weights).to(images.dtype)


def _partners_and_weights(blend: Mix, images: Tensor) -> tuple[Tensor, Tensor]:
    """The partners, and the weights in fixed point for bytes, else as float32, or float64 for float64."""
    (partners, weights), kind = blend.columns, torch.float64 if images.dtype == torch.float64 else torch.float32
    if images.dtype == torch.uint8:
        weights, kind = np.rint(weights * (1 << PRECISION)), torch.int32
    sent = send([partners, weights], images.device)
    return sent[0], sent[1].to(kind).view((-1,) + (1,) * (images.ndim - 1))


def move(layers: Layers, images: Tensor, out: Tensor | None) -> Tensor:
    """Paste pieces that are not scaled: each pixel is read once, from the address of what lies on top.

    Writes to `out`, which may be `images`. Without `out` a new tensor is returned, with the gradient.
    """
    planes = images if images.ndim == 4 else images[:, None]
    count, channels, height, width = planes.shape
    pixels = planes.permute(0, 2, 3, 1).reshape(-1, channels) if out is None else planes
    strides = (height * width, width, 1) if out is None else tuple(planes.stride(axis) for axis in (0, 2, 3))
    last = sum((size - 1) * stride for size, stride in zip((count, height, width), strides, strict=True))
    grid = send(_grids(layers, count, strides), images.device)
    y, x = (torch.arange(size, device=images.device) for size in (height, width))
    row, column = ((line >= edges[:, :, None]).sum(1) - 1 for line, edges in zip((y, x), grid[:2], strict=True))
    number, channel = (torch.arange(size, device=images.device)[:, None, None] for size in (count, channels))
    moves = grid[2].to(torch.int32 if last < 1 << 31 else torch.int64)  # half as much to write and to read
    places = y[:, None] * strides[1] + x * strides[2]
    if out is None:
        moved = pixels[moves[number, row[:, :, None], column[:, None, :]] + places]
        return moved.permute(0, 3, 1, 2).reshape(images.shape)
    pixels = planes.as_strided((last + 1, channels), (1, planes.stride(1)))
    target = torch.empty_like(images) if out is images else out
    parts = [part.tensor_split(min(_parts(images), count)) for part in (number, row, column, target)]
    for number, row, column, there in zip(*parts, strict=True):
        address = moves[number, row[:, :, None], column[:, None, :]] + places
        there = there if images.ndim == 4 else there[:, None]
        torch.ops.aten.index.Tensor_out(pixels, (address[:, None], channel), out=there)
    return out if target is out else out.copy_(target)


def _grids(layers: Layers, count: int, strides: tuple[int, ...]) -> tuple[Integers, Integers, Integers]:
    """For all images of a batch the first rows and the first columns of their cells, and what to add in each cell.

    To the address that row * strides[1] + column * strides[2] is in the first image, it adds what gives the address
    of the pixel that is seen there.
    """
    cells = layers.cells
    into, box, source_box = layers.into, layers.box, layers.source_box
    moves = np.empty((len(into), 1 + layers.depth), np.int64)
    moves[:, 0] = into * strides[0]
    moves[:, 1:] = layers.source * strides[0] + (source_box - box)[..., :2] @ np.array(strides[1:])
    of_cells = moves[np.arange(len(into))[:, None, None], cells.shown]
    every = np.empty((count, *of_cells.shape[1:]), np.int64)
    every[:] = np.arange(count)[:, None, None] * strides[0]
    rows, columns = (np.zeros((count, edges.shape[1]), np.int64) for edges in (cells.rows, cells.columns))
    rows[into], columns[into], every[into] = cells.rows, cells.columns, of_cells
    return rows, columns, every


def paste(layers: Layers, images: Tensor, out: Tensor, masks: bool) -> None:
    """Paste layers in order; their pieces may be scaled, with `masks` by the nearest pixel.

    The pieces of a layer are as large as its largest: smaller ones repeat their last row and column, and are written
    to the same places again.
    """
    planes, target = (tensor if tensor.ndim == 4 else tensor[:, None] for tensor in (images, out))
    pieces = _pieces(layers, planes, masks)
    if out is images:
        pieces = iter(list(pieces))  # all are read before anything is written
    else:
        out.copy_(images)
    for place, piece in pieces:
        target.index_put_(place, piece)


def _pieces(layers: Layers, planes: Tensor, masks: bool) -> Iterator[tuple[tuple[Tensor, ...], Tensor]]:
    """The pieces of each layer, and the index of the places that they are written to."""
    channel = torch.arange(planes.shape[1], device=planes.device)[:, None, None]
    differ = (layers.box[..., 2:] != layers.source_box[..., 2:]).any(-1) & (not masks)
    exists = layers.box[..., 2] > 0
    kinds = [(k, scales) for k, scales in itertools.product(range(layers.depth), (False, True))]
    groups = [(scales, np.flatnonzero(exists[:, k] & (differ[:, k] == scales)), k) for k, scales in kinds]
    groups = [group for group in groups if len(group[1])]
    box, source_box, ends = (
        np.concatenate([part[chosen, k] for _, chosen, k in groups])
        for part in (
            layers.box,
            layers.source_box,
            np.stack([np.broadcast_to(layers.into[:, None], exists.shape), layers.source], 2),
        )
    )
    numbers, into_box, from_box = send([ends.T[:, :, None, None, None], box, source_box], planes.device)
    longest, whole = box[:, 2:].max(0).tolist(), planes.dtype == torch.uint8
    lines = [_line(into_box, from_box, axis, longest[axis]) for axis in (0, 1)]
    taps: list[Tensor] = []
    if differ[exists].any():
        for axis, most in enumerate(most_taps(box, source_box)):
            taps += taps_of(into_box, from_box, axis, longest[axis], planes.shape[axis - 2], most, whole)
    last = 0
    for scales, chosen, k in groups:
        first, last = last, last + len(chosen)
        tall, wide = layers.box[chosen, k, 2:].max(0).tolist()
        into, source = numbers[:, first:last]
        there = [
            _Line(*(part[first:last, :size] for part in line)) for line, size in zip(lines, (tall, wide), strict=True)
        ]
        y, x = there[0].target[:, None, :, None], there[1].target[:, None, None, :]
        if not scales:
            rows, columns = (line.source for line in there)
            piece = planes[source, channel, rows[:, None, :, None], columns[:, None, None, :]]
            yield (into, channel, y, x), _with_own_gradient(piece, there, planes.requires_grad)
            continue
        weights = [part[first:last, :size] for part, size in zip(taps, (tall, tall, wide, wide), strict=True)]
        parts = [into, y, x, source.flatten(), *weights, *there[0], *there[1]]
        count = min(scaled_parts(planes), len(chosen))
        for into, y, x, source, *of in zip(*(part.tensor_split(count) for part in parts), strict=True):
            piece = scaled(planes[source], (of[0], of[1]), (of[2], of[3]))
            own = _Line(*of[4:7]), _Line(*of[7:])
            yield (into, channel, y, x), _with_own_gradient(piece, own, planes.requires_grad)


def _with_own_gradient(pieces: Tensor, lines: Sequence[_Line], needed: bool) -> Tensor:
    """The pieces, where what is repeated, and written to the same places, has no gradient of its own."""
    if not needed:
        return pieces
    rows, columns = (line.step == torch.arange(line.step.shape[1], device=pieces.device) for line in lines)
    return torch.where(rows[:, None, :, None] & columns[:, None, None, :], pieces, pieces.detach())


class _Line(NamedTuple):
    """The rows, or the columns, of P pieces: P x the size of the largest; smaller pieces repeat their last one."""

    step: Tensor
    """In the piece."""
    target: Tensor
    """In the image that it is pasted into."""
    source: Tensor
    """In the image that it is cut from: the nearest."""


def _line(box: Tensor, source_box: Tensor, axis: int, longest: int) -> _Line:
    start, size = box[:, axis, None], box[:, axis + 2, None]
    source_start, source_size = source_box[:, axis, None], source_box[:, axis + 2, None]
    step = torch.minimum(torch.arange(longest, device=box.device), size - 1)
    nearest = torch.div((2 * step + 1) * source_size, 2 * size, rounding_mode="floor")
    return _Line(step, start + step, source_start + nearest)
