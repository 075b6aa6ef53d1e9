"""Memory for images, used again when an image is gone.

Above some 128 KiB an allocator maps fresh memory for every array, faults it in page by page, and unmaps it: a cost
like that of the work itself. `empty` hands out arrays whose memory comes back here once the last array or view on
it is gone, whoever held it. So what is handed out is the caller's own for as long as the caller keeps it.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
from numpy.typing import DTypeLike, NDArray

__all__ = ["MOST_IDLE", "empty", "idle_bytes", "planar"]

_SMALLEST: Final = 1 << 16  # below this an ordinary array is cheaper
_LARGEST: Final = 1 << 24  # beyond this keep nothing
MOST_IDLE: Final = 1 << 26
"""What a process keeps at most, in bytes, whatever sizes its images have."""

# Blocks by size, the size used last at the end. Threads may lose a block to each other here; then it is freed.
_idle: dict[int, list[bytearray]] = {}


class _Block(np.ndarray[Any, Any]):
    """Owns a block's memory as far as NumPy knows; every view keeps it alive, and at its end the block returns."""

    _memory: bytearray

    def __del__(self) -> None:
        memory = getattr(self, "_memory", None)
        if memory is not None:  # else a view of this type that somebody made
            _keep(memory)


def _keep(memory: bytearray) -> None:
    kept = _idle.pop(len(memory), [])
    kept.append(memory)
    _idle[len(memory)] = kept
    try:
        while idle_bytes() > MOST_IDLE:
            _idle.pop(next(iter(_idle)), None)
    except (RuntimeError, StopIteration):  # another thread is at it
        pass


def idle_bytes() -> int:
    """How much memory waits to be used again."""
    return sum(size * len(kept) for size, kept in _idle.items())


def _rounded(size: int) -> int:
    """A size up to an eighth larger that near sizes share."""
    step = 1 << (size.bit_length() - 4)
    return -(-size // step) * step


def empty(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """An array with arbitrary content, C-contiguous and writable."""
    dtype = np.dtype(dtype)
    size = math.prod(shape) * dtype.itemsize
    if not _SMALLEST <= size <= _LARGEST:
        return np.empty(shape, dtype)
    size = _rounded(size)
    try:  # another thread may take the last block in between
        memory = _idle[size].pop()
    except (KeyError, IndexError):
        memory = bytearray(size)
    # NumPy shortens chains of views to the last array of the same type; a type of its own, over memory that
    # is no array (nor a view of one), stops that, so views reach this block and nothing behind it.
    block = _Block(shape, dtype, memory)
    block._memory = memory
    return block.view(np.ndarray)


def planar(height: int, width: int, channels: int) -> NDArray[np.float32]:
    """An empty float32 image of height x width x channels whose memory lies channel by channel."""
    return empty((channels, height, width), np.float32).transpose(1, 2, 0)
