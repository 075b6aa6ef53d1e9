"""Samples made in this process, each several times: what changes, and which generators it depends on."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from augreg.doctor.pictures import digest, split
from augreg.doctor.probing import Subject, global_states, set_global_states

__all__ = ["Draw", "Draws", "make"]

_GENERATORS = ("random", "numpy.random", "torch")
_KEPT = 64  # of how many samples the pictures are kept


@dataclass(frozen=True)
class Draw:
    """One key's sample, made twice in one epoch and, where there are epochs, once in the next.

    `first` and `again` hold the pictures, for the first few keys. `varies` says that the two differ, `moves_on` that
    another epoch differs from the first, `by_globals` that it is a function of the global generators' states.
    """

    key: Any
    first: Any
    again: Any
    label: Any
    label_again: Any
    varies: bool
    moves_on: bool
    by_globals: bool


@dataclass
class Draws:
    """All draws of a subject; which global generators they moved, which they seeded; whether others were seeded."""

    rows: list[Draw] = field(default_factory=list)
    moved: dict[str, int] = field(default_factory=dict)
    seeded: dict[str, int] = field(default_factory=dict)
    made_generators: int = 0
    raw: list[Any] = field(default_factory=list)

    @property
    def vary(self) -> bool:
        """Whether any picture changed when it was made again in the same epoch."""
        return any(row.varies for row in self.rows)

    @property
    def move_on(self) -> bool:
        """Whether any picture changed with the epoch."""
        return any(row.moves_on for row in self.rows)


def make(subject: Subject, keys: list[Any]) -> Draws:
    """Make the sample of each key in this process, without workers. Raises what the dataset raises."""
    draws = Draws()
    epoch = subject.first_epoch
    subject.fetch(keys[0])  # as the loader itself would ask, before any epoch is set
    subject.tell_dataset = not subject.keyed
    with _counting(draws):
        for number, key in enumerate(keys):
            subject.set_epoch(epoch)
            before = global_states()
            sample = subject.fetch(key)
            after = global_states()
            again = subject.fetch(key)
            _record(draws, before, after, global_states())
            set_global_states(before)
            replayed = _digest(subject.fetch(key))
            later = _next_epoch(subject, key, epoch)
            one, two = split(sample), split(again)
            first, second = _digest(sample), _digest(again)
            kept = number < _KEPT
            draws.rows.append(
                Draw(
                    key,
                    one.picture if kept else None,
                    two.picture if kept else None,
                    one.label,
                    two.label,
                    first != second,
                    later is not None and later not in (first, second),
                    first == replayed != second,
                )
            )
            if len(draws.raw) < 2:
                draws.raw.append(sample)
    subject.set_epoch(epoch)
    return draws


def _next_epoch(subject: Subject, key: Any, epoch: int) -> bytes | None:
    """The digest of the sample in the next epoch; None where nothing takes an epoch."""
    if subject.keyed:
        return _digest(subject.fetch(rekeyed(key, epoch + 1)))
    if subject.tell_dataset and hasattr(subject.dataset, "set_epoch"):
        subject.set_epoch(epoch + 1)
        return _digest(subject.fetch(key))
    return None


def rekeyed(key: Any, epoch: int) -> Any:
    """The key (epoch, index) in another epoch, of the same type."""
    return key._replace(epoch=epoch) if hasattr(key, "_replace") and "epoch" in key._fields else (epoch, key[1])


def _digest(sample: Any) -> bytes:
    picture = split(sample).picture
    return digest(sample if picture is None else picture)


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


@contextmanager
def _counting(draws: Draws) -> Iterator[None]:
    """Count the calls of `numpy.random.default_rng(seed)`: draws that a seed fixes."""
    original = np.random.default_rng

    def default_rng(seed: Any = None) -> Any:
        draws.made_generators += seed is not None
        return original(seed)

    np.random.default_rng = default_rng
    try:
        yield
    finally:
        np.random.default_rng = original
