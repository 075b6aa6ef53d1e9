"""Finishing deferred batches on a device: the ops that are left, the mixing, and the stream in which they run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch

from augreg.batch.labels import SoftLabels
from augreg.batch.samples import Deferred
from augreg.data.deferred_errors import NOT_DEFERRED, OTHER_PIPELINE
from augreg.devices.preparing import finished
from augreg.pipeline import Pipeline

__all__ = ["Finisher", "finisher"]


def finisher(pipe: Pipeline, device: str | torch.device) -> Finisher:
    """What finishes batches on a device, in a stream of its own if it has streams."""
    target = torch.device(device)
    return InStream(pipe, target) if target.type == "cuda" else Finisher(pipe, target)


class Finisher:
    """Finishes the batches of a pipeline on a device; `kernels` as for `devices.preparing.finished`."""

    def __init__(self, pipe: Pipeline, device: torch.device, kernels: bool | None = None) -> None:
        self._pipe, self._device, self._kernels = pipe, device, kernels

    def begun(self, batch: Any) -> Any:
        """The batch while it is being made, which may go on when this has returned."""
        return self.finish(batch)

    def handed_over(self, begun: Any) -> Any:
        """The batch, for the current stream."""
        return begun

    def finish(self, batch: Any) -> Any:
        """One batch with its ops run, and mixed. Raises TypeError or ValueError."""
        if isinstance(batch, Deferred):
            place = batch.layout.image
            return self._members({place: batch}, place)[place]
        is_mapping, is_sequence = isinstance(batch, Mapping), isinstance(batch, tuple | list)
        members = dict(batch) if is_mapping else dict(enumerate(batch)) if is_sequence else {}
        found = [place for place, value in members.items() if isinstance(value, Deferred)]
        if len(found) == 1:
            members = self._members(members, found[0])
            return members if is_mapping else type(batch)(members.values())
        if is_sequence and len(batch) > 1:  # views
            return type(batch)(map(self.finish, batch))
        raise TypeError(NOT_DEFERRED)

    def _images(self, deferred: Deferred) -> Any:
        if deferred.fingerprint != self._pipe.fingerprint:
            raise ValueError(OTHER_PIPELINE)
        batch = deferred.images.pinned() if self._device.type == "cuda" else deferred.images
        images = finished(batch, self._pipe.train.engine, self._device, self._kernels)
        return images if isinstance(images, torch.Tensor) else self._pipe.collate.stacked_images(images)

    def _members(self, members: dict[Any, Any], place: Any) -> dict[Any, Any]:
        """The members of a batch on the device, with the images made and mixed."""
        deferred: Deferred = members[place]
        images = self._images(deferred)
        members = {key: images if key == place else self._moved(value, 3) for key, value in members.items()}
        # masks of arrays have their channels last; the mixer knows tensors with their channels first
        last = [key for key in deferred.arrays if _has_channels_last(members[key], images)]
        members.update({key: members[key].movedim(-1, 1) for key in last})
        # labels are mixed on the CPU, where they are checked
        mixed = dict(self._pipe.collate.mixed(members, deferred.layout, deferred.keys))
        mixed.update({key: _channels_last(mixed[key]) for key in last})
        return {key: self._moved(value) for key, value in mixed.items()}

    def _moved(self, value: Any, axes: int = 0) -> Any:
        """The value with its tensors on the device; those with fewer axes stay."""
        if isinstance(value, torch.Tensor):
            if value.ndim < axes or value.device == self._device:
                return value
            value = value.pin_memory() if self._device.type == "cuda" and value.device.type == "cpu" else value
            return value.to(self._device, non_blocking=True)
        if isinstance(value, SoftLabels):
            return value.to(self._device, non_blocking=True)
        if isinstance(value, Mapping):
            return {key: self._moved(member, axes) for key, member in value.items()}
        if isinstance(value, list | tuple):
            make = getattr(type(value), "_make", type(value))
            return make([self._moved(member, axes) for member in value])
        return value


def _channels_last(masks: Any) -> Any:
    """Masks of a batch, or those of the objects of each of its images in a list, with their channels at the end."""
    if isinstance(masks, list):
        return [one.movedim(0, -1).contiguous() for one in masks]
    return masks.movedim(1, -1).contiguous()


class InStream(Finisher):
    """Finishes batches in a stream of its own."""

    def __init__(self, pipe: Pipeline, device: torch.device) -> None:
        super().__init__(pipe, device)
        self._stream = torch.cuda.Stream(device)

    def begun(self, batch: Any) -> Any:
        # what the dataset itself has put on the device may still be made
        self._stream.wait_stream(torch.cuda.current_stream(self._stream.device))
        with torch.cuda.stream(self._stream):
            found = self.finish(batch)
            return found, self._stream.record_event()

    def handed_over(self, begun: Any) -> Any:
        batch, event = begun
        current = torch.cuda.current_stream(self._stream.device)
        current.wait_event(event)
        for tensor in _tensors(batch):
            if tensor.device == self._stream.device:
                tensor.record_stream(current)  # else its memory could be used again before this stream has read it
        return batch


def _has_channels_last(value: Any, images: torch.Tensor) -> bool:
    """Whether a tensor of pixels has its axes in the order of arrays."""
    if not isinstance(value, torch.Tensor) or value.ndim != 4:
        return False
    size = images.shape[2:]
    return bool(value.shape[1:3] == size and value.shape[2:] != size)


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    """All tensors of a batch."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, SoftLabels):
        yield from filter(torch.is_tensor, (value.labels, value.sources, value.weights))
    elif isinstance(value, Mapping):
        for member in value.values():
            yield from _tensors(member)
    elif isinstance(value, list | tuple):
        for member in value:
            yield from _tensors(member)
