"""Probing loaders: the user's dataset and workers, asked for samples in an order of the doctor's own.

The dataset is not wrapped, since a `worker_init_fn` reaches for it through `get_worker_info().dataset`; what the
doctor wants to know is found out by the `collate_fn`, which runs in the worker beside the dataset.
"""

from __future__ import annotations

import itertools
import random
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from augreg.doctor.pictures import digest, split

__all__ = ["Keep", "Seen", "Subject", "global_states", "set_global_states", "streams", "undisturbed"]


class Seen(NamedTuple):
    """What a worker made of one sample: which worker, the digest of the picture, and what the collate made."""

    worker: int
    picture: bytes
    collated: bytes | None


class Keep:
    """A collate_fn that keeps no picture: only digests travel back.

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
            Seen(worker, _digest(sample), self._collated())
            for sample in (samples if isinstance(samples, list) else [samples])
        ]

    def _collated(self) -> bytes | None:
        if self.collate is None:
            return None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                return digest(split(self.collate(list(self.samples)), batch=True).picture)
            except Exception:  # the pass over the user's own loader tells of it
                self.collate = None
                return None


def _digest(sample: Any) -> bytes:
    picture = split(sample).picture
    return digest(sample if picture is None else picture)


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
        self.first_epoch = next(
            (int(each.epoch) for each in self.samplers if isinstance(getattr(each, "epoch", None), int)), 0
        )

    def set_epoch(self, epoch: int) -> None:
        """Tell the sampler and the dataset the epoch, as a training loop does; those that want to know it."""
        for each in (*self.samplers, *([self.dataset] if self.tell_dataset else [])):
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

    def fetch(self, key: Any) -> Any:
        """One sample, made in this process. What is raised bears the key as a note."""
        try:
            return self.dataset.__getitems__([key])[0] if hasattr(self.dataset, "__getitems__") else self.dataset[key]
        except Exception as error:
            error.add_note(f"sample {key!r}")
            raise

    def probe(self, workers: int, keep: Keep) -> tuple[Any, list[Any]]:
        """A loader over the same dataset and the same workers, and the list of batches that it will be asked for."""
        from torch.utils.data import DataLoader

        batches: list[Any] = []
        given: dict[str, Any] = {"num_workers": workers, "collate_fn": keep, "generator": self.loader.generator}
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
            return DataLoader(self.dataset, **given), batches


def _samplers(loader: Any) -> list[Any]:
    """The samplers of a loader, and those that they wrap, each once."""
    found: list[Any] = []
    waiting = [getattr(loader, "batch_sampler", None), getattr(loader, "sampler", None)]
    while waiting:
        each = waiting.pop(0)
        if each is not None and not any(each is known for known in found):
            found.append(each)
            waiting += (
                [vars(each).get(name) for name in ("batch_sampler", "sampler")] if hasattr(each, "__dict__") else []
            )
    return found


def streams(probe: Any, workers: int, limit: int | None = None) -> list[list[Seen]]:
    """One pass over a probing loader, by worker; `limit` is how many batches are taken."""
    found: list[list[Seen]] = [[] for _ in range(max(1, workers))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for batch in itertools.islice(probe, limit):
            for seen in batch:
                found[max(0, seen.worker)].append(seen)
    return found


def global_states() -> tuple[Any, Any, Any]:
    """The states of `random`, `numpy.random` and torch's generator of the CPU."""
    import torch

    return random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002 - it is what is examined


def set_global_states(states: tuple[Any, Any, Any]) -> None:
    """Put the global generators into states that `global_states` gave."""
    import torch

    random.setstate(states[0])
    np.random.set_state(states[1])  # noqa: NPY002
    torch.set_rng_state(states[2])


@contextmanager
def undisturbed(subjects: Iterable[Subject]) -> Iterator[None]:
    """Put back, at the end, the global generators, the loaders' own generators and the samplers' epochs."""
    subjects = list(subjects)
    states = global_states()
    generators: list[Any] = [getattr(subject.loader, "generator", None) for subject in subjects]
    for subject in subjects:
        generators += [getattr(sampler, "generator", None) for sampler in subject.samplers]
    kept = [(each, each.get_state()) for each in generators if hasattr(each, "get_state")]
    told = [
        each for subject in subjects for each in (*subject.samplers, subject.dataset) if hasattr(each, "set_epoch")
    ]
    epochs = [(each, each.epoch) for each in told if isinstance(getattr(each, "epoch", None), int)]
    try:
        yield
    finally:
        for each, epoch in epochs:
            each.set_epoch(epoch)
        for generator, state in kept:
            generator.set_state(state)
        set_global_states(states)
