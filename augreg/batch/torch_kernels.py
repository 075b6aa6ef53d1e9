"""Blends done to torch tensors on any device.

On a processor large batches are done image by image, so that what is read and written stays in the cache; small
ones, and batches on another device, all images at once. No gradient flows through.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from augreg.batch.blends import Blend, Box, Mix, Paste, Patch
from augreg.batch.in_place import blend_in_turn, cut
from augreg.batch.numpy_kernels import HALF, PRECISION, parts
from augreg.batch.scaling import PARTS, nearest, weights, whole_weights

__all__ = ["apply", "moved", "on_device_of"]

_SMALL = 1 << 21  # bytes of a batch that is done at once: copies of it stay in the cache too


def apply(blends: Sequence[Blend], images: Tensor, out: Tensor | None, labels: bool) -> Tensor:
    """The images after these blends, in `out` or a new tensor; `out` may be `images`.

    The first axis counts images, the last two are rows and columns. `labels` says that the numbers are no levels,
    so that scaling takes the nearest.
    """
    target = _fresh(images) if out is None else out
    if not blends and out is not images:
        target.copy_(images.detach())
    at_once = images.device.type != "cpu" or images.numel() * images.element_size() <= _SMALL
    with torch.no_grad():
        for blend in blends:
            if not at_once:
                paste = functools.partial(_paste, labels=labels)
                blend_in_turn(blend, images, target, torch.empty_like, _mix, paste)
            elif isinstance(blend, Mix):
                _mix_all(blend, images, target)
            elif isinstance(blend, Paste):
                _paste_all(blend, images, target, labels)
            images = target
    return target


def _fresh(images: Tensor) -> Tensor:
    """A tensor of the same shape, kind, device and order of axes in memory.

    A large one on a processor lies in NumPy's memory, which comes in huge pages where the system has them: the first
    write to a new batch is mostly the price of its pages.
    """
    size = images.numel() * images.element_size()
    if images.device.type != "cpu" or size <= _SMALL:
        return torch.empty_like(images, requires_grad=False)
    strides = torch.empty_like(images, device="meta").stride()
    memory = torch.from_numpy(np.empty(size, np.uint8)).view(images.dtype)
    return memory.as_strided(images.shape, strides)


def _mix(one: Tensor, other: Tensor, weight: float, out: Tensor) -> None:
    """out = weight * one + (1 - weight) * other; `out` may be `one`. Bytes are rounded to the nearest."""
    if one.dtype == torch.uint8:
        own, rest = parts(weight)
        total = one.to(torch.int32).mul_(own).add_(other.to(torch.int32), alpha=rest)
        out.copy_(total.add_(HALF).bitwise_right_shift_(PRECISION))
    else:
        torch.lerp(other, one, weight, out=out)


def _paste(patch: Patch, source: Tensor, into: Tensor, labels: bool) -> None:
    piece = cut(source, patch.source_box)
    if patch.scales:
        piece = _labels_scaled(piece, patch.box) if labels else _scaled(piece, patch.box)
    cut(into, patch.box).copy_(piece)


def _mix_all(blend: Mix, images: Tensor, out: Tensor) -> None:
    """All images at once; what is read is gathered first, so that `out` may be `images`."""
    others = images[torch.tensor(blend.partners, device=images.device)]
    shape = (-1,) + (1,) * (images.ndim - 1)
    if images.dtype == torch.uint8:
        own = torch.tensor([parts(weight)[0] for weight in blend.weights], dtype=torch.int32, device=images.device)
        own = own.view(shape)
        total = images.to(torch.int32).mul_(own).add_(others.to(torch.int32).mul_((1 << PRECISION) - own))
        out.copy_(total.add_(HALF).bitwise_right_shift_(PRECISION))
        return
    kind = images.dtype if images.dtype == torch.float64 else torch.float32
    share = torch.tensor(blend.weights, dtype=kind, device=images.device).view(shape)
    if kind == images.dtype:
        torch.lerp(others, images, share, out=out)
    else:
        out.copy_(torch.lerp(others.to(kind), images.to(kind), share))


def _paste_all(blend: Paste, images: Tensor, out: Tensor, labels: bool) -> None:
    """Patches that are alike but for their images go together; what is read is gathered before anything is written.

    A patch on top of another of the same image is of a later layer, and layers are written in order.
    """
    groups: dict[tuple[int, Box, Box], list[Patch]] = {}
    for patches in blend.by_image().values():
        for layer, patch in enumerate(patches):
            groups.setdefault((layer, patch.box, patch.source_box), []).append(patch)
    found = []
    for (_, box, source_box), patches in sorted(groups.items()):
        sources = torch.tensor([patch.source for patch in patches], device=images.device)
        piece = cut(images, source_box)[sources]
        if patches[0].scales:
            piece = _labels_scaled(piece, box) if labels else _scaled(piece, box)
        found.append((torch.tensor([patch.into for patch in patches], device=images.device), box, piece))
    if images is not out:
        out.copy_(images)
    for into, box, piece in found:
        cut(out, box)[into] = piece


def _labels_scaled(piece: Tensor, box: Box) -> Tensor:
    y = torch.as_tensor(nearest(piece.shape[-2], box[2]), device=piece.device)
    x = torch.as_tensor(nearest(piece.shape[-1], box[3]), device=piece.device)
    return piece[..., y[:, None], x]


def _scaled(planes: Tensor, box: Box) -> Tensor:
    """Planes of rows x columns scaled to the size of a box, rows first; bytes are rounded after either axis.

    In float64, which no setting for faster products of matrices touches, where the device has it.
    """
    kind = torch.float32 if planes.device.type == "mps" else torch.float64
    sizes = ((planes.shape[-2], box[2]), (planes.shape[-1], box[3]))
    make = whole_weights if planes.dtype == torch.uint8 else weights
    rows, columns = (torch.tensor(make(*size), dtype=kind, device=planes.device) for size in sizes)
    found = rows @ planes.to(kind)
    if planes.dtype != torch.uint8:
        return (found @ columns.T).to(planes.dtype)
    found = found.mul_(1 / PARTS).add_(0.5).floor_()
    return (found @ columns.T).mul_(1 / PARTS).add_(0.5).floor_().to(torch.uint8)


def moved(array: Any, device: Any, non_blocking: bool = False) -> Tensor:
    """An array or a tensor as a tensor on a device."""
    if not isinstance(array, Tensor):
        array = torch.from_numpy(np.array(array))
    return array.to(device, non_blocking=non_blocking)


def on_device_of(images: Tensor, labels: Any) -> Tensor:
    """Labels in a list as a tensor on the device of the images."""
    return torch.as_tensor(labels, device=images.device)
