"""How many observations are averaged: a fixed number, or as many as a wanted standard error takes.

A rule that stops as soon as the estimated standard error is small stops more often where it is estimated too low, and
its intervals cover the truth less often than they say. Three things keep the coverage: a pilot of at least 16
observations, checks only where the number has doubled, and intervals by Student's t.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["PILOT", "Stopping", "counts"]

PILOT = 16


@dataclass(frozen=True)
class Stopping:
    """How many observations: at these counts, in order, images whose standard error is at most `until` are done."""

    counts: tuple[int, ...]
    until: float | None = None


def counts(cells: int, samples: int, until: float | None, max_samples: int) -> Stopping:
    """The numbers of observations; one observation takes `cells` forward passes.

    Raises ValueError if less than two observations are allowed, from which no standard error can be computed.
    """
    least, most = samples // cells, max_samples // cells
    if least < 2:
        raise ValueError(
            f"samples={samples} is too few: one observation takes {cells} forward passes (views times models), and "
            f'the standard error needs two. Give samples={2 * cells} or more, fewer views=, or over="image" for exact '
            "views without the noise of the model"
        )
    if until is None:
        return Stopping((least,))
    found = [min(max(least, PILOT), most)]
    while found[-1] < most:
        found.append(min(2 * found[-1], most))
    return Stopping(tuple(found), until)
