"""Ops on batches of images, each with its own numbers: a table from the kind of op to a kernel of torch tensors.

A batch is N x C x H x W, bytes or float32, on any device, where everything runs; nothing waits for it. The numbers of
an op are plain ones, or NumPy arrays with one for each image, anywhere in the record. What the images have to share
is the kind of op, the size of the result and what is no number. The values are those of the backend `pillow`;
docs/backends.md says how equal each is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, NamedTuple

import torch

from augreg.backends import torch_geometry as geometry, torch_values as values
from augreg.backends.torch_kernels import columns, fields, noising, painting, weather
from augreg.errors import ImageError
from augreg.ops import (
    ColorMatrix,
    Convolve,
    ConvolveColors,
    DropPixels,
    Enhance,
    Enlarge,
    Filter,
    Flare,
    Fog,
    Hue,
    Lookup,
    Move,
    Noise,
    Normalize,
    Op,
    Pad,
    Paint,
    Rain,
    Remap,
    Resize,
    ResizeBox,
    Shade,
    ShiftHsv,
    Warp,
)
from augreg.ops.scene import PixelValues

__all__ = ["KERNELS", "Kernel", "apply", "padded_crop", "refused"]

Dtype = Literal["uint8", "float32"]


class Kernel(NamedTuple):
    """How ops of a kind run on a batch; `refuses(op, dtype, channels)` says why one cannot, and "" if it can."""

    run: Callable[[Any, torch.Tensor], torch.Tensor]
    refuses: Callable[[Any, str, int], str]


def refused(op: Op, dtype: Dtype, channels: int) -> str:
    """Why an op cannot be run on a batch of images of this kind, for users; "" if it can."""
    kernel = KERNELS.get(type(op))
    if kernel is None:
        return f"no batch kernel for ops of the kind {type(op).__name__}"
    return kernel.refuses(op, dtype, channels)


def apply(op: Op, images: torch.Tensor) -> torch.Tensor:
    """The images after an op, a new tensor or `images` itself, or a view of it; `images` is not written to.

    Raises ImageError for an op that has no kernel here, or is wrong for these images, and ValueError if the images
    would differ in size after it.
    """
    why = refused(op, "uint8" if images.dtype == torch.uint8 else "float32", images.shape[1])
    if why:
        raise ImageError(why)
    return KERNELS[type(op)].run(op, images)


def padded_crop(pad: Pad, move: Move, images: torch.Tensor) -> torch.Tensor:
    """A border, and then a crop and flips that transpose nothing, in one pass."""
    fill = _filling(pad.fill, pad.fill_ops, images) if pad.mode == "constant" else None
    return geometry.padded_crop(pad, move, images, fill)


def _filling(fill: PixelValues, fill_ops: tuple[Op, ...], images: torch.Tensor) -> torch.Tensor:
    """A fill, after the ops that the planner moved in front of the border or box: N x C or 1 x C on the device."""
    pixels = geometry.fill_numbers(fill, images, bool(fill_ops) or images.dtype == torch.uint8)
    if fill_ops:
        pixels = pixels.expand(len(images), -1)[:, :, None, None]
        for op in fill_ops:  # on the CPU: these are few pixels
            pixels = apply(op, pixels)
        pixels = pixels[:, :, 0, 0].to(images.dtype)
    return pixels.to(images.device, non_blocking=True)


def _padded(op: Pad, images: torch.Tensor) -> torch.Tensor:
    fill = _filling(op.fill, op.fill_ops, images) if op.mode == "constant" else None
    return geometry.padded_crop(op, None, images, fill)


def _painted(op: Paint, images: torch.Tensor) -> torch.Tensor:
    boxes = columns.table([op.top, op.left, op.height, op.width], len(images))
    if op.noise is not None:
        return noising.box(images, boxes, op.noise, fields.field_keys(op.key, op.frame))
    fill = _filling(op.fill, op.fill_ops, images)
    return painting.painted(images, columns.to_device(boxes, images.device).T, fill)


def _refuses_fill_ops(op: Pad | Paint, dtype: str, channels: int) -> str:
    for part in op.fill_ops:  # each leaves the dtype as it is, but for the last
        why = refused(part, "uint8", channels)
        if why:
            return why
    return ""


def _refuses_pad(op: Pad, dtype: str, channels: int) -> str:
    return geometry.refuses_pad(op, dtype, channels) or _refuses_fill_ops(op, dtype, channels)


def _nothing(op: Op, dtype: str, channels: int) -> str:
    return ""


KERNELS: Final[Mapping[type[Op], Kernel]] = {
    Move: Kernel(geometry.moved, _nothing),
    Pad: Kernel(_padded, _refuses_pad),
    Paint: Kernel(_painted, _refuses_fill_ops),
    DropPixels: Kernel(values.dropped, _nothing),
    Resize: Kernel(geometry.resized, _nothing),
    ResizeBox: Kernel(geometry.resized_box, geometry.refuses_resize_box),
    Enlarge: Kernel(geometry.enlarged, geometry.refuses_enlarge),
    Warp: Kernel(geometry.warped, geometry.refuses_pad),
    Remap: Kernel(geometry.remapped, geometry.refuses_remap),
    Lookup: Kernel(values.looked_up, values.refuses_lookup),
    Enhance: Kernel(values.enhanced, _nothing),
    Hue: Kernel(values.hue_shifted, _nothing),
    ShiftHsv: Kernel(values.hsv_shifted, _nothing),
    ColorMatrix: Kernel(values.mixed, _nothing),
    Noise: Kernel(values.noisy, _nothing),
    Filter: Kernel(values.filtered, values.refuses_filter),
    Convolve: Kernel(values.convolved, _nothing),
    ConvolveColors: Kernel(values.convolved, _nothing),
    Normalize: Kernel(values.normalized, values.refuses_normalize),
    Shade: Kernel(weather.shaded, _nothing),
    Fog: Kernel(weather.by_regions, _nothing),
    Flare: Kernel(weather.by_regions, _nothing),
    Rain: Kernel(weather.rained, _nothing),
}
"""The kernels by kind of op."""
