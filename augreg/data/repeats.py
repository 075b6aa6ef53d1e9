"""Numbers the occurrences of a sample within an epoch, also over the ranks of a distributed sampler.

The occurrences of a sample are its views 0, 1, 2 and so on. On several ranks they are numbered in the order of one
process, which takes the first index of each rank, then the second of each, and so on. So a sample that is drawn k
times has the views 0 to k - 1, however many ranks there are.
"""

from __future__ import annotations

import copy
import itertools
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

__all__ = ["Occurrences", "occurrences", "plain", "within"]


class Occurrences:
    """Counts how often each index has come before; its position can be saved and restored."""

    def __init__(self) -> None:
        self._counts: Counter[Any] = Counter()

    def number(self, index: Any) -> int:
        """How often this index has come before."""
        count = self._counts[index]
        self._counts[index] = count + 1
        return count

    def state_dict(self) -> Any:
        """What has come before."""
        return dict(self._counts)

    def load_state_dict(self, state: Any) -> None:
        """Continue from a saved state."""
        self._counts = Counter(state)


class _Distinct(Occurrences):
    """For an order without repetitions: the number is always 0, and nothing is kept."""

    def number(self, index: Any) -> int:
        return 0


class _ByPosition(Occurrences):
    """For the part of one rank: the number depends on the position in it."""

    def __init__(self, at: Callable[[int], int]) -> None:
        self._at, self._position = at, 0

    def number(self, index: Any) -> int:
        self._position += 1
        return self._at(self._position - 1)

    def state_dict(self) -> Any:
        return self._position

    def load_state_dict(self, state: Any) -> None:
        self._position = state


def occurrences(sampler: Any, seed: Callable[[], None]) -> Occurrences:
    """The counter for a pass of a sampler; None is a dataset, whose order has every index once.

    `seed` seeds the generator of the sampler for the epoch. The orders of the other ranks are made once more for
    this, except for torch's DistributedSampler, of which it is known where it repeats samples.
    """
    if sampler is None:
        return _Distinct()
    ranked = next((part for part in within(sampler) if _ranks(part) > 1), None)
    if ranked is None or not hasattr(ranked, "__len__"):
        return Occurrences()
    ranks, rank = _ranks(ranked), ranked.rank
    if _keeps_order(sampler) and _is_distributed_sampler(ranked):
        return _ByPosition(lambda position: (position * ranks + rank) // len(ranked.dataset))
    orders = []
    for other in range(ranks):
        seed()
        orders.append(list(_flat(itertools.islice(_on_rank(sampler, other), len(sampler)))))
    counts: Counter[Any] = Counter()
    numbers = []
    for position, others in enumerate(itertools.zip_longest(*orders)):
        for other, index in enumerate(others):
            if position >= len(orders[other]):
                continue
            if other == rank:
                numbers.append(counts[index])
            counts[index] += 1
    return _ByPosition(lambda position: numbers[position] if position < len(numbers) else 0)


def within(sampler: Any) -> Iterator[Any]:
    """A sampler and the samplers inside it: a batch sampler has one as its attribute `sampler`."""
    while sampler is not None:
        yield sampler
        sampler = getattr(sampler, "sampler", None)


def _ranks(sampler: Any) -> int:
    """The number of ranks among which a sampler divides the samples."""
    ranks = getattr(sampler, "num_replicas", None)
    return ranks if isinstance(ranks, int) and isinstance(getattr(sampler, "rank", None), int) else 1


def _is_distributed_sampler(sampler: Any) -> bool:
    """Whether it iterates as torch's DistributedSampler does: every sample once, then again from the first."""
    data = sys.modules["torch"].utils.data if "torch" in sys.modules else None
    return data is not None and getattr(type(sampler), "__iter__", None) is data.DistributedSampler.__iter__


def _keeps_order(sampler: Any) -> bool:
    """Whether it is no batch sampler, or torch's own, which takes the samples in order."""
    if getattr(sampler, "sampler", None) is None:
        return True
    data = sys.modules["torch"].utils.data if "torch" in sys.modules else None
    return data is not None and getattr(type(sampler), "__iter__", None) is data.BatchSampler.__iter__


def _on_rank(sampler: Any, rank: int) -> Iterator[Any]:
    """The order of a sampler on another rank."""

    def copied(part: Any) -> Any:
        other = copy.copy(part)
        if _ranks(part) > 1:
            other.rank = rank
        elif getattr(part, "sampler", None) is not None:
            other.sampler = copied(part.sampler)
        return other

    return iter(copied(sampler))


def _flat(indices: Iterator[Any]) -> Iterator[Any]:
    """The indices one by one, also of batches."""
    for index in indices:
        if isinstance(index, Sequence) and not isinstance(index, str):
            yield from map(plain, index)
        else:
            yield plain(index)


def plain(index: Any) -> int | str:
    """An index as an integer or a string."""
    return index if isinstance(index, str) else int(index)
