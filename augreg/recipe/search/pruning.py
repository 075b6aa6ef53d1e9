"""Pruners: which trials stop early, because others were better after as many epochs.

`median` is the rule of Vizier (Golovin et al. 2017): a trial stops if its best value so far is worse than the median
of the others' best values up to that epoch. `halving` is asynchronous successive halving (Li et al. 2020,
arxiv.org/abs/1810.05934): after 1, 3, 9, .. epochs the best third goes on.

Both compare a trial with those before it only. So a search with one process that was killed prunes the same trials.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from typing import Final

__all__ = ["PRUNERS", "first_pruned", "halving", "median"]

_FEWEST = 5  # trials before this one, without which nothing is pruned
_FACTOR = 3

Line = Sequence[float]
"""The values of a trial after each epoch; higher is better."""


def median(line: Line, others: Sequence[Line]) -> bool:
    """Whether the best value so far is below the median of the others after as many epochs."""
    best = [max(other[: len(line)]) for other in others if len(other) >= len(line)]
    return len(best) >= _FEWEST and max(line) < statistics.median(best)


def halving(line: Line, others: Sequence[Line]) -> bool:
    """Whether, after 1, 3, 9, .. epochs, the value is not among the best third of those that came so far."""
    epoch = len(line)
    if _FACTOR ** round(math.log(epoch, _FACTOR)) != epoch:
        return False
    reached = sorted((other[epoch - 1] for other in (*others, line) if len(other) >= epoch), reverse=True)
    return len(reached) > _FEWEST and line[-1] < reached[max(1, len(reached) // _FACTOR) - 1]


PRUNERS: Final[dict[str, Callable[[Line, Sequence[Line]], bool] | None]] = {
    "none": None,
    "median": median,
    "halving": halving,
}
"""By name."""


def first_pruned(line: Line, others: Sequence[Line], pruner: str, epochs: int) -> int | None:
    """The epoch, counted from 1, after which a trial of so many epochs is pruned; None if it is not.

    The last epoch prunes nothing. Values that are not finite count as the worst.
    """
    rule = PRUNERS[pruner]
    if rule is None:
        return None
    clean = [[value if math.isfinite(value) else -math.inf for value in each] for each in (line, *others)]
    ends = range(1, min(len(line), epochs - 1) + 1)
    return next((end for end in ends if rule(clean[0][:end], clean[1:])), None)
