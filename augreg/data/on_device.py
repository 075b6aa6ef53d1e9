"""A loader whose batches are finished on a device: workers draw and read, and the device does the rest."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from augreg.data.augmented import Augmented
from augreg.data.deferred_errors import NOT_DEFERRED, OTHER_PIPELINE
from augreg.pipeline import Pipeline

if TYPE_CHECKING:
    import torch

    from augreg.data.finishing import Finisher

__all__ = ["OnDevice"]


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
            if not data.defer or getattr(getattr(loader, "collate_fn", None), "__name__", "") == "default_collate":
                raise ValueError(NOT_DEFERRED)
            if data.side._pipeline != pipe:
                raise ValueError(OTHER_PIPELINE)
        self.loader, self.pipe, self.device = loader, pipe, device
        self._position: Any = None  # the state of the loader after the batch that the loop got last

    def __len__(self) -> int:
        return len(self.loader)

    def __getattr__(self, name: str) -> Any:
        if name in ("loader", "pipe", "device") or name.startswith("__"):  # not set yet, as in a copy that is made
            raise AttributeError(name)
        own = {"state_dict": self._state_dict, "load_state_dict": self._load_state_dict}
        found = getattr(self.loader, name)
        return own.get(name, found)

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
        from augreg.data.finishing import finisher

        maker, has_state = finisher(self.pipe, self.device), hasattr(self.loader, "state_dict")
        ahead: deque[Any] = deque()  # nothing else holds a batch: its memory can be used again
        self._position = None
        for batch in self.loader:
            ahead.append((maker.begun(batch), self.loader.state_dict() if has_state else None))
            del batch
            if len(ahead) > 1:
                yield self._handed_over(maker, ahead)
        if ahead:
            yield self._handed_over(maker, ahead)
        self._position = None

    def _handed_over(self, maker: Finisher, ahead: deque[Any]) -> Any:
        begun, self._position = ahead.popleft()
        return maker.handed_over(begun)

    def _state_dict(self) -> Any:
        return self.loader.state_dict() if self._position is None else self._position

    def _load_state_dict(self, state: Any) -> None:
        self._position = None
        self.loader.load_state_dict(state)
