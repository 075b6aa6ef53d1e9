"""Curves of the pixel value."""

from __future__ import annotations

import functools
import math
from statistics import NormalDist
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta

from augreg import lazy, ops
from augreg.steps.declare import transform

if TYPE_CHECKING:
    from augreg.ops import Op, Scene
    from augreg.rng import Cursor


@transform(
    "tone_curve", kind="color", rule="mean_parameter", exact="the mean of each pixel value",
    preview=tuple({"scale": scale} for scale in (0.1, 0.2, 0.4)),
)  # fmt: skip
class ToneCurve:
    """Bend the curve of the pixel values: dark and bright ones get darker or brighter, black and white stay.

    The curve is a cubic Bezier curve from black to white. Its inner points, a third and two thirds of the way, have
    heights that are drawn from normal distributions with means of 1/4 and 3/4 and the standard deviation `scale`, and
    are clipped to 0..1. Without noise the curve is an S, which raises the contrast.
    """

    scale: Annotated[float, Meta(ge=0, le=1)] = 0.1

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        low, high = (min(max(rng.normal(mean, self.scale), 0.0), 1.0) for mean in (0.25, 0.75))
        return ops.point_function("curve", (low, high))

    sample_columns = lazy.method("augreg.columns.colors", "tone_curve")

    def expect(self, scene: Scene, p: float) -> Op:
        # the curve is linear in the heights, and straight for 1/3 and 2/3
        low, high = _mean_of_cut(0.25, self.scale), _mean_of_cut(0.75, self.scale)
        return ops.point_function("curve", (p * low + (1.0 - p) / 3.0, p * high + (1.0 - p) * 2.0 / 3.0))


@functools.cache
def _mean_of_cut(mean: float, deviation: float) -> float:
    """The mean of a normal number that is cut to 0..1."""
    if not deviation:
        return mean
    unit, (low, high) = NormalDist(), ((end - mean) / deviation for end in (0.0, 1.0))
    below, above = unit.cdf(low), unit.cdf(high)
    bell = (math.exp(-0.5 * end * end) / math.sqrt(2.0 * math.pi) for end in (low, high))
    first, last = bell
    return mean * (above - below) + deviation * (first - last) + 1.0 - above
