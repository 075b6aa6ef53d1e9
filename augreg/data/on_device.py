"""A loader whose batches are finished on a device: workers draw and read, and the device does the rest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import torch

from augreg.batch.labels import SoftLabels
from augreg.batch.samples import Deferred
from augreg.data.augmented import Augmented
from augreg.devices.preparing import finished
from augreg.pipeline import Pipeline

__all__ = ["OnDevice"]

_NOT_DEFERRED: Final = (
    "the batches of this loader are finished by its workers, so nothing is left for the device: make it as "
    "DataLoader(Augmented(dataset, pipe.train, defer=True), batch_size, collate_fn=pipe.collate, ..)"
)
_OTHER_PIPELINE: Final = (
    "the dataset of this loader has another pipeline than was given to OnDevice: give both the same, "
    "Augmented(dataset, pipe.train, defer=True) and OnDevice(loader, pipe, device)"
)


class OnDevice:
    """The batches of a DataLoader, finished on a device: `for images, labels in OnDevice(loader, pipe, "cuda")`.

    The dataset is an `Augmented(.., defer=True)`: its workers draw, decode, cut out the first crop, and move targets.
    The other ops and the mixing run on the device, on a CUDA device in a stream of their own, one batch ahead of the
    training. The batches are those that the loader would give without `defer`, on the device; images are always
    N x channels x height x width. `pin_memory=True` of the loader takes the copy to pinned memory from this thread.

    Other attributes are those of the loader: `dataset`, `sampler`, and so on. With a StatefulDataLoader, `state_dict`
    is that of the batch which the loop got last.
    """

    def __init__(self, loader: Any, pipe: Pipeline, device: str | torch.device) -> None:
        """`pipe` is the pipeline of the dataset. Raises TypeError or ValueError for a loader that does not fit."""
        if not isinstance(pipe, Pipeline):
            raise TypeError(f"expected OnDevice(loader, pipe, device) with a Pipeline, got a {type(pipe).__name__}")
        if not hasattr(loader, "__iter__"):
            raise TypeError(f"expected a DataLoader, got a {type(loader).__name__}")
        data = getattr(loader, "dataset", None)
        if isinstance(data, Augmented):
            if not data.defer or getattr(loader, "collate_fn", None) is torch.utils.data.default_collate:
                raise ValueError(_NOT_DEFERRED)
            if data.side._pipeline != pipe:
                raise ValueError(_OTHER_PIPELINE)
        self.loader, self.pipe, self.device = loader, pipe, torch.device(device)
        self._position: Any = None  # the state of the loader after the batch that the loop got last

    def __len__(self) -> int:
        return len(self.loader)

    def __getattr__(self, name: str) -> Any:
        if name in ("loader", "pipe", "device") or name.startswith("__"):  # not set yet, as in a copy that is made
            raise AttributeError(name)
        found = getattr(self.loader, name)
        return self._state_dict if name == "state_dict" else found

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of the next pass: of the sampler, or else of the dataset."""
        self._part_with_epoch().set_epoch(epoch)

    def hold_epoch(self, epoch: int | None) -> None:
        """Set the epoch, and ignore `set_epoch` until another is held; None ends this. `Epochs` calls it."""
        part = self._part_with_epoch()
        if hasattr(part, "hold_epoch"):
            part.hold_epoch(epoch)
        elif epoch is not None:
            part.set_epoch(epoch)

    def _part_with_epoch(self) -> Any:
        parts = [self.loader, *(getattr(self.loader, name, None) for name in ("sampler", "batch_sampler", "dataset"))]
        for part in parts:
            if hasattr(part, "set_epoch"):
                return part
        raise TypeError("neither the sampler nor the dataset of this loader has set_epoch: use an EpochSampler")

    def __iter__(self) -> Iterator[Any]:
        """The batches. Raises TypeError or ValueError for batches that are not deferred, or have another pipeline."""
        is_cuda, has_state = self.device.type == "cuda", hasattr(self.loader, "state_dict")
        place: Any = _Stream(self.device) if is_cuda else _Here()
        self._position = waiting = position = None
        for batch in self.loader:
            made = place.made(self, batch)
            if waiting is not None:
                self._position = position
                yield place.handed_over(waiting)
            waiting, position = made, self.loader.state_dict() if has_state else None
        if waiting is not None:
            self._position = position
            yield place.handed_over(waiting)

    def _state_dict(self) -> Any:
        return self.loader.state_dict() if self._position is None else self._position

    def finish(self, batch: Any) -> Any:
        """One batch of the loader on the device, with its ops run and mixed, in the current stream."""
        if isinstance(batch, Deferred):
            return self._images(batch)
        is_mapping, is_sequence = isinstance(batch, Mapping), isinstance(batch, tuple | list)
        members = dict(batch) if is_mapping else dict(enumerate(batch)) if is_sequence else {}
        found = [place for place, value in members.items() if isinstance(value, Deferred)]
        if len(found) == 1:
            members = self._members(members, found[0])
            return members if is_mapping else type(batch)(members.values())
        if is_sequence and len(batch) > 1:  # views
            return type(batch)(map(self.finish, batch))
        raise TypeError(_NOT_DEFERRED)

    def _images(self, deferred: Deferred) -> Any:
        if deferred.fingerprint != self.pipe.fingerprint:
            raise ValueError(_OTHER_PIPELINE)
        batch = deferred.images.pinned() if self.device.type == "cuda" else deferred.images
        images = finished(batch, self.pipe.train.engine, self.device)
        return images if isinstance(images, torch.Tensor) else self.pipe.collate.stacked_images(images)

    def _members(self, members: dict[Any, Any], place: Any) -> dict[Any, Any]:
        """The members of a batch on the device, with the images made and mixed."""
        deferred: Deferred = members[place]
        images = self._images(deferred)
        members = {key: images if key == place else self._moved(value, 3) for key, value in members.items()}
        # masks of arrays have their channels last; the mixer knows tensors with their channels first
        last = [key for key in deferred.arrays if _has_channels_last(members[key], images)]
        members.update({key: members[key].movedim(-1, 1) for key in last})
        # labels are mixed on the CPU, where they are checked
        mixed = dict(self.pipe.collate.mixed(members, deferred.layout, deferred.keys))
        mixed.update({key: mixed[key].movedim(1, -1).contiguous() for key in last})
        return {key: self._moved(value) for key, value in mixed.items()}

    def _moved(self, value: Any, axes: int = 0) -> Any:
        """The value with its tensors on the device; those with fewer axes stay."""
        if isinstance(value, torch.Tensor):
            if value.ndim < axes or value.device == self.device:
                return value
            value = value.pin_memory() if self.device.type == "cuda" and value.device.type == "cpu" else value
            return value.to(self.device, non_blocking=True)
        if isinstance(value, SoftLabels):
            return value.to(self.device, non_blocking=True)
        if isinstance(value, Mapping):
            return {key: self._moved(member, axes) for key, member in value.items()}
        if isinstance(value, list | tuple):
            make = getattr(type(value), "_make", type(value))
            return make([self._moved(member, axes) for member in value])
        return value


