"""Memory for images that is reused when an image is garbage-collected.

Above about 128 KiB an allocator maps fresh memory for every array, faults it in page by page, and unmaps it; this
costs as much as some of the work itself. `empty` returns arrays whose memory comes back here once the last array or
view of it is gone. Until then the memory belongs to the caller alone.
"""

from __future__ import annotations

import math
import threading
from typing import Any, Final

import numpy as np
from numpy.typing import DTypeLike, NDArray

__all__ = ["MOST_IDLE", "accepted", "empty", "idle_bytes", "offered", "planar"]

_SMALLEST: Final = 1 << 16  # below this an ordinary array is cheaper
_LARGEST: Final = 1 << 24  # beyond this keep nothing
MOST_IDLE: Final = 1 << 26
"""The most memory that a process keeps for reuse, in bytes, for all image sizes together."""

# blocks by size, the most recently used size last; two threads may lose a block to a race, and then it is freed
_idle: dict[int, list[bytearray]] = {}


class _Block(np.ndarray[Any, Any]):
    """The owner of a block's memory for NumPy: every view keeps it alive, and `__del__` returns the block."""

    _memory: bytearray | None = None

    def __del__(self) -> None:
        memory = self._memory
        # None is the memory of a view of this type that a caller made, and `_keep` while the interpreter exits
        if memory is not None and _keep is not None:
            _keep(memory)


def _keep(memory: bytearray) -> None:
    size = len(memory)
    kept = _idle.pop(size, None)
    if kept is None:
        kept = []
    kept.append(memory)
    _idle[size] = kept
    try:
        while idle_bytes() > MOST_IDLE:
            _idle.pop(next(iter(_idle)), None)
    except (RuntimeError, StopIteration):  # another thread changes the table
        pass


def idle_bytes() -> int:
    """The number of bytes that are kept for reuse."""
    total = 0
    for size, kept in _idle.items():  # a quarter faster than `sum`, for each image
        total += size * len(kept)
    return total


def empty(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """An array with arbitrary content, C-contiguous and writable."""
    dtype = np.dtype(dtype)
    size = math.prod(shape) * dtype.itemsize
    if not _SMALLEST <= size <= _LARGEST:
        return np.empty(shape, dtype)
    step = 1 << (size.bit_length() - 4)
    size = -(-size // step) * step  # rounded up by at most an eighth, so that similar sizes share blocks
    try:  # another thread may take the last block in between
        memory = _idle[size].pop()
    except (KeyError, IndexError):
        memory = bytearray(size)
    # NumPy shortens a chain of views to the last array of the same type. A separate type, over memory that is not an
    # array, stops that, so that views keep a reference to this block.
    block = _Block(shape, dtype, memory)
    block._memory = memory
    return block.view(np.ndarray)


def planar(height: int, width: int, channels: int) -> NDArray[np.float32]:
    """An empty float32 image of height x width x channels whose memory lies channel by channel."""
    shape = channels, height, width
    place, _offer.place = _offer.place, None
    if place is None or place.shape != shape or place.dtype != np.float32:
        place = empty(shape, np.float32)
    return place.transpose(1, 2, 0)


class _Offer(threading.local):
    place: NDArray[Any] | None = None


_offer = _Offer()


class offered:  # noqa: N801 - a context manager, as those of contextlib, which take three times as long
    """A context whose first `planar` image of this shape, channels x height x width, is made in this memory.

    So a normalized image is written where its batch wants it. Whether it was is seen from its address. The context
    may be entered again: the memory is used once.
    """

    def __init__(self, place: NDArray[Any] | None) -> None:
        self._place = place

    def __enter__(self) -> None:
        _offer.place = self._place

    def __exit__(self, *error: object) -> None:
        self._place, _offer.place = _offer.place, None


def accepted() -> offered | None:
    """The offer of the context around, which ends: whoever takes it says which image it is for."""
    place, _offer.place = _offer.place, None
    return None if place is None else offered(place)
