"""The test-time rule of a step, and the quantity for which that rule gives the exact expectation.

A step that draws nothing is done at test time exactly as in training. That is true of a class whose `sample` never
draws, and of any class whose arguments leave no choice: `rotate: {degrees: [90, 90]}`, or `one_of` with one child. It
is found out by sampling with `FixedDraws`, which answers only the draws that have one possible result. So the
arguments decide, and a class of a plugin is treated as ours are. Which children a container may apply, and in which
order, is found out by sampling with every result of its draws (`outcomes`).

Testing uses the last numbers of schedules, so what is exact because of them is so from the epoch of the last on.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, Final

from augreg.ops import Scene
from augreg.rng import Address, Cursor
from augreg.steps.schedules import at_epoch, whole_epochs
from augreg.steps.step import Step, children

__all__ = [
    "PROBES",
    "FixedDraws",
    "RandomDrawError",
    "exact_for",
    "fixed_rule_and_exactness",
    "is_fixed",
    "is_random",
    "is_shuffled",
    "outcomes",
    "rule_of",
]

PROBES: Final = (
    Scene(61, 83),  # a size that is right for one of the first two may be wrong for the other
    Scene(97, 64),
    Scene(80, 80, channels=1, dtype="float32", boxes=((9.0, 12.0, 40.0, 31.0),)),
    Scene(600, 800, channels=4, alpha=True),
)
"""Scenes on which steps are tried out when a spec is read."""

_EVERYTHING: Final = "everything: nothing is random"
_SHUFFLED: Final = "nothing: the order is random"
_NOWHERE: Final = Address(0, 0, 0, 0, 0)  # for cursors that have no stream
_MOST_OUTCOMES: Final = 1000
_MOST_DRAWS: Final = 1000


class RandomDrawError(ValueError):
    """A step made a draw that has more than one possible result, where none may be random."""

    def __init__(self) -> None:
        super().__init__("it draws random numbers, so 'same' cannot be its test-time rule; use test: off, or steps")


class FixedDraws(Cursor):
    """The rng of steps in which nothing is random: answers draws that have one possible result, and refuses others.

    The answers are those of every `Cursor`, to the bit.
    """

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(_NOWHERE, 0)

    def bits(self) -> int:
        raise RandomDrawError

    def bernoulli(self, p: float) -> bool:
        if 0.0 < p < 1.0:
            raise RandomDrawError
        return p >= 1.0

    def uniform(self, low: float, high: float) -> float:
        if low != high:
            raise RandomDrawError
        return low + (high - low) * 0.5

    def integers(self, stop: int) -> int:
        return 0 if stop == 1 else super().integers(stop)

    def normal(self, mean: float = 0.0, std: float = 1.0) -> float:
        return mean if std == 0.0 else super().normal(mean, std)

    def permutation(self, count: int) -> list[int]:
        return list(range(count)) if count <= 1 else super().permutation(count)

    def ahead(self, count: int) -> Any:
        raise RandomDrawError

    def choice(self, weights: Sequence[float]) -> int:
        possible = [index for index, weight in enumerate(weights) if weight > 0]
        return possible[0] if len(possible) == 1 else super().choice(weights)

    def close(self) -> None:
        """Nothing to close: it has no numbers."""


class _EveryDraw(Cursor):
    """An rng whose draws have the answers of these numbers, and the first answer after them; it counts the answers.

    A continuous draw has both ends as answers. A permutation of more than five items has those that begin with any of
    them and go on in order, forward or backward: all of them would be too many.
    """

    __slots__ = ("answers", "counts")

    def __init__(self, answers: list[int]) -> None:
        super().__init__(_NOWHERE, 0)
        self.answers = answers
        self.counts: list[int] = []

    def _answer(self, count: int) -> int:
        if count == 1:
            return 0
        place = len(self.counts)
        if place == _MOST_DRAWS:
            raise ValueError("too many draws")
        if place == len(self.answers):
            self.answers.append(0)
        self.counts.append(count)
        return self.answers[place]

    def bits(self) -> int:
        return self._answer(2) * ((1 << 64) - 1)

    def bernoulli(self, p: float) -> bool:
        return bool(self._answer(2)) if 0.0 < p < 1.0 else p >= 1.0

    def uniform(self, low: float, high: float) -> float:
        return low if low == high else (low, high)[self._answer(2)]

    def integers(self, stop: int) -> int:
        return self._answer(stop) if stop >= 1 else super().integers(stop)

    def permutation(self, count: int) -> list[int]:
        if count <= 5:
            left = list(range(count))
            return [left.pop(self._answer(len(left))) for _ in range(count)]
        first, step = self._answer(count), (1, -1)[self._answer(2)]
        return [(first + step * index) % count for index in range(count)]

    def choice(self, weights: Sequence[float]) -> int:
        possible = [index for index, weight in enumerate(weights) if weight > 0]
        return possible[self._answer(len(possible))] if possible else super().choice(weights)

    def close(self) -> None:
        """Nothing to close: it has no numbers."""


def outcomes(container: Any, scene: Scene = PROBES[0]) -> list[tuple[Step, ...]]:
    """The steps that a container may return, in the order of each; the first 1000 different results of its draws.

    Raises whatever its `sample` raises.
    """
    found = []
    answers: list[int] = []
    for _ in range(_MOST_OUTCOMES):
        rng = _EveryDraw(answers)
        result = container.sample(rng, scene)
        parts = result if isinstance(result, tuple) else (result,)
        found.append(tuple(part for part in parts if isinstance(part, Step)))
        answers, counts = rng.answers[: len(rng.counts)], rng.counts
        while answers and answers[-1] + 1 == counts[len(answers) - 1]:  # the last answer of this draw: go back
            answers.pop()
        if not answers:
            break
        answers[-1] += 1
    return found


def _remembered(decide: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """The function with a cache; what cannot be hashed, such as a plugin's argument, is decided anew."""
    cached = functools.lru_cache(maxsize=1024)(decide)

    @functools.wraps(decide)
    def decided(transform: Any) -> bool:
        try:
            return cached(transform)
        except TypeError:
            return decide(transform)

    return decided


