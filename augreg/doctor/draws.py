"""Makes samples one by one, each several times: what changes, and which generators it depends on.

`make` may change the dataset that it is given, since a dataset may open files or create generators on first use. So
`Subject.apart` calls it, with the dataset of an extra worker or with a copy.
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

from augreg.doctor import batch_mixing
from augreg.doctor.isolation import global_states, set_global_states
from augreg.doctor.samples import digest, digest_image, label_rows, split, thumbnail

__all__ = ["Draw", "Draws", "make", "rekeyed"]

_GENERATORS = ("random", "numpy.random", "torch")
_WATCHED = 4  # samples during which the creation of generators is watched, which is slow
_KEPT = 64  # samples for which thumbnails are made
_POOL = 12  # samples from which batches are made


@dataclass(frozen=True)
class Draw:
    """The sample of one key, made twice in one epoch and, if the dataset has epochs, once in the next.

    `first` and `again` are thumbnails of the two images, for the first few keys. `varies` is whether the images
    differ, `moves_on` whether the image of the next epoch differs from both, `by_globals` whether the image is a
    function of the states of the global generators, and `relabeled` whether the labels differ; fractional labels may
    be mixed, and do not count.
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
    """All draws of a subject; which global generators they advanced and which they seeded, and how often.

    `seeds_generators` is whether samples create NumPy generators from seeds. `raw` are two samples before collation,
    empty if they cannot be pickled. `mixes` is the result of `batch_mixing.mixes` for the collate_fn.
    """

    rows: list[Draw] = field(default_factory=list)
    moved: dict[str, int] = field(default_factory=dict)
    seeded: dict[str, int] = field(default_factory=dict)
    seeds_generators: bool = False
    raw: list[Any] = field(default_factory=list)
    mixes: batch_mixing.Mixes = None

    @property
    def vary(self) -> bool:
        """Whether any image changed when it was made again in the same epoch."""
        return any(row.varies for row in self.rows)

    @property
    def move_on(self) -> bool:
        """Whether any image changed with the epoch."""
        return any(row.moves_on for row in self.rows)


def make(dataset: Any, collate_fn: Any, *, keys: list[Any], epoch: int, keyed: bool, whole: bool) -> Draws:
    """Make the sample of each key several times. Raises what the dataset raises.

    `keyed` is whether keys are (epoch, index), in which case set_epoch is not called on the dataset, and `whole`
    whether samples are collated into batches.
    """
    draws = Draws()
    with _watching(draws):
        for key in keys[:_WATCHED]:
            _fetch(dataset, key)  # as a loop without set_epoch would
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
        draws.mixes = batch_mixing.mixes(collate_fn, pool)
    draws.raw = pool[:2] if _pickles(pool[:2]) else []
    return draws


def _draw(dataset: Any, key: Any, epoch: int, keyed: bool, draws: Draws) -> tuple[Any, Draw]:
    """The first sample of a key, and the comparison with three more samples of it."""
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
    """One sample. The key is added as a note to an exception."""
    try:
        return dataset.__getitems__([key])[0] if hasattr(dataset, "__getitems__") else dataset[key]
    except Exception as error:
        error.add_note(f"sample {key!r}")
        raise


def _next_epoch(dataset: Any, key: Any, epoch: int, keyed: bool) -> bytes | None:
    """The digest of the sample in the next epoch; None if neither keys nor dataset have an epoch."""
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
    """Whether a label is a name or one whole number."""
    if isinstance(label, str | bytes | int):
        return True
    rows = label_rows([label])
    return rows is not None and rows.size == 1 and bool(np.isfinite(rows).all() and (rows == np.round(rows)).all())


def _record(draws: Draws, before: Any, after: Any, end: Any) -> None:
    """Count the generators that changed; one that has the same state after each of two samples is seeded by them."""
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
    """Record whether NumPy generators are created from seeds, in any way: default_rng(3), Generator(PCG64(3)).

    Nothing is patched: each of these checks whether its seed is an ISeedSequence, which Python's profiler reports.
    """
    asking = ABCMeta.__instancecheck__.__code__

    def watch(frame: Any, event: str, argument: Any) -> None:
        if event == "call" and frame.f_code is asking and frame.f_locals["cls"] is ISeedSequence:
            draws.seeds_generators |= frame.f_locals["instance"] is not None

    if sys.getprofile() is not None:  # leave a profiler of the user alone
        yield
        return
    sys.setprofile(watch)
    try:
        yield
    finally:
        sys.setprofile(None)
