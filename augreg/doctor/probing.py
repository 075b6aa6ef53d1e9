"""Probes of a loader: its dataset and workers, asked for samples in an order that the doctor chooses."""

from __future__ import annotations

import copy
import functools
import itertools
import pickle
import time
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from augreg.doctor import generators
from augreg.doctor.isolation import WorkingCopy, epoch_of, global_states, set_global_states, working_copy
from augreg.doctor.limits import NotReturned, Watch
from augreg.doctor.unwrapping import Given
from augreg.doctor.workers import InWorker, Unreadable, Work, WorkerStart, terminate

__all__ = ["Subject", "length", "preserve_state", "spread"]

_SET_EPOCH = ("DataLoaderShard", "DataLoaderDispatcher", "_FabricDataLoader")
_MOST_KEYS = 2_000_000  # read from a sampler, which may have no end


class Subject:
    """A loader under examination: its parts, and the keys that its sampler yields.

    `side` is `train`, `validation` or `test`, and `where` its name in the report. `keyed` is whether the sampler
    yields (epoch, index), so that every key carries the epoch to the workers; `iterable` whether the dataset is a
    stream; `plain` whether this is no DataLoader; `batched` whether the loader makes batches of the samples.
    """

    def __init__(self, given: Given, watch: Watch) -> None:
        from torch.utils.data import IterableDataset

        loader = given.loader
        self.given = given
        self.loader = loader
        self.side = given.side
        self.where = given.where
        self.watch = watch
        self.dataset: Any = getattr(loader, "dataset", None)
        self.plain = self.dataset is None or not hasattr(loader, "num_workers")
        self.iterable = not self.plain and isinstance(self.dataset, IterableDataset)
        self.map_style = not self.plain and not self.iterable
        self.batched = not self.plain and (loader.batch_size is not None or loader.batch_sampler is not None)
        self.workers: int = 0 if self.plain else int(loader.num_workers)
        self.samplers = _samplers(loader)
        self.sets_dataset_epoch = self.iterable  # map-style datasets must first be seen to work without
        epochs = [epoch_of(each) for each in (*self.samplers, self.dataset)]
        self.first_epoch = next((epoch for epoch in epochs if epoch is not None), 0)

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of the samplers and the dataset that have `set_epoch`, as a training loop does."""
        datasets = [self.dataset] if self.workers or self.plain else [self.dataset, self.here.dataset]
        for each in (*self.samplers, *(datasets if self.sets_dataset_epoch else [])):
            if hasattr(each, "hold_epoch"):  # an EpochSampler does not go back to an earlier epoch otherwise
                each.hold_epoch(epoch)
                each.hold_epoch(None)
            elif hasattr(each, "set_epoch"):
                each.set_epoch(epoch)

    @property
    def wants_epoch(self) -> bool:
        """Whether a loop must call `set_epoch` for this loader; accelerate and Fabric do it by themselves."""
        if self.given.wrapper in _SET_EPOCH:
            return False
        return any(hasattr(each, "set_epoch") for each in (*self.samplers, self.dataset))

    @functools.cached_property
    def keyed(self) -> bool:
        """Whether the sampler yields (epoch, index)."""
        keys = list(itertools.islice(self._items(), 32)) if self.map_style else []
        pairs = all(isinstance(key, tuple) and len(key) in (2, 3) and hasattr(key[0], "__index__") for key in keys)
        return bool(keys) and pairs and len({key[0] for key in keys}) == 1

    def keys(self, count: int = _MOST_KEYS) -> list[Any]:
        """Up to `count` different keys of one epoch, evenly spread over it, in the order of the sampler."""
        keys: dict[Any, Any] = {}
        for item in itertools.islice(self._items(), _MOST_KEYS):
            keys.setdefault(item if isinstance(item, int) else repr(item), item)
        return spread(list(keys.values()), count)

    def order(self, count: int) -> list[str]:
        """The first keys of one epoch."""
        return [repr(item) for item in itertools.islice(self._items(), count)]

    def _items(self) -> Iterator[Any]:
        batches = _unrepeated(self.loader.batch_sampler)
        if batches is None:
            yield from _unrepeated(self.loader.sampler)
            return
        for batch in batches:
            yield from batch

    @functools.cached_property
    def here(self) -> WorkingCopy:
        """Copies of the dataset and collate_fn for use in this process; the originals are used in workers only."""
        return working_copy(self.dataset, self.loader.collate_fn)

    def apart(self, work: Work, keys: list[Any], doing: str) -> Iterator[Any]:
        """Yield `work(dataset, collate_fn, n)` for each of `keys`, called where it cannot change the originals.

        This is an extra worker, in which both `work` and its results are pickled; or, for a loader without workers,
        this process, with copies. The worker may make the sample of the key once before the call; if that raises an
        exception, `Unreadable` is yielded. Raises NotReturned if the time is over meanwhile.
        """
        if not self.workers:
            for number in range(len(keys)):
                self.watch.step(doing, number, len(keys))
                yield work(self.here.dataset, self.here.collate_fn, number)
            return
        first = 0
        while first < len(keys):
            for result in self._in_worker(work, keys, first, doing):
                first += 1
                yield result

    def _in_worker(self, work: Work, keys: list[Any], first: int, doing: str) -> Iterator[Any]:
        """As `apart`, in a worker, from one number on; ends after an unreadable sample, which it cannot count."""
        probe, batches = self.probe(1, InWorker(work, self.loader.collate_fn, first), states=False)
        probe.timeout = self._timeout(0)  # that of the loader is meant for one batch
        given = not self.batched or getattr(self.dataset, "__getitems__", None) is not None
        batches += [[key] if given else [] for key in keys[first:]]
        iterator, slowest = iter(probe), None
        try:
            for number in range(first, len(keys)):
                start = time.monotonic()
                try:
                    result = pickle.loads(next(iterator))
                except Exception as error:
                    if self.watch.over:
                        raise NotReturned(
                            self.watch.message, keys[number], time.monotonic() - start, slowest
                        ) from error
                    if not given or not str(error).startswith("Caught "):  # not raised by the dataset in the worker
                        raise
                    yield Unreadable(keys[number], f"{error}\nsample {keys[number]!r}")
                    return
                if number > first:  # the first one waits for the worker to start
                    slowest = max(slowest or 0.0, time.monotonic() - start)
                self.watch.step(doing, number, len(keys))
                yield result
        finally:
            terminate(iterator)

    def _timeout(self, seconds: float) -> float:
        """The timeout of a loader with workers that has `seconds`, 0 for none, within the time that is left."""
        left = self.watch.left
        if left is None:
            return seconds
        return max(0.1, min(left, seconds) if seconds else left)

    @contextmanager
    def twin(self) -> Iterator[Any]:
        """The loader for a pass that changes nothing: no workers persist; without workers, copies are used."""
        if self.plain:
            yield self.loader
            return
        twin = copy.copy(self.loader)
        iterators = {name: None for name, value in vars(twin).items() if _is_iterator(value)}
        started: list[Any] = []

        def start() -> Any:
            started.append(type(twin)._get_iterator(twin))
            return started[-1]

        changes: dict[str, Any] = {"_iterator": None, "persistent_workers": False, **iterators}
        changes["_get_iterator"] = start
        if hasattr(twin, "next_iter_state"):  # of torchdata's StatefulDataLoader
            changes.update(next_iter_state=None, _initial_iter_for_state_dict=False)
        if self.workers:
            changes["timeout"] = self._timeout(self.loader.timeout)
        else:
            changes.update(dataset=self.here.dataset, collate_fn=self.here.collate_fn)
        vars(twin).update(changes)
        try:
            yield self.given.rewrap(twin)
        finally:
            for value in [*started, *vars(twin).values()]:
                if _is_iterator(value) and self.watch.over:
                    terminate(value)
                elif _is_iterator(value) and hasattr(value, "_shutdown_workers"):
                    value._shutdown_workers()

    def probe(self, workers: int, collate_fn: Any, states: bool = True) -> tuple[Any, list[Any]]:
        """A loader over the same dataset with the same kind of workers, and the list of the key batches it will load.

        Without workers it uses the copy of the dataset. `states` is whether those of generators are recorded.
        """
        from torch.utils.data import DataLoader

        batches: list[Any] = []
        given: dict[str, Any] = {"num_workers": workers, "collate_fn": collate_fn, "generator": self.loader.generator}
        if workers:
            init = self.loader.worker_init_fn
            given["worker_init_fn"] = WorkerStart(init, self.loader.collate_fn) if states else init
            given["persistent_workers"] = bool(self.loader.persistent_workers) and self.workers > 0
            given["timeout"] = self._timeout(self.loader.timeout)
            if self.workers:
                given["multiprocessing_context"] = self.loader.multiprocessing_context
        if self.iterable:
            given["batch_size"] = None if self.loader.batch_size is None else 1
        elif self.batched:
            given["batch_sampler"] = batches
        else:  # each key is a batch of its own, which the dataset makes by itself
            given["sampler"], given["batch_size"] = _Flat(batches, workers), None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # for example, more workers than processors
            return DataLoader(self.dataset if workers else self.here.dataset, **given), batches


def spread(items: list[Any], count: int) -> list[Any]:
    """Up to `count` of the items, evenly spread, in their order."""
    return items if len(items) <= count else [items[n * len(items) // count] for n in range(count)]


def length(dataset: Any) -> int | None:
    """The number of samples, if the dataset says it."""
    try:
        return len(dataset)
    except Exception:  # a stream, or no dataset
        return None


class _Flat:
    """The keys of a list of batches, one by one; workers get keys alternately, each those of its own batches."""

    def __init__(self, batches: list[Any], workers: int) -> None:
        self.batches = batches
        self.workers = max(1, workers)

    def __iter__(self) -> Iterator[Any]:
        for start in range(0, len(self.batches), self.workers):
            for keys in zip(*self.batches[start : start + self.workers], strict=True):
                yield from keys


def _is_iterator(value: Any) -> bool:
    """Whether a value is the iterator of a DataLoader, which holds workers."""
    return hasattr(value, "_index_sampler") and hasattr(value, "_dataset_kind")


def _unrepeated(sampler: Any) -> Any:
    """The sampler in one that repeats it forever, as timm's MultiEpochsDataLoader has it."""
    return sampler.sampler if type(sampler).__name__ == "_RepeatSampler" else sampler


