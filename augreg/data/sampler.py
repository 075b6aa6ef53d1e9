"""A sampler that says which epoch it is: it runs in the main process, so workers need not be told otherwise.

The order of its own is a pure function of (seed, epoch). So a pass can be taken up anywhere: what is kept of it is
an epoch and a number.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np

from augreg.data.epoch import checked_epoch
from augreg.data.keys import Key
from augreg.rng import locate, word

__all__ = ["EpochSampler", "shuffled"]

_ORDER: Final = word("augreg.data: the order of the samples")
_AGAIN: Final = (
    "epoch {epoch} was gone through twice, and every picture of it drawn as before: call sampler.set_epoch(epoch) "
    "before each epoch (Lightning does; where a framework put its own sampler around this one, docs/data-loaders.md "
    "says what to do)"
)


def shuffled(count: int, seed: int, epoch: int) -> list[int]:
    """The numbers 0 .. count-1 in an order that is a function of (seed, epoch).

    It is `Cursor.permutation` at an address of its own, all words read at once.
    """
    address = locate(seed, 0, epoch)
    key = np.array([address.seed, address.domain], np.uint64)  # of a list, NumPy would make floats on the way
    counter = np.array([0, _ORDER, address.index, address.epoch], np.uint64)
    words = np.random.Philox(key=key, counter=counter).random_raw(count)
    order: list[int] = np.argsort(words, kind="stable").tolist()
    return order


class EpochSampler:
    """Yields `Key(epoch, index)` for `DataLoader(.., sampler=..)`, so that `Augmented` knows the epoch in any worker.

    Tell it the epoch before each pass, by `set_epoch`; it never counts on by itself, since loaders begin passes
    that they do not use. Given a dataset, it shuffles; given a sampler (`DistributedSampler`, a weighted one), it
    yields that one's indices and passes `set_epoch` on. It may wrap a batch sampler for `batch_sampler=..` too.
    With torchdata's StatefulDataLoader a pass resumes where it was.
    """

    def __init__(self, data_or_sampler: Any, shuffle: bool | None = None, seed: int = 0) -> None:
        """A dataset with a length, or a sampler; `shuffle` (on if not said) and `seed` are for a dataset.

        Raises TypeError for anything else, and for a sampler together with `shuffle`.
        """
        inner = data_or_sampler
        is_data = hasattr(inner, "__getitem__") and hasattr(inner, "__len__")
        if not is_data and not hasattr(inner, "__iter__"):
            raise TypeError(f"expected a dataset with a length, or a sampler, got {type(inner).__name__}")
        if not is_data and shuffle is not None:
            raise TypeError(f"the order is that of the {type(inner).__name__}: leave out shuffle")
        locate(seed, 0)
        self._data: Any = inner if is_data else None
        self._inner: Any = None if is_data else inner
        self._shuffle = shuffle is None or shuffle
        self._seed = seed
        self._epoch = 0
        self._waiting = False  # an epoch was set, and no pass has used it yet
        self._passed = False  # the epoch was gone through since it was set
        self._warned = False

    @property
    def epoch(self) -> int:
        """The epoch of the next pass."""
        return self._epoch

    def set_epoch(self, epoch: int) -> None:
        """The epoch of the passes that begin from now on. Raises TypeError or ValueError."""
        self._epoch = checked_epoch(epoch)
        self._waiting, self._passed = True, False
        self._tell_inner(self._epoch)

    def __iter__(self) -> Iterator[Any]:
        return _Pass(self)

    def __len__(self) -> int:
        return len(self._inner if self._data is None else self._data)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps: the epoch. Where in the epoch it was is for the loader to keep."""
        return {"epoch": self._epoch}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take the epoch of a checkpoint, unless `set_epoch` has named the next one since the last pass.

        A stateful loader calls this when a pass begins: by then a loop has set the epoch that it wants.
        """
        if not self._waiting:
            self._epoch = checked_epoch(state["epoch"])
            self._passed = False
            self._tell_inner(self._epoch)

    def _tell_inner(self, epoch: int) -> None:
        if hasattr(self._inner, "set_epoch"):
            self._inner.set_epoch(epoch)

    def _order(self, epoch: int) -> Iterator[Any]:
        """The indices of an epoch, or lists of them."""
        if self._data is not None:
            return self._own_order(len(self._data), epoch)
        self._tell_inner(epoch)
        return iter(self._inner)

    def _own_order(self, count: int, epoch: int) -> Iterator[int]:
        yield from shuffled(count, self._seed, epoch) if self._shuffle else range(count)

    def _ended(self, epoch: int) -> None:
        if epoch != self._epoch:
            return
        if self._passed and not self._warned:
            self._warned = True
            warnings.warn(_AGAIN.format(epoch=epoch), stacklevel=3)
        self._passed = True


class _Pass:
    """One pass: an iterator of keys that says where it is, and goes on from there."""

    def __init__(self, sampler: EpochSampler) -> None:
        self._sampler = sampler
        self._epoch = sampler.epoch
        self._order = sampler._order(self._epoch)
        self._position = 0
        self._over = False

    def __iter__(self) -> _Pass:
        return self

    def __next__(self) -> Any:
        self._sampler._waiting = False
        try:
            index = next(self._order)
        except StopIteration:
            if not self._over:
                self._over = True
                self._sampler._ended(self._epoch)
            raise
        self._position += 1
        if isinstance(index, Sequence) and not isinstance(index, str):  # what was wrapped is a batch sampler
            return [_key(self._epoch, one) for one in index]
        return _key(self._epoch, index)

    def state_dict(self) -> dict[str, Any]:
        """Where it is; with the state of the wrapped sampler's iterator, if that has one."""
        inner = self._order.state_dict() if hasattr(self._order, "state_dict") else None
        return {"epoch": self._epoch, "position": self._position, "inner": inner}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self._epoch, self._position = state["epoch"], state["position"]
        self._order = self._sampler._order(self._epoch)
        if state["inner"] is not None and hasattr(self._order, "load_state_dict"):
            self._order.load_state_dict(state["inner"])
        else:
            next(itertools.islice(self._order, self._position, self._position), None)


def _key(epoch: int, index: Any) -> Key:
    return Key(epoch, index if isinstance(index, str) else int(index))
