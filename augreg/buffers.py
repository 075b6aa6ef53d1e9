"""Memory for pictures, used again when a picture is gone.

Above some 128 KiB an allocator maps fresh memory for every array, faults it in page by page, and unmaps it: a cost
like that of the work itself. `empty` hands out arrays whose memory comes back here once the last array or view on
it is gone, whoever held it. So what is handed out is the caller's own for as long as the caller keeps it.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
from numpy.typing import DTypeLike, NDArray

__all__ = ["empty", "planar"]

_SMALLEST: Final = 1 << 16  # below this an ordinary array is cheaper
_LARGEST: Final = 1 << 26  # beyond this keep nothing
_MOST_KEPT: Final = 8  # blocks of each size
_ROUND: Final = 1 << 14  # sizes are rounded up to this, so that near sizes share blocks

_idle: dict[int, list[bytearray]] = {}


class _Block(np.ndarray[Any, Any]):
    """Owns a block's memory as far as NumPy knows; every view keeps it alive, and at its end the block returns."""

    _memory: bytearray

    def __del__(self) -> None:
        memory = getattr(self, "_memory", None)
        if memory is None:  # a view of this type that somebody made
            return
        kept = _idle.setdefault(len(memory), [])
        if len(kept) < _MOST_KEPT:
            kept.append(memory)


def empty(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """An array with arbitrary content, C-contiguous and writable."""
    dtype = np.dtype(dtype)
    size = math.prod(shape) * dtype.itemsize
    if not _SMALLEST <= size <= _LARGEST:
        return np.empty(shape, dtype)
    size = -(-size // _ROUND) * _ROUND
    kept = _idle.get(size)
    try:  # another thread may take the last block in between
        memory = kept.pop() if kept else bytearray(size)
    except IndexError:
        memory = bytearray(size)
    # NumPy shortens chains of views to the last array of the same type; a type of its own, over memory that
    # is no array (nor a view of one), stops that, so views reach this block and nothing behind it.
    block = _Block(shape, dtype, memory)
    block._memory = memory
    return block.view(np.ndarray)


def planar(height: int, width: int, channels: int) -> NDArray[np.float32]:
    """An empty float32 picture of height x width x channels whose memory lies channel by channel."""
    return empty((channels, height, width), np.float32).transpose(1, 2, 0)
