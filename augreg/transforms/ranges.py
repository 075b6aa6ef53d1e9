"""Bounds of ranges, for the `check` of transforms."""

from __future__ import annotations

import math

__all__ = ["check_fraction", "check_positive", "check_range", "check_weights"]


def check_range(name: str, values: tuple[float, float], low: float, high: float, unit: str = "") -> None:
    """Raise ValueError unless a range [start, stop] is within two bounds."""
    if values[0] < low or values[1] > high:
        raise ValueError(f"{name} must be between {low:g} and {high:g}{unit}, got {list(values)}")


def check_positive(name: str, values: tuple[float, float]) -> None:
    """Raise ValueError unless a range of factors or ratios is within [1e-6, 1e6].

    Beyond, the sides of a box or the determinant of a map would be no numbers.
    """
    if values[0] <= 0:
        raise ValueError(f"{name} must be positive, got {list(values)}")
    check_range(name, values, 1e-6, 1e6)


def check_weights(weights: tuple[float, ...], count: int, what: str) -> None:
    """Raise ValueError unless weights are given for all, some of them is positive, and their sum is finite."""
    if weights and len(weights) != count:
        raise ValueError(f"there are {count} {what} and {len(weights)} weights")
    if weights and not sum(weights):
        raise ValueError("at least one weight must be positive")
    if not math.isfinite(sum(weights)):
        raise ValueError(f"the weights must have a finite sum, got {list(weights)}")


def check_fraction(name: str, values: tuple[float, float]) -> None:
    """Raise ValueError unless a range is within (0, 1]."""
    if not 0 < values[0] <= values[1] <= 1:
        raise ValueError(f"{name} must lie in (0, 1], got {list(values)}")
