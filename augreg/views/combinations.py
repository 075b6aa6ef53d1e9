"""Combinations of quadrature nodes, one of each step that has them, and the order in which views have them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

from augreg.execution.sampling import Drawn, Entry, by_test_rule, draw
from augreg.ops import Op, Scene
from augreg.steps.step import Step
from augreg.views.low_discrepancy import sobol_point
from augreg.views.nodes import is_noisy, nodes_of

__all__ = ["Combination", "combinations"]

_MOST_COMBINATIONS: Final = 64
"""There are at most so many combinations: steps that would lead to more are drawn."""
_MOST_POINTS: Final = 256
_UNIT: Final = 2.0**-32

Merged = Callable[[Drawn], tuple[Op, ...]]
"""Returns the ops that run for a draw."""


class Combination(NamedTuple):
    """One node of each step that has nodes: `choices` are the path of each step and the number of its node.

    `drawn` says whether other steps are drawn, and `exact` whether the nodes are all possible results of their steps.
    `ops` are the merged ops, with the test-time rules in place of the steps that are drawn. `importance` and
    `intervals` are for the order: the weight and the numbers of the declared nodes, and for each of the others the
    interval that it has between 0 and 1, as long as its weight.
    """

    weight: float
    choices: tuple[tuple[str, int], ...]
    drawn: bool
    exact: bool
    ops: tuple[Op, ...]
    importance: tuple[Any, ...]
    intervals: tuple[tuple[float, float], ...]


class _Exploring:
    """The choices of one combination: the given node numbers, and the first node of each step after those."""

    epoch = 0

    def __init__(self, answers: list[int], only: tuple[str, ...] | None) -> None:
        self.answers = answers
        self.counts: list[int] = []
        self.paths: list[str] = []
        self.weight = 1.0
        self.drawn = False
        self.declared: list[tuple[float, int]] = []
        self.intervals: list[tuple[float, float]] = []
        self._product = 1
        self._only = only

    def take(self, step: Step, scene: Scene, entry: Entry, parent: Entry | None) -> Any:
        if not is_noisy(step, entry.path, self._only):
            return by_test_rule(step, scene, entry, parent)
        found = nodes_of(step, scene)
        if found is None or self._product * len(found.nodes) > _MOST_COMBINATIONS:
            self.drawn = True
            return by_test_rule(replace(step, test=None), scene, entry, parent)
        place = len(self.paths)
        if place == len(self.answers):
            self.answers.append(0)
        number = self.answers[place]
        node = found.nodes[number]
        self.paths.append(entry.path)
        self.counts.append(len(found.nodes))
        self._product *= len(found.nodes)
        self.weight *= node.weight
        if not found.exact:
            self.declared.append((node.weight, number))
        elif len(found.nodes) > 1:
            below = sum(other.weight for other in found.nodes[:number])
            self.intervals.append((round(below, 12), round(below + node.weight, 12)))
        return node.result


def combinations(
    steps: Iterable[Step], scene: Scene, only: tuple[str, ...] | None, merged: Merged
) -> list[Combination]:
    """All combinations of nodes, in the order of the views. Their weights sum to one.

    The declared nodes come by weight, and in the order in which they are declared: the center crop before the
    corners. For each of these, the points of a Sobol sequence, with one coordinate for each of the other steps, go
    through the combinations, so that the first ones have each result of each step about as often as it is drawn.
    Combinations that do the same are one.
    """
    found: dict[Any, Combination] = {}
    for one in _in_order(_all(steps, scene, only, merged)):
        same = _what_it_does(one)
        first = found.get(same)
        if first is not None:
            one = first._replace(weight=first.weight + one.weight)
        found[same] = one
    return list(found.values())


def _what_it_does(one: Combination) -> Any:
    """Equal for combinations that do the same. What is drawn, and what cannot be hashed, differs from all others."""
    try:
        hash(one.ops)
    except TypeError:  # a parameter of a plugin's function is a list or an array
        return one.choices
    return one.choices if one.drawn else one.ops


def _all(steps: Iterable[Step], scene: Scene, only: tuple[str, ...] | None, merged: Merged) -> Iterator[Combination]:
    answers: list[int] = []
    while True:
        one = _Exploring(answers, only)
        drawn = draw(steps, scene, one)
        unknown = any(isinstance(item, Step) for item, _ in drawn.deferred)  # steps after an op of unknown size
        declared = math.prod(weight for weight, _ in one.declared)
        yield Combination(
            weight=one.weight,
            choices=tuple(zip(one.paths, one.answers, strict=True)),
            drawn=one.drawn or unknown,
            exact=not one.declared,
            ops=merged(drawn),
            importance=(-round(declared, 12), *(number for _, number in one.declared)),
            intervals=tuple(one.intervals),
        )
        answers = one.answers
        while answers and answers[-1] + 1 == one.counts[len(answers) - 1]:
            answers.pop()
        if not answers:
            return
        answers[-1] += 1


def _in_order(found: Iterable[Combination]) -> Iterator[Combination]:
    by_importance = sorted(found, key=lambda one: one.importance)
    for _, group in itertools.groupby(by_importance, key=lambda one: one.importance):
        yield from _spread(list(group))


def _spread(group: Sequence[Combination]) -> list[Combination]:
    """The combinations in the order in which the Sobol sequence comes to them, and last those that it does not."""
    left = sorted(group, key=lambda one: -one.weight)
    visited = []
    for number in range(_MOST_POINTS):
        point = [coordinate * _UNIT for coordinate in sobol_point(number)]
        for one in left:
            if all(low <= at < high for at, (low, high) in zip(point, one.intervals, strict=False)):
                visited.append(one)
                left.remove(one)
                break
        if not left:
            break
    return [*visited, *left]
