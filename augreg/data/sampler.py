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

from augreg.batch.keys import Key
from augreg.data.epoch import checked_epoch
from augreg.pipeline import Test
from augreg.rng import address_of, stream_key

__all__ = ["EpochSampler", "shuffled"]

_ORDER: Final = stream_key("augreg.data: the order of the samples")
_GENERATOR: Final = stream_key("augreg.data: the generator of a sampler")
_AGAIN: Final = (
    "epoch {epoch} is gone through for the third time, and every image of it drawn as before: call "
    "sampler.set_epoch(epoch) before each epoch (Lightning does; where a framework put its own sampler around this "
    "one, docs/data-loaders.md says what to do)"
)


def shuffled(count: int, seed: int, epoch: int) -> list[int]:
    """The numbers 0 .. count-1 in an order that is a function of (seed, epoch).

    It is `Cursor.permutation` at an address of its own, all words read at once.
    """
    address = address_of(seed, 0, epoch)
    key = np.array([address.seed, address.domain], np.uint64)  # of a list, NumPy would make floats on the way
    counter = np.array([0, _ORDER, address.index, address.epoch], np.uint64)
    words = np.random.Philox(key=key, counter=counter).random_raw(count)
    order: list[int] = np.argsort(words, kind="stable").tolist()
    return order


class EpochSampler:
    """Yields `Key(epoch, index)` for `DataLoader(.., sampler=..)`, so that `Augmented` knows the epoch in any worker.

    Tell it the epoch before each pass, by `set_epoch`; it never counts on by itself, since loaders begin passes
    that they do not use. Given a dataset, it shuffles; given a sampler (`DistributedSampler`, a weighted one), it
    yields that one's indices, passes `set_epoch` on, and seeds the `generator` of one that has its own anew for each
    pass, so that a pass can be resumed. It may wrap a batch sampler for `batch_sampler=..` too.
    With torchdata's StatefulDataLoader a pass resumes where it was.
    """

    def __init__(self, data_or_sampler: Any, shuffle: bool | None = None, seed: int | None = None) -> None:
        """A dataset with a length, or a sampler; `shuffle` (on if not said) is for a dataset.

        The order is a function of (`seed`, epoch), for a sampler with a `generator` too; `seed` is 0 if not said.
        Raises TypeError for anything else, and for a sampler together with `shuffle`, or with a `seed` that it cannot
        use.
        """
        inner = data_or_sampler
        kind = type(inner).__name__
        is_data = hasattr(inner, "__getitem__") and hasattr(inner, "__len__")
        if isinstance(inner, EpochSampler) or hasattr(inner, "collate_fn"):
            raise TypeError(f"expected a dataset with a length, or a sampler of indices, got a {kind}")
        if not is_data and not hasattr(inner, "__iter__"):
            raise TypeError(f"expected a dataset with a length, or a sampler, got {kind}")
        if not is_data and shuffle is not None:
            raise TypeError(f"the order is that of the {kind}: leave out shuffle")
        self._data: Any = inner if is_data else None
        self._inner: Any = None if is_data else inner
        if not is_data and seed is not None and not self._generators():
            raise TypeError(f"the order is that of the {kind}, which has no generator to seed: leave out seed")
        self._shuffle = shuffle is None or shuffle
        self._seed = 0 if seed is None else seed
        address_of(self._seed, 0)
        self._epoch = 0
        self._waiting = False  # an epoch was set, and no pass has used it yet
        self._passes = 0  # of the epoch, since it was set
        self._warned = not _draws(inner)

    @property
    def epoch(self) -> int:
        """The epoch of the next pass."""
        return self._epoch

    def set_epoch(self, epoch: int) -> None:
        """The epoch of the passes that begin from now on. Raises TypeError or ValueError."""
        self._set(checked_epoch(epoch))
        self._waiting = True

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
            self._set(checked_epoch(state["epoch"]))

    def _set(self, epoch: int) -> None:
        self._epoch, self._passes = epoch, 0
        self._tell_inner(epoch)

    def _tell_inner(self, epoch: int) -> None:
        for sampler in _within(self._inner):
            if hasattr(sampler, "set_epoch"):
                sampler.set_epoch(epoch)

    def _generators(self) -> list[Any]:
        """Torch's generators that the wrapped sampler draws its order from."""
        found = (getattr(sampler, "generator", None) for sampler in _within(self._inner))
        return [generator for generator in found if hasattr(generator, "manual_seed")]

    def _order(self, epoch: int) -> Iterator[Any]:
        """The indices of an epoch, or lists of them."""
        if self._data is not None:
            count = len(self._data)
            return iter(shuffled(count, self._seed, epoch) if self._shuffle else range(count))
        self._tell_inner(epoch)
        for generator in self._generators():
            generator.manual_seed(address_of(self._seed, 0, epoch).cursor(_GENERATOR).bits() >> 1)
        return iter(self._inner)

    def _begun(self, epoch: int) -> None:
        """A pass was begun in earnest: somebody asked it for a key."""
        self._waiting = False
        if epoch != self._epoch:
            return
        self._passes += 1
        if self._passes > 2 and not self._warned:  # one of them may have been a look at what there is
            self._warned = True
            warnings.warn(_AGAIN.format(epoch=epoch), stacklevel=3)


class _Pass:
    """One pass: an iterator of keys that says where it is, and goes on from there."""

    def __init__(self, sampler: EpochSampler) -> None:
        self._sampler = sampler
        self._epoch = sampler.epoch
        self._order: Any = None  # there is none before it is needed: loaders begin passes that they do not use
        self._position = 0
        self._begun = False

    def __iter__(self) -> _Pass:
        return self

    def __next__(self) -> Any:
        if not self._begun:
            self._begun = True
            self._sampler._begun(self._epoch)
        if self._order is None:
            self._order = self._sampler._order(self._epoch)
        index = next(self._order)
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


def _within(sampler: Any) -> Iterator[Any]:
    """A sampler, and those that it is around: a batch sampler has one under `sampler`."""
    while sampler is not None:
        yield sampler
        sampler = getattr(sampler, "sampler", None)


def _draws(inner: Any) -> bool:
    """Whether the samples may be of the train side, as far as a dataset or a sampler tells."""
    for one in _within(inner):
        datasets = (one, getattr(one, "data_source", None), getattr(one, "dataset", None))
        if any(isinstance(getattr(data, "side", None), Test) for data in datasets):
            return False
    return True


def _key(epoch: int, index: Any) -> Key:
    return Key(epoch, index if isinstance(index, str) else int(index))
