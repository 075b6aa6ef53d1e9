"""The receptive field along one axis: the interval of the input that each position of a feature map depends on.

After a convolution with stride s, neighboring positions see intervals s times as far apart as before, so the interval
is an affine function of the position. After a transposed convolution or an upsampling it is affine from period to
period only: with a period of P positions, position j sees

    intervals[j mod P] + (j div P) * jump

which is exact for every sequence of these operations. Borders are ignored, as usual for receptive fields: positions
in the padding count like any other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction

__all__ = ["AxisField", "Interval", "Window", "hull"]

Interval = tuple[int, int] | None
"""The first and the last position seen; None if nothing is seen."""


@dataclass(frozen=True)
class Window:
    """The input positions `taps(j)` that output position j of an operation depends on.

    They are periodic: `taps(j + outputs)` are `taps(j)`, each plus `inputs`.
    """

    taps: Callable[[int], Iterable[int]]
    outputs: int
    inputs: int


@dataclass(frozen=True)
class AxisField:
    """The intervals that the positions along an axis see, by the formula above. With a jump of 0 all are the same."""

    intervals: tuple[Interval, ...]
    jump: int

    @property
    def stride(self) -> Fraction:
        """The mean distance between the intervals of neighboring positions."""
        return Fraction(self.jump, len(self.intervals))

    def at(self, position: int) -> Interval:
        """The interval that one position sees."""
        period, phase = divmod(position, len(self.intervals))
        interval = self.intervals[phase]
        return None if interval is None else (interval[0] + period * self.jump, interval[1] + period * self.jump)

    def through(self, window: Window) -> AxisField:
        """The field of the outputs of an operation applied to this one."""
        repeats = len(self.intervals) // math.gcd(len(self.intervals), window.inputs) if window.inputs else 1
        intervals = tuple(hull(map(self.at, window.taps(j))) for j in range(window.outputs * repeats))
        return AxisField(intervals, window.inputs * repeats * self.jump // len(self.intervals)).shortest()

    def shortest(self) -> AxisField:
        """The same field, written with the shortest period."""
        count = len(self.intervals)
        for period in range(1, count):
            if count % period == 0 and self.jump * period % count == 0:
                short = AxisField(self.intervals[:period], self.jump * period // count)
                if all(short.at(j) == interval for j, interval in enumerate(self.intervals)):
                    return short
        return self

    def over(self, positions: Iterable[int]) -> AxisField:
        """The same interval for all positions: the union of what some positions see."""
        return AxisField((hull(map(self.at, positions)),), 0)

    def joined(self, other: AxisField) -> AxisField:
        """The union with another field along the same axis. Raises ValueError if their strides differ."""
        if self.stride != other.stride:
            raise ValueError(f"it merges branches with strides {self.stride} and {other.stride}")
        period = math.lcm(len(self.intervals), len(other.intervals))
        intervals = tuple(hull((self.at(j), other.at(j))) for j in range(period))
        return AxisField(intervals, self.jump * period // len(self.intervals)).shortest()

    @property
    def size(self) -> int:
        """The length of the longest interval."""
        return max(0 if interval is None else interval[1] - interval[0] + 1 for interval in self.intervals)


def hull(intervals: Iterable[Interval]) -> Interval:
    """The shortest interval that contains all of these."""
    seen = [interval for interval in intervals if interval is not None]
    return (min(first for first, _ in seen), max(last for _, last in seen)) if seen else None