def _samplers(loader: Any) -> list[Any]:
    """The samplers of a loader, and the samplers that they wrap, each once."""
    from torch.utils.data import Sampler

    samplers: list[Any] = []
    waiting = [getattr(loader, "batch_sampler", None), getattr(loader, "sampler", None)]
    while waiting:
        each = waiting.pop(0)
        if each is not None and not any(each is known for known in samplers):
            samplers.append(each)
            waiting += [
                value
                for name, value in (vars(each) if hasattr(each, "__dict__") else {}).items()
                if name in ("batch_sampler", "sampler") or isinstance(value, Sampler)
            ]
    return samplers


@contextmanager
def preserve_state(subjects: Iterable[Subject]) -> Iterator[None]:
    """Restore, at the end, the global generators, those that can be found, and attributes of samplers and datasets.

    An epoch is restored by `set_epoch`, since it may be in shared memory; then all attributes are restored.
    """
    subjects = list(subjects)
    states = global_states()
    owners = [each for subject in subjects for each in (*subject.samplers, subject.dataset) if each is not None]
    kept = [
        (each.generator, generators.get_state(each.generator))
        for subject in subjects
        for each in generators.find(
            generator=getattr(subject.loader, "generator", None),
            samplers=subject.samplers,
            dataset=subject.dataset,
            collate_fn=getattr(subject.loader, "collate_fn", None),
        )
    ]
    epochs = [(each, epoch_of(each)) for each in owners]
    attributes = [(vars(each), dict(vars(each))) for each in owners if hasattr(each, "__dict__")]
    try:
        yield
    finally:
        for each, epoch in epochs:
            if epoch is not None:
                each.set_epoch(epoch)
        for now, before in attributes:
            now.clear()
            now.update(before)
        for generator, state in kept:
            generators.set_state(generator, state)
        set_global_states(states)
