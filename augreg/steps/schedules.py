"""Schedules: a number of a spec that changes with the epoch, as a pure function of the epoch.

    p: {linear: [0.0, 0.5], over: [0, 30]}        from 0 in epoch 0 to 0.5 in epoch 30; 0.5 afterward
    degrees: {cosine: [30, 5], over: [10, 40]}    half a cosine wave between the two: flat at both ends
    p: {step: [1.0, 0.0], at: [270]}              1 before epoch 270, 0 from epoch 270 on

`linear` and `cosine` take as many epochs as numbers, `step` takes one epoch less. Before the first epoch the value is
the first number, after the last epoch the last. A schedule is allowed wherever an argument takes a number, also
inside a list; where only whole numbers are allowed, it is rounded. No state is kept between calls, so workers and
resumed runs agree. At test time the last number is used.
"""

from __future__ import annotations

import bisect
import functools
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from augreg.errors import SpecError
from augreg.steps.fields import convert_one, hints, nearest, plain, split_error
from augreg.steps.step import Step, with_arguments

__all__ = [
    "END",
    "FORMS",
    "Schedule",
    "at_epoch",
    "convert_at_every_epoch",
    "is_schedule",
    "read",
    "resolve",
    "scheduled",
    "settled",
    "to_data",
    "turning_points",
    "whole_epochs",
]

FORMS: Mapping[str, str] = {"linear": "over", "cosine": "over", "step": "at"}
"""Each form of schedule, and the key of its epochs."""
MOST_POINTS = 1000
"""The most numbers in one schedule: each is checked, and so are some between two of them."""
END = math.inf
"""The epoch in which every schedule has reached its last number."""
# Fractions of the way between two epochs; no simple ones, at which a value might happen to be whole.
_BETWEEN = (0.07, 0.21, 0.37, 0.47, 0.63, 0.79, 0.93)


@dataclass(frozen=True)
class Schedule:
    """Numbers, and the epochs at which the schedule has them; `whole` rounds the values in between."""

    form: str
    values: tuple[float, ...]
    epochs: tuple[float, ...]
    whole: bool = False

    def at(self, epoch: float) -> float:
        """The value in an epoch, which may be a fraction such as 1.5."""
        if self.form == "step":
            return self.values[bisect.bisect_right(self.epochs, epoch)]
        after = bisect.bisect_right(self.epochs, epoch)
        if after in (0, len(self.epochs)):
            return self.values[0 if after == 0 else -1]
        start, end = self.epochs[after - 1 : after + 1]
        weight = (epoch - start) / (end - start)
        if self.form == "cosine":
            weight = 0.5 - 0.5 * math.cos(math.pi * weight)
        first, last = self.values[after - 1 : after + 1]
        # a rounding error must not carry it past its neighbors: a p above 1 would be refused
        value = min(max(first * (1.0 - weight) + last * weight, min(first, last)), max(first, last))
        return round(value) if self.whole else value

    @property
    def settled(self) -> int:
        """The first whole epoch from which on the value is the last number."""
        changes = [index for index in range(1, len(self.values)) if self.values[index] != self.values[index - 1]]
        if not changes:
            return 0
        return math.ceil(self.epochs[changes[-1] - (self.form == "step")])

    def data(self) -> dict[str, list[float]]:
        """The schedule as a spec writes it."""
        return {self.form: list(self.values), FORMS[self.form]: list(self.epochs)}


def is_schedule(value: Any) -> bool:
    """Whether a mapping has the two keys of a schedule, and no others."""
    return isinstance(value, Mapping) and any(value.keys() == {form, epochs} for form, epochs in FORMS.items())


def _meant_as_schedule(value: Any) -> bool:
    """Whether a mapping is a schedule, or one with a key missing, exchanged or misspelled."""
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        return False
    if value.keys() & {"over", "schedule"}:
        return True
    forms = [key for key in value if key in FORMS or ("at" in value and nearest(key, FORMS))]
    return len(forms) == 1 and len(value) <= 2


def read(value: Any) -> Any:
    """An argument with its schedules as `Schedule` objects; the argument itself if it has none.

    Raises ValueError if a schedule is wrong.
    """
    if _meant_as_schedule(value):
        return _read(value)
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        items = [read(item) for item in value]
        return tuple(items) if any(map(_has_schedule, items)) else value
    return value


def _has_schedule(value: Any) -> bool:
    return isinstance(value, Schedule) or (isinstance(value, tuple) and any(map(_has_schedule, value)))


