"""A sampler that yields the epoch with each index, so that worker processes know the epoch.

It also counts how often an index has come before in the epoch, so that a sample that is drawn again is another view.
Its order is a pure function of (seed, epoch), so a pass can be resumed from the epoch and the position alone.
"""

from __future__ import annotations

import itertools
import warnings
import weakref
from collections.abc import Iterable, Iterator, Sequence, Sized
from typing import Any, Final

import numpy as np

from augreg.batch.keys import Key
from augreg.data.declared_types import IndexSampler
from augreg.data.epoch import check_not_lost, checked_epoch
from augreg.data.repeats import Occurrences, occurrences, plain, within
from augreg.rng import address_of, stream_key
from augreg.sides import Test
from augreg.steps.calls import explains

__all__ = ["EpochSampler", "shuffled"]

_ORDER: Final = stream_key("augreg.data: the order of the samples")
_GENERATOR: Final = stream_key("augreg.data: the generator of a sampler")
_TOO_LATE: Final = (
    "epoch {epoch} is set while a pass is running that began in epoch {begun}, since no epoch was set before: its "
    "images are those of epoch {begun}. Lightning does this in a resumed run, and if it reloads loaders: use "
    "EpochSampler(.., epoch=epoch_to_load(self.trainer)) in train_dataloader, with the function of "
    "augreg.training.lightning. In your own loop, call set_epoch first"
)
_REPEATED: Final = (
    "epoch {epoch} is loaded for the third time, with the same images again: call sampler.set_epoch(epoch) before "
    "each epoch (Lightning does this; if a framework has wrapped this sampler in its own, see docs/data-loaders.md)"
)


def shuffled(count: int, seed: int, epoch: int) -> list[int]:
    """The numbers 0 .. count-1 in an order that is a function of (seed, epoch).

    It equals `Cursor.permutation` at an address reserved for it, with all random words drawn at once.
    """
    address = address_of(seed, 0, epoch)
    key = np.array([address.seed, address.domain], np.uint64)  # NumPy would convert a list by way of floats
    counter = np.array([0, _ORDER, address.index, address.epoch], np.uint64)
    words = np.random.Philox(key=key, counter=counter).random_raw(count)
    order: list[int] = np.argsort(words, kind="stable").tolist()
    return order


