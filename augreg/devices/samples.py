"""Samples of a batch: the images run on the device, and masks, boxes and keypoints follow each by its own ops.

A batch of samples is a list of mappings, or a mapping with an entry for all of them under each key.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from msgspec.structs import replace

from augreg.columns.cursors import Rows
from augreg.columns.records import Scenes, by_image
from augreg.devices.batches import transformed
from augreg.devices.draws import BatchDraws
from augreg.devices.programs import Program
from augreg.errors import ImageError
from augreg.execution.merging import merge
from augreg.execution.samples import run_sample, scene_of
from augreg.images.codecs import InputImage, to_array
from augreg.ops import Op, Scene

__all__ = ["transformed_samples"]


class _Recorded:
    """Draws that remember the ops of each image, and what was run alone."""

    def __init__(self, draws: BatchDraws, samples: Sequence[Mapping[Any, Any]]) -> None:
        self.settings = draws.settings
        self.ops: dict[int, Sequence[Op]] = {}
        self.done: dict[int, Any] = {}
        self._draws, self._samples = draws, samples

    def program(self, scenes: Scenes, rows: Rows) -> Program:
        found = self._draws.program(scenes, rows)
        for row, place, ops in zip(rows.tolist(), range(len(rows)), by_image(found.columns, len(rows)), strict=True):
            self.ops[row] = merge(ops, scenes.at(place))
        return found

    def alone(self, image: Any, row: int) -> Any:
        self.done[row] = self._draws.alone({**self._samples[row], "image": image}, row)
        return self.done[row]["image"]


def transformed_samples(given: Any, draws: BatchDraws, device: Any = None) -> Any:
    """The samples of a batch, in the form in which they are given. Images are tensors on the device.

    Of a mapping, each value is an array or a tensor with an entry for each sample, or a list of them; masks of one
    shape come back as one tensor on the device, and boxes and keypoints as lists. Raises ImageError, which names the
    sample.
    """
    if not isinstance(given, Mapping):
        images, results = _run(list(given), None, draws, device)
        return [{**result, "image": image} for image, result in zip(images, results, strict=True)]
    if "image" not in given:
        raise ImageError(
            f"a batch of samples needs images under 'image'; its keys are: {', '.join(map(repr, given))}"
        )
    count = len(given["image"])
    for key, value in given.items():
        if not hasattr(value, "__len__") or len(value) != count:
            entries = f"{len(value)} entries" if hasattr(value, "__len__") else f"a {type(value).__name__}"
            raise ImageError(f"batch[{key!r}] has {entries}, and there are {count} images: give one for each")
    samples = [{key: value[row] for key, value in given.items()} for row in range(count)]
    images, results = _run(samples, given["image"], draws, device)
    on = images.device if isinstance(images, torch.Tensor) else images[0].device
    return {
        key: images if key == "image" else _collated([result[key] for result in results], value, on)
        for key, value in given.items()
    }


def _run(samples: Sequence[Mapping[Any, Any]], stack: Any, draws: BatchDraws, device: Any) -> tuple[Any, list[Any]]:
    """The images after their ops, and the samples with what follows the images."""
    settings = draws.settings
    inputs = [_outline(sample, row, settings.channels) for row, sample in enumerate(samples)]
    scenes = []
    for row, (sample, image) in enumerate(zip(samples, inputs, strict=True)):
        with _naming(row):
            scenes.append(scene_of({**sample, "image": image}, settings))
    recorded = _Recorded(replace(draws, boxes=[scene.boxes for scene in scenes]), samples)
    images = transformed(inputs if stack is None or isinstance(stack, list | tuple) else stack, recorded, device)
    results = []
    for row, (sample, image) in enumerate(zip(samples, inputs, strict=True)):
        if row in recorded.done:
            results.append(recorded.done[row])
        else:
            following = _Following(recorded.ops[row], scenes[row], images[row])
            with _naming(row):
                results.append(run_sample({**sample, "image": image}, _no_start, settings, following))
    return images, results


def _outline(sample: Mapping[Any, Any], row: int, channels: str) -> InputImage:
    """The image of a sample, for its size; the pixels of one that is a device's are not read."""
    if "image" not in sample:
        raise ImageError(f"sample {row}: needs an image under 'image'; its keys are: {', '.join(map(repr, sample))}")
    image = sample["image"]
    if isinstance(image, torch.Tensor) and image.device.type != "cpu" and image.ndim == 3:
        dtype = np.uint8 if image.dtype == torch.uint8 else np.float32
        planes, height, width = image.shape
        empty = np.broadcast_to(np.zeros((1, 1, 1), dtype), (height, width, planes))
        return InputImage(empty, "tensor", alpha=planes == 4 and channels == "rgba")
    with _naming(row):
        return to_array(image, channels, decoded=False)


@contextlib.contextmanager
def _naming(row: int) -> Iterator[None]:
    """Let errors name the sample."""
    try:
        yield
    except ImageError as error:
        raise ImageError(f"sample {row}: {error}") from error


def _no_start(scene: Scene, alone: bool) -> Any:
    raise AssertionError("the ops of a batch are drawn before")


class _Following:
    """Moves the targets of a sample by the ops of its image, which has been transformed already."""

    def __init__(self, ops: Sequence[Op], scene: Scene, image: torch.Tensor) -> None:
        self._ops, self._scene, self._image = ops, scene, image

    def __call__(
        self, images: Any, first: Any, boxes: Any, targets: Any, start: Any, settings: Any, offer: Any
    ) -> dict[Any, list[Any]]:
        others = [key for key, group in images.items() if key != "image" or len(group) != 1]
        if others:
            raise ImageError(f"a sample of a batch has one image, and this one has others under {others[0]!r}")
        targets.check(self._ops, self._scene, str)
        size = self._scene.size
        for op in self._ops:
            after = op.size_after(*size) or size
            targets.apply(op, size, after, settings.engine)
            size = after
        targets.size = size
        return {"image": [self._image]}


def _collated(values: list[Any], given: Any, device: torch.device) -> Any:
    """The values of one key: one tensor where one was given and they still have one shape, else a list."""
    if not isinstance(given, torch.Tensor | np.ndarray):
        return values
    tensors = [torch.as_tensor(value) for value in values]
    if len({(tensor.shape, tensor.dtype) for tensor in tensors}) != 1:
        return [tensor.to(device) for tensor in tensors]
    return torch.stack(tensors).to(device)
