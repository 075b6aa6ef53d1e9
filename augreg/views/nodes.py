"""Quadrature nodes: the few weighted results by which the noise of a step can be replaced, and their products.

A step whose draws are discrete has its possible results for nodes, with their probabilities: a flip has two, `rot90`
four, `d4` eight. Then the weighted mean over the nodes is the exact expectation. A transform with a method
`quadrature(scene)` declares nodes that approximate it, such as five crops. The probability `p` of a step is a further
node: the step is not applied. All other steps have no nodes: their numbers are drawn.
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

from augreg.execution.sampling import Drawn, Entry, by_test_rule, draw
from augreg.ops import Op, Scene
from augreg.steps.enumeration import weighted_outcomes
from augreg.steps.rules import is_random
from augreg.steps.step import Step

__all__ = ["Combination", "Node", "StepNodes", "combinations", "is_noisy", "nodes_of"]

_MOST_NODES: Final = 16
"""A step with more possible results is drawn, or has the nodes that it declares."""
_MOST_COMBINATIONS: Final = 64
"""The nodes of so many combinations are used; the steps after them are drawn."""
_MOST_POINTS: Final = 1024


class Node(NamedTuple):
    """One result of a step, as `sample` returns it, and its weight. Without `applied` the step is left out."""

    weight: float
    result: tuple[Any, ...]
    applied: bool = True


class StepNodes(NamedTuple):
    """The nodes of a step; `exact` says whether they are all of its possible results."""

    nodes: tuple[Node, ...]
    exact: bool


def is_noisy(step: Step, path: str, only: tuple[str, ...] | None) -> bool:
    """Whether the views have the noise of a step: it is random, and it is named, or inside one that is named."""
    named = only is None or any(path == one or path.startswith(f"{one}/") for one in only)
    return named and is_random(step)


def nodes_of(step: Step, scene: Scene) -> StepNodes | None:
    """The nodes of a step for this scene; None if its numbers must be drawn."""
    p = min(step.p, 1.0)
    found = weighted_outcomes(step.transform, scene, _MOST_NODES)
    exact = found is not None
    if found is None:
        declared = getattr(step.transform, "quadrature", None)
        if declared is None:
            return None
        found = [(weight, result if isinstance(result, tuple) else (result,)) for weight, result in declared(scene)]
        if not found:
            return None
    nodes = [Node(p * weight, result) for weight, result in found]
    if p < 1.0:
        nodes.insert(0, Node(1.0 - p, (), applied=False))
    return StepNodes(tuple(nodes), exact)


class Combination(NamedTuple):
    """One node of each step that has nodes: the path of the step and the number of the node.

    `declared` is the weight of the declared nodes among them alone. `drawn` says whether other steps are drawn,
    `exact` whether the nodes are all possible results of their steps, and `ops` are the merged ops, with the
    test-time rules in place of the steps that are drawn.
    """

    weight: float
    declared: float
    choices: tuple[tuple[str, int], ...]
    drawn: bool
    exact: bool
    ops: tuple[Op, ...]


class _Exploring:
    """The choices of one combination: the given node numbers, and the first node of each step after those."""

    epoch = 0

    def __init__(self, answers: list[int], only: tuple[str, ...] | None) -> None:
        self.answers = answers
        self.counts: list[int] = []
        self.paths: list[str] = []
        self.weight = self.declared = 1.0
        self.product = 1
        self.drawn = False
        self.exact = True
        self._only = only

    def take(self, step: Step, scene: Scene, entry: Entry, parent: Entry | None) -> Any:
        if not is_noisy(step, entry.path, self._only):
            return by_test_rule(step, scene, entry, parent)
        found = nodes_of(step, scene)
        if found is None or self.product * len(found.nodes) > _MOST_COMBINATIONS:
            self.drawn = True
            return by_test_rule(replace(step, test=None), scene, entry, parent)
        place = len(self.paths)
        if place == len(self.answers):
            self.answers.append(0)
        node = found.nodes[self.answers[place]]
        self.paths.append(entry.path)
        self.counts.append(len(found.nodes))
        self.weight *= node.weight
        self.product *= len(found.nodes)
        if not found.exact:
            self.declared *= node.weight
            self.exact = False
        entry.applied = node.applied
        return node.result


def combinations(
    steps: Iterable[Step], scene: Scene, only: tuple[str, ...] | None, merged: Callable[[Drawn], tuple[Op, ...]]
) -> list[Combination]:
    """All combinations of nodes, the important ones first. The weights sum to one.

    Those of the heaviest declared nodes come first. Among them, a van der Corput sequence goes through the
    probabilities, so that the beginning of the list has all results of each step about as often as they are drawn.
    Combinations that do the same are one.
    """
    found: dict[Any, Combination] = {}
    for one in _in_order(list(_all(steps, scene, only, merged))):
        same = one.choices if one.drawn else one.ops
        first = found.get(same)
        if first is not None:
            one = first._replace(weight=first.weight + one.weight, exact=first.exact and one.exact)
        found[same] = one
    return list(found.values())


def _all(
    steps: Iterable[Step], scene: Scene, only: tuple[str, ...] | None, merged: Callable[[Drawn], tuple[Op, ...]]
) -> Iterator[Combination]:
    answers: list[int] = []
    while True:
        one = _Exploring(answers, only)
        drawn = draw(steps, scene, one)
        unknown = any(isinstance(item, Step) for item, _ in drawn.deferred)  # steps after an op of unknown size
        choices = tuple(zip(one.paths, one.answers, strict=True))
        yield Combination(one.weight, one.declared, choices, one.drawn or unknown, one.exact, merged(drawn))
        answers = one.answers
        while answers and answers[-1] + 1 == one.counts[len(answers) - 1]:
            answers.pop()
        if not answers:
            return
        answers[-1] += 1


def _in_order(found: Sequence[Combination]) -> list[Combination]:
    groups: dict[float, list[Combination]] = {}
    for one in found:
        groups.setdefault(round(one.declared, 12), []).append(one)
    ordered = []
    for weight in sorted(groups, reverse=True):
        group = sorted(groups[weight], key=lambda one: [number for _, number in reversed(one.choices)])
        ordered += [group[place] for place in _spread([one.weight for one in group])]
    return ordered


def _spread(weights: Sequence[float]) -> list[int]:
    """All places in an order in which each beginning is spread over the weights.

    It is the order in which the van der Corput sequence comes to them, where the places have intervals as long as
    their weights, side by side. Places that it has not come to after many points follow, the heavy ones first.
    """
    total = sum(weights)
    ends = [round(end / total, 12) for end in itertools.accumulate(weights)]
    last = len(ends) - 1
    points = map(_van_der_corput, range(_MOST_POINTS if last else 1))
    visited = dict.fromkeys(min(bisect.bisect_right(ends, point), last) for point in points)
    rare = sorted(set(range(len(ends))) - set(visited), key=lambda place: -weights[place])
    return [*visited, *rare]


def _van_der_corput(number: int) -> float:
    """The number with its binary digits behind the point, in reverse: 0, 1/2, 1/4, 3/4, 1/8, .."""
    digits = f"{number:b}"
    return int(digits[::-1], 2) / (1 << len(digits))
