"""Keys: a sample and an epoch. A sampler yields them, samples carry them, and mixing is seeded by them."""

from __future__ import annotations

import operator
from typing import Any, NamedTuple

__all__ = ["Key", "checked_id"]

_NO_INDEX = (
    "{key} is a key from an EpochSampler, which only an Augmented accepts: make the Augmented the outermost dataset, "
    "with splits and other datasets inside, as in Augmented(Subset(data, indices), pipe.train)"
)


class Key(NamedTuple):
    """An epoch, a sample, by its index in the dataset or by its id, and the number of the view.

    For samples of `pipe.test` the epoch is None, since nothing is random. `view` counts from 0 how often the sample
    was drawn before in this epoch.
    """

    epoch: int | None
    index: int | str  # type: ignore[assignment]  # hides tuple.index, which a key does not need
    view: int = 0

    # a dataset other than Augmented uses its index in one of these ways: raise there with a clear message

    def __index__(self) -> int:
        raise TypeError(_NO_INDEX.format(key=self))

    def __lt__(self, other: Any) -> bool:
        if not isinstance(other, tuple):
            raise TypeError(_NO_INDEX.format(key=self))
        return tuple(self) < tuple(other)


def checked_id(given: Any, where: str) -> int | str:
    """The id of a sample as a string or an integer from 0. Raises TypeError or ValueError for anything else."""
    if type(given) is int and given >= 0:  # nearly always
        return given
    if isinstance(given, str):
        return str(given)
    if isinstance(given, bytes):
        return given.decode("utf-8", "surrogateescape")
    try:
        number = operator.index(given)
    except TypeError:
        expected = "expected a string or an integer, such as a file name, a database key or a row number"
        raise TypeError(f"{where} is {given!r}; {expected}") from None
    if isinstance(given, bool) or number < 0:
        raise ValueError(f"{where} is {given!r}; expected a string or an integer from 0")
    return number
