"""Probes of a loader: its dataset and workers, asked for samples in an order that the doctor chooses.

The dataset is not wrapped, since a `worker_init_fn` accesses it through `get_worker_info().dataset`. Instead a
`collate_fn`, which runs in the worker too, records what the dataset returns.
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

from augreg.doctor.isolation import (
    WorkingCopy,
    epoch_of,
    global_states,
    seed_globals,
    set_global_states,
    working_copy,
)
from augreg.doctor.samples import digest, digest_image, split

__all__ = ["Keep", "SeededAlike", "Seen", "Subject", "preserve_state", "worker_streams"]


class Seen(NamedTuple):
    """One sample of a worker: the worker, and digests of the image, the label and the collated batch."""

    worker: int
    image: bytes
    label: bytes
    collated: bytes | None


class Keep:
    """A collate_fn that returns digests in place of images.

    `collate` is the user's collate_fn; for each sample it is called on the same `samples`, so that only its own
    random draws change the result.
    """

    def __init__(self, collate: Callable[[Any], Any] | None = None, samples: Any = None) -> None:
        self.collate = collate
        self.samples = samples

    def __call__(self, samples: Any) -> list[Seen]:
        """One `Seen` for each sample, in order; anything but a list is one sample."""
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
            except Exception:  # the pass over the user's own loader reports it
                self.collate = None
                return None


class SeededAlike:
    """A worker_init_fn that calls the user's, then seeds the global generators of all workers with one number."""

    def __init__(self, inner: Callable[[int], Any] | None) -> None:
        self.inner = inner

    def __call__(self, worker: int) -> None:
        """Called in the worker, before its first sample."""
        if self.inner is not None:
            self.inner(worker)
        seed_globals(0)


class _InWorker:
    """A collate_fn that calls `work` on its worker's dataset, and returns the pickled result."""

    def __init__(self, work: Callable[[Any, Any], Any], collate_fn: Any) -> None:
        self.work = work
        self.collate_fn = collate_fn

    def __call__(self, samples: Any) -> bytes:
        from torch.utils.data import get_worker_info

        info = get_worker_info()
        assert info is not None
        return pickle.dumps(self.work(info.dataset, self.collate_fn))  # pickled here, so that an error is raised here


class Subject:
    """A loader under examination: its parts, and the keys that its sampler yields.

    `where` is `train` or `validation`. `keyed` is whether the sampler yields (epoch, index), so that every key
    carries the epoch to the workers; `iterable` whether the dataset is a stream; `plain` whether this is no
    DataLoader.
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
        """Whether a loop must call `set_epoch` for this loader."""
        return any(hasattr(each, "set_epoch") for each in (*self.samplers, self.dataset))

    @property
    def keyed(self) -> bool:
        """Whether the sampler yields (epoch, index)."""
        if not hasattr(self, "_keyed"):
            keys = list(itertools.islice(self._items(), 32)) if self.map_style else []
            pairs = all(
                isinstance(key, tuple) and len(key) in (2, 3) and hasattr(key[0], "__index__") for key in keys
            )
            self._keyed = bool(keys) and pairs and len({key[0] for key in keys}) == 1
        return self._keyed

    def keys(self, count: int) -> list[Any]:
        """Up to `count` different keys in the order of the sampler."""
        keys: dict[str, Any] = {}
        for item in itertools.islice(self._items(), 8 * count):
            keys.setdefault(repr(item), item)
            if len(keys) == count:
                break
        return list(keys.values())

    def _items(self) -> Iterator[Any]:
        batches = self.loader.batch_sampler
        if batches is None:
            yield from self.loader.sampler
            return
        for batch in batches:
            yield from batch

    @functools.cached_property
    def here(self) -> WorkingCopy:
        """Copies of the dataset and collate_fn for use in this process; the originals are used in workers only."""
        return working_copy(self.dataset, self.loader.collate_fn)

    def apart(self, work: Callable[[Any, Any], Any], key: Any) -> Any:
        """Return `work(dataset, collate_fn)`, called where it cannot change the originals.

        This is an extra worker, which makes the sample of `key` first; or, for a loader without workers, this
        process, with copies. In a worker both `work` and its result are pickled.
        """
        if not self.workers:
            return work(self.here.dataset, self.here.collate_fn)
        probe, batches = self.probe(1, _InWorker(work, self.loader.collate_fn))
        probe.timeout = 0  # that of the loader is meant for one batch
        batches.append([key])
        (result,) = list(probe)
        return pickle.loads(result)

    def twin(self) -> Any:
        """The loader for a pass that changes nothing: no workers persist; without workers, copies are used."""
        if self.plain:
            return self.loader
        twin = copy.copy(self.loader)
        vars(twin)["_iterator"] = None  # holds persistent workers
        if not self.workers:
            vars(twin).update(dataset=self.here.dataset, collate_fn=self.here.collate_fn)
        return twin

    def probe(self, workers: int, collate_fn: Any) -> tuple[Any, list[Any]]:
        """A loader over the same dataset with the same kind of workers, and the list of the key batches it will load.

        Without workers it uses the copy of the dataset.
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
            warnings.simplefilter("ignore")  # for example, more workers than processors
            return DataLoader(self.dataset if workers else self.here.dataset, **given), batches


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


def worker_streams(probe: Any, workers: int, limit: int | None = None) -> list[list[Seen]]:
    """The samples of one pass over a probe, by worker; `limit` is the number of batches."""
    samples: list[list[Seen]] = [[] for _ in range(max(1, workers))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for batch in itertools.islice(probe, limit):
            for seen in batch:
                samples[max(0, seen.worker)].append(seen)
    return samples


@contextmanager
def preserve_state(subjects: Iterable[Subject]) -> Iterator[None]:
    """Restore, at the end, the global generators, those of the loaders, and attributes of samplers and datasets.

    An epoch is restored by `set_epoch`, since it may be in shared memory; then all attributes are restored.
    """
    subjects = list(subjects)
    states = global_states()
    owners = [each for subject in subjects for each in (*subject.samplers, subject.dataset) if each is not None]
    generators: list[Any] = [
        getattr(each, "generator", None) for each in (*(subject.loader for subject in subjects), *owners)
    ]
    kept = [(each, each.get_state()) for each in generators if hasattr(each, "get_state")]
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
            generator.set_state(state)
        set_global_states(states)
