"""Bounds of ranges, for the `check` of transforms."""

from __future__ import annotations

__all__ = ["check_fraction", "check_range"]


def check_range(name: str, values: tuple[float, float], low: float, high: float, unit: str = "") -> None:
    """Raise ValueError unless a range [start, stop] is within two bounds."""
    if values[0] < low or values[1] > high:
        raise ValueError(f"{name} must be between {low:g} and {high:g}{unit}, got {list(values)}")


def check_fraction(name: str, values: tuple[float, float]) -> None:
    """Raise ValueError unless a range is within (0, 1]."""
    if not 0 < values[0] <= values[1] <= 1:
        raise ValueError(f"{name} must lie in (0, 1], got {list(values)}")
