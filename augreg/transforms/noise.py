"""Sensor noise, independent for every pixel."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar, Literal

from augreg import lazy, ops
from augreg.steps.declare import transform
from augreg.steps.fields import Factor, Range
from augreg.transforms.ranges import check_range

if TYPE_CHECKING:
    from augreg.ops import Op, Scene
    from augreg.rng import Cursor

_MEAN_ZERO = "the mean of each pixel value that no noise clips"


@transform("gaussian_noise", kind="texture", exact=_MEAN_ZERO)
class GaussianNoise:
    """Add Gaussian noise whose standard deviation is drawn uniformly, on the 0..1 scale.

    After normalize, the standard deviation is in normalized units and the result is not clipped. With `per: pixel`,
    all channels get the same noise, so it is gray. With `uniform: variance`, the variance is drawn uniformly, from
    the squares of both ends of the range.
    """

    std: Range = (0.02, 0.1)
    per: Literal["value", "pixel"] = "value"
    uniform: Literal["std", "variance"] = "std"
    later: ClassVar[tuple[str, ...]] = ("per", "uniform")

    def check(self) -> None:
        check_range("std", self.std, 0, 1, whole=255)

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        if self.uniform == "std":
            std = rng.uniform(*self.std)
        else:
            std = math.sqrt(rng.uniform(*(end * end for end in self.std)))
        return ops.noise(scene, "gaussian" if self.per == "value" else "gray", (std,), rng.bits())

    sample_columns = lazy.method("augreg.columns.noise", "gaussian_noise")


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


@transform(
    "multiplicative_noise", kind="color", rule="mean_parameter", exact=_MEAN_ZERO,
    preview=({"factor": 0.1}, {"factor": 0.3, "per": "channel"}, {"factor": 0.5, "per": "value"}),
)  # fmt: skip
class MultiplicativeNoise:
    """Multiply the pixel values by factors drawn uniformly.

    `per` says what gets a factor of its own: the whole image, each channel, each pixel, or each value of each pixel.
    """

    factor: Factor = (0.9, 1.1)
    per: Literal["image", "channel", "pixel", "value"] = "image"

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        if self.per == "image":
            return ops.point_function("brightness", rng.uniform(*self.factor))
        if self.per == "channel":
            return ops.scale_channels(tuple([rng.uniform(*self.factor) for _ in range(scene.colors)]))
        return ops.noise(scene, "factor" if self.per == "value" else "gray factor", self.factor, rng.bits())

    sample_columns = lazy.method("augreg.columns.noise", "multiplicative_noise")

    def expect(self, scene: Scene, p: float) -> Op:
        return ops.point_function("brightness", 1.0 + p * (sum(self.factor) / 2.0 - 1.0))


@transform(
    "lightness_noise", kind="color",
    preview=({}, {"intensity": [0.3, 0.3], "grain": "coarse"}, {"intensity": [0.5, 0.5]}),
)  # fmt: skip
class LightnessNoise:
    """Add noise to the lightness of pixels, and shift their hue; their saturation stays.

    The lightness L, from 0 to 1, is the mean of the largest and the smallest channel, and d is its standard deviation
    over the image. `intensity` and `hue` are drawn uniformly. Every pixel gets a Poisson count. With `grain: fine`,
    the mean of the count is 255 * intensity * d, each count adds (1 - L) / 255, and the hue shifts by a normal number
    whose deviation is hue * intensity, as a fraction of the color circle. With `coarse`, the mean is intensity * d,
    each count adds intensity * (1 - L), and the shift of the hue is in degrees. All pixels become lighter, by
    intensity * d * (1 - L) on average with fine grain. This is ISONoise of albumentations; `iso_noise` is a model of
    sensors.
    """

    intensity: Range = (0.1, 0.5)
    hue: Range = (0.01, 0.05)
    grain: Literal["fine", "coarse"] = "fine"

    def check(self) -> None:
        check_range("intensity", self.intensity, 0, 10)
        check_range("hue", self.hue, 0, 1)

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        intensity, hue = rng.uniform(*self.intensity), rng.uniform(*self.hue)
        if self.grain == "fine":
            amounts = 255.0 * intensity, 1.0 / 255.0, hue * intensity
        else:
            amounts = intensity, intensity, hue * intensity / 360.0
        return ops.noise(scene, "lightness", amounts, rng.bits())

    sample_columns = sample
