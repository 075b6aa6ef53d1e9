"""Quadrature nodes: the few weighted results by which the noise of a step can be replaced.

A step whose draws are discrete has its possible results for nodes, with their probabilities: a flip has two, `rot90`
four, `d4` eight. Then the weighted mean over the nodes is the exact expectation. A transform with a method
`quadrature(scene)` declares nodes that approximate it, such as five crops. The probability `p` of a step is a further
node: the step is not applied. All other steps have no nodes: their numbers are drawn.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from augreg.ops import Scene
from augreg.steps.enumeration import weighted_outcomes
from augreg.steps.rules import is_random
from augreg.steps.step import Step

__all__ = ["Node", "StepNodes", "is_noisy", "nodes_of"]

_MOST_NODES: Final = 16
"""A step with more possible results is drawn, or has the nodes that it declares."""


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


def _nodes_of(step: Step, scene: Scene) -> StepNodes | None:
    p = min(step.p, 1.0)
    if p <= 0.0:  # at the end of a schedule
        return StepNodes((Node(1.0, (), applied=False),), exact=True)
    found = weighted_outcomes(step.transform, scene, _MOST_NODES)
    exact = found is not None
    if found is None:
        declared = getattr(step.transform, "quadrature", None)
        if declared is None:
            return None
        found = _declared(declared(scene))
        if not found:
            return None
    nodes = [Node(p * weight, result) for weight, result in found]
    if p < 1.0:
        nodes.insert(0, Node(1.0 - p, (), applied=False))
    return StepNodes(tuple(nodes), exact)


def _declared(pairs: Iterable[tuple[float, Any]]) -> list[tuple[float, tuple[Any, ...]]]:
    """What `quadrature` returns, with tuples for results. Raises ValueError for weights that are none."""
    found = [(weight, result if isinstance(result, tuple) else (result,)) for weight, result in pairs]
    weights = [weight for weight, _ in found]
    if found and not (min(weights) > 0.0 and abs(math.fsum(weights) - 1.0) < 1e-6):
        raise ValueError(f"quadrature returned the weights {weights}; they must be positive and sum to one")
    return found


_remembered = functools.lru_cache(maxsize=256)(_nodes_of)


def nodes_of(step: Step, scene: Scene) -> StepNodes | None:
    """The nodes of a step for this scene, which are found once; None if its numbers must be drawn."""
    try:
        return _remembered(step, scene)
    except TypeError:  # an argument of a plugin's transform cannot be hashed
        return _nodes_of(step, scene)
