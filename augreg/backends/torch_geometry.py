"""Ops that move pixels, on batches of images: from the records to the kernels of `torch_kernels`.

A record has plain numbers or arrays with one for each image (see `augreg.columns`). Sizes of results must be the same
for all images of a batch.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import PIL
import torch

from augreg.backends import area, intensity
from augreg.backends.torch_kernels import bordering, columns, fields, moving, remapping, resizing, warping
from augreg.backends.torch_kernels.columns import Number
from augreg.errors import ImageError
from augreg.ops import Enlarge, Move, Pad, Remap, Resize, ResizeBox, Warp
from augreg.ops.scene import PixelValues

__all__ = [
    "enlarged",
    "fill_numbers",
    "fill_pixels",
    "moved",
    "padded_crop",
    "refuses_enlarge",
    "refuses_pad",
    "refuses_remap",
    "refuses_resize_box",
    "remapped",
    "resized",
    "resized_box",
    "warped",
]


def moved(op: Move, images: torch.Tensor) -> torch.Tensor:
    """A view where the numbers are the same for all images."""
    height, width = images.shape[2:]
    if not np.all(op.within(height, width)):
        raise ImageError(f"a crop is not within the images of the batch, which are {height}x{width}")
    flips = op.flip_y, op.flip_x
    numbers = op.top, op.left, op.height, op.width, op.transpose
    if not columns.differ(*numbers, *flips):
        found = images[:, :, op.top : op.top + op.height, op.left : op.left + op.width]
        found = found.mT if op.transpose else found
        axes = [axis for axis, flip in zip((2, 3), flips, strict=True) if flip]
        return found.flip(axes) if axes else found
    new_height = columns.shared(np.where(op.transpose, op.width, op.height), "height after a crop")
    new_width = columns.shared(np.where(op.transpose, op.height, op.width), "width after a crop")
    flags = [None if flip is False else flip for flip in (op.transpose, *flips)]
    given = [flag for flag in flags if flag is not None]
    if (new_height, new_width) == (height, width) and flags[0] is None and len(given) == 1:  # less to compute
        (flip,) = columns.uploaded(given, len(images), images.device)
        return moving.flipped(images, *(None if flag is None else flip for flag in flags[1:]))
    top, left, *given = columns.uploaded([op.top, op.left, *given], len(images), images.device)
    own = [None if flag is None else given.pop(0) for flag in flags]
    return moving.cut(images, top, left, new_height, new_width, *own)


def fill_numbers(fill: PixelValues, images: torch.Tensor, as_bytes: bool) -> torch.Tensor:
    """A fill as a pixel for each image, N x C, or 1 x C if it is the same for all; on the CPU."""
    count, channels = images.shape[:2]
    each = intensity.per_channel(tuple(range(len(fill))), channels, "fill").astype(int)
    numbers = [fill[place] for place in each.tolist()]
    values = columns.compact(numbers, count).T
    if as_bytes:
        return torch.from_numpy(np.clip(np.rint(values), 0, 255).astype(np.uint8))
    return torch.from_numpy(values.astype(np.float32))


def fill_pixels(fill: PixelValues, images: torch.Tensor) -> torch.Tensor:
    """A fill as pixels of the images' dtype where they are, as `fill_numbers` has it."""
    return fill_numbers(fill, images, images.dtype == torch.uint8).to(images.device, non_blocking=True)


def padded_crop(pad: Pad, move: Move | None, images: torch.Tensor, fill: torch.Tensor | None) -> torch.Tensor:
    """A border, and then a crop and flips, in one pass. `fill` is N x C or 1 x C pixels of the images' dtype."""
    height, width = (
        columns.shared(size, f"{name} of padded images")
        for size, name in zip(pad.size_after(*images.shape[2:]), ("height", "width"), strict=True)
    )
    if move is None and not columns.differ(pad.top, pad.left) and pad.mode == "constant" and fill is not None:
        out = fill[:, :, None, None].expand(len(images), -1, height, width).clone()
        out[:, :, pad.top : pad.top + images.shape[2], pad.left : pad.left + images.shape[3]] = images
        return out
    move = Move(0, 0, height, width) if move is None else move
    if not np.all(move.within(height, width)):
        raise ImageError(f"a crop is not within the padded images of the batch, which are {height}x{width}")
    if np.any(move.transpose):
        raise ValueError("a crop after a border does not transpose images in the same pass")
    size = columns.shared(move.height, "height after a crop"), columns.shared(move.width, "width after a crop")
    flags = [None if flip is False else flip for flip in (move.flip_y, move.flip_x)]
    places = [move.top - pad.top, move.left - pad.left, *(flag for flag in flags if flag is not None)]
    top, left, *given = columns.uploaded(places, len(images), images.device)
    flips = [None if flag is None else given.pop(0) for flag in flags]
    return moving.cut_padded(images, top, left, *size, fill, pad.mode, *flips)


