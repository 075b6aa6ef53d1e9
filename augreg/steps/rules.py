"""The test-time rule of a step, and the quantity for which that rule gives the exact expectation.

A step that draws nothing is done at test time exactly as in training. That is true of a class whose `sample` never
draws, and of any class whose arguments leave no choice: `rotate: {degrees: [90, 90]}`, or `one_of` with one child. It
is found out by sampling with `FixedDraws`, which answers only the draws that have one possible result. So the
arguments decide, and a class of a plugin is treated as ours are.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, Final

from augreg.ops import Scene
from augreg.rng import Cursor
from augreg.steps.step import Step

__all__ = ["PROBES", "FixedDraws", "RandomDrawError", "exact_for", "fixed_rule_and_exactness", "is_fixed", "rule_of"]

PROBES: Final = (
    Scene(61, 83),  # a size that is right for one of the first two may be wrong for the other
    Scene(97, 64),
    Scene(80, 80, channels=1, dtype="float32", boxes=((9.0, 12.0, 40.0, 31.0),)),
    Scene(600, 800, channels=4, alpha=True),
)
"""Scenes on which steps are tried out when a spec is read."""

_EVERYTHING: Final = "everything: nothing is random"


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
        super().__init__((0, 0), 0, 0, 0, 0)

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


def is_fixed(transform: Any) -> bool:
    """Whether a transform draws nothing with the arguments that it has. A container may have random children."""
    try:
        return _is_fixed(transform)
    except TypeError:  # a plugin's argument that cannot be hashed
        return _is_fixed.__wrapped__(transform)


@functools.lru_cache(maxsize=1024)
def _is_fixed(transform: Any) -> bool:
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


def exact_for(step: Step, rule: str) -> str:
    """The quantity for which a rule gives the exact expectation of what this image step does in training."""
    info = step.transform.__augreg__
    if (rule == "identity" and step.p == 0.0) or (rule == "same" and step.p == 1.0):
        return _EVERYTHING
    if rule != info.rule:
        return "what each child is exact for" if rule == "children" else "nothing"
    return info.exact or "nothing"


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
