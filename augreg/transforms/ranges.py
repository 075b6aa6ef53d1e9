"""Bounds of ranges, for the `check` of transforms."""

from __future__ import annotations

import math
from collections.abc import Sequence

__all__ = ["check_fraction", "check_positive", "check_range", "check_weights", "nearest"]


def check_range(
    name: str, values: tuple[float, float], low: float, high: float, unit: str = "", whole: float = 0.0
) -> None:
    """Raise ValueError unless a range [start, stop] is within two bounds.

    `whole` is what 1 is on another scale in use, such as 255 or 360, for the suggestion of the error.
    """
    if values[0] < low or values[1] > high:
        hint = _divided(values, low, high, whole) or nearest([min(max(value, low), high) for value in values])
        raise ValueError(f"{name} must be between {low:g} and {high:g}{unit}, got {list(values)}{hint}")


def nearest(values: Sequence[float]) -> str:
    """The hint with the allowed range that is nearest."""
    return f"; the nearest is {_short(values)}"


def _short(values: Sequence[float]) -> str:
    """A range as a spec has it: a single number if both ends are the same."""
    shown = [str(int(value)) if float(value).is_integer() else repr(value) for value in values]
    return shown[0] if shown[0] == shown[1] else f"[{', '.join(shown)}]"


def _divided(values: tuple[float, float], low: float, high: float, whole: float) -> str:
    """The hint with a range on the right scale; "" if it is not on the other one either."""
    divided = [float(f"{value / whole:.4g}") for value in values] if whole else []
    if not divided or max(map(abs, values)) < 2 or divided[0] < low or divided[1] > high:
        return ""
    return f"; did you mean {_short(divided)}? This is {_short(values)} / {whole:g}"


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
        percent = _divided(values, 1e-6, 1, 100)
        raise ValueError(f"{name} must lie in (0, 1], got {list(values)}{percent}")
