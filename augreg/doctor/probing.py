"""Probing loaders: the user's dataset and workers, asked for samples in an order of the doctor's own.

The dataset is not wrapped, since a `worker_init_fn` reaches for it through `get_worker_info().dataset`; what the
doctor wants to know is found out by the `collate_fn`, which runs in the worker beside the dataset.
"""

from __future__ import annotations

import copy
import functools
import itertools
import pickle
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from augreg.doctor.isolation import StandIn, epoch_of, global_states, seed_globals, set_global_states, working_copy
from augreg.doctor.samples import digest, digest_image, split

__all__ = ["Keep", "SeededAlike", "Seen", "Subject", "preserve_state", "worker_streams"]


class Seen(NamedTuple):
    """What a worker made of one sample: which worker, digests of image and label, and what the collate made."""

    worker: int
    image: bytes
    label: bytes
    collated: bytes | None


class Keep:
    """A collate_fn that keeps no image: only digests travel back.

    `collate` is the user's; in each worker it gets the same `samples` again and again, so that its own random draws,
    if it has any, show.
    """

    def __init__(self, collate: Callable[[Any], Any] | None = None, samples: Any = None) -> None:
        self.collate = collate
        self.samples = samples

    def __call__(self, samples: Any) -> list[Seen]:
        """What is seen of each sample, in order; of what is no list, as of one sample."""
        from torch.utils.data import get_worker_info

        info = get_worker_info()
        worker = info.id if info is not None else -1
        return [
            Seen(worker, digest_image(sample), digest(split(sample).label), self._collated())
            for sample in (samples if isinstance(samples, list) else [samples])
        ]

    def _collated(self) -> bytes | None:
        if self.collate is None:
            return None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                return digest(split(self.collate(list(self.samples)), batch=True).image)
            except Exception:  # the pass over the user's own loader tells of it
                self.collate = None
                return None


class SeededAlike:
    """A worker_init_fn that does what the user's does, and then seeds the global generators of all workers alike."""

    def __init__(self, inner: Callable[[int], Any] | None) -> None:
        self.inner = inner

    def __call__(self, worker: int) -> None:
        """Runs in the worker, before anything is asked for."""
        if self.inner is not None:
            self.inner(worker)
        seed_globals(0)


class _InWorker:
    """A collate_fn that does some work with its worker's dataset, and gives back the pickled result."""

    def __init__(self, work: Callable[[Any, Any], Any], collate_fn: Any) -> None:
        self.work = work
        self.collate_fn = collate_fn

    def __call__(self, samples: Any) -> bytes:
        from torch.utils.data import get_worker_info

        info = get_worker_info()
        assert info is not None
        return pickle.dumps(self.work(info.dataset, self.collate_fn))  # by value: an error is raised here and now