class EpochSampler(IndexSampler):
    """Yields `Key(epoch, index, view)` for `DataLoader(.., sampler=..)`: `Augmented` then knows these in any worker.

    Call `set_epoch` before each pass, or use `augreg.training.Epochs`, which also holds the epoch against frameworks
    that count passes from 0; the sampler does not count epochs itself, since loaders begin passes that they do not
    use. Given a dataset, it shuffles. Given a sampler (a `DistributedSampler`, a weighted one), it yields the indices
    of that sampler, passes `set_epoch` on to it, and seeds its `generator`, if it has one, before each pass, so that
    a pass can be resumed. If it draws a sample several times in an epoch (with replacement, with weights, repeated
    augmentation), the `view` counts from 0, over all ranks of a distributed sampler. It may also wrap a batch
    sampler, for `batch_sampler=..`. With torchdata's StatefulDataLoader a pass resumes where it stopped.
    """

    @explains(
        "EpochSampler(data)",
        {
            **dict.fromkeys(
                ("num_replicas", "rank", "drop_last"),
                "for several processes, there is EpochSampler(DistributedSampler(data))",
            ),
            "batch_size": "this belongs to the DataLoader",
            "generator": "the order follows from seed",
        },
    )
    def __init__(
        self,
        data_or_sampler: Sized | Iterable[Any],
        shuffle: bool | None = None,
        seed: int | None = None,
        *,
        epoch: int | None = None,
    ) -> None:
        """Takes a dataset with a length, or a sampler; `shuffle` (default True) is for a dataset only.

        `epoch` is the epoch of the first pass, by default 0. Give it if a framework begins a pass before it sets the
        epoch.

        The order is a function of (`seed`, epoch), also for a sampler with a `generator`; the default seed is 0.
        Raises TypeError for anything else, for a sampler together with `shuffle`, and for a `seed` with a sampler
        that has no generator.
        """
        inner: Any = data_or_sampler
        kind = type(inner).__name__
        is_data = hasattr(inner, "__getitem__") and hasattr(inner, "__len__")
        if isinstance(inner, EpochSampler) or hasattr(inner, "collate_fn"):
            raise TypeError(f"expected a dataset with a length, or a sampler of indices, got a {kind}")
        if not is_data and not hasattr(inner, "__iter__"):
            raise TypeError(f"expected a dataset with a length, or a sampler, got {kind}")
        if not is_data and shuffle is not None:
            raise TypeError(f"the {kind} decides the order: leave out shuffle")
        self._data: Any = inner if is_data else None
        self._inner: Any = None if is_data else inner
        if not is_data and seed is not None and not self._generators():
            raise TypeError(f"the {kind} decides the order, and has no generator to seed: leave out seed")
        self._shuffle = shuffle is None or shuffle
        self._seed = 0 if seed is None else seed
        address_of(self._seed, 0)
        self._epoch = 0 if epoch is None else checked_epoch(epoch)
        self._named = epoch is not None  # the epoch was given, and is no mere default
        self._given = epoch is not None  # it was given for a first pass, which has not begun
        self._held = False
        self._unnamed_pass: Any = None  # a weak reference to a pass that has begun before an epoch was named
        self._epoch_unused = False  # an epoch was set, and no pass has used it yet
        self._passes = 0  # in this epoch, since it was set
        self._warned = not _may_draw(inner)

    @property
    def epoch(self) -> int:
        """The epoch of the next pass."""
        return self._epoch

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of the following passes, unless one is held.

        Raises TypeError or ValueError unless it is an integer from 0, and RuntimeError if an epoch would be lost: if
        the epoch before it is higher and no pass has used it, or if a pass has begun in another epoch because none
        was set.
        """
        epoch = checked_epoch(epoch)
        if self._held:
            return
        check_not_lost(self._epoch, epoch, self._epoch_unused)
        self._set_named(epoch)

    def hold_epoch(self, epoch: int | None) -> None:
        """Set the epoch, and ignore `set_epoch` until another is held; None ends this. `Epochs` calls it."""
        if epoch is not None:
            self._set_named(checked_epoch(epoch))
        self._held = epoch is not None

    def __iter__(self) -> Iterator[Key | list[Key]]:
        """The keys of a pass, or lists of them from a batch sampler."""
        return _Pass(self)

    def __len__(self) -> int:
        return len(self._inner if self._data is None else self._data)

    def _sized(self) -> bool:
        return self._data is not None or hasattr(self._inner, "__len__")

    def state_dict(self) -> dict[str, Any]:
        """The state to save: the epoch. The position within the epoch is part of the state of the loader."""
        return {"epoch": self._epoch}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Set the epoch of a checkpoint, unless one was given, or set since the last pass.

        A stateful loader calls this when a pass begins, after the training loop has set its epoch.
        """
        if not (self._epoch_unused or self._given):
            self._set(checked_epoch(state["epoch"]))
            self._named = True

    def _set_named(self, epoch: int) -> None:
        begun = None if self._unnamed_pass is None else self._unnamed_pass()
        if begun is not None and not self._named and epoch != self._epoch:
            raise RuntimeError(_TOO_LATE.format(epoch=epoch, begun=self._epoch))
        self._set(epoch)
        self._named = self._epoch_unused = True
        self._unnamed_pass = None

    def _set(self, epoch: int) -> None:
        self._epoch, self._passes = epoch, 0
        self._set_inner(epoch)

    def _set_inner(self, epoch: int) -> None:
        for sampler in within(self._inner):
            if hasattr(sampler, "set_epoch"):
                sampler.set_epoch(epoch)

    def _generators(self) -> list[Any]:
        """The torch generators that the wrapped samplers draw their order from."""
        generators = (getattr(sampler, "generator", None) for sampler in within(self._inner))
        return [generator for generator in generators if hasattr(generator, "manual_seed")]

    def _order(self, epoch: int) -> Iterator[Any]:
        """The indices of an epoch, or lists of them from a batch sampler."""
        if self._data is not None:
            count = len(self._data)
            return iter(shuffled(count, self._seed, epoch) if self._shuffle else range(count))
        self._set_inner(epoch)
        self._seed_generators(epoch)
        return iter(self._inner)

    def _seed_generators(self, epoch: int) -> None:
        for generator in self._generators():
            generator.manual_seed(address_of(self._seed, 0, epoch).cursor(_GENERATOR).bits() >> 1)

    def _occurrences(self, epoch: int) -> Occurrences:
        """The counter of repeated samples for a pass of this epoch; to be made before its order."""
        self._set_inner(epoch)
        return occurrences(self._inner, lambda: self._seed_generators(epoch))

    def _begun(self, begun: _Pass, epoch: int) -> None:
        """Count a pass when its first key is requested, and warn once about the third of an epoch."""
        self._epoch_unused = self._given = False
        if not self._named:
            self._unnamed_pass = weakref.ref(begun)
        if epoch != self._epoch:
            return
        self._passes += 1
        if self._passes > 2 and not self._warned:  # one pass may have been only to look at the data
            self._warned = True
            warnings.warn(_REPEATED.format(epoch=epoch), stacklevel=3)