def refuses_pad(op: Pad | Warp | Remap, dtype: str, channels: int) -> str:
    """Why it cannot be run on a batch."""
    return "" if op.mode in moving.MODES else f"no batch kernel for a border named {op.mode!r}"


def resized(op: Resize, images: torch.Tensor) -> torch.Tensor:
    """Every image to one size."""
    height, width = _size(op)
    if (height, width) == tuple(images.shape[2:]):
        return images
    if op.interpolation == "nearest_floor":
        return _at_corners(images, (0, 0), (height, width), (height, width))
    if op.interpolation in area.WEIGHTS:
        return _weighted(op.interpolation, images, (0, 0), (height, width), (height, width))
    if op.interpolation == "nearest" or not (op.antialias or op.interpolation == "lanczos"):
        matrix = warping.scaling(tuple(images.shape[2:]), height, width)
        return warping.warped(images, matrix, height, width, op.interpolation)
    box = np.array([[0, 0, *images.shape[2:]]])
    return resizing.crop_resize(images, box, height, width, op.interpolation)


def refuses_resize_box(op: ResizeBox, dtype: str, channels: int) -> str:
    """Why it cannot be run on a batch."""
    return "no batch kernel for a box of a nearest resize" if op.interpolation.startswith("nearest") else ""


def resized_box(op: ResizeBox, images: torch.Tensor) -> torch.Tensor:
    """A box of each image to one size."""
    numbers = op.top, op.left, op.box_height, op.box_width
    boxes = columns.compact(numbers, len(images)).T
    return resizing.resize_box(images, boxes, *_size(op), op.interpolation)


def refuses_enlarge(op: Enlarge, dtype: str, channels: int) -> str:
    """Why it cannot be run on a batch."""
    if int(PIL.__version__.partition(".")[0]) < 13:  # the pillow backend has the order of the passes of its Pillow
        return "no batch kernel for a part of an enlarged image with Pillow before 13"
    return ""


def enlarged(op: Enlarge, images: torch.Tensor) -> torch.Tensor:
    """A part of each image scaled to `whole`."""
    height, width = _size(op)
    if op.interpolation == "nearest_floor":
        return _at_corners(images, (op.top, op.left), (height, width), op.whole)
    if op.interpolation in area.WEIGHTS:
        return _weighted(op.interpolation, images, (op.top, op.left), (height, width), op.whole)
    numbers = op.top, op.left, *op.whole
    top, left, whole_height, whole_width = columns.compact(numbers, len(images))
    step_y, step_x = images.shape[2] / whole_height, images.shape[3] / whole_width
    y, x = top * step_y, left * step_x
    nothing = np.zeros_like(y)
    if not (op.antialias or op.interpolation in ("nearest", "lanczos")):
        matrices = np.stack([step_x, nothing, x, nothing, step_y, y, nothing, nothing], 1)
        return warping.warped(images, matrices, height, width, op.interpolation)
    end_y = np.minimum((top + height) * step_y, images.shape[2])  # rounding can carry it past the image
    end_x = np.minimum((left + width) * step_x, images.shape[3])
    if op.interpolation != "nearest":
        boxes = np.stack([y, x, end_y - y, end_x - x], 1)
        return resizing.resize_box(images, boxes, height, width, op.interpolation)
    y, x, end_y, end_x = np.stack([y, x, end_y, end_x]).astype(np.float32)  # Pillow's C code has these
    scale_y, scale_x = (end_y - y).astype(np.float64) / height, (end_x - x).astype(np.float64) / width
    matrices = np.stack([scale_x, nothing, x, nothing, scale_y, y, nothing, nothing], 1)
    return warping.warped(images, matrices, height, width)


