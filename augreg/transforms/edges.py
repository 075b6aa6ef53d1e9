"""Transforms that emphasize edges by weights of the neighbors of each pixel.

The result is linear in the weights, and they are linear in each random number, so the mean numbers give the exact
expectation of every pixel value that is not clipped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from augreg import ops
from augreg.steps.declare import transform
from augreg.steps.fields import Range
from augreg.transforms.ranges import check_range

if TYPE_CHECKING:
    from augreg.ops import Op, Scene
    from augreg.rng import Cursor

_UNCLIPPED: Final = "the mean of each pixel value that no draw clips"


@transform(
    "sharpen", kind="color", rule="mean_parameter", exact=_UNCLIPPED,
    preview=tuple({"alpha": [alpha, alpha]} for alpha in (0.2, 0.35, 0.5)),
)  # fmt: skip
class Sharpen:
    """Mix the image with one whose edges are strengthened: 8 + `lightness` times each value minus its neighbors.

    `alpha`, the weight of the strengthened image in the mix, and `lightness` are drawn uniformly. With a lightness of
    1, flat areas keep their values; below 1, they get darker. The image is mirrored at its border. `sharpness` is
    much weaker.
    """

    alpha: Range = (0.2, 0.5)
    lightness: Range = (0.5, 1.0)

    def check(self) -> None:
        check_range("alpha", self.alpha, 0, 1)
        check_range("lightness", self.lightness, 0, 100)

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        return ops.sharpen(rng.uniform(*self.alpha), rng.uniform(*self.lightness))

    sample_columns = sample

    def expect(self, scene: Scene, p: float) -> Op:
        return ops.sharpen(p * sum(self.alpha) / 2.0, sum(self.lightness) / 2.0)


@transform(
    "emboss", kind="color", rule="mean_parameter", exact=_UNCLIPPED,
    preview=tuple({"alpha": [alpha, alpha]} for alpha in (0.2, 0.5, 1.0)),
)  # fmt: skip
class Emboss:
    """Mix the image with a relief of it, lit from the lower right.

    `alpha`, the weight of the relief in the mix, and its `strength` are drawn uniformly. Flat areas keep their
    values. The image is mirrored at its border.
    """

    alpha: Range = (0.2, 0.5)
    strength: Range = (0.2, 0.7)

    def check(self) -> None:
        check_range("alpha", self.alpha, 0, 1)
        check_range("strength", self.strength, 0, 100)

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        return ops.emboss(rng.uniform(*self.alpha), rng.uniform(*self.strength))

    sample_columns = sample

    def expect(self, scene: Scene, p: float) -> Op:
        return ops.emboss(p * sum(self.alpha) / 2.0, sum(self.strength) / 2.0)
