"""What levels become: brightness and its kin, each as Pillow defines it, bit for bit on byte images.

Their test-time rule is the mean parameter where the result is linear in the drawn number: E over the draws is
then exact for every level that nothing in the range clips, up to rounding. Elsewhere they are left out.
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta

from augreg import ops
from augreg.steps.declare import transform
from augreg.steps.fields import Factor, Range, Size, SymmetricRange
from augreg.steps.step import Step

if TYPE_CHECKING:
    from augreg.ops import Op, Scene
    from augreg.rng import Cursor

_LINEAR = "the mean of each level that no drawn factor clips"


def _mean(factor: Factor, p: float) -> float:
    """The mean factor, when the step is applied with chance p and is the identity otherwise."""
    return 1.0 + p * (sum(factor) / 2.0 - 1.0)


@transform("brightness", kind="color", rule="mean_parameter", exact=_LINEAR)
class Brightness:
    """Multiply the levels by a factor: 0 is black, 1 the image."""

    factor: Factor = (0.6, 1.4)

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        return ops.point_function("brightness", rng.uniform(*self.factor))

    def expect(self, scene: Scene, p: float) -> Op:
        return ops.point_function("brightness", _mean(self.factor, p))


@transform("contrast", kind="color", rule="mean_parameter", exact=_LINEAR)
class Contrast:
    """Move the levels away from the image's mean luma by a factor: 0 is flat gray, 1 the image."""

    factor: Factor = (0.6, 1.4)

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        return ops.image_statistic("contrast", rng.uniform(*self.factor))

    def expect(self, scene: Scene, p: float) -> Op:
        return ops.image_statistic("contrast", _mean(self.factor, p))


@transform("saturation", kind="color", rule="mean_parameter", exact=_LINEAR)
class Saturation:
    """Move the colors away from their luma by a factor: 0 is gray, 1 the image."""

    factor: Factor = (0.6, 1.4)

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        return ops.enhance("gray", rng.uniform(*self.factor), "saturation")

    def expect(self, scene: Scene, p: float) -> Op:
        return ops.enhance("gray", _mean(self.factor, p), "saturation")


@transform("sharpness", kind="color", rule="mean_parameter", exact=_LINEAR)
class Sharpness:
    """Move away from a smoothed copy by a factor: 0 is smooth, 1 the image, 2 sharp."""

    factor: Factor = (0.1, 1.9)

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        return ops.enhance("smooth", rng.uniform(*self.factor), "sharpness")

    def expect(self, scene: Scene, p: float) -> Op:
        return ops.enhance("smooth", _mean(self.factor, p), "sharpness")


@transform("hue", kind="color")
class Hue:
    """Turn the hue by a part of the full circle, drawn uniformly from within -0.5 and 0.5."""

    shift: SymmetricRange = (-0.1, 0.1)

    def check(self) -> None:
        if self.shift[0] < -0.5 or self.shift[1] > 0.5:
            raise ValueError(f"shift must lie within -0.5 and 0.5 (half a circle), got {list(self.shift)}")

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        return ops.hue(rng.uniform(*self.shift))


@transform(
    "color_jitter",
    kind="color",
    rule="children",
    exact="as each of the four says",
    preview=tuple({"brightness": s, "contrast": s, "saturation": s, "hue": s / 8} for s in (0.2, 0.4, 0.8)),
)
class ColorJitter:
    """Brightness, contrast, saturation and hue in random order, each drawn uniformly.

    A bare 0.4 means a factor in [0.6, 1.4]; for hue, a turn in [-0.4, 0.4]. What is left at its default of
    exactly 1 (0 for hue) is not done.
    """

    brightness: Factor = (1.0, 1.0)
    contrast: Factor = (1.0, 1.0)
    saturation: Factor = (1.0, 1.0)
    hue: SymmetricRange = (0.0, 0.0)

    def check(self) -> None:
        Hue(self.hue)

    def sample(self, rng: Cursor, scene: Scene) -> tuple[Step, ...]:
        steps = _parts(self)
        return tuple(steps[index] for index in rng.permutation(len(steps)))

    def expect(self, scene: Scene, p: float) -> tuple[Step, ...]:
        return _parts(self)


@functools.lru_cache(maxsize=64)
def _parts(jitter: ColorJitter) -> tuple[Step, ...]:
    """The steps that a jitter is made of; kept, since making a step checks its arguments."""
    steps = []
    if jitter.brightness != (1.0, 1.0):
        steps.append(Step(Brightness(jitter.brightness), "brightness"))
    if jitter.contrast != (1.0, 1.0):
        steps.append(Step(Contrast(jitter.contrast), "contrast"))
    if jitter.saturation != (1.0, 1.0):
        steps.append(Step(Saturation(jitter.saturation), "saturation"))
    if jitter.hue != (0.0, 0.0):
        steps.append(Step(Hue(jitter.hue), "hue"))
    return tuple(steps)


