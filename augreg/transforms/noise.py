"""Sensor noise, independent for every pixel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from augreg import ops
from augreg.steps.declare import transform
from augreg.steps.fields import Range
from augreg.transforms.ranges import check_range

if TYPE_CHECKING:
    from augreg.ops import Op, Scene
    from augreg.rng import Cursor

_MEAN_ZERO = "the mean of each pixel value that no noise clips"


@transform("gaussian_noise", kind="texture", exact=_MEAN_ZERO)
class GaussianNoise:
    """Add Gaussian noise whose standard deviation is drawn uniformly, on the 0..1 scale.

    After normalize, the standard deviation is in normalized units and the result is not clipped.
    """

    std: Range = (0.02, 0.1)

    def check(self) -> None:
        check_range("std", self.std, 0, 1, whole=255)

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        return ops.noise(scene, "gaussian", (rng.uniform(*self.std),), rng.bits())

    sample_columns = sample


@transform(
    "shot_noise", kind="color", exact=_MEAN_ZERO,
    preview=tuple({"photons": photons} for photons in (300, 60, 12)),
)  # fmt: skip
class ShotNoise:
    """Add shot noise: every pixel value becomes a Poisson count of photons, where white means `photons`.

    `photons` is drawn uniformly. On the 0..1 scale, the standard deviation is sqrt(value / photons): fewer photons
    give more noise, and bright pixels get more than dark ones. The counts are integers with the mean, variance and
    skewness of a Poisson distribution, from the Cornish-Fisher expansion.
    """

    photons: Range = (40.0, 200.0)

    def check(self) -> None:
        if self.photons[0] < 1:
            raise ValueError(f"photons must be at least 1, got {list(self.photons)}")

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        return ops.noise(scene, "shot", (rng.uniform(*self.photons),), rng.bits())

    sample_columns = sample


@transform("iso_noise", kind="color", exact=_MEAN_ZERO)
class IsoNoise:
    """Add the noise of a camera at high ISO: gray grain that grows with the pixel value, and color speckles.

    On the 0..1 scale, the standard deviations are grain * sqrt(value), with the same noise in all channels, and
    `color`, with separate noise in each channel; `grain` and `color` are drawn uniformly. This follows the noise
    model of Foi et al. 2008, whose variance is a * value + b.
    """

    grain: Range = (0.02, 0.12)
    color: Range = (0.01, 0.06)

    def check(self) -> None:
        check_range("grain", self.grain, 0, 1, whole=255)
        check_range("color", self.color, 0, 1)

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        amounts = rng.uniform(*self.grain), rng.uniform(*self.color)
        return ops.noise(scene, "iso", amounts, rng.bits())

    sample_columns = sample
