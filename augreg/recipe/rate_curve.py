"""The best rate on a curve of losses over rates, and the range of rates that are about as good, despite noise.

The lowest single loss is no good estimate: where the curve is flat, noise decides. Here a parabola is fitted at each
place of the log rate, with weights that fall within a third of a decade (local regression, Cleveland 1979), and the
best rate is the middle of the range in which the fitted loss is within 3 % of its fall from the lowest.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["BestRate", "best_rate"]

_BANDWIDTH = 0.35  # decades
_NEARBY = 0.5  # decades
_NEAR = 0.03  # of the fall from the loss at the start to the lowest
_ERRORS = 2.0  # standard errors by which the range is wider
_CAP = 1.2  # times the loss at the start: losses above it are all as bad
_PLACES = 200
_RIDGE = 1e-9  # for places with few rates around


Places = NDArray[np.float64]


class BestRate(NamedTuple):
    """The best rate, and the range of rates that cannot be told from it. `fitted` is the loss at the best rate.

    `noise` is the standard deviation of the losses around the fit there.
    """

    rate: float
    low: float
    high: float
    fitted: float
    noise: float


def best_rate(rates: Sequence[float], losses: Sequence[float], start: float) -> BestRate:
    """The rate with the lowest loss. `start` is the loss before training; losses may be NaN or infinite.

    Raises ValueError if there are fewer than four rates, or one that is not positive.
    """
    if len(rates) < 4 or len(rates) != len(losses) or min(rates) <= 0:
        raise ValueError(
            f"expected at least four positive rates with a loss each, got {len(rates)} and {len(losses)}"
        )
    order = np.argsort(rates, kind="stable")
    places = np.log10(np.asarray(rates, float))[order]
    values, end = _usable(np.asarray(losses, float)[order], start)
    diverges = places[min(end, len(places) - 1)]
    places, values = places[:end], values[:end]
    grid = np.linspace(places[0], places[-1], _PLACES)
    fitted, error, noise = _fit(places, values, grid)
    lowest = int(fitted.argmin())
    fall = max(start - fitted[lowest], 0.0)
    first, last = _around(fitted <= fitted[lowest] + _NEAR * fall, lowest)
    low, high = _around(fitted - _ERRORS * error <= fitted[lowest] + _NEAR * fall, lowest)
    # where the loss is low up to the last rate before training diverges, it is low up to somewhere between the two
    best = (grid[first] + (grid[last] if last < _PLACES - 1 else (grid[last] + diverges) / 2)) / 2
    best = min(best, places[-1])  # a rate above all that were seen to train may diverge
    highest = grid[high] if high < _PLACES - 1 else diverges
    rate, least, most = (float(10.0**each) for each in (best, min(grid[low], best), highest))
    return BestRate(rate, least, most, float(np.interp(best, grid, fitted)), float(noise[lowest]))


def _usable(losses: Places, start: float) -> tuple[Places, int]:
    """The losses, cut off above that at the start, and how many come before training diverges.

    It diverges at the first rate beyond the lowest loss with a loss above that at the start: no parabola fits there.
    """
    limit = _CAP * abs(start)
    values = np.minimum(np.where(np.isfinite(losses), losses, limit), limit)
    worse = np.flatnonzero(~(losses <= start) & (np.arange(len(values)) > values.argmin()))
    return values, max(int(worse[0]) if len(worse) else len(values), 4)


def _fit(places: Places, values: Places, grid: Places) -> tuple[Places, Places, Places]:
    """The fit and its standard error at the places of a grid, and the standard deviation of the residuals.

    The standard error is that of the residuals nearby: where runs diverge, no parabola fits.
    """
    at_places = _weights(places, places)
    residuals = values - at_places @ values
    freedom = len(places) / max(1.0, len(places) - float(np.trace(2 * at_places - at_places @ at_places.T)))
    rows = _weights(places, grid)
    near = np.exp(-0.5 * ((grid[:, None] - places) / _NEARBY) ** 2)
    local = np.sqrt(freedom * (near @ residuals**2) / near.sum(1))
    return rows @ values, local * np.sqrt((rows**2).sum(1)), local


def _weights(places: Places, grid: Places) -> Places:
    """For each place of a grid, the weights of the values in the local fit there."""
    distances = places - grid[:, None]
    near = np.exp(-0.5 * (distances / _BANDWIDTH) ** 2)
    powers = distances[:, :, None] ** np.arange(3)
    weighted = powers * near[:, :, None]
    squares = weighted.transpose(0, 2, 1) @ powers + _RIDGE * np.eye(3)
    rows: Places = np.linalg.solve(squares, weighted.transpose(0, 2, 1))[:, 0].astype(np.float64)
    return rows


def _around(inside: NDArray[np.bool_], index: int) -> tuple[int, int]:
    """The ends of the run of True that contains an index."""
    first = last = index
    while first > 0 and inside[first - 1]:
        first -= 1
    while last < len(inside) - 1 and inside[last + 1]:
        last += 1
    return first, last
