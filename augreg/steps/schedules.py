"""Schedules: a number of a spec that changes with the epoch, as a pure function of it.

    p: {linear: [0.0, 0.5], over: [0, 30]}        from 0 in epoch 0 to 0.5 in epoch 30, and 0.5 from there on
    degrees: {cosine: [30, 5], over: [10, 40]}    half a cosine wave between the two: gentle at both ends
    p: {step: [1.0, 0.0], at: [270]}              1 before epoch 270, 0 from it on

`linear` and `cosine` take as many epochs as numbers, `step` one less. Before the first epoch the first number holds,
after the last epoch the last. A schedule may stand wherever an argument takes a number, also inside a list; where
whole numbers are taken, it is rounded. As nothing is kept between calls, workers and resumed runs agree. The test
side uses the last number.
"""

from __future__ import annotations

import bisect
import functools
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from augreg.steps.fields import convert_one, nearest, plain
from augreg.steps.step import Step

__all__ = [
    "END",
    "FORMS",
    "Schedule",
    "accepted",
    "is_schedule",
    "read",
    "resolve",
    "scheduled",
    "turning_points",
    "written",
]

FORMS: Mapping[str, str] = {"linear": "over", "cosine": "over", "step": "at"}
"""Each form of schedule, and the word under which it takes its epochs."""
END = math.inf
"""The epoch in which every schedule has reached its last number."""
_BETWEEN = (
    0.07,
    0.21,
    0.37,
    0.47,
    0.63,
    0.79,
    0.93,
)  # no simple fractions, at which numbers might be whole by chance
_NUL = "\0"  # what `convert_one` puts between the place of a problem and its words


@dataclass(frozen=True)
class Schedule:
    """Numbers and the epochs that they hold at; `whole` rounds what is between them."""

    form: str
    values: tuple[float, ...]
    epochs: tuple[float, ...]
    whole: bool = False

    def at(self, epoch: float) -> float:
        """The number that holds in an epoch; half epochs are fine."""
        if self.form == "step":
            return self.values[bisect.bisect_right(self.epochs, epoch)]
        after = bisect.bisect_right(self.epochs, epoch)
        if after in (0, len(self.epochs)):
            return self.values[0 if after == 0 else -1]
        start, end = self.epochs[after - 1 : after + 1]
        share = (epoch - start) / (end - start)
        if self.form == "cosine":
            share = 0.5 - 0.5 * math.cos(math.pi * share)
        first, last = self.values[after - 1 : after + 1]
        # rounding must not carry it past its neighbors: a p above 1 is none
        value = min(max(first * (1.0 - share) + last * share, min(first, last)), max(first, last))
        return round(value) if self.whole else value

    def data(self) -> dict[str, list[float]]:
        """The schedule as a spec writes it."""
        return {self.form: list(self.values), FORMS[self.form]: list(self.epochs)}


def is_schedule(value: Any) -> bool:
    """Whether a mapping has the two words of a schedule, and nothing else."""
    return isinstance(value, Mapping) and any(value.keys() == {form, word} for form, word in FORMS.items())


def _meant_as_schedule(value: Any) -> bool:
    """Whether a mapping is a schedule, or one with a word missing, exchanged or misspelt."""
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        return False
    if value.keys() & {"over", "schedule"}:
        return True
    forms = [key for key in value if key in FORMS or ("at" in value and nearest(key, FORMS))]
    return len(forms) == 1 and len(value) <= 2


def read(value: Any) -> Any:
    """An argument with `Schedule`s for what is written as one; the same argument if there is none.

    Raises ValueError with what is wrong with a schedule.
    """
    if _meant_as_schedule(value):
        return _read(value)
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        found = [read(item) for item in value]
        return tuple(found) if any(map(_holds, found)) else value
    return value


def _holds(value: Any) -> bool:
    return isinstance(value, Schedule) or (isinstance(value, tuple) and any(map(_holds, value)))


