"""Stacks of images: which axis of a batch is what, and what an array must be to be mixed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from augreg.batch.label_arrays import is_tensor

__all__ = ["Stack", "check_out", "image_stack", "mask_stack", "same_place"]

_MOST_CHANNELS = 4


@dataclass(frozen=True)
class Stack:
    """An array or a tensor of N images or masks, and where its rows and columns are."""

    array: Any
    channels_last: bool
    name: str = "images"

    @property
    def count(self) -> int:
        return len(self.array)

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        shape = self.array.shape
        return (int(shape[1]), int(shape[2])) if self.channels_last else (int(shape[-2]), int(shape[-1]))

    @property
    def channels(self) -> int:
        shape = self.array.shape
        return 1 if len(shape) == 3 else int(shape[3 if self.channels_last else 1])

    @property
    def floats(self) -> bool:
        """Whether its numbers are floats, of whatever width."""
        return "float" in str(self.array.dtype)


def image_stack(array: Any, channels_first: bool, name: str = "images") -> Stack:
    """The images of a batch. Raises TypeError or ValueError for what is none.

    Tensors are N x C x H x W. Arrays are that if `channels_first`, else N x H x W x C; but where this makes more
    than 4 channels and the other reading does not, it is the other. Arrays of N x H x W have one channel.
    """
    tensor = is_tensor(array)
    if not (tensor or isinstance(array, np.ndarray)):
        raise TypeError(f"{name}: a batch is one array or tensor, got {type(array).__name__}; stack its images first")
    shape = tuple(array.shape)
    if len(shape) != 4 and (tensor or len(shape) != 3):
        wanted = "N x C x H x W" if tensor or channels_first else "N x H x W x C"
        raise ValueError(f"{name}: a batch of images is {wanted}, got an array of shape {shape}")
    kind = str(array.dtype).removeprefix("torch.")
    if not tensor and not array.dtype.isnative and array.dtype.kind == "f":
        raise TypeError(
            f"{name}: the numbers are in the byte order of another machine ({kind}): "
            f"{name}.astype({name}.dtype.newbyteorder('='))"
        )
    if kind not in ("uint8", "float16", "bfloat16", "float32", "float64"):
        raise TypeError(f"{name}: images are uint8 or floats, got {kind}")
    if 0 in shape[1:]:
        raise ValueError(f"{name}: images have at least one pixel, got an array of shape {shape}")
    if len(shape) == 3 and shape[2] in (3, 4):
        raise ValueError(
            f"{name}: an array of shape {shape} looks like one color image, and a batch is several: "
            f"{name}[None]; gray images that are {shape[2]} pixels wide are {name}[..., None]"
        )
    last = not tensor and not channels_first
    if not tensor and len(shape) == 4:
        mine, other = (shape[3], shape[1]) if last else (shape[1], shape[3])
        if mine > _MOST_CHANNELS >= other:
            last = not last
    return Stack(array, last and len(shape) == 4, name)


def mask_stack(array: Any, like: Stack, name: str) -> Stack:
    """The masks of a batch. Raises TypeError or ValueError for what does not go with its images.

    They are N x H x W, or N x K x H x W or (arrays) N x H x W x K, whichever has the images' height and width.
    """
    if is_tensor(array) != is_tensor(like.array) or not (is_tensor(array) or isinstance(array, np.ndarray)):
        kind = "tensors" if is_tensor(like.array) else "arrays"
        raise TypeError(f"{name}: masks of a batch are {kind} as its images are, got {type(array).__name__}")
    shape = tuple(array.shape)
    count, size = like.count, like.size
    if len(shape) in (3, 4) and shape[0] == count:
        first, last = shape[-2:] == size, shape[1:3] == size and not is_tensor(array)
        if len(shape) == 4 and last and (like.channels_last or not first):
            return Stack(array, True, name)
        if first:
            return Stack(array, False, name)
    raise ValueError(
        f"{name}: masks have the rows and columns of their images, N x H x W or N x K x H x W with {count} of "
        f"{size[0]}x{size[1]}, got an array of shape {shape}"
    )


def check_out(out: Any, batch: Stack) -> None:
    """Raise TypeError or ValueError unless the result can be written to `out`: a place of its own, or all of it."""
    array = batch.array
    if type(out) is not type(array) and not (is_tensor(out) and is_tensor(array)):
        raise TypeError(f"out is a {type(array).__name__} as {batch.name} is, got {type(out).__name__}")
    if out.shape != array.shape or out.dtype != array.dtype:
        wanted, given = (f"{tuple(one.shape)} {one.dtype}" for one in (array, out))
        raise ValueError(f"out has the shape and dtype of {batch.name}, {wanted}, got {given}")
    steps = out.stride() if is_tensor(out) else out.strides
    if 0 not in out.shape and any(step == 0 and size > 1 for step, size in zip(steps, out.shape, strict=True)):
        raise ValueError("out is expanded: several of its numbers share one place in memory; give one with its own")
    if is_tensor(array):
        if out.device != array.device:
            raise ValueError(f"out is on the device of {batch.name}, {array.device}, got {out.device}")
        same = out.data_ptr() == array.data_ptr() and out.stride() == array.stride()
        overlaps = out.device.type != "meta" and _span(out)[0] < _span(array)[1] and _span(array)[0] < _span(out)[1]
    else:
        if not out.flags.writeable:
            raise ValueError("out is read-only")
        same = out.ctypes.data == array.ctypes.data and out.strides == array.strides
        overlaps = bool(np.may_share_memory(out, array))
    if overlaps and not same:
        raise ValueError(f"out shares memory with {batch.name} and is not the same; give {batch.name} itself")


def same_place(out: Any, array: Any) -> bool:
    """Whether an `out` that was checked is the batch itself, if only by another view."""
    if is_tensor(array):
        return bool(out.data_ptr() == array.data_ptr())
    return bool(out.ctypes.data == array.ctypes.data)


def _span(tensor: Any) -> tuple[int, int]:
    """Where the memory of a tensor starts and ends."""
    start = tensor.data_ptr()
    steps = sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True))
    return start, start + (steps + 1) * tensor.element_size() if tensor.numel() else start
