"""How many observations are averaged: a fixed number, or as many as a wanted standard error takes.

A rule that stops as soon as the estimated standard error is small stops more often where it is estimated too low, and
its intervals cover the truth less often than they say. Three things keep the coverage: a pilot of at least 32
observations, checks only where the number has doubled, and intervals by Student's t.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["PILOT", "Stopping", "counts"]

PILOT = 32


@dataclass(frozen=True)
class Stopping:
    """How many observations: at these counts, in order, images whose standard error is at most `until` are done."""

    counts: tuple[int, ...]
    until: float | None = None


def counts(cells: int, samples: int, until: float | None, most: int, name: str = "samples") -> Stopping:
    """The numbers of observations; one observation takes `cells` of the `samples`.

    Raises ValueError if less than two observations are allowed, from which no standard error can be computed.
    """
    least = samples // cells
    if least < 2:
        raise ValueError(
            f"{name}={samples} is too few: one observation takes {cells} (views times models), and the standard "
            f'error needs two. Give {name}={2 * cells} or more; fixed views without noise, over="image", need one'
        )
    if until is None:
        return Stopping((least,))
    found = [min(max(least, PILOT), most // cells)]
    while found[-1] < most // cells:
        found.append(min(2 * found[-1], most // cells))
    return Stopping(tuple(found), until)
