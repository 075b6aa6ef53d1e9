"""What neighbouring pixels make of each other: blur."""

from __future__ import annotations

from typing import TYPE_CHECKING

from augreg import ops
from augreg.declare import transform
from augreg.fields import Range

if TYPE_CHECKING:
    from augreg.ops import Op, Scene
    from augreg.rng import Cursor


@transform("gaussian_blur", kind="texture")
class GaussianBlur:
    """Blur with a Gaussian whose standard deviation, in pixels, is drawn uniformly."""

    sigma: Range = (0.1, 2.0)

    def check(self) -> None:
        if self.sigma[0] < 0 or self.sigma[1] > 256:
            raise ValueError(f"sigma must lie within 0 and 256 pixels, got {list(self.sigma)}")

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        return ops.gaussian_blur(rng.uniform(*self.sigma))