def _read(value: Mapping[str, Any]) -> Schedule:
    given = ", ".join(map(repr, value))
    form = next((form for form in FORMS if form in value), None)
    if form is None:
        hint = next((hint for key in value if (hint := nearest(key, FORMS))), "")
        forms = ", ".join(f"{{{form}: numbers, {word}: epochs}}" for form, word in FORMS.items())
        raise ValueError(f"a schedule is one of {forms}, got the keys {given}{hint}")
    word = FORMS[form]
    takes = f"a {form} schedule takes two lists, {{{form}: numbers, {word}: epochs}}"
    if value.keys() != {form, word}:
        raise ValueError(f"{takes}, got the keys {given}")
    try:
        values: tuple[float, ...] = convert_one(tuple[float, ...], value[form])
        epochs: tuple[float, ...] = convert_one(tuple[float, ...], value[word])
    except ValueError as error:
        raise ValueError(f"{takes}: {str(error).rpartition(_NUL)[2]}") from None
    wanted = len(values) - (form == "step")
    if len(values) < 2 or len(epochs) != wanted:
        many = "one epoch less than numbers" if form == "step" else "as many epochs as numbers"
        raise ValueError(
            f"a {form} schedule takes at least 2 numbers and {many}, got {len(values)} and {len(epochs)}"
        )
    if any(a >= b for a, b in itertools.pairwise(epochs)) or epochs[0] < 0:
        raise ValueError(f"the epochs of a schedule rise from 0 or more, got {list(epochs)}")
    return Schedule(form, values, epochs)


def resolve(value: Any, epoch: float) -> Any:
    """An argument with the numbers that hold in an epoch."""
    if isinstance(value, Schedule):
        return value.at(epoch)
    return [resolve(item, epoch) for item in value] if isinstance(value, tuple) else value


def written(value: Any) -> Any:
    """An argument as a spec writes it."""
    if isinstance(value, Schedule):
        return value.data()
    return [written(item) for item in value] if isinstance(value, tuple) else plain(value)


def accepted(value: Any, check: Callable[[Any], Any]) -> Any:
    """The argument in its canonical form, if `check` accepts what it is in every epoch, and else with rounded
    numbers, if it takes only those. `check` returns the canonical form of what it accepts.

    Raises the ValueError of `check` otherwise, with the epoch.
    """
    try:
        return _checked(value, check)
    except ValueError as error:
        if not _all_whole(value):  # then it was not meant for whole numbers
            raise
        whole = _whole(value)
        try:
            return _checked(whole, check)
        except ValueError as other:
            message, words = str(error), str(other).rpartition(_NUL)[2]
            if words.partition(", got")[0] in message:
                raise ValueError(message) from None
            raise ValueError(f"{message}; as whole numbers: {words}") from None


def _checked(value: Any, check: Callable[[Any], Any]) -> Any:
    last = None
    for epoch in _looked_at([value]):  # the last one is END
        try:
            last = check(resolve(value, epoch))
        except ValueError as error:
            raise ValueError(f"{error} in {'the last epoch' if epoch == END else f'epoch {epoch:g}'}") from None
    return _canonical(value, last)


def _canonical(value: Any, last: Any) -> Any:
    """The schedules of an argument in their places, and the rest of it as the canonical `last` has it."""
    if isinstance(value, Schedule):
        return value
    if _holds(value) and isinstance(last, tuple) and len(last) == len(value):
        return tuple(map(_canonical, value, last))
    return _frozen(value) if _holds(value) else last


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list | tuple) else value


def _looked_at(values: Sequence[Any]) -> list[float]:
    marks = sorted(set().union(*map(_epochs, values)))
    between = (a + (b - a) * share for a, b in itertools.pairwise(marks) for share in _BETWEEN)
    return [*marks, *between, END]


def _epochs(value: Any) -> set[float]:
    if isinstance(value, Schedule):
        return {0.0, *value.epochs}
    return set().union(*map(_epochs, value)) if isinstance(value, tuple) else set()


def _all_whole(value: Any) -> bool:
    if isinstance(value, Schedule):
        return all(number.is_integer() for number in value.values)
    return all(map(_all_whole, value)) if isinstance(value, tuple) else True


def _whole(value: Any) -> Any:
    if isinstance(value, Schedule):
        return replace(value, values=tuple(round(number) for number in value.values), whole=True)
    return tuple(map(_whole, value)) if isinstance(value, tuple) else value


@functools.lru_cache(maxsize=1024)
def scheduled(step: Step, epoch: float) -> Step:
    """A step with the numbers that hold in an epoch in place of its schedules. Raises SpecError if refused."""
    values = {key: resolve(value, epoch) for key, value in step.schedules}
    p = float(values.pop("p")) if "p" in values and not hasattr(step.transform, "p") else step.p
    return replace(step, transform=replace(step.transform, **values), p=p, schedules=())


def turning_points(step: Step) -> list[float]:
    """Epochs at which a step's schedules turn, with some in between each two."""
    return _looked_at([value for _, value in step.schedules])
