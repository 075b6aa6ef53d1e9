"""Keys: which sample, in which epoch. A sampler yields them, samples carry them, and mixing draws by them."""

from __future__ import annotations

import operator
from typing import Any, NamedTuple

__all__ = ["Key", "checked_id"]

_NO_INDEX = (
    "{key} came from an EpochSampler, and only an Augmented takes such a key: put it outermost, as in "
    "Augmented(Subset(data, indices), pipe.train), with splits and other datasets inside"
)


class Key(NamedTuple):
    """An epoch, and a sample: its index in the dataset, or the id that it has of its own.

    What a sample of the test side carries has None for an epoch: nothing about it is random.
    """

    epoch: int | None
    index: int | str  # type: ignore[assignment]  # hides tuple.index, which nobody needs of a pair

    # what a dataset around an Augmented does with an index, or one without it: say so there, not deep inside of it

    def __index__(self) -> int:
        raise TypeError(_NO_INDEX.format(key=self))

    def __lt__(self, other: Any) -> bool:
        if not isinstance(other, tuple):
            raise TypeError(_NO_INDEX.format(key=self))
        return tuple(self) < tuple(other)


def checked_id(given: Any, where: str) -> int | str:
    """An id that draws can be keyed by: a string, or an integer from 0. Raises TypeError or ValueError."""
    if isinstance(given, str):
        return str(given)
    if isinstance(given, bytes):
        return given.decode("utf-8", "surrogateescape")
    try:
        number = operator.index(given)
    except TypeError:
        wanted = "expected a string or an integer, such as a file name, a database key or a row number"
        raise TypeError(f"{where} is {given!r}; {wanted}") from None
    if isinstance(given, bool) or number < 0:
        raise ValueError(f"{where} is {given!r}; expected a string or an integer from 0")
    return number
