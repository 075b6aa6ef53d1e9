"""What runs in the worker processes of a probe: functions that record the samples and the generators of a worker.

The dataset is not wrapped, since a `worker_init_fn` accesses it through `get_worker_info().dataset`. Instead a
`collate_fn`, which runs in the worker too, records what the dataset returns.
"""

from __future__ import annotations

import itertools
import pickle
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

from augreg.doctor import generators
from augreg.doctor.arrays import digest
from augreg.doctor.isolation import global_digests, seed_globals
from augreg.doctor.limits import Watch
from augreg.doctor.samples import digest_image, split

__all__ = [
    "InWorker",
    "Keep",
    "SeededAlike",
    "Seen",
    "Unreadable",
    "Work",
    "WorkerStart",
    "terminate",
    "worker_streams",
]


class Seen(NamedTuple):
    """One sample of a worker: the worker, and digests of the image, the label and the collated batch.

    `states` is set for the first sample of each batch of a worker: hashes of the states of its generators, by name,
    after the batch.
    """

    worker: int
    image: bytes
    label: bytes
    collated: bytes | None
    states: dict[str, bytes] | None = None


class Unreadable(NamedTuple):
    """A sample that raised an exception, and the traceback."""

    key: Any
    error: str


Work = Callable[[Any, Any, int], Any]
"""Called with a dataset, a collate_fn and the number of the call."""


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
        states = {**generators.states(_generators()), **global_digests()} if _watched else None
        given = samples if isinstance(samples, list) else [samples]
        seen = [Seen(worker, digest_image(each), digest(split(each).label), self._collated()) for each in given]
        return seen if states is None or not seen else [seen[0]._replace(states=states), *seen[1:]]

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


_watched: list[Any] = []  # in a worker: its collate_fn, if the states of generators are recorded
_kept: list[generators.Generator] | None = None  # in a worker: the generators of its dataset and collate_fn


def _generators() -> list[generators.Generator]:
    """The generators that this worker has, found after its first batch, since a sample may create them."""
    from torch.utils.data import get_worker_info

    global _kept
    if _kept is None:
        info = get_worker_info()
        assert info is not None
        _kept = generators.find(dataset=info.dataset, collate_fn=_watched[0])
    return _kept


class WorkerStart:
    """A worker_init_fn that calls the user's, and has the states of the worker's generators recorded."""

    def __init__(self, inner: Callable[[int], Any] | None, collate_fn: Any) -> None:
        self.inner = inner
        self.collate_fn = collate_fn

    def __call__(self, worker: int) -> None:
        """Called in the worker, before its first sample."""
        global _kept
        if self.inner is not None:
            self.inner(worker)
        _watched[:], _kept = [self.collate_fn], None


class SeededAlike:
    """A worker_init_fn that calls the user's, then seeds the global generators of all workers with one number."""

    def __init__(self, inner: Callable[[int], Any] | None) -> None:
        self.inner = inner

    def __call__(self, worker: int) -> None:
        """Called in the worker, before its first sample."""
        if self.inner is not None:
            self.inner(worker)
        seed_globals(0)


class InWorker:
    """A collate_fn that calls `work` on its worker's dataset, with the number of the call; returns it pickled.

    `first` is the number of the first call.
    """

    def __init__(self, work: Work, collate_fn: Any, first: int = 0) -> None:
        self.work = work
        self.collate_fn = collate_fn
        self.calls = first

    def __call__(self, samples: Any) -> bytes:
        from torch.utils.data import get_worker_info

        info = get_worker_info()
        assert info is not None
        result = self.work(info.dataset, self.collate_fn, self.calls)
        self.calls += 1
        return pickle.dumps(result)  # pickled here, so that an error is raised here


def worker_streams(
    probe: Any, workers: int, watch: Watch, doing: str, limit: int | None = None, total: int = 0
) -> list[list[Seen]]:
    """The samples of one pass over a probe, by worker; `limit` is the number of batches, `total` what is expected."""
    samples: list[list[Seen]] = [[] for _ in range(max(1, workers))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        iterator = iter(probe)
        try:
            for number, batch in enumerate(itertools.islice(iterator, limit)):
                watch.step(doing, number, limit or total)
                for seen in batch:
                    samples[max(0, seen.worker)].append(seen)
        except Exception:
            if watch.over:
                terminate(iterator)
            raise
    return samples


def terminate(iterator: Any) -> None:
    """End the workers of a loader's iterator at once; torch would wait some seconds for one that hangs."""
    for worker in getattr(iterator, "_workers", ()):
        worker.terminate()
    if hasattr(iterator, "_shutdown_workers"):
        iterator._shutdown_workers()
