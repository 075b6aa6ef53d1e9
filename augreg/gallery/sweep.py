"""Sweep a transform through its range: every random draw is replaced by the same quantile of its distribution.

At 0 every draw is as low as possible, at 1 as high as possible, and at 0.5 in the middle. This shows the range of
any transform without knowing its arguments.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import Any

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from augreg.backends import Backend
from augreg.execution.run import run_ops
from augreg.gallery.step_by_step import scene_of
from augreg.ops import Op, Scene
from augreg.steps.step import Step

__all__ = ["QuantileCursor", "at_quantile", "is_deterministic"]

_MOST_DRAWS = 10_000
_TAIL = 0.02  # a normal distribution is unbounded: 0 and 1 become these quantiles


class QuantileCursor:
    """A replacement for the cursor that `sample` receives: every draw is the quantile `at`."""

    def __init__(self, at: float) -> None:
        self.at = at
        self.draws = 0

    def _drawn(self) -> float:
        self.draws += 1
        if self.draws > _MOST_DRAWS:  # a loop that waits for another draw would never end
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

    def randoms(self, count: int) -> NDArray[Any]:
        return np.array([self.random() for _ in range(count)])

    def choice(self, weights: Sequence[float]) -> int:
        possible = [index for index, weight in enumerate(weights) if weight > 0]
        threshold, total = self._drawn() * math.fsum(weights), 0.0
        for index in possible:
            total += weights[index]
            if threshold < total:
                return index
        return possible[-1]


def is_deterministic(transform: Any, scene: Scene) -> bool:
    """Whether a transform does the same to every image of this size, without any random draw."""
    cursor = QuantileCursor(0.5)
    sampled = transform.sample(cursor, scene)
    parts = sampled if isinstance(sampled, tuple) else (sampled,)
    return cursor.draws == 0 and all(isinstance(part, Op) for part in parts)


def at_quantile(transform: Any, image: NDArray[Any], at: float, engine: Backend) -> tuple[NDArray[Any], list[Op]]:
    """The image after a transform with all draws at one quantile, and the ops that were applied."""
    scene = scene_of(image)
    deferred: list[Any] = [Step(transform, transform.__augreg__.name)]
    done: list[Op] = []
    while deferred:
        item = deferred.pop()
        if isinstance(item, Op):
            image = run_ops([item], image, engine)
            done.append(item)
            height, width, channels = image.shape
            # the size is that of the image: an op may not know it in advance
            scene = replace(item.after(scene), height=height, width=width, channels=channels)
            continue
        cursor = QuantileCursor(at)
        if cursor.bernoulli(item.p):
            sampled = item.transform.sample(cursor, scene)
            deferred += reversed(sampled) if isinstance(sampled, tuple) else [sampled]
    return image, done
