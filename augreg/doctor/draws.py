"""Samples made one by one, each several times: what changes, and which generators it depends on.

`make` leaves traces in what it is given: a dataset may open files or make generators when it is first asked. So it
is called by `Subject.apart`, with the dataset of a worker of its own or with a copy.
"""

from __future__ import annotations

import pickle
import sys
from abc import ABCMeta
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.random.bit_generator import ISeedSequence
from numpy.typing import NDArray

from augreg.doctor import mixtures
from augreg.doctor.images import digest, digest_image, label_rows, split, thumbnail
from augreg.doctor.isolation import global_states, set_global_states

__all__ = ["Draw", "Draws", "make", "rekeyed"]

_GENERATORS = ("random", "numpy.random", "torch")
_WATCHED = 4  # of how many samples the making of generators is watched, which is slow
_KEPT = 64  # of how many samples thumbnails are made
_POOL = 12  # of how many samples batches are put together


@dataclass(frozen=True)
class Draw:
    """One key's sample, made twice in one epoch and, where there are epochs, once in the next.

    `first` and `again` are thumbnails of the two images, for the first few keys. `varies` says that the images
    differ, `moves_on` that another epoch's differs from both, `by_globals` that it is a function of the global
    generators' states, and `relabeled` that the labels differ; labels with fractions may be mixed, and do not count.
    """

    key: Any
    first: NDArray[np.float64] | None
    again: NDArray[np.float64] | None
    relabeled: bool
    varies: bool
    moves_on: bool
    by_globals: bool


@dataclass
class Draws:
    """All draws of a subject; which global generators they moved and which they seeded, and how often.

    `seeds_generators` says that samples seed NumPy generators of their own. `raw` are two samples as they came, or
    none where they do not pickle. `mixes` is what `mixtures.mixes` says of the collate_fn.
    """

    rows: list[Draw] = field(default_factory=list)
    moved: dict[str, int] = field(default_factory=dict)
    seeded: dict[str, int] = field(default_factory=dict)
    seeds_generators: bool = False
    raw: list[Any] = field(default_factory=list)
    mixes: mixtures.Mixes = None

    @property
    def vary(self) -> bool:
        """Whether any image changed when it was made again in the same epoch."""
        return any(row.varies for row in self.rows)

    @property
    def move_on(self) -> bool:
        """Whether any image changed with the epoch."""
        return any(row.moves_on for row in self.rows)


def make(dataset: Any, collate_fn: Any, *, keys: list[Any], epoch: int, keyed: bool, whole: bool) -> Draws:
    """Make the sample of each key again and again. Raises what the dataset raises.

    `keyed` says that keys are (epoch, index), so that the dataset need not be told the epoch, and `whole` that
    samples become batches.
    """
    draws = Draws()
    with _watching(draws):
        for key in keys[:_WATCHED]:
            _fetch(dataset, key)  # as the loader itself would ask, before any epoch is set
    set_epoch = None if keyed else getattr(dataset, "set_epoch", None)
    pool: list[Any] = []
    for key in keys:
        if set_epoch is not None:
            set_epoch(epoch)
        sample, row = _draw(dataset, key, epoch, keyed, draws)
        draws.rows.append(row)
        if len(pool) < _POOL:
            pool.append(sample)
    if set_epoch is not None:
        set_epoch(epoch)
    if whole:
        draws.mixes = mixtures.mixes(collate_fn, pool)
    draws.raw = pool[:2] if _pickles(pool[:2]) else []
    return draws


def _draw(dataset: Any, key: Any, epoch: int, keyed: bool, draws: Draws) -> tuple[Any, Draw]:
    """The first sample that is made with a key, and what is found by making it three times more."""
    before = global_states()
    sample = _fetch(dataset, key)
    after = global_states()
    again = _fetch(dataset, key)
    _record(draws, before, after, global_states())
    set_global_states(before)
    replayed = digest_image(_fetch(dataset, key))
    later = _next_epoch(dataset, key, epoch, keyed)
    first, second = digest_image(sample), digest_image(again)
    (one, label), (two, label_again) = split(sample), split(again)
    return sample, Draw(
        key,
        thumbnail(one) if len(draws.rows) < _KEPT else None,
        thumbnail(two) if len(draws.rows) < _KEPT else None,
        relabeled=digest(label) != digest(label_again) and _hard(label),
        varies=first != second,
        moves_on=later is not None and later not in (first, second),
        by_globals=first == replayed != second,
    )


def _fetch(dataset: Any, key: Any) -> Any:
    """One sample. What is raised bears the key as a note."""
    try:
        return dataset.__getitems__([key])[0] if hasattr(dataset, "__getitems__") else dataset[key]
    except Exception as error:
        error.add_note(f"sample {key!r}")
        raise


def _next_epoch(dataset: Any, key: Any, epoch: int, keyed: bool) -> bytes | None:
    """The digest of the sample in the next epoch; None where nothing takes an epoch."""
    if keyed:
        return digest_image(_fetch(dataset, rekeyed(key, epoch + 1)))
    if hasattr(dataset, "set_epoch"):
        dataset.set_epoch(epoch + 1)
        return digest_image(_fetch(dataset, key))
    return None


def rekeyed(key: Any, epoch: int) -> Any:
    """The key (epoch, index) in another epoch, of the same type."""
    return key._replace(epoch=epoch) if hasattr(key, "_replace") and "epoch" in key._fields else (epoch, key[1])


def _hard(label: Any) -> bool:
    if isinstance(label, str | bytes | int):
        return True
    rows = label_rows([label])
    return rows is not None and rows.size == 1 and bool(np.isfinite(rows).all() and (rows == np.round(rows)).all())


def _record(draws: Draws, before: Any, after: Any, end: Any) -> None:
    """Count what moved; a generator that stands at the same place after two samples was seeded by both."""
    for name, *states in zip(_GENERATORS, before, after, end, strict=True):
        start, middle, stop = map(_frozen, states)
        if start != middle:
            draws.moved[name] = draws.moved.get(name, 0) + 1
            if middle == stop:
                draws.seeded[name] = draws.seeded.get(name, 0) + 1


def _frozen(state: Any) -> bytes:
    return pickle.dumps(state.numpy() if hasattr(state, "numpy") else state)


def _pickles(samples: Any) -> bool:
    try:
        pickle.dumps(samples)
    except Exception:
        return False
    return True


@contextmanager
def _watching(draws: Draws) -> Iterator[None]:
    """See whether NumPy generators are made from seeds, under whatever name: default_rng(3), Generator(PCG64(3)).

    Nothing is patched: each of them asks whether its seed is an ISeedSequence, and Python's profiler sees it ask.
    """
    asking = ABCMeta.__instancecheck__.__code__

    def watch(frame: Any, event: str, argument: Any) -> None:
        if event == "call" and frame.f_code is asking and frame.f_locals["cls"] is ISeedSequence:
            draws.seeds_generators |= frame.f_locals["instance"] is not None

    if sys.getprofile() is not None:  # somebody is measuring, and is not to be disturbed
        yield
        return
    sys.setprofile(watch)
    try:
        yield
    finally:
        sys.setprofile(None)
