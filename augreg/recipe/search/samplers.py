"""Samplers that do not look at results: the point of a trial is a function of the seed and of the trial's number.

So each of many processes knows the point of a trial, and a search that was killed goes on with the same points.
`tpe`, which looks at results, is in optuna_sampler.py.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

import torch

from augreg.recipe.search.space import Choice, Range, Space
from augreg.training.rng_state import hashed_seed

__all__ = ["SAMPLERS", "grid", "grid_counts", "grid_points", "quasi_random", "uniform"]

Point = list[float]
"""A number from 0 to 1 for each parameter."""


def grid(space: Space, number: int, total: int, seed: int) -> Point | None:
    """A point of a grid with at most `total` points, evenly spaced and with both ends; None after the last one.

    Every parameter has about as many values as any other. One with a single value has the middle of its range.
    """
    counts = grid_counts(space, total)
    point = []
    for count, each in zip(counts, space.values(), strict=True):
        number, place = divmod(number, count)
        if isinstance(each, Choice):
            point.append((place + 0.5) / len(each.values))
        else:
            point.append(place / (count - 1) if count > 1 else 0.5)
    return None if number else point


def grid_counts(space: Space, total: int) -> list[int]:
    """How many values each parameter has in a grid: one more in turn, as long as there are at most `total` points."""
    most = [_different(each, total) for each in space.values()]
    counts = [1] * len(most)
    while True:
        open_places = [place for place in range(len(counts)) if counts[place] < most[place]]
        for place in sorted(open_places, key=lambda place: counts[place]):
            if _product(counts) // counts[place] * (counts[place] + 1) <= total:
                counts[place] += 1
                break
        else:
            return counts


def grid_points(space: Space, total: int) -> int:
    """How many points a grid with at most `total` points has; at least one."""
    return _product(grid_counts(space, total))


def uniform(space: Space, number: int, total: int, seed: int) -> Point:
    """Independent uniform numbers."""
    generator = random.Random(hashed_seed(seed, number))
    return [generator.random() for _ in space]


def quasi_random(space: Space, number: int, total: int, seed: int) -> Point:
    """A point of a Sobol sequence, scrambled by the seed: such points fill a space more evenly than random ones."""
    engine = torch.quasirandom.SobolEngine(len(space), scramble=True, seed=hashed_seed(seed) % 2**31)
    point: Point = engine.fast_forward(number).draw(1, dtype=torch.float64)[0].tolist()
    return point


SAMPLERS: Final[dict[str, Callable[[Space, int, int, int], Point | None]]] = {
    "grid": grid,
    "random": uniform,
    "quasi-random": quasi_random,
}
"""By name. Each gets the space, the number of the trial, how many there will be, and the seed."""


def _different(each: Range | Choice, total: int) -> int:
    """How many values a parameter has, up to `total`."""
    if isinstance(each, Choice):
        return min(len(each.values), total)
    return min(int(each.high - each.low) + 1, total) if each.integer else total


def _product(counts: list[int]) -> int:
    product = 1
    for count in counts:
        product *= count
    return product