class _Pass:
    """One pass: an iterator of keys whose position can be saved and restored."""

    def __init__(self, sampler: EpochSampler) -> None:
        self._sampler = sampler
        self._epoch = sampler.epoch
        self._repeats: Any = None
        self._order: Any = None  # made for the first key, since loaders begin passes that they do not use
        self._position = 0
        self._begun = False
        self._over = False  # the state that was loaded is that of a pass of which all is done

    def __iter__(self) -> _Pass:
        return self

    def __next__(self) -> Key | list[Key]:
        if not self._begun:
            self._begun = True
            if self._over and self._epoch != self._sampler.epoch:  # the trainer goes on with the next epoch
                self._epoch, self._position = self._sampler.epoch, 0
                self._start()
            self._sampler._begun(self, self._epoch)
        if self._order is None:
            self._start()
        index = next(self._order)
        self._position += 1
        if isinstance(index, Sequence) and not isinstance(index, str):  # from a batch sampler
            return [self._key(item) for item in index]
        return self._key(index)

    def state_dict(self) -> dict[str, Any]:
        """The epoch and the position, with the state of the wrapped sampler's iterator if it has one."""
        if not hasattr(self._order, "state_dict"):
            return {"epoch": self._epoch, "position": self._position, "inner": None}
        repeats = self._repeats.state_dict()  # the order so far is not made again, and so not counted again
        inner = self._order.state_dict()
        return {"epoch": self._epoch, "position": self._position, "inner": inner, "repeats": repeats}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a saved position."""
        self._epoch = state["epoch"]
        self._start()
        self._position = state["position"]
        self._over = self._sampler._sized() and self._position >= len(self._sampler)
        if state["inner"] is not None and hasattr(self._order, "load_state_dict"):
            self._order.load_state_dict(state["inner"])
            if "repeats" in state:
                self._repeats.load_state_dict(state["repeats"])
            return
        for index in itertools.islice(self._order, self._position):
            for item in index if isinstance(index, Sequence) and not isinstance(index, str) else (index,):
                self._key(item)

    def _start(self) -> None:
        """Begin the order of the epoch, and the count of its samples."""
        self._repeats = self._sampler._occurrences(self._epoch)
        self._order = self._sampler._order(self._epoch)

    def _key(self, index: Any) -> Key:
        index = plain(index)
        return Key(self._epoch, index, self._repeats.number(index))


def _may_draw(inner: Any) -> bool:
    """Whether samples may be random: False if a dataset, or that of a sampler, is known to use `pipe.test`."""
    for source in within(inner):
        datasets = (source, getattr(source, "data_source", None), getattr(source, "dataset", None))
        if any(isinstance(getattr(data, "side", None), Test) for data in datasets):
            return False
    return True
