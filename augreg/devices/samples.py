"""Samples of a batch: the images run on the device, and masks, boxes and keypoints follow each by its own ops.

A batch of samples is a list of mappings, or a mapping with an entry for all of them under each key.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from msgspec.structs import replace

from augreg.columns.cursors import Rows
from augreg.columns.records import Scenes, by_image
from augreg.devices.batches import transformed
from augreg.devices.draws import BatchDraws
from augreg.devices.loading import Memory
from augreg.devices.preparing import Prepared, prepared
from augreg.devices.programs import OneByOneError, Program
from augreg.errors import ImageError
from augreg.execution.merging import merge
from augreg.execution.samples import run_sample, scene_of
from augreg.images.codecs import InputImage, to_array
from augreg.images.jpeg import Box
from augreg.ops import Op, Scene
from augreg.targets.kinds import kind_of

__all__ = ["prepared_samples", "read", "transformed_samples"]


class _Recorded:
    """Draws that remember the ops of each image, and what was run alone."""

    def __init__(self, draws: BatchDraws, samples: Sequence[Mapping[Any, Any]]) -> None:
        self.settings = draws.settings
        self.ops: dict[int, Sequence[Op]] = {}
        self.done: dict[int, Any] = {}
        self._draws, self._samples = draws, samples

    def program(self, scenes: Scenes, rows: Rows) -> Program:
        if any(self._has_others(self._samples[row]) for row in rows.tolist()):
            raise OneByOneError("a sample has several images")
        found = self._draws.program(scenes, rows)
        for row, place, ops in zip(rows.tolist(), range(len(rows)), by_image(found.columns, len(rows)), strict=True):
            self.ops[row] = merge(ops, scenes.at(place))
        return found

    def alone(self, image: Any, row: int) -> Any:
        if isinstance(image, InputImage):
            image = replace(image, kind="tensor")  # which the result has to be, and masks stay what they are
        self.done[row] = self._draws.alone({**self._samples[row], "image": image}, row)
        return self.done[row]["image"]

    def _has_others(self, sample: Mapping[Any, Any]) -> bool:
        targets = self.settings.targets
        return any(key != "image" and kind_of(key, value, targets) == "image" for key, value in sample.items())


def transformed_samples(given: Any, draws: BatchDraws, device: Any = None, kernels: bool | None = None) -> Any:
    """The samples of a batch, in the form in which they are given. Images are tensors on the device, as `transformed`
    makes them.

    Of a mapping, each value is an array or a tensor with an entry for each sample, or a list of them; masks of one
    shape come back as one tensor on the device, and boxes and keypoints as lists. Raises ImageError, which names the
    sample.
    """
    if not isinstance(given, Mapping):
        here = [_here(sample, draws) for sample in given]
        images, results = _run(here, draws, lambda inputs, own: transformed(inputs, own, device, kernels))
        return [
            {key: image if key == "image" else _sent_back(result[key], sample[key], image.device) for key in result}
            for image, result, sample in zip(images, results, given, strict=True)
        ]
    count = len(given["image"])
    for key, value in given.items():
        if not hasattr(value, "__len__") or len(value) != count:
            entries = f"{len(value)} entries" if hasattr(value, "__len__") else f"a {type(value).__name__}"
            raise ImageError(f"batch[{key!r}] has {entries}, and there are {count} images: give one for each")
    stack = given["image"]
    as_list = isinstance(stack, list | tuple)
    here = _here(given, draws, "" if as_list else "image")
    samples = [{key: value[row] for key, value in here.items()} for row in range(count)]

    def run_images(inputs: list[InputImage], own: _Recorded) -> Any:
        return transformed(inputs if as_list else stack, own, device, kernels)

    images, results = _run(samples, draws, run_images)
    on = images.device if isinstance(images, torch.Tensor) else images[0].device
    return {
        key: images if key == "image" else _collated([result[key] for result in results], value, on)
        for key, value in given.items()
    }


def _here(sample: Any, draws: BatchDraws, stays: str = "") -> Any:
    """A sample, or many under each key, with its pixels on the CPU, where lists are read and targets are moved.

    What is under the key `stays` is not copied.
    """
    if not isinstance(sample, Mapping):
        return sample

    def moves(key: Any, value: Any) -> bool:
        return key != stays and kind_of(key, value, draws.settings.targets) is not None

    return {key: _fetched(value) if moves(key, value) else value for key, value in sample.items()}


def _fetched(value: Any) -> Any:
    """A copy of a tensor of another device on the CPU, also in a list; everything else as it is."""
    if isinstance(value, torch.Tensor):
        return value if value.device.type == "cpu" else value.detach().cpu()
    return [*map(_fetched, value)] if isinstance(value, list | tuple) else value


def _sent_back(value: Any, given: Any, device: torch.device) -> Any:
    """A value after the run on the device, if it was given on one."""
    if isinstance(given, torch.Tensor) and given.device.type != "cpu":
        return torch.as_tensor(value).to(device)
    if isinstance(given, list | tuple) and len(given) == len(value):
        return [_sent_back(each, one, device) for each, one in zip(value, given, strict=True)]
    return value


def prepared_samples(
    samples: Sequence[Mapping[Any, Any]], draws: BatchDraws, names: Sequence[Any], memory: Memory, threads: bool
) -> tuple[Prepared, list[dict[Any, Any]]]:
    """The images of samples, prepared to be sent to another process, and the samples with what follows the images.

    `names` are those of the samples in errors; what is under `image` in the results means nothing. Raises ImageError.
    """
    samples = [_here(sample, draws) for sample in samples]
    return _run(samples, draws, lambda inputs, own: prepared(inputs, own, memory, threads, sent=True), names)


def _run(
    samples: Sequence[Mapping[Any, Any]],
    draws: BatchDraws,
    run_images: Callable[[list[InputImage], _Recorded], Any],
    names: Sequence[Any] | None = None,
) -> tuple[Any, list[dict[Any, Any]]]:
    """What `run_images` makes of the images, and the samples with what follows the images."""
    settings = draws.settings
    names = range(len(samples)) if names is None else names
    inputs = [_outline(sample, name, settings.channels) for name, sample in zip(names, samples, strict=True)]
    scenes = []
    for name, sample, image in zip(names, samples, inputs, strict=True):
        with naming(name):
            scenes.append(scene_of({**sample, "image": image}, settings))
    recorded = _Recorded(replace(draws, boxes=[scene.boxes for scene in scenes]), samples)
    images = run_images(inputs, recorded)
    results = []
    for row, (sample, image) in enumerate(zip(samples, inputs, strict=True)):
        if row in recorded.done:
            results.append(recorded.done[row])
        else:
            with naming(names[row]):
                following = _Following(recorded.ops[row], scenes[row])
                results.append(run_sample({**sample, "image": image}, _no_start, settings, following))
    return images, results


def _outline(sample: Mapping[Any, Any], name: Any, channels: str) -> InputImage:
    """The image of a sample, for its size; the pixels of one that is a device's are not read."""
    if not isinstance(sample, Mapping):
        raise ImageError(f"sample {name!r}: expected a mapping like the others, got a {type(sample).__name__}")
    if "image" not in sample:
        raise ImageError(
            f"sample {name!r}: needs an image under 'image'; its keys are: {', '.join(map(repr, sample))}"
        )
    image = sample["image"]
    if isinstance(image, torch.Tensor) and image.device.type != "cpu" and image.ndim == 3:
        dtype = np.uint8 if image.dtype == torch.uint8 else np.float32
        planes, height, width = image.shape
        empty = np.broadcast_to(np.zeros((1, 1, 1), dtype), (height, width, planes))
        return InputImage(empty, "tensor", alpha=planes == 4 and channels == "rgba")
    return read(image, name, channels)


