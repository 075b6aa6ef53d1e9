"""Enumeration: all results of a transform's `sample` and their probabilities, where its draws are discrete."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from augreg.ops import Op, Scene
from augreg.steps.rules import FixedDraws, RandomDrawError

__all__ = ["same_results", "weighted_outcomes"]

_MOST_DRAWS_EACH: Final = 8
"""So many draws for each result are tried: several may lead to one, such as `some_of` with a small count."""


class _TooManyError(RandomDrawError):
    """There are more results than asked for."""


class _DiscreteDraws(FixedDraws):
    """An rng whose discrete draws have the answers of these numbers, and the first answer after them.

    It refuses continuous draws with more than one possible result.
    """

    __slots__ = ("answers", "most", "options")

    def __init__(self, answers: Sequence[int], most: int) -> None:
        super().__init__()
        self.answers = list(answers)
        self.options: list[list[tuple[Any, float]]] = []
        self.most = most

    def _answer(self, options: list[tuple[Any, float]]) -> Any:
        """One of the results of a draw, which come with their probabilities."""
        if len(options) == 1:
            return options[0][0]
        place = len(self.options)
        if place == self.most:
            raise _TooManyError
        self.options.append(options)
        if place == len(self.answers):
            self.answers.append(0)
        return options[self.answers[place]][0]

    @property
    def probability(self) -> float:
        """The probability of the answers that were given."""
        product = 1.0
        for answer, options in zip(self.answers, self.options, strict=True):
            product *= options[answer][1]
        return product

    def bernoulli(self, p: float) -> bool:
        return bool(self._answer([(False, 1.0 - p), (True, p)])) if 0.0 < p < 1.0 else p >= 1.0

    def integers(self, stop: int) -> int:
        if stop > self.most:
            raise _TooManyError
        return (
            int(self._answer([(number, 1.0 / stop) for number in range(stop)]))
            if stop > 1
            else super().integers(stop)
        )

    def sign(self) -> int:
        return int(self._answer([(-1, 0.5), (1, 0.5)]))

    def permutation(self, count: int) -> list[int]:
        left = list(range(count))
        return [left.pop(self.integers(len(left))) for _ in range(count)]

    def choice(self, weights: Sequence[float]) -> int:
        total = sum(weights)
        possible = [(index, weight / total) for index, weight in enumerate(weights) if weight > 0]
        return int(self._answer(possible)) if possible else super().choice(weights)


def weighted_outcomes(transform: Any, scene: Scene, most: int) -> list[tuple[float, tuple[Any, ...]]] | None:
    """What `sample` may return for this scene, as (probability, ops and steps) pairs whose probabilities sum to one.

    Equal results are one. None if a draw is continuous, or if there are more than `most` results. Raises whatever
    `sample` raises.
    """
    found: list[tuple[float, tuple[Any, ...]]] = []
    answers: list[int] = []
    for _ in range(_MOST_DRAWS_EACH * most):
        rng = _DiscreteDraws(answers, most)
        try:
            result = transform.sample(rng, scene)
        except RandomDrawError:
            return None
        _add(found, rng.probability, result if isinstance(result, tuple) else (result,))
        if len(found) > most:
            return None
        answers = rng.answers
        while answers and answers[-1] + 1 == len(rng.options[len(answers) - 1]):  # the last result of this draw
            answers.pop()
        if not answers:
            return found
        answers[-1] += 1
    return None


def _add(found: list[tuple[float, tuple[Any, ...]]], probability: float, result: tuple[Any, ...]) -> None:
    for place, (known, other) in enumerate(found):
        if same_results(other, result):
            found[place] = (known + probability, other)
            return
    found.append((probability, result))


def same_results(one: Sequence[Any], other: Sequence[Any]) -> bool:
    """Whether two results, of ops and steps, do the same."""
    return len(one) == len(other) and all(map(_same, one, other))


def _same(one: Any, other: Any) -> bool:
    try:
        return one is other or (isinstance(one, Op) and bool(one == other))
    except ValueError:  # a parameter of a plugin's function is an array
        return False