def _has_channels_last(value: Any, images: torch.Tensor) -> bool:
    """Whether a tensor of pixels has its axes in the order of arrays."""
    if not isinstance(value, torch.Tensor) or value.ndim != 4:
        return False
    size = images.shape[2:]
    return bool(value.shape[1:3] == size and value.shape[2:] != size)


class _Here:
    """Makes batches where there are no streams."""

    def made(self, loader: OnDevice, batch: Any) -> Any:
        return loader.finish(batch)

    def handed_over(self, made: Any) -> Any:
        return made


class _Stream:
    """Makes batches in a stream of its own, and hands them over to the one that is current."""

    def __init__(self, device: torch.device) -> None:
        self._stream = torch.cuda.Stream(device)

    def made(self, loader: OnDevice, batch: Any) -> Any:
        # what the dataset itself has put on the device may still be made
        self._stream.wait_stream(torch.cuda.current_stream(self._stream.device))
        with torch.cuda.stream(self._stream):
            found = loader.finish(batch)
            return found, self._stream.record_event()

    def handed_over(self, made: Any) -> Any:
        batch, event = made
        current = torch.cuda.current_stream(self._stream.device)
        current.wait_event(event)
        for tensor in _tensors(batch):
            if tensor.device == self._stream.device:
                tensor.record_stream(current)  # else its memory could be used again before this stream has read it
        return batch


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