def read(image: Any, name: Any, channels: str) -> InputImage:
    """The image of a sample, which errors name, also when it is decoded later. Raises ImageError."""
    with naming(name):
        found = to_array(image, channels, decoded=False)
    if found.pending is None:
        return found

    def decode(box: Box | None) -> Any:
        with naming(name):
            return found.decode(box)

    return replace(found, pending=decode)


@contextlib.contextmanager
def naming(name: Any) -> Iterator[None]:
    """Let errors name the sample."""
    try:
        yield
    except ImageError as error:
        raise ImageError(f"sample {name!r}: {error}") from error


def _no_start(scene: Scene, alone: bool) -> Any:
    raise AssertionError("the ops of a batch are drawn before")


class _Following:
    """Moves the targets of a sample by the ops of its one image, which is transformed elsewhere."""

    def __init__(self, ops: Sequence[Op], scene: Scene) -> None:
        self._ops, self._scene = ops, scene

    def __call__(
        self, images: Any, first: Any, boxes: Any, targets: Any, start: Any, settings: Any, offer: Any
    ) -> dict[Any, list[Any]]:
        targets.check(self._ops, self._scene, str)
        size = self._scene.size
        for op in self._ops:
            after = op.size_after(*size) or size
            targets.apply(op, size, after, settings.engine)
            size = after
        targets.size = size
        return {"image": [None]}  # it is elsewhere


def _collated(values: list[Any], given: Any, device: torch.device) -> Any:
    """The values of one key: one tensor where one was given and they still have one shape, else a list."""
    if not isinstance(given, torch.Tensor | np.ndarray):
        return _sent_back(values, given, device)
    tensors = [torch.as_tensor(value) for value in values]
    if len({(tensor.shape, tensor.dtype) for tensor in tensors}) != 1:
        return [tensor.to(device) for tensor in tensors]
    return torch.stack(tensors).to(device)
