"""Blends of torch tensors on any device.

On a CPU, large batches are mixed image by image, so that what is read and written stays in the cache. Small batches,
and batches on other devices, are mixed all at once. If images require a gradient, such as the features of a layer,
the result has one too: mixing and pasting are linear.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from augreg.batch.blends import Blend, Box, Mix, Paste, Patch
from augreg.batch.in_place import blend_in_place, cut
from augreg.batch.numpy_kernels import PRECISION, ROUNDING, fixed_point
from augreg.batch.scaling import INTEGER_SUM, integer_weights, nearest, weights

__all__ = ["apply", "converted", "to_device_of"]

_SMALL = 1 << 21  # bytes of a batch that is mixed at once: its copies fit the cache too


def apply(blends: Sequence[Blend], images: Tensor, out: Tensor | None, masks: bool) -> Tensor:
    """The images after these blends, in `out` or a new tensor; `out` may be `images`.

    The first axis counts images, the last two are rows and columns. With `masks`, pieces are scaled by the nearest
    pixel.
    """
    if images.requires_grad and torch.is_grad_enabled():
        return _differentiable(blends, images, out, masks)
    target = _empty_like(images) if out is None else out
    if not blends and out is not images:
        target.copy_(images.detach())
    at_once = images.device.type != "cpu" or images.numel() * images.element_size() <= _SMALL
    with torch.no_grad():
        for blend in blends:
            if not at_once:
                paste = functools.partial(_paste, masks=masks)
                blend_in_place(blend, images, target, torch.empty_like, _mix, paste)
            elif isinstance(blend, Mix):
                _mix_all(blend, images, target)
            elif isinstance(blend, Paste):
                _paste_all(blend, images, target, masks)
            images = target
    return target


def _differentiable(blends: Sequence[Blend], images: Tensor, out: Tensor | None, masks: bool) -> Tensor:
    """The images after these blends, with the gradient. Raises ValueError if there is an `out`."""
    if out is not None:
        raise ValueError(
            "out cannot take a batch that requires a gradient: leave out away, or give detached images to both"
        )
    for blend in blends:
        if isinstance(blend, Mix):
            images = _mixed(blend, images)
        elif isinstance(blend, Paste):
            target = torch.empty_like(images, requires_grad=False)
            _paste_all(blend, images, target, masks)
            images = target
    return images


def _empty_like(images: Tensor) -> Tensor:
    """A new tensor of the same shape, dtype, device and strides.

    A large one on a CPU uses memory from NumPy, which comes in huge pages if the system has them: most of the time of
    the first write to new memory goes into its pages.
    """
    size = images.numel() * images.element_size()
    if images.device.type != "cpu" or size <= _SMALL:
        return torch.empty_like(images, requires_grad=False)
    strides = torch.empty_like(images, device="meta").stride()
    memory = torch.from_numpy(np.empty(size, np.uint8)).view(images.dtype)
    return memory.as_strided(images.shape, strides)


def _mix(image: Tensor, partner: Tensor, weight: float, out: Tensor) -> None:
    """out = weight * image + (1 - weight) * partner; `out` may be `image`. Bytes are rounded to the nearest."""
    if image.dtype == torch.uint8:
        own, rest = fixed_point(weight)
        total = image.to(torch.int32).mul_(own).add_(partner.to(torch.int32), alpha=rest)
        out.copy_(total.add_(ROUNDING).bitwise_right_shift_(PRECISION))
    else:
        torch.lerp(partner, image, weight, out=out)


def _paste(patch: Patch, source: Tensor, into: Tensor, masks: bool) -> None:
    piece = cut(source, patch.source_box)
    if patch.scales:
        piece = (_scaled_masks if masks else _scaled)(piece, patch.box)
    cut(into, patch.box).copy_(piece)


def _mix_all(blend: Mix, images: Tensor, out: Tensor) -> None:
    """Mix all images at once; partners are gathered first, so `out` may be `images`."""
    partners = images[torch.tensor(blend.partners, device=images.device)]
    if images.dtype == torch.uint8:
        own = torch.tensor(
            [fixed_point(weight)[0] for weight in blend.weights], dtype=torch.int32, device=images.device
        )
        own = own.view((-1,) + (1,) * (images.ndim - 1))
        total = images.to(torch.int32).mul_(own).add_(partners.to(torch.int32).mul_((1 << PRECISION) - own))
        out.copy_(total.add_(ROUNDING).bitwise_right_shift_(PRECISION))
        return
    if images.dtype in (torch.float32, torch.float64):
        torch.lerp(partners, images, _weights(blend, images), out=out)
    else:
        out.copy_(_mixed(blend, images))


def _mixed(blend: Mix, images: Tensor) -> Tensor:
    """Floats mixed all at once, in a new tensor; computed in float32 or better."""
    weight = _weights(blend, images)
    partners = images[torch.tensor(blend.partners, device=images.device)]
    return torch.lerp(partners.to(weight.dtype), images.to(weight.dtype), weight).to(images.dtype)


def _weights(blend: Mix, images: Tensor) -> Tensor:
    kind = images.dtype if images.dtype == torch.float64 else torch.float32
    return torch.tensor(blend.weights, dtype=kind, device=images.device).view((-1,) + (1,) * (images.ndim - 1))


def _paste_all(blend: Paste, images: Tensor, out: Tensor, masks: bool) -> None:
    """Paste all patches with the same boxes at once; all pieces are gathered before anything is written.

    A patch over another one of the same image is in a later layer; layers are written in order.
    """
    groups: dict[tuple[int, Box, Box], list[Patch]] = {}
    for patches in blend.by_image().values():
        for layer, patch in enumerate(patches):
            groups.setdefault((layer, patch.box, patch.source_box), []).append(patch)
    pieces = []
    for (_, box, source_box), patches in sorted(groups.items()):
        sources = torch.tensor([patch.source for patch in patches], device=images.device)
        piece = cut(images, source_box)[sources]
        if patches[0].scales:
            piece = (_scaled_masks if masks else _scaled)(piece, box)
        pieces.append((torch.tensor([patch.into for patch in patches], device=images.device), box, piece))
    if images is not out:
        out.copy_(images)
    for into, box, piece in pieces:
        cut(out, box)[into] = piece


def _scaled_masks(piece: Tensor, box: Box) -> Tensor:
    y = torch.as_tensor(nearest(piece.shape[-2], box[2]), device=piece.device)
    x = torch.as_tensor(nearest(piece.shape[-1], box[3]), device=piece.device)
    return piece[..., y[:, None], x]


def _scaled(planes: Tensor, box: Box) -> Tensor:
    """Planes of rows x columns scaled to the size of a box, rows first; bytes are rounded after each axis.

    Computed in float64, if the device has it: settings for faster matrix products do not affect it.
    """
    kind = torch.float32 if planes.device.type == "mps" else torch.float64
    sizes = ((planes.shape[-2], box[2]), (planes.shape[-1], box[3]))
    matrix = integer_weights if planes.dtype == torch.uint8 else weights
    rows, columns = (torch.tensor(matrix(*size), dtype=kind, device=planes.device) for size in sizes)
    scaled = rows @ planes.to(kind)
    if planes.dtype != torch.uint8:
        return (scaled @ columns.T).to(planes.dtype)
    scaled = scaled.mul_(1 / INTEGER_SUM).add_(0.5).floor_()
    return (scaled @ columns.T).mul_(1 / INTEGER_SUM).add_(0.5).floor_().to(torch.uint8)


def converted(array: Any, *args: Any, **kwargs: Any) -> Tensor:
    """An array or a tensor as a tensor after `tensor.to(..)`, except that integers and bools keep their dtype."""
    if not isinstance(array, Tensor):
        array = torch.from_numpy(np.array(array))
    device, dtype, non_blocking, _ = torch._C._nn._parse_to(*args, **kwargs)
    if dtype is not None and not dtype.is_floating_point:
        raise TypeError(f"the weights of soft labels are floats, and cannot be {dtype}")
    dtype = dtype if array.is_floating_point() else array.dtype
    result: Tensor = array.to(device or array.device, dtype or array.dtype, non_blocking=non_blocking)
    return result


def to_device_of(images: Tensor, labels: Any) -> Tensor:
    """A list of labels as a tensor on the device of the images."""
    return torch.as_tensor(labels, device=images.device)
