"""The epochs of a training loop: one object sets the epoch of everything that depends on it.

for epoch in Epochs(30, sampler, attached, criterion):
    for images, labels in loader:
        ...
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator
from typing import Any, Protocol

__all__ = ["Epochs", "HasEpoch", "hold", "let_go"]


class HasEpoch(Protocol):
    """Anything with `set_epoch`: an EpochSampler, an Augmented, what `pipe.regularize` returns, a criterion."""

    def set_epoch(self, epoch: int, /) -> Any:
        """Use this epoch from now on."""


class Epochs:
    """The epochs `start`, .., `count - 1`; before each one, `set_epoch(epoch)` is called on every part.

    A part that has `hold_epoch(epoch)`, as samplers and datasets of `augreg.data` have, gets this call instead: it
    keeps the epoch also if a framework calls its `set_epoch`. When the loop ends, `hold_epoch(None)` lets it go.

    To resume a run, pass the epoch to continue with as `start`. Each `for` loop over the object begins at `start`.
    Raises TypeError for a part that has no `set_epoch`, None included, and ValueError unless 0 <= start <= count.
    """

    def __init__(self, count: int, *parts: HasEpoch, start: int = 0) -> None:
        self.count, self.start = _whole("count", count), _whole("start", start)
        if not 0 <= self.start <= self.count:
            raise ValueError(f"expected 0 <= start <= count, got start={start} and count={count}")
        for number, part in enumerate(parts, 1):
            if not callable(getattr(part, "set_epoch", None)):
                kind = type(part).__name__
                hint = f"give the sampler of the {kind} instead" if hasattr(part, "sampler") else (
                    "give an EpochSampler, an Augmented, what pipe.regularize(model) returned, a criterion, "
                    "or anything else with that method"
                )  # fmt: skip
                raise TypeError(f"part {number} is a {kind}, which has no set_epoch(epoch): {hint}")
        self.parts = parts

    def __iter__(self) -> Iterator[int]:
        try:
            for epoch in range(self.start, self.count):
                hold(self.parts, epoch)
                yield epoch
        finally:
            let_go(self.parts)

    def __len__(self) -> int:
        return self.count - self.start


def hold(parts: Iterable[HasEpoch], epoch: int) -> None:
    """Set the epoch of parts. Those that have `hold_epoch` keep it until `let_go`, whatever a framework sets."""
    for part in parts:
        getattr(part, "hold_epoch", part.set_epoch)(epoch)


def let_go(parts: Iterable[HasEpoch]) -> None:
    """Let the epochs go that `hold` has set."""
    for part in parts:
        if callable(getattr(part, "hold_epoch", None)):
            part.hold_epoch(None)  # type: ignore[attr-defined]


def _whole(name: str, number: Any) -> int:
    if isinstance(number, bool) or not hasattr(number, "__index__"):
        raise TypeError(f"{name} is a whole number, got {number!r}")
    return operator.index(number)
