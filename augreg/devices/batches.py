"""Batches in, batches out: stacks, lists of images of different sizes, encoded files, and samples with targets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
from msgspec.structs import replace

from augreg.columns.cursors import Rows
from augreg.columns.records import Scenes
from augreg.devices.fusing import fused
from augreg.devices.groups import Group
from augreg.devices.loading import load
from augreg.devices.programs import OneByOneError, Program
from augreg.devices.running import Work, run
from augreg.errors import ImageError
from augreg.execution.run import RunSettings
from augreg.images.codecs import InputImage, to_array
from augreg.ops import Scene

__all__ = ["Draws", "transformed"]


class Draws(Protocol):
    """Gives the ops of the images of a batch: what a side of a pipeline draws, or its test-time rules."""

    @property
    def settings(self) -> RunSettings:
        """What runs need to know besides."""

    def program(self, scenes: Scenes, rows: Rows) -> Program:
        """The program of the images `rows` of the batch. Raises OneByOneError."""

    def alone(self, image: Any, row: int) -> Any:
        """One image of the batch after a run of its own, as a tensor on the CPU."""


def transformed(images: Any, draws: Draws, device: Any = None) -> Any:
    """The images of a batch after the ops of each: N x channels x height x width, or a list if they differ in shape.

    `images` is a tensor of N x channels x height x width, an array of N x height x width x channels, or a list of
    what single images may be. The result is on `device`; without one, on that of a tensor, else on the CPU. Raises
    ImageError.
    """
    if isinstance(images, np.ndarray | torch.Tensor):
        stack = _stack(images)
        target = torch.device(device if device is not None else stack.device)
        return _run_stack(stack, draws, target)
    if not isinstance(images, list | tuple):
        raise ImageError(
            f"cannot take a {type(images).__name__} as a batch: give an N x channels x height x width tensor, an "
            "N x height x width x channels array, or a list of images"
        )
    target = torch.device("cpu" if device is None else device)
    return _run_list(_read(images, draws.settings.channels), draws, target)


def _stack(images: Any) -> torch.Tensor:
    """A batch as a tensor, N x channels x height x width. Raises ImageError."""
    is_array = isinstance(images, np.ndarray)
    shape = "x".join(map(str, images.shape)) or "no axes"
    wanted = "N x height x width x channels" if is_array else "N x channels x height x width"
    if images.ndim != 4:
        raise ImageError(f"a batch is an {wanted} {'array' if is_array else 'tensor'}, got one of {shape}")
    if not all(images.shape):
        raise ImageError(f"a batch of {shape} has no pixels")
    stack = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2) if is_array else images.detach()
    if stack.device.type == "cpu":
        to_array(stack[0])  # says what is wrong with the kind of image
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
        return _output(_alone(stack.cpu(), draws, everyone, device), count)
    columns = fused(program.columns, scenes)
    moved = stack.to(device, non_blocking=True)
    groups = [Group(everyone, moved.contiguous(), own=moved is not stack)]
    return _output(_finished(run(groups, (), columns, Work(settings.engine, common), device), program), count)


def _run_list(images: Sequence[InputImage], draws: Draws, device: torch.device) -> Any:
    """Images of any sizes and kinds; those of one kind together."""
    settings = draws.settings
    kinds: dict[Scene, list[int]] = {}
    for row, image in enumerate(images):
        kinds.setdefault(replace(image.scene(settings.epoch), height=1, width=1), []).append(row)
    groups: list[Group] = []
    for common, numbers in kinds.items():
        rows = np.array(numbers, np.intp)
        some = [images[row] for row in numbers]
        sizes = np.array([image.array.shape[:2] for image in some], np.int64)
        scenes = Scenes(sizes[:, 0], sizes[:, 1], common)
        try:
            program = draws.program(scenes, rows)
        except OneByOneError:
            groups += _alone(some, draws, rows, device)
            continue
        loaded = load(some, fused(program.columns, scenes), scenes, settings.decode == "scaled")
        found = run([], loaded.packs, loaded.columns, Work(settings.engine, common), device)
        groups += [Group(rows[group.rows], group.images) for group in _finished(found, program)]
    return _output(groups, len(images))


def _dtype_name(stack: torch.Tensor) -> Any:
    return "uint8" if stack.dtype == torch.uint8 else "float32"


def _alone(images: Sequence[Any] | torch.Tensor, draws: Draws, rows: Rows, device: torch.device) -> list[Group]:
    """Images after runs of their own, on the device."""
    found = []
    for image, row in zip(images, rows.tolist(), strict=True):
        tensor = draws.alone(image, row)
        planes = tensor if tensor.ndim == 3 else tensor[None]
        found.append(Group(np.array([row]), planes[None].to(device)))
    return found


def _finished(groups: Sequence[Group], program: Program) -> Sequence[Group]:
    """The groups, with pixel values of float images from 0 to 1: a bicubic kernel can overshoot."""
    if program.after.dtype == "float32" and not program.after.normalized:
        return [Group(group.rows, group.images.clamp(0.0, 1.0)) for group in groups]
    return groups


def _output(groups: Sequence[Group], count: int) -> Any:
    """The images of a batch in their order: one tensor if they have one shape and dtype, else a list."""
    kinds = {(group.images.shape[1:], group.images.dtype) for group in groups}
    if len(kinds) > 1:
        every: list[Any] = [None] * count
        for group in groups:
            for place, row in enumerate(group.rows.tolist()):
                every[row] = group.images[place]
        return every
    if len(groups) == 1 and len(groups[0].rows) == count:
        return groups[0].images if groups[0].own else groups[0].images.clone()
    images = torch.cat([group.images for group in groups])
    order = np.concatenate([group.rows for group in groups]).argsort()
    return images[torch.from_numpy(order).to(images.device)]