@transform("grayscale", kind="color", rule="mean_parameter", exact="the mean of each level", preview=({},))
class Grayscale:
    """Replace colors by their luma, L = (19595 R + 38470 G + 7471 B + 32768) >> 16, keeping the channels.

    With p < 1 the test image is the mean of both: saturation 1 - p.
    """

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        return ops.Enhance("gray", 0.0, label="grayscale")

    def expect(self, scene: Scene, p: float) -> Op:
        return ops.enhance("gray", 1.0 - p, "saturation")


@transform("invert", kind="color", rule="same", preview=({},))
class Invert:
    """Turn every level v into white - v."""

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        return ops.point_function("invert")


@transform("posterize", kind="color", preview=({"bits": 6}, {"bits": 4}, {"bits": 3}, {"bits": 2}, {"bits": 1}))
class Posterize:
    """Keep the highest `bits` bits of every level, the number drawn uniformly; 8 keeps all."""

    bits: Annotated[Range, "whole numbers from 1 to 8"] = (4.0, 8.0)

    def check(self) -> None:
        low, high = self.bits
        if not (1 <= low <= high <= 8 and low == int(low) and high == int(high)):
            raise ValueError(f"bits must be whole numbers from 1 to 8, got {list(self.bits)}")

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        low, high = int(self.bits[0]), int(self.bits[1])
        return ops.point_function("posterize", float(low + rng.integers(high - low + 1)))


@transform("solarize", kind="color", preview=tuple({"threshold": level} for level in (224, 192, 128, 64)))
class Solarize:
    """Invert every level that is not below a threshold, drawn uniformly on the 0..256 scale; 256 changes nothing."""

    threshold: Range = (128.0, 128.0)

    def check(self) -> None:
        if self.threshold[0] < 0 or self.threshold[1] > 256:
            raise ValueError(f"threshold must lie within 0 and 256, got {list(self.threshold)}")

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        return ops.point_function("solarize", rng.uniform(*self.threshold))


@transform("solarize_add", kind="color")
class SolarizeAdd:
    """Add an amount, drawn uniformly on the 0..255 scale, to every level below 128."""

    amount: Range = (0.0, 110.0)

    def check(self) -> None:
        if self.amount[0] < -255 or self.amount[1] > 255:
            raise ValueError(f"amount must lie within -255 and 255, got {list(self.amount)}")

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        return ops.point_function("solarize_add", rng.uniform(*self.amount))


@transform("auto_contrast", kind="color", rule="same", preview=({}, {"cutoff": 5}, {"cutoff": 20}))
class AutoContrast:
    """Stretch the levels of each channel to the full range, after cutting off a percentage at each end."""

    cutoff: Annotated[float, Meta(ge=0, lt=50)] = 0.0

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        return ops.image_statistic("auto_contrast", self.cutoff)


@transform("equalize", kind="color", rule="same", preview=({},))
class Equalize:
    """Flatten the histogram of each channel."""

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        return ops.image_statistic("equalize")


@transform("gamma", kind="color")
class Gamma:
    """Raise the levels, from 0 to 1, to a power drawn log-uniformly: below 1 brightens, above 1 darkens.

    Log-uniformly, so that brighter and darker are equally likely where the ends are inverses. Black and white stay.
    """

    gamma: Range = (0.7, 1.4)

    def check(self) -> None:
        if self.gamma[0] < 0.01 or self.gamma[1] > 100:
            raise ValueError(f"gamma must lie within 0.01 and 100, got {list(self.gamma)}")

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        return ops.point_function("gamma", math.exp(rng.uniform(math.log(self.gamma[0]), math.log(self.gamma[1]))))


@transform("clahe", kind="color", preview=({"clip": 1.5}, {"clip": 3}, {"clip": 8}))
class Clahe:
    """Equalize the luma in each of `tiles`, with a limit to how steep the contrast may become, drawn uniformly.

    `clip` is how much more than evenly a tile's histogram may be filled; 1 does next to nothing. Tables mix
    bilinearly between tiles, which have at least 8 pixels a side where there are so many, and colors move
    along with their luma. Contrast limited adaptive histogram equalization: Zuiderveld 1994.
    """

    clip: Range = (1.0, 4.0)
    tiles: Size = (8, 8)

    def check(self) -> None:
        if self.clip[0] < 1 or self.clip[1] > 256:
            raise ValueError(f"clip must lie within 1 and 256, got {list(self.clip)}")
        if max(self.tiles) > 64:
            raise ValueError(f"tiles must be at most 64 a side, got {list(self.tiles)}")

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        rows, columns = (min(count, max(1, side // 8)) for count, side in zip(self.tiles, scene.size, strict=True))
        return ops.local_contrast(rng.uniform(*self.clip), (rows, columns))
