"""Stacks of images or masks: the layout of a batch, and checks of what can be mixed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from augreg.batch.label_arrays import is_tensor

__all__ = ["Stack", "check_out", "image_stack", "mask_stack", "same_memory"]

_MOST_CHANNELS = 4


@dataclass(frozen=True)
class Stack:
    """An array or a tensor of N images or masks, and the position of its channels."""

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
        """Whether the dtype is a float type of any width."""
        return "float" in str(self.array.dtype)


def image_stack(array: Any, channels_first: bool, name: str = "images") -> Stack:
    """The images of a batch. Raises TypeError or ValueError for anything else.

    Tensors are N x C x H x W. Arrays are N x C x H x W if `channels_first`, else N x H x W x C; if that gives more
    than 4 channels and the other layout does not, the other layout is used. Arrays of N x H x W have one channel.
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
            f"{name}: {kind} does not have the byte order of this machine: "
            f"give {name}.astype({name}.dtype.newbyteorder('='))"
        )
    if kind not in ("uint8", "float16", "bfloat16", "float32", "float64"):
        raise TypeError(f"{name}: images are uint8 or floats, got {kind}")
    if 0 in shape[1:]:
        raise ValueError(f"{name}: images have at least one pixel, got an array of shape {shape}")
    if len(shape) == 3 and shape[2] in (3, 4):
        raise ValueError(
            f"{name}: an array of shape {shape} looks like one color image, not a batch: give {name}[None], "
            f"or {name}[..., None] for gray images that are {shape[2]} pixels wide"
        )
    if tensor and _channels_last(shape, kind):
        raise ValueError(
            f"{name}: a tensor of shape {shape} looks like N x H x W x C, and tensors are N x C x H x W: "
            f"give {name}.permute(0, 3, 1, 2), or, for features of {shape[1]} channels, {name}.transpose(2, 3)"
        )
    last = not tensor and not channels_first
    if not tensor and len(shape) == 4:
        channels, other = (shape[3], shape[1]) if last else (shape[1], shape[3])
        if channels > _MOST_CHANNELS >= other:
            last = not last
    return Stack(array, last and len(shape) == 4, name)


def _channels_last(shape: tuple[int, ...], kind: str) -> bool:
    """Whether a tensor is probably N x H x W x C.

    Features of a model are floats, and hardly ever 3 or 4 wide. They may be 1 or 2 wide, but then they seldom have
    as many channels as rows.
    """
    height, width, channels = shape[1:]
    if min(height, width) < 16 or channels > _MOST_CHANNELS:
        return False
    return channels >= 3 or kind == "uint8" or height == width


def mask_stack(array: Any, like: Stack, name: str) -> Stack:
    """The masks of a batch. Raises TypeError or ValueError unless they fit its images.

    They are N x H x W, N x K x H x W or, for arrays, N x H x W x K, with the height and width of the images.
    """
    if is_tensor(array) != is_tensor(like.array) or not (is_tensor(array) or isinstance(array, np.ndarray)):
        kind = "tensors" if is_tensor(like.array) else "arrays"
        raise TypeError(f"{name}: masks of a batch are {kind}, like its images, got {type(array).__name__}")
    shape = tuple(array.shape)
    count, size = like.count, like.size
    if len(shape) in (3, 4) and shape[0] == count:
        first, last = shape[-2:] == size, shape[1:3] == size and not is_tensor(array)
        if len(shape) == 4 and last and (like.channels_last or not first):
            return Stack(array, True, name)
        if first:
            return Stack(array, False, name)
    raise ValueError(
        f"{name}: masks have the size of their images, N x H x W or N x K x H x W with {count} of "
        f"{size[0]}x{size[1]}, got an array of shape {shape}"
    )


def check_out(out: Any, batch: Stack) -> None:
    """Raise TypeError or ValueError unless the result can be written to `out`.

    It must have the kind, shape, dtype and device of the batch, and either no memory in common with it, or all.
    """
    array = batch.array
    if type(out) is not type(array) and not (is_tensor(out) and is_tensor(array)):
        raise TypeError(f"out is a {type(array).__name__}, like {batch.name}, got {type(out).__name__}")
    if out.shape != array.shape or out.dtype != array.dtype:
        expected, got = (f"{tuple(value.shape)} {value.dtype}" for value in (array, out))
        raise ValueError(f"out has the shape and dtype of {batch.name}, {expected}, got {got}")
    steps = out.stride() if is_tensor(out) else out.strides
    if 0 not in out.shape and any(step == 0 and size > 1 for step, size in zip(steps, out.shape, strict=True)):
        raise ValueError("out is expanded: several of its elements share memory; give a contiguous one")
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
        raise ValueError(f"out overlaps {batch.name} in memory; give {batch.name} itself, or separate memory")


def same_memory(out: Any, array: Any) -> bool:
    """Whether an `out` that passed `check_out` is the batch itself, or another view of all of it."""
    if is_tensor(array):
        return bool(out.data_ptr() == array.data_ptr())
    return bool(out.ctypes.data == array.ctypes.data)


def _span(tensor: Any) -> tuple[int, int]:
    """The addresses where the memory of a tensor starts and ends."""
    start = tensor.data_ptr()
    steps = sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True))
    return start, start + (steps + 1) * tensor.element_size() if tensor.numel() else start