def _at_corners(
    images: torch.Tensor, first: tuple[Number, Number], size: tuple[int, int], whole: tuple[Number, Number]
) -> torch.Tensor:
    """As `plain.at_corners`: the part of this size, from `first` on, of images scaled to `whole`."""
    numbers = columns.compact([*first, *whole], len(images))
    places = []
    for start, wanted, rows, side in zip(numbers[:2], size, numbers[2:], images.shape[2:], strict=True):
        at = np.floor((start[:, None] + np.arange(wanted)) * (1.0 / (rows / side))[:, None]).astype(np.int64)
        places.append(columns.to_device(np.minimum(at, side - 1), images.device))
    return moving.picked(images, places[0][:, None, :, None], places[1][:, None, None, :])


def _weighted(
    interpolation: str,
    images: torch.Tensor,
    first: tuple[Number, Number],
    size: tuple[int, int],
    whole: tuple[Number, Number],
) -> torch.Tensor:
    """As `area.weighted`: the part of this size, from `first` on, of images scaled to `whole`."""
    numbers = columns.compact([*first, *whole], len(images))
    found = images.double()
    for axis, start, wanted, rows in zip((2, 3), numbers[:2], size, numbers[2:], strict=True):
        pixels, weights = area.WEIGHTS[interpolation](start, wanted, rows, images.shape[axis])
        shape = (-1, 1, wanted, 1) if axis == 2 else (-1, 1, 1, wanted)
        added = torch.zeros((), dtype=torch.float64, device=images.device)
        for pixel, weight in zip(pixels, weights, strict=True):
            place = columns.to_device(pixel, images.device).reshape(shape)
            filled = [len(found), *found.shape[1:]]
            filled[axis] = wanted
            taken = found.gather(axis, place.expand(filled))
            added = added + taken * columns.to_device(weight, images.device).reshape(shape)
        found = added
    if images.dtype == torch.uint8:
        found = (found + (0.5 + area.NEARLY)).floor().clamp(0.0, 255.0)
    return found.to(images.dtype)


def warped(op: Warp, images: torch.Tensor) -> torch.Tensor:
    """Each image through its map."""
    height, width = _size(op)
    matrices = columns.compact(op.matrix, len(images)).T
    if op.mode != "constant":
        x, y = warping.positions(matrices, height, width, images.device)
        return bordering.sampled(images, y, x, op.interpolation, op.mode)
    fill = fill_pixels(op.fill, images)
    return warping.warped(images, matrices, height, width, op.interpolation, fill)


def refuses_remap(op: Remap, dtype: str, channels: int) -> str:
    """Why it cannot be run on a batch."""
    if op.field in remapping.ON_HOST:
        return refuses_pad(op, dtype, channels)
    if op.field not in ("elastic", "elastic_normal", "grid", "lens"):
        return f"no batch kernel for a displacement field named {op.field!r}"
    cells = [np.unique(number) for number in op.numbers[:2]]
    if op.field == "grid" and any(len(each) > 1 for each in cells):
        return "no batch kernel for grids of different numbers of cells"
    return refuses_pad(op, dtype, channels)


def remapped(op: Remap, images: torch.Tensor) -> torch.Tensor:
    """Each image through its displacement field."""
    if op.field in remapping.ON_HOST:
        shifts = remapping.on_host(op, images)
    elif op.field == "lens":
        shifts = remapping.lens(op.numbers, images)
    elif op.field == "grid":
        shifts = remapping.grid(op.numbers, fields.field_keys(op.key), images)
    else:
        noise: Literal["uniform", "normal"] = "uniform" if op.field == "elastic" else "normal"
        shifts = remapping.elastic(op.numbers, fields.field_keys(op.key), images, noise)
    fill = fill_pixels(op.fill, images)
    return remapping.remapped(images, shifts, op.interpolation, fill, op.mode)


def _size(op: Resize | ResizeBox | Enlarge | Warp) -> tuple[int, int]:
    kind = type(op).__name__
    return columns.shared(op.height, f"height of a {kind}"), columns.shared(op.width, f"width of a {kind}")