def _read(value: Mapping[str, Any]) -> Schedule:
    keys = ", ".join(map(repr, value))
    form = next((form for form in FORMS if form in value), None)
    if form is None:
        hint = next((hint for key in value if (hint := nearest(key, FORMS))), "")
        forms = ", ".join(f"{{{form}: numbers, {key}: epochs}}" for form, key in FORMS.items())
        raise ValueError(f"a schedule is one of {forms}, got the keys {keys}{hint}")
    takes = f"a {form} schedule takes two lists, {{{form}: numbers, {FORMS[form]}: epochs}}"
    if value.keys() != {form, FORMS[form]}:
        raise ValueError(f"{takes}, got the keys {keys}")
    if any(isinstance(items, Sequence) and len(items) > MOST_POINTS for items in value.values()):
        raise ValueError(f"a schedule takes at most {MOST_POINTS} numbers")
    try:
        values: tuple[float, ...] = convert_one(tuple[float, ...], value[form])
        epochs: tuple[float, ...] = convert_one(tuple[float, ...], value[FORMS[form]])
    except ValueError as error:
        raise ValueError(f"{takes}: {split_error(error)[1]}") from None
    if len(values) < 2 or len(epochs) != len(values) - (form == "step"):
        count = "one epoch less than numbers" if form == "step" else "as many epochs as numbers"
        raise ValueError(
            f"a {form} schedule takes at least 2 numbers and {count}, got {len(values)} and {len(epochs)}"
        )
    if any(a >= b for a, b in itertools.pairwise(epochs)) or epochs[0] < 0:
        raise ValueError(f"the epochs of a schedule must be 0 or more and increase, got {list(epochs)}")
    return Schedule(form, values, epochs)


def resolve(value: Any, epoch: float) -> Any:
    """An argument with each schedule replaced by its value in an epoch."""
    if isinstance(value, Schedule):
        return value.at(epoch)
    return [resolve(item, epoch) for item in value] if isinstance(value, tuple) else value


def to_data(value: Any) -> Any:
    """An argument as a spec writes it."""
    if isinstance(value, Schedule):
        return value.data()
    return [to_data(item) for item in value] if isinstance(value, tuple) else plain(value)


def convert_at_every_epoch(value: Any, convert: Callable[[Any], Any]) -> Any:
    """An argument with schedules in canonical form; its schedules are rounded if only whole numbers are allowed.

    `convert` converts the value of one epoch. Raises its ValueError, with the epoch, if it refuses the values of some
    epoch, rounded or not.
    """
    try:
        return _converted(value, convert)
    except ValueError as error:
        if not _all_whole(value):  # its author did not mean whole numbers
            raise
        try:
            return _converted(_whole(value), convert)
        except ValueError as other:
            message, rounded = str(error), split_error(other)[1]
            if rounded.partition(", got")[0] in message:
                raise ValueError(message) from None
            raise ValueError(f"{message}; as whole numbers: {rounded}") from None


def _converted(value: Any, convert: Callable[[Any], Any]) -> Any:
    last = None
    for epoch in _epochs_to_check([value]):  # the last one is END
        try:
            last = convert(resolve(value, epoch))
        except ValueError as error:
            raise ValueError(f"{error} in {'the last epoch' if epoch == END else f'epoch {epoch:g}'}") from None
    return _canonical(value, last)


def _canonical(value: Any, last: Any) -> Any:
    """The argument with its schedules, and its other parts from `last`, its canonical form in the last epoch."""
    if isinstance(value, Schedule):
        return value
    if _has_schedule(value) and isinstance(last, tuple) and len(last) == len(value):
        return tuple(map(_canonical, value, last))
    return _frozen(value) if _has_schedule(value) else last


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list | tuple) else value


def _epochs_to_check(values: Sequence[Any]) -> list[float]:
    named = sorted(set().union(*map(_epochs, values)))
    fractions = _BETWEEN if len(named) <= 100 else _BETWEEN[3:4]  # so many numbers are close to one another
    between = (a + (b - a) * fraction for a, b in itertools.pairwise(named) for fraction in fractions)
    return [*named, *between, END]


def _epochs(value: Any) -> set[float]:
    if isinstance(value, Schedule):
        return {0.0, *value.epochs}
    return set().union(*map(_epochs, value)) if isinstance(value, tuple) else set()


def whole_epochs(values: Sequence[Any]) -> list[int]:
    """The whole epochs at which arguments with schedules have their different kinds of values, in order.

    These are the epochs around each that is named: what is strictly between two numbers is so in the first of them.
    """
    named = map(math.floor, set().union(*map(_epochs, values)))
    return sorted({epoch + later for epoch in named for later in (0, 1)})


def settled(step: Step) -> int:
    """The first whole epoch from which on all arguments of a step have their last numbers, which testing uses."""
    return max((schedule.settled for _, value in step.schedules for schedule in _schedules(value)), default=0)


def _schedules(value: Any) -> list[Schedule]:
    if isinstance(value, tuple):
        return [schedule for item in value for schedule in _schedules(item)]
    return [value] if isinstance(value, Schedule) else []


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
    """As `at_epoch`, which the steps of one epoch need again and again."""
    return at_epoch(step, epoch)


def at_epoch(step: Step, epoch: float) -> Step:
    """A step with each schedule replaced by its value in an epoch. Raises SpecError if its class refuses a value."""
    values = {key: resolve(value, epoch) for key, value in step.schedules}
    known = hints(step.transform.__class__)
    p = float(values.pop("p")) if "p" in values and "p" not in known else step.p
    try:
        arguments = {key: convert_one(known[key], value) for key, value in values.items()}
    except ValueError as error:
        raise SpecError(step.name, split_error(error)[1]) from None
    return replace(step, transform=with_arguments(step.transform, **arguments), p=p, schedules=())


def turning_points(step: Step) -> list[float]:
    """The epochs that a step's schedules name, and some between each two of them."""
    return _epochs_to_check([value for _, value in step.schedules])
