"""One array for the images of a batch, in memory that a worker can send without another copy."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["BatchBuffer", "in_torch_worker"]


def in_torch_worker() -> bool:
    """Whether this process is a worker of torch's DataLoader."""
    torch = sys.modules.get("torch")
    return torch is not None and torch.utils.data.get_worker_info() is not None


class BatchBuffer:
    """Collects the images of a batch in one array, as long as they all have the same type, shape and dtype.

    The first image decides. Only arrays and tensors are collected, not PIL images, nor an image that differs from the
    first. In a worker of torch's DataLoader the memory is shared, as in torch's own collate, so that only its address
    is sent; see `worker_memory`.
    """

    def __init__(self, count: int, shared: bool) -> None:
        self._count, self._filled, self._shared = count, 0, shared
        self._kind: Any = None
        self._tensor: Any = None
        self._array: Any = None
        self._fits = True

    @property
    def place(self) -> NDArray[Any] | None:
        """Where the next image goes, as an image may be made there; None before the first."""
        return self._array[self._filled] if self._fits and self._array is not None else None

    def add(self, image: Any) -> Any:
        """Copy the next image into the array. Returns its view there, or the image itself if it does not fit."""
        number, self._filled = self._filled, self._filled + 1
        pixels = _pixels(image)
        if pixels is None:
            self._fits = False
            return image
        kind = type(image), pixels.shape, pixels.dtype
        if number == 0:
            self._kind = kind
            self._tensor, self._array = _memory((self._count, *pixels.shape), pixels.dtype, self._shared)
        if not self._fits or kind != self._kind:
            self._fits = False
            return image
        place: NDArray[Any] = self._array[number]
        if not _is_same(place, pixels):
            place[...] = pixels
        return place if isinstance(image, np.ndarray) else self._as_tensor()[number]

    @property
    def images(self) -> Any:
        """The array, or a tensor if images are tensors or memory is shared; None if an image did not fit."""
        if not self._fits or self._array is None:
            return None
        as_tensor = self._tensor is not None or not issubclass(self._kind[0], np.ndarray)
        return self._as_tensor() if as_tensor else self._array

    def _as_tensor(self) -> Any:
        if self._tensor is None:
            import torch

            self._tensor = torch.from_numpy(self._array)
        return self._tensor


def _pixels(image: Any) -> Any:
    """The array of an image, also of a tensor; None for other types."""
    if isinstance(image, np.ndarray):
        return image
    torch = sys.modules.get("torch")
    return image.numpy() if torch is not None and isinstance(image, torch.Tensor) else None


def _is_same(place: NDArray[Any], pixels: NDArray[Any]) -> bool:
    """Whether an image of this shape is in its place already: then it has all of it, or nothing."""
    return place.strides == pixels.strides and np.may_share_memory(place, pixels)


def _memory(shape: tuple[int, ...], dtype: Any, shared: bool) -> tuple[Any, Any]:
    """Memory for a batch, as a tensor (None unless it is shared) and as an array."""
    if not shared:
        return None, np.empty(shape, dtype)
    import torch

    from augreg.data.worker_memory import shared_tensor

    tensor = shared_tensor(shape, torch.from_numpy(np.empty(0, dtype)).dtype)
    return tensor, tensor.numpy()
