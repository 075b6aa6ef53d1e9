"""How many observations are averaged: a fixed number, or as many as a wanted standard error takes.

A rule that stops as soon as the estimated standard error is small stops more often where it is estimated too low, and
its intervals cover the truth less often than they say. Three things keep the coverage: a pilot of at least 16
observations, checks only where the number has doubled, and intervals by Student's t.
"""

from __future__ import annotations

from augreg.expectation.sampling import Stopping

__all__ = ["PILOT", "observation_counts"]

PILOT = 16


def observation_counts(draws: bool, cells: int, samples: int, until: float | None, max_samples: int) -> Stopping:
    """The numbers of observations; one observation takes `cells` forward passes, exact views times models.

    Without anything that draws, one observation is exact. Raises ValueError if less than two observations are allowed.
    """
    if not draws:
        return Stopping((1,))
    least, most = samples // cells, max_samples // cells
    if least < 2:
        raise ValueError(
            f"samples={samples} for {cells} views and models gives each {least} draws of the noise, and the standard "
            f'error needs 2: give samples={2 * cells} or more, fewer views=, or over="image" without the noise'
        )
    if until is None:
        return Stopping((least,))
    counts = [max(least, PILOT)]
    while counts[-1] < most:
        counts.append(min(2 * counts[-1], most))
    return Stopping(tuple(counts), until)