@_remembered
def is_shuffled(transform: Any) -> bool:
    """Whether a transform applies the same steps in any case, and in random order."""
    try:
        drawn = [[step for step in steps if step.p or step.schedules] for steps in outcomes(transform)]
        first, *others = drawn
        return any(other != first for other in others) and all(
            len(other) == len(first) and all(other.count(step) == first.count(step) for step in first)
            for other in others
        )
    except Exception:  # it refuses the scene, or has arguments that cannot be compared
        return False


def is_random(step: Step) -> bool:
    """Whether anything in an image step is random in any epoch."""
    epochs = whole_epochs([value for _, value in step.schedules])
    for each in [at_epoch(step, epoch) for epoch in epochs] or [step]:
        if 0.0 < each.p < 1.0 or (each.p and not is_fixed(each.transform)):
            return True
        if each.p and any(map(is_random, children(each.transform))):
            return True
    return False


@_remembered
def is_fixed(transform: Any) -> bool:
    """Whether a transform draws nothing with the arguments that it has. A container may have random children."""
    sampled = False
    for probe in PROBES:
        try:
            result = transform.sample(FixedDraws(), probe)
        except RandomDrawError:
            return False
        except Exception:  # it refuses this scene, which says nothing about others
            continue
        sampled = True
        if transform.__augreg__.container:
            continue
        parts = result if isinstance(result, tuple) else (result,)
        if any(0.0 < part.p < 1.0 or not is_fixed(part.transform) for part in parts if isinstance(part, Step)):
            return False
    return sampled


def rule_of(step: Step) -> str:
    """The test-time rule of a step: what the spec says, or `same` if nothing is random, or else its transform's own.

    A container whose choice of children is fixed has the rule `children`. A transform with the rule `same` is left
    out if its step has a `p` below 1, as it is not applied every time.
    """
    if step.test is not None:
        return "steps" if isinstance(step.test, tuple) else "identity" if step.test == "off" else step.test
    info = step.transform.__augreg__
    rule: str = info.rule
    if step.p < 1.0:
        return "identity" if step.p == 0.0 or rule == "same" else rule
    if rule in ("same", "children") or not is_fixed(step.transform):
        return rule
    return "children" if info.container else "same"


def exact_for(step: Step, rule: str, settled: int = 0, shuffled: bool = False) -> str:
    """The quantity for which a rule gives the exact expectation of what this image step does in training.

    `settled` is the epoch from which on it and the containers around it have their last numbers, which testing uses;
    `shuffled` says that a container around it applies its steps in random order.
    """
    info = step.transform.__augreg__
    if rule == "identity" and step.p == 0.0:
        return _from_epoch(settled, _EVERYTHING)
    if rule == "steps":
        return _taken(step)
    if rule == "children" and is_shuffled(step.transform):
        return _SHUFFLED
    if rule == "same" and step.p == 1.0:
        exact = _EVERYTHING
    elif rule != info.rule:
        exact = "what each child is exact for" if rule == "children" else "nothing"
    else:
        exact = info.exact or "nothing"
    if exact == "nothing" or rule == "children":
        return exact
    if shuffled:
        return _SHUFFLED
    return exact if rule == "identity" else _from_epoch(settled, exact)  # identity needs no numbers


def _from_epoch(epoch: int, exact: str) -> str:
    if epoch == 0:
        return exact
    return f"from epoch {epoch} on: {'nothing is random' if exact == _EVERYTHING else exact}"


def _taken(step: Step) -> str:
    """The exactness of a step with steps of its own for testing: `nothing`, and which of its children these are."""
    test, inner = step.test or (), children(step.transform)
    first = next((index for index, child in enumerate(inner) if test and _alike(child, test[0])), None)
    if first is None or len(test) > len(inner) - first or not all(map(_alike, inner[first:], test)):
        return "nothing"
    if len(test) == 1:
        which = f"step {first + 1} of {len(inner)}" if first else "the first step"
    else:
        which = f"steps {first + 1} to {first + len(test)} of {len(inner)}"
    return f"nothing: testing takes {which}"


def _alike(one: Step, other: Any) -> bool:
    """Whether two steps do the same; their paths are those of two places."""
    if one.name != other.name or one.p != other.p or one.schedules != other.schedules:
        return False
    if children(one.transform):
        inner, others = children(one.transform), children(other.transform)
        return len(inner) == len(others) and all(map(_alike, inner, others))
    try:
        return one.transform is other.transform or bool(one.transform == other.transform)
    except ValueError:  # a plugin's argument is an array
        return False


def fixed_rule_and_exactness(transform: Any) -> tuple[str, str]:
    """The test-time rule of a batch transform or a regularizer, and the quantity for which it is exact.

    A spec cannot change it, except by an argument that selects one of several rules, such as `mode: original`.
    """
    info = transform.__augreg__
    rule = transform.test_rule() if hasattr(transform, "test_rule") else info.rule
    if hasattr(transform, "test_exact"):
        return rule, transform.test_exact()
    exact = info.exact if rule == info.rule else ""
    return rule, exact or (_EVERYTHING if rule == "same" else "nothing")
