"""What sensors add: noise of its own for every pixel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from augreg import ops
from augreg.steps.declare import transform
from augreg.steps.fields import Range

if TYPE_CHECKING:
    from augreg.ops import Op, Scene
    from augreg.rng import Cursor

_MEAN_ZERO = "the mean of each level that no noise clips"


def _check_share(name: str, given: Range) -> None:
    if given[0] < 0 or given[1] > 1:
        raise ValueError(f"{name} must lie within 0 and 1, got {list(given)}")


@transform("gaussian_noise", kind="texture", exact=_MEAN_ZERO)
class GaussianNoise:
    """Add normal noise to every level, its standard deviation drawn uniformly on the 0..1 scale.

    After normalize the deviation is in normalized units, and nothing is clipped.
    """

    std: Range = (0.02, 0.1)

    def check(self) -> None:
        _check_share("std", self.std)

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        return ops.noise(scene, "gaussian", (rng.uniform(*self.std),), rng.bits())


@transform(
    "shot_noise", kind="color", exact=_MEAN_ZERO,
    preview=tuple({"photons": photons} for photons in (300, 60, 12)),
)  # fmt: skip
class ShotNoise:
    """Count photons: each level becomes a Poisson draw around itself, white being `photons`, drawn uniformly.

    The deviation is sqrt(level / photons): fewer photons, more noise, and more of it where it is bright. The draw has
    Poisson's mean, variance and skewness (Cornish and Fisher's expansion), rounded to whole photons.
    """

    photons: Range = (40.0, 200.0)

    def check(self) -> None:
        if self.photons[0] < 1:
            raise ValueError(f"photons must be at least 1, got {list(self.photons)}")

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        return ops.noise(scene, "shot", (rng.uniform(*self.photons),), rng.bits())


@transform("iso_noise", kind="color", exact=_MEAN_ZERO)
class IsoNoise:
    """Add what a camera adds at high ISO: gray grain that grows with the level, and speckles of color.

    The deviations are grain * sqrt(level) and `color`, on the 0..1 scale, each drawn uniformly. After the noise
    model of Foi et al. 2008, whose variance is a level + b.
    """

    grain: Range = (0.02, 0.12)
    color: Range = (0.01, 0.06)

    def check(self) -> None:
        _check_share("grain", self.grain)
        _check_share("color", self.color)

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        amounts = rng.uniform(*self.grain), rng.uniform(*self.color)
        return ops.noise(scene, "iso", amounts, rng.bits())
