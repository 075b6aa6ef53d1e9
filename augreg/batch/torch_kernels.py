"""Blends of torch tensors on any device.

On a CPU, large batches are mixed image by image, so that what is read and written stays in the cache. Small batches,
and batches on other devices, are mixed all at once. If images require a gradient, such as the features of a layer,
the result has one too: mixing and pasting are linear.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from augreg.batch import torch_batched
from augreg.batch.blends import Blend, Box, Mix, Paste, Patch
from augreg.batch.cells import Layers
from augreg.batch.in_place import blend_in_place, cut
from augreg.batch.numpy_kernels import PRECISION, ROUNDING, fixed_point
from augreg.batch.scaling import INTEGER_SUM, integer_weights, nearest, weights
from augreg.batch.shapes import Shapes
from augreg.errors import ImageError

__all__ = ["apply", "as_tensor", "converted", "stacked", "with_ids"]

_SMALL = 1 << 21  # bytes of a batch that is mixed at once: its copies fit the cache too
_MOST_LAYERS = 32  # patches of an image that a grid is made for: with more, its cells are too many


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
            if isinstance(blend, Shapes):
                _paste_shapes(blend, images, target)
            elif not at_once:
                paste = functools.partial(_paste, masks=masks)
                blend_in_place(blend, images, target, torch.empty_like, _mix, paste)
            elif isinstance(blend, Mix):
                torch_batched.mix(blend, images, target)
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
            images = torch_batched.mixed(blend, images)
        elif isinstance(blend, Paste):
            images = _paste_all(blend, images, None, masks)
        elif isinstance(blend, Shapes):
            images = _paste_shapes(blend, images, images.clone())
    return images


def _paste_shapes(blend: Shapes, images: Tensor, out: Tensor) -> Tensor:
    """Pixels of images pasted over the same pixels of others; `out` may be `images`."""
    if out is not images:
        out.copy_(images)
    into, source = torch_batched.send([blend.into, blend.source], images.device)
    shown = torch.from_numpy(blend.planes(images)).to(images.device)
    return out.index_put_((into,), torch.where(shown, images[source], images[into]))


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


def _paste_all(blend: Paste, images: Tensor, out: Tensor | None, masks: bool) -> Tensor:
    """All patches pasted at once, in `out`, or in a new tensor with the gradient."""
    layers, on_cpu = blend.layers, images.device.type == "cpu"
    alike = bool((layers.box == layers.box[:1]).all() and (layers.source_box == layers.source_box[:1]).all())
    if not (layers.scales or layers.depth > _MOST_LAYERS or (alike and on_cpu)):
        return torch_batched.move(layers, images, out)
    target = torch.empty_like(images, requires_grad=False) if out is None else out
    if alike or on_cpu:
        _paste_groups(layers, images, target, masks, alike)
    else:
        torch_batched.paste(layers, images, target, masks)
    return target


def _paste_groups(layers: Layers, images: Tensor, out: Tensor, masks: bool, alike: bool) -> None:
    """Paste layers in order, all patches with the same boxes at once; with `alike`, these are all of a layer."""

    def pieces() -> Iterator[tuple[Tensor, Box, Tensor]]:
        for k in range(layers.depth):
            boxes = np.concatenate([layers.box[:, k], layers.source_box[:, k]], axis=1)
            groups = boxes[:1], np.zeros(len(boxes), np.int64)
            if not alike:
                groups = np.unique(boxes, axis=0, return_inverse=True)
            for number, numbers in enumerate(groups[0].tolist()):
                box, source_box = tuple(numbers[:4]), tuple(numbers[4:])
                if not box[2]:  # images with fewer patches
                    continue
                chosen = np.flatnonzero(groups[1].ravel() == number)
                ends = np.stack([layers.into[chosen], layers.source[chosen, k]])
                ((into, source),) = torch_batched.send([ends], images.device)
                if box[2:] == source_box[2:]:
                    yield into, box, cut(images, source_box)[source]
                    continue
                scale = _scaled_masks if masks else _scaled
                count = min(torch_batched.scaled_parts(images), len(chosen))
                for part, of in zip(into.tensor_split(count), source.tensor_split(count), strict=True):
                    yield part, box, scale(cut(images, source_box)[of], box)

    if images is not out:
        out.copy_(images)
    for into, box, piece in list(pieces()) if images is out else pieces():  # in place, all are cut out first
        cut(out, box)[into] = piece


def _scaled_masks(piece: Tensor, box: Box) -> Tensor:
    lines = [nearest(piece.shape[-2], box[2]), nearest(piece.shape[-1], box[3])]
    y, x = torch_batched.send(lines, piece.device)
    return piece[..., y[:, None], x]


def _scaled(planes: Tensor, box: Box) -> Tensor:
    """Planes of rows x columns scaled to the size of a box, rows first; bytes are rounded after each axis.

    Computed in float64, if the device has it: settings for faster matrix products do not affect it.
    """
    kind = torch.float32 if planes.device.type == "mps" else torch.float64
    sizes = ((planes.shape[-2], box[2]), (planes.shape[-1], box[3]))
    matrix = integer_weights if planes.dtype == torch.uint8 else weights
    sent = torch_batched.send([matrix(*size) for size in sizes], planes.device)
    rows, columns = (part.to(kind) for part in sent)
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


def stacked(parts: Sequence[Any]) -> Tensor:
    """Arrays or tensors of one shape as one tensor, on the device of the first."""
    first = torch.as_tensor(parts[0])
    return torch.stack([torch.as_tensor(part, device=first.device) for part in parts])


def with_ids(mask: Tensor, added: NDArray[np.int64], fill: int) -> Tensor:
    """A mask of ids with numbers added where there is one. Raises ImageError if they do not fit its dtype."""
    ids, moved = mask.long(), torch.from_numpy(added).to(mask.device)
    found = torch.where((ids > 0) & (ids != fill), ids + moved, ids)
    most = torch.iinfo(mask.dtype).max
    if int(found.max()) > most:
        raise ImageError(
            f"the ids of the instances of a mixed image go up to {int(found.max())}, and {mask.dtype} to {most}: "
            "give a wider dtype, such as int32"
        )
    return found.to(mask.dtype)


def as_tensor(labels: Any) -> Tensor:
    """A list of labels as a tensor."""
    return torch.as_tensor(labels)
