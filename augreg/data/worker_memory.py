"""Shared memory for the batches that a worker sends, which is used again once the receiver has dropped a batch.

Fresh shared memory is cleared by the operating system and mapped page by page, which takes longer than to write a
batch into memory that was used before. So a worker keeps a few blocks. Counts at the end of each block, in the shared
memory itself, say how often it was sent, and how often a receiver has received it and has let go of it. While they
differ, or something in the worker still holds the block, it is not used again. A block whose batch is lost on its way
is lost too, and so is one that a process held when it was forked, because the copy holds it as well. A worker without
a free block takes a fresh one: nothing ever waits.

With torch's sharing strategy `file_system`, the bytes of a message can be unpickled twice. The counts differ then
forever, unless the block was used again before. This shows in a further count, of its uses, which is in the message.
"""

from __future__ import annotations

import math
import os
import weakref
from collections.abc import Callable
from multiprocessing.reduction import ForkingPickler
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch.multiprocessing import reductions

__all__ = ["MOST_BLOCKS", "shared_tensor"]

MOST_BLOCKS: Final = 8
"""How many blocks a worker keeps: with two batches ahead, as a loader has them by default, it needs four or five."""
_SPARE: Final = 4  # a block is used for a batch that fills at least a fourth of it
_COUNTS: Final = 32  # bytes at the end of a block
_USES, _SENT, _RECEIVED, _RELEASED = range(4)

Integers = NDArray[np.int64]


class _Block(torch.UntypedStorage):
    """A block in the worker: a storage, so that each tensor in it, and each view of one, is sent as a block."""

    def clone(self) -> torch.UntypedStorage:
        """A copy, which is no block: torch refuses a deep copy of a tensor with another type of storage."""
        return torch.UntypedStorage(len(self)).copy_(self)


_blocks: list[_Block] = []
_forks = 0  # how often this process, or one that it was forked from, was forked


def _before_fork() -> None:
    """Give up what both processes will hold: blocks to write to, and the right to release what was received."""
    global _forks
    _forks += 1
    _blocks.clear()


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(before=_before_fork)


def shared_tensor(shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    """A tensor with arbitrary content in shared memory, contiguous."""
    size = math.prod(shape) * dtype.itemsize
    block = min(filter(lambda block: _fits(block, size) and _is_free(block), _blocks), key=len, default=None)
    if block is None or not _begins_use(block):
        block = _new(size)
    return torch.empty(0, dtype=dtype).set_(block, 0, shape)


def _fits(block: _Block, size: int) -> bool:
    return size <= len(block) - _COUNTS <= _SPARE * size


def _is_free(block: _Block) -> bool:
    """Whether `_blocks` alone holds it in this process, and no receiver does."""
    if torch._C._storage_Use_Count(block._cdata) > 1:
        return False
    counts = _counts(block)  # read after the line above: a batch is counted before the worker lets go of it
    sent, received, released = map(int, counts[_SENT:])
    return sent == received == released


def _begins_use(block: _Block) -> bool:
    """Count a use of a free block. Returns False if an old message of it was unpickled again at this moment."""
    counts = _counts(block)
    counts[_USES] += 1
    return bool(counts[_SENT] == counts[_RECEIVED])


def _new(size: int) -> _Block:
    """A fresh block; if there are as many as a worker keeps, in place of a free one, or else of the oldest."""
    block = _Block(size + -size % 8 + _COUNTS)
    block.share_memory_()
    _counts(block)[:] = 0
    if len(_blocks) == MOST_BLOCKS:
        _blocks.remove(next(filter(_is_free, _blocks), _blocks[0]))  # the oldest may be lost
    _blocks.append(block)
    return block


def _bytes(storage: torch.UntypedStorage) -> NDArray[np.uint8]:
    found: NDArray[np.uint8] = torch.empty(0, dtype=torch.uint8).set_(storage, 0, (len(storage),)).numpy()
    return found


def _counts(storage: torch.UntypedStorage) -> Integers:
    return _bytes(storage)[-_COUNTS:].view(np.int64)


def _reduced(block: _Block) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """How a block is sent: as torch sends a storage, and counted."""
    counts = _counts(block)
    counts[_SENT] += 1
    use = int(counts[_USES])
    rebuild, (_, *arguments) = reductions.reduce_storage(block)  # which may move it, if the strategy was changed
    return _rebuilt, (use, rebuild, *arguments)


def _rebuilt(use: int, rebuild: Callable[..., torch.UntypedStorage], *arguments: Any) -> torch.UntypedStorage:
    """The storage in the receiver. It must not be resized, and is no shared memory for torch.

    Raises RuntimeError if the block was used again, as its message was unpickled before.
    """
    storage = rebuild(torch.UntypedStorage, *arguments)
    counts = _counts(storage)
    counts[_RECEIVED] += 1  # before the line below: from now on it is not used again, unless it already is
    if counts[_USES] != use:
        raise RuntimeError("this message was unpickled before, and the memory of its batch is in use again")
    array = _bytes(storage)  # which every tensor of it, and every view, keeps alive
    weakref.finalize(array, _release, counts, _forks).atexit = False
    received = torch.from_numpy(array).untyped_storage()
    received.memory = array  # torch moves what is sent on to other memory, but arrays of it still read this one
    return received


def _release(counts: Integers, forks: int) -> None:
    if forks == _forks:  # else another process may hold it too
        counts[_RELEASED] += 1


ForkingPickler.register(_Block, _reduced)
