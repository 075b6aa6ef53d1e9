"""Which stretch of an input axis each position along an axis of a feature map depends on.

A convolution with stride s moves its stretch s times as far per position, so a stretch is an affine function of the
position. Behind a transposed convolution or an enlargement it is affine from period to period only: with a period
of P positions, position j sees

    spans[j mod P] + (j div P) * jump

which is exact for every chain of these. Borders are not considered: a position over the border counts like any other,
as the receptive fields of the literature do.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction

__all__ = ["Extent", "Span", "Window", "hull"]

Span = tuple[int, int] | None
"""The first and the last position seen; None where nothing is seen."""


@dataclass(frozen=True)
class Window:
    """Which positions of its input each output position of an operation takes: `taps(j)`.

    It repeats: `taps(j + outputs)` is `taps(j)`, each plus `inputs`.
    """

    taps: Callable[[int], Iterable[int]]
    outputs: int
    inputs: int


@dataclass(frozen=True)
class Extent:
    """The stretches that the positions along an axis see; see the formula above. A jump of 0: all see the same."""

    spans: tuple[Span, ...]
    jump: int

    @property
    def stride(self) -> Fraction:
        """How far the stretch moves from one position to the next, on average."""
        return Fraction(self.jump, len(self.spans))

    def at(self, position: int) -> Span:
        """What one position sees."""
        period, phase = divmod(position, len(self.spans))
        span = self.spans[phase]
        return None if span is None else (span[0] + period * self.jump, span[1] + period * self.jump)

    def through(self, window: Window) -> Extent:
        """What the outputs of an operation see, whose inputs see this."""
        repeats = len(self.spans) // math.gcd(len(self.spans), window.inputs) if window.inputs else 1
        spans = tuple(hull(map(self.at, window.taps(j))) for j in range(window.outputs * repeats))
        return Extent(spans, window.inputs * repeats * self.jump // len(self.spans)).shortest()

    def shortest(self) -> Extent:
        """The same with the shortest period."""
        count = len(self.spans)
        for period in range(1, count):
            if count % period == 0 and self.jump * period % count == 0:
                short = Extent(self.spans[:period], self.jump * period // count)
                if all(short.at(j) == span for j, span in enumerate(self.spans)):
                    return short
        return self

    def over(self, positions: Iterable[int]) -> Extent:
        """One stretch for all: the union of what some positions see."""
        return Extent((hull(map(self.at, positions)),), 0)

    def joined(self, other: Extent) -> Extent:
        """The union with another extent along the same axis. Raises ValueError if they move at different speeds."""
        if self.stride != other.stride:
            raise ValueError(f"it joins branches with strides {self.stride} and {other.stride}")
        period = math.lcm(len(self.spans), len(other.spans))
        spans = tuple(hull((self.at(j), other.at(j))) for j in range(period))
        return Extent(spans, self.jump * period // len(self.spans)).shortest()

    @property
    def size(self) -> int:
        """The length of the longest stretch."""
        return max(0 if span is None else span[1] - span[0] + 1 for span in self.spans)


def hull(spans: Iterable[Span]) -> Span:
    """The shortest stretch that holds all of these."""
    seen = [span for span in spans if span is not None]
    return (min(span[0] for span in seen), max(span[1] for span in seen)) if seen else None
