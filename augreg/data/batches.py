"""One array for the images of a batch, in memory that a worker can hand over without another copy."""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np

__all__ = ["BatchBuffer", "in_torch_worker"]


def in_torch_worker() -> bool:
    """Whether this process is a worker of torch's DataLoader."""
    torch = sys.modules.get("torch")
    return torch is not None and torch.utils.data.get_worker_info() is not None


class BatchBuffer:
    """Takes the images of a batch one by one, and puts them in one array while they have one shape and dtype.

    The first image decides: arrays and tensors are gathered, other kinds (PIL images) and odd ones out are not.
    In a worker of torch the memory is shared, as that of torch's own collate: so what is sent is only its address.
    """

    def __init__(self, count: int, shared: bool) -> None:
        self._count, self._filled, self._shared = count, 0, shared
        self._kind: Any = None
        self._tensor: Any = None
        self._array: Any = None
        self._fits = True

    def add(self, image: Any) -> Any:
        """Copy in the next image, and give it back on the array's memory, or as it is if it did not fit."""
        place, self._filled = self._filled, self._filled + 1
        pixels = _pixels(image)
        if pixels is None:
            self._fits = False
            return image
        kind = type(image), pixels.shape, pixels.dtype
        if place == 0:
            self._kind = kind
            self._tensor, self._array = _memory((self._count, *pixels.shape), pixels.dtype, self._shared)
        if not self._fits or kind != self._kind:
            self._fits = False
            return image
        self._array[place] = pixels
        return self._array[place] if isinstance(image, np.ndarray) else self._as_tensor()[place]

    @property
    def images(self) -> Any:
        """All of them: a tensor if they are tensors or the memory is shared, else an array; None if one was odd."""
        if not self._fits or self._array is None:
            return None
        wanted = self._tensor is not None or not issubclass(self._kind[0], np.ndarray)
        return self._as_tensor() if wanted else self._array

    def _as_tensor(self) -> Any:
        if self._tensor is None:
            import torch

            self._tensor = torch.from_numpy(self._array)
        return self._tensor


def _pixels(image: Any) -> Any:
    """An image's array, a tensor's as well; None for other kinds."""
    if isinstance(image, np.ndarray):
        return image
    torch = sys.modules.get("torch")
    return image.numpy() if torch is not None and isinstance(image, torch.Tensor) else None


def _memory(shape: tuple[int, ...], dtype: Any, shared: bool) -> tuple[Any, Any]:
    """Memory for a batch, as a tensor (None if there is no need for one) and as an array."""
    if not shared:
        return None, np.empty(shape, dtype)
    import torch

    kind = torch.from_numpy(np.empty(0, dtype)).dtype
    size = math.prod(shape) * np.dtype(dtype).itemsize
    storage = torch.UntypedStorage._new_shared(size)
    tensor = torch.empty(0, dtype=kind).set_(storage, 0, shape)
    return tensor, tensor.numpy()
