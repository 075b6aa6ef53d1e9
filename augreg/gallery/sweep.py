"""A stand-in for chance: every draw at the same quantile of its range, so that a transform can be swept.

At 0 every draw is as low as it can be, at 1 as high, and at 0.5 in the middle: what a transform does over its
whole range, without knowing anything about it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import Any

from msgspec.structs import replace
from numpy.typing import NDArray

from augreg.backends import Backend
from augreg.execution.run import run_ops
from augreg.gallery.step_by_step import scene_of
from augreg.ops import Op, Scene
from augreg.steps.step import Step

__all__ = ["Quantile", "at_quantile", "draws_nothing"]

_MOST_DRAWS = 10_000
_TAIL = 0.02  # a normal has no lowest number: its ends are taken to be here


class Quantile:
    """Answers like the cursor that `sample` gets, from one number instead of a stream."""

    def __init__(self, at: float) -> None:
        self.at = at
        self.draws = 0

    def _drawn(self) -> float:
        self.draws += 1
        if self.draws > _MOST_DRAWS:  # it tries until a draw suits it, and these never change
            raise ValueError(f"took more than {_MOST_DRAWS} draws at one quantile; give the transform a `preview`")
        return self.at

    def bits(self) -> int:
        return min(int(self._drawn() * 2.0**64), 2**64 - 1)

    def bernoulli(self, p: float) -> bool:
        return p > 0.0 and self._drawn() >= 1.0 - p

    def random(self) -> float:
        return min(self._drawn(), 1.0 - 2.0**-53)

    def uniform(self, low: float, high: float) -> float:
        return low + (high - low) * self._drawn()

    def integers(self, stop: int) -> int:
        return round(self._drawn() * (stop - 1))

    def sign(self) -> int:
        return -1 if self._drawn() < 0.5 else 1

    def normal(self, mean: float = 0.0, std: float = 1.0) -> float:
        return NormalDist().inv_cdf(min(max(self._drawn(), _TAIL), 1.0 - _TAIL)) * std + mean

    def permutation(self, count: int) -> list[int]:
        first = round(self._drawn() * (count - 1)) if count else 0
        return [*range(first, count), *range(first)]

    def choice(self, weights: Sequence[float]) -> int:
        possible = [index for index, weight in enumerate(weights) if weight > 0]
        mark, total = self._drawn() * math.fsum(weights), 0.0
        for index in possible:
            total += weights[index]
            if mark < total:
                return index
        return possible[-1]


def draws_nothing(transform: Any, scene: Scene) -> bool:
    """Whether a transform does the same to every image of this size, whatever chance says."""
    chance = Quantile(0.5)
    found = transform.sample(chance, scene)
    parts = found if isinstance(found, tuple) else (found,)
    return chance.draws == 0 and all(isinstance(part, Op) for part in parts)


def at_quantile(transform: Any, image: NDArray[Any], at: float, engine: Backend) -> tuple[NDArray[Any], list[Op]]:
    """The image after a transform whose draws all sit at one quantile, and the ops that this meant."""
    scene = scene_of(image)
    deferred: list[Any] = [Step(transform, transform.__augreg__.name)]
    done: list[Op] = []
    while deferred:
        what = deferred.pop()
        if isinstance(what, Op):
            image = run_ops([what], image, engine)
            done.append(what)
            height, width, channels = image.shape
            # the image knows its size best: an op may leave one that it did not say
            scene = replace(what.after(scene), height=height, width=width, channels=channels)
            continue
        chance = Quantile(at)
        if chance.bernoulli(what.p):
            found = what.transform.sample(chance, scene)
            deferred += reversed(found) if isinstance(found, tuple) else [found]
    return image, done