class Subject:
    """A loader under examination: its parts, and the keys that its sampler gives.

    `where` is `train` or `validation`. `keyed` says that the sampler yields (epoch, index), so that the epoch reaches
    the workers with every key; `iterable` that the dataset is a stream; `plain` that this is no DataLoader.
    """

    def __init__(self, loader: Any, where: str) -> None:
        from torch.utils.data import IterableDataset

        self.loader = loader
        self.where = where
        self.dataset: Any = getattr(loader, "dataset", None)
        self.plain = self.dataset is None or not hasattr(loader, "num_workers")
        self.iterable = not self.plain and isinstance(self.dataset, IterableDataset)
        self.map_style = not self.plain and not self.iterable
        self.workers: int = 0 if self.plain else int(loader.num_workers)
        self.samplers = _samplers(loader)
        self.tell_dataset = self.iterable  # others must first be found to work without
        epochs = [epoch_of(each) for each in (*self.samplers, self.dataset)]
        self.first_epoch = next((epoch for epoch in epochs if epoch is not None), 0)

    def set_epoch(self, epoch: int) -> None:
        """Tell the sampler and the dataset the epoch, as a training loop does; those that want to know it."""
        datasets = [self.dataset] if self.workers or self.plain else [self.dataset, self.here.dataset]
        for each in (*self.samplers, *(datasets if self.tell_dataset else [])):
            if hasattr(each, "set_epoch"):
                each.set_epoch(epoch)

    @property
    def wants_epoch(self) -> bool:
        """Whether a loop has to tell this loader the epoch."""
        return any(hasattr(each, "set_epoch") for each in (*self.samplers, self.dataset))

    @property
    def keyed(self) -> bool:
        """Whether the sampler yields (epoch, index)."""
        if not hasattr(self, "_keyed"):
            found = list(itertools.islice(self._items(), 32)) if self.map_style else []
            pairs = all(isinstance(key, tuple) and len(key) == 2 and hasattr(key[0], "__index__") for key in found)
            self._keyed = bool(found) and pairs and len({key[0] for key in found}) == 1
        return self._keyed

    def keys(self, count: int) -> list[Any]:
        """Up to `count` different keys in the order of the sampler."""
        found: dict[Any, Any] = {}
        for item in itertools.islice(self._items(), 8 * count):
            found.setdefault(repr(item), item)
            if len(found) == count:
                break
        return list(found.values())

    def _items(self) -> Iterator[Any]:
        batches = self.loader.batch_sampler
        if batches is None:
            yield from self.loader.sampler
            return
        for batch in batches:
            yield from batch

    @functools.cached_property
    def here(self) -> StandIn:
        """What stands for the dataset and its collate_fn in this process; the user's own are used in workers only."""
        return working_copy(self.dataset, self.loader.collate_fn)

    def apart(self, work: Callable[[Any, Any], Any], key: Any) -> Any:
        """What `work(dataset, collate_fn)` returns, run where it leaves no trace in the user's own.

        That is one more worker, which is asked for `key` first; or, of a loader without workers, this process, with
        copies. In a worker both `work` and what it returns are pickled.
        """
        if not self.workers:
            return work(self.here.dataset, self.here.collate_fn)
        probe, batches = self.probe(1, _InWorker(work, self.loader.collate_fn))
        probe.timeout = 0  # that of the loader is for a batch
        batches.append([key])
        (found,) = list(probe)
        return pickle.loads(found)

    def twin(self) -> Any:
        """The loader, for a pass that leaves no trace: no workers stay with it, and without workers it has copies."""
        if self.plain:
            return self.loader
        twin = copy.copy(self.loader)
        vars(twin)["_iterator"] = None  # where persistent workers are kept
        if not self.workers:
            vars(twin).update(dataset=self.here.dataset, collate_fn=self.here.collate_fn)
        return twin

    def probe(self, workers: int, collate_fn: Any) -> tuple[Any, list[Any]]:
        """A loader over the same dataset and the same workers, and the list of batches that it will be asked for.

        Without workers it is over the dataset that stands for the user's own.
        """
        from torch.utils.data import DataLoader

        batches: list[Any] = []
        given: dict[str, Any] = {"num_workers": workers, "collate_fn": collate_fn, "generator": self.loader.generator}
        if workers:
            given["worker_init_fn"] = self.loader.worker_init_fn
            given["persistent_workers"] = bool(self.loader.persistent_workers) and self.workers > 0
            given["timeout"] = self.loader.timeout
            if self.workers:
                given["multiprocessing_context"] = self.loader.multiprocessing_context
        if self.iterable:
            given["batch_size"] = None if self.loader.batch_size is None else 1
        else:
            given["batch_sampler"] = batches
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # such as: more workers than processors
            return DataLoader(self.dataset if workers else self.here.dataset, **given), batches


def _samplers(loader: Any) -> list[Any]:
    """The samplers of a loader, and those that they wrap, each once."""
    from torch.utils.data import Sampler

    found: list[Any] = []
    waiting = [getattr(loader, "batch_sampler", None), getattr(loader, "sampler", None)]
    while waiting:
        each = waiting.pop(0)
        if each is not None and not any(each is known for known in found):
            found.append(each)
            waiting += [
                value
                for name, value in (vars(each) if hasattr(each, "__dict__") else {}).items()
                if name in ("batch_sampler", "sampler") or isinstance(value, Sampler)
            ]
    return found


def worker_streams(probe: Any, workers: int, limit: int | None = None) -> list[list[Seen]]:
    """One pass over a probing loader, by worker; `limit` is how many batches are taken."""
    found: list[list[Seen]] = [[] for _ in range(max(1, workers))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for batch in itertools.islice(probe, limit):
            for seen in batch:
                found[max(0, seen.worker)].append(seen)
    return found


@contextmanager
def preserve_state(subjects: Iterable[Subject]) -> Iterator[None]:
    """Put back, at the end, the global generators, the loaders' own, and what samplers and datasets hold.

    An epoch is set back by `set_epoch`, for it may be in shared memory; then the attributes are what they were.
    """
    subjects = list(subjects)
    states = global_states()
    told = [each for subject in subjects for each in (*subject.samplers, subject.dataset) if each is not None]
    generators: list[Any] = [
        getattr(each, "generator", None) for each in (*(subject.loader for subject in subjects), *told)
    ]
    kept = [(each, each.get_state()) for each in generators if hasattr(each, "get_state")]
    epochs = [(each, epoch_of(each)) for each in told]
    held = [(vars(each), dict(vars(each))) for each in told if hasattr(each, "__dict__")]
    try:
        yield
    finally:
        for each, epoch in epochs:
            if epoch is not None:
                each.set_epoch(epoch)
        for now, before in held:
            now.clear()
            now.update(before)
        for generator, state in kept:
            generator.set_state(state)
        set_global_states(states)
