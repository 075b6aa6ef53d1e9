"""Batches in, batches out: stacks, lists of images of different sizes, encoded files, and samples with targets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from augreg.columns.records import Scenes
from augreg.devices.fusing import fused
from augreg.devices.groups import Group
from augreg.devices.loading import pinned_memory, plain_memory
from augreg.devices.preparing import Draws, by_kernels, clamped, finished, finished_alone, output, prepared
from augreg.devices.programs import OneByOneError
from augreg.devices.running import Work, run
from augreg.errors import ImageError
from augreg.images.codecs import InputImage, tensor, to_array
from augreg.ops import Scene

__all__ = ["transformed"]


def transformed(images: Any, draws: Draws, device: Any = None, kernels: bool | None = None) -> Any:
    """The images of a batch after the ops of each: N x channels x height x width, or a list if they differ in shape.

    `images` is a tensor of N x channels x height x width, an array of N x height x width x channels, or a list of
    what single images may be. The result is on `device`; without one, on that of a tensor, else on the CPU.

    `kernels` is whether ops run by the kernels of batches, as for `by_kernels`. Raises ImageError.
    """
    if isinstance(images, np.ndarray | torch.Tensor):
        stack = _stack(images)
        target = torch.device(device if device is not None else stack.device)
        if by_kernels(kernels, target):
            return _run_stack(stack, draws, target)
        return finished_alone(list(stack.cpu()), draws, target)
    if not isinstance(images, list | tuple):
        raise ImageError(
            f"cannot take a {type(images).__name__} as a batch: give an N x channels x height x width tensor, an "
            "N x height x width x channels array, or a list of images"
        )
    target = torch.device("cpu" if device is None else device)
    inputs = _read(images, draws.settings.channels)
    if by_kernels(kernels, target):
        memory = pinned_memory if target.type == "cuda" else plain_memory
        return finished(prepared(inputs, draws, memory), draws.settings.engine, target, kernels)
    return finished_alone(inputs, draws, target)


def _stack(images: Any) -> torch.Tensor:
    """A batch as a tensor, N x channels x height x width. Raises ImageError."""
    is_array = isinstance(images, np.ndarray)
    shape = "x".join(map(str, images.shape)) or "no axes"
    wanted = "N x height x width x channels" if is_array else "N x channels x height x width"
    if images.ndim != 4:
        raise ImageError(f"a batch is an {wanted} {'array' if is_array else 'tensor'}, got one of {shape}")
    if not all(images.shape):
        raise ImageError(f"a batch of {shape} has no pixels")
    stack = tensor(np.ascontiguousarray(images)).permute(0, 3, 1, 2) if is_array else images.detach()
    if stack.device.type == "cpu":
        to_array(images[0])  # says what is wrong with the kind of image
        if stack.dtype == torch.float32:
            low, high = stack.aminmax()
            if not (float(low) >= 0.0 and float(high) <= 1.0):
                raise ImageError(
                    f"a batch of float images runs from {float(low):g} to {float(high):g}; a float image has values "
                    "from 0 to 1 (divide by 255, or give uint8)"
                )
    elif stack.dtype not in (torch.uint8, torch.float32):
        raise ImageError(f"a batch has dtype {stack.dtype}; give uint8, or float32 with values from 0 to 1")
    return stack


def _read(images: Sequence[Any], channels: str) -> list[InputImage]:
    """The images of a list, whose JPEGs are not decoded yet. Raises ImageError, with the place of the image."""
    found = []
    for place, image in enumerate(images):
        if isinstance(image, torch.Tensor) and image.device.type != "cpu":
            image = image.detach().cpu()
        try:
            found.append(to_array(image, channels, decoded=False))
        except ImageError as error:
            raise ImageError(f"images[{place}]: {error}") from error
    return found


def _run_stack(stack: torch.Tensor, draws: Draws, device: torch.device) -> Any:
    count, channels, height, width = stack.shape
    settings = draws.settings
    alpha = channels == 4 and settings.channels == "rgba"
    common = Scene(1, 1, channels, _dtype_name(stack), epoch=settings.epoch, alpha=alpha)
    scenes = Scenes(np.full(count, height), np.full(count, width), common)
    everyone = np.arange(count)
    try:
        program = draws.program(scenes, everyone)
    except OneByOneError:
        return finished_alone(list(stack.cpu()), draws, device)
    columns = fused(program.columns, scenes)
    moved = stack.to(device, non_blocking=True)
    groups = [Group(everyone, moved.contiguous(), own=moved is not stack)]
    found = run(groups, (), columns, Work(settings.engine, common), device)
    return output(clamped(found) if program.clamps else found, count)


def _dtype_name(stack: torch.Tensor) -> Any:
    return "uint8" if stack.dtype == torch.uint8 else "float32"
