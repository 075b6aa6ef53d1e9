"""Color transforms. Those that Pillow has too are defined as in Pillow, bit for bit on byte images.

Where the result is linear in the random factor, the test-time rule applies the mean factor. This is the exact
expectation over the draws, up to rounding, of every pixel value that no factor in the range clips. Of the others,
those that draw nothing with the arguments that they have are applied as in training, and the rest are left out.
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from msgspec import Meta

from augreg import lazy, ops
from augreg.steps.declare import transform
from augreg.steps.fields import Factor, Range, Size, SymmetricRange
from augreg.steps.step import Step, as_step
from augreg.transforms.ranges import check_range, nearest

if TYPE_CHECKING:
    from augreg.columns.cursors import Cursors, Some
    from augreg.columns.records import Scenes
    from augreg.ops import Op, Scene
    from augreg.rng import Cursor

_LINEAR = "the mean of each pixel value that no drawn factor clips"


def _mean(factor: Factor, p: float) -> float:
    """The mean factor of a step that is applied with probability p; where it is not applied, the factor is 1."""
    return 1.0 + p * (sum(factor) / 2.0 - 1.0)


@transform("brightness", kind="color", rule="mean_parameter", exact=_LINEAR)
class Brightness:
    """Multiply the pixel values by a factor drawn uniformly: 0 gives black, 1 changes nothing."""

    factor: Factor = (0.6, 1.4)

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        return ops.point_function("brightness", rng.uniform(*self.factor))

    sample_columns = sample

    def expect(self, scene: Scene, p: float) -> Op:
        return ops.point_function("brightness", _mean(self.factor, p))


@transform(
    "multiply_add", kind="color", rule="mean_parameter", exact=_LINEAR,
    preview=tuple({"factor": [1, 1], "add": [value, value]} for value in (-0.4, -0.2, 0.2, 0.4)),
)  # fmt: skip
class MultiplyAdd:
    """Multiply the pixel values by a factor and add a fraction of white, each drawn uniformly; clip once.

    `add` is a fraction of white, 255 for bytes and 1 for floats; with `of: mean`, a fraction of the mean of all pixel
    values of the image. Bytes are rounded down.
    """

    factor: Factor = (0.8, 1.2)
    add: SymmetricRange = (-0.2, 0.2)
    of: Literal["white", "mean"] = "white"

    def check(self) -> None:
        if self.of == "white":
            check_range("add", self.add, -1, 1, " of white", whole=255)
        else:
            check_range("add", self.add, -1000, 1000)

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        return self._op(rng.uniform(*self.factor), rng.uniform(*self.add))

    sample_columns = sample

    def _op(self, factor: float, add: float) -> Op:
        if self.of == "white":
            return ops.point_function("multiply_add", (factor, add))
        return ops.image_statistic("multiply_add_mean", (factor, add))

    def expect(self, scene: Scene, p: float) -> Op:
        return self._op(_mean(self.factor, p), p * sum(self.add) / 2.0)


@transform("contrast", kind="color", rule="mean_parameter", exact=_LINEAR)
class Contrast:
    """Change the contrast by a factor drawn uniformly: 0 gives uniform gray, 1 changes nothing, above 1 increases it.

    A pixel value v becomes m + factor * (v - m), where m is the mean luma of the image.
    """

    factor: Factor = (0.6, 1.4)

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        return ops.image_statistic("contrast", rng.uniform(*self.factor))

    sample_columns = sample

    def expect(self, scene: Scene, p: float) -> Op:
        return ops.image_statistic("contrast", _mean(self.factor, p))


@transform("saturation", kind="color", rule="mean_parameter", exact=_LINEAR)
class Saturation:
    """Change the saturation by a factor drawn uniformly: 0 gives grayscale, 1 changes nothing, above 1 increases it.

    A pixel value v becomes L + factor * (v - L), where L is the luma of the pixel.
    """

    factor: Factor = (0.6, 1.4)

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        return ops.enhance("gray", rng.uniform(*self.factor), "saturation")

    sample_columns = sample

    def expect(self, scene: Scene, p: float) -> Op:
        return ops.enhance("gray", _mean(self.factor, p), "saturation")


@transform("sharpness", kind="color", rule="mean_parameter", exact=_LINEAR)
class Sharpness:
    """Change the sharpness by a factor drawn uniformly: 0 gives a smoothed image, 1 changes nothing, 2 sharpens.

    A pixel value v becomes s + factor * (v - s), where s is its value in a copy smoothed by a 3x3 kernel.
    """

    factor: Factor = (0.1, 1.9)

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        return ops.enhance("smooth", rng.uniform(*self.factor), "sharpness")

    sample_columns = sample

    def expect(self, scene: Scene, p: float) -> Op:
        return ops.enhance("smooth", _mean(self.factor, p), "sharpness")


@transform("hue", kind="color")
class Hue:
    """Shift the hue by a fraction of the color circle, drawn uniformly; `shift` is between -0.5 and 0.5."""

    shift: SymmetricRange = (-0.1, 0.1)

    def check(self) -> None:
        check_range("shift", self.shift, -0.5, 0.5, " (half a circle)", whole=360)

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        return ops.hue(rng.uniform(*self.shift))

    sample_columns = sample


@transform(
    "hsv_shift", kind="color",
    preview=tuple({"hue": [h, h], "saturation": [s, s], "value": [v, v]}
                  for h, s, v in ((0.1, 0, 0), (0, 0.3, 0), (0, 0, -0.2), (-0.05, -0.2, 0.1))),
)  # fmt: skip
class HsvShift:
    """Shift the hue by a fraction of the color circle, and add to saturation and value, each drawn uniformly.

    The value of a pixel is its largest channel, and its saturation is the difference between its largest and its
    smallest channel, divided by the value; both are from 0 to 1, and are clipped. Gray pixels stay gray, and in gray
    images only the value changes.
    """

    hue: SymmetricRange = (-0.1, 0.1)
    saturation: SymmetricRange = (-0.12, 0.12)
    value: SymmetricRange = (-0.08, 0.08)

    def check(self) -> None:
        Hue(self.hue)
        check_range("saturation", self.saturation, -1, 1, whole=255)
        check_range("value", self.value, -1, 1, whole=255)

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        return ops.shift_hsv(*(rng.uniform(*ends) for ends in (self.hue, self.saturation, self.value)))

    sample_columns = sample


@transform(
    "color_jitter",
    kind="color",
    rule="children",
    exact="what the step is exact for, if there is only one",
    preview=tuple({"brightness": s, "contrast": s, "saturation": s, "hue": s / 8} for s in (0.2, 0.4, 0.8)),
)
class ColorJitter:
    """Change brightness, contrast, saturation and hue in random order, each by an amount drawn uniformly.

    A single number such as 0.4 means a factor in [0.6, 1.4]; for hue, a shift in [-0.4, 0.4]. An argument that is [1,
    1], its default (for hue [0, 0]), adds no step.
    """

    brightness: Factor = (1.0, 1.0)
    contrast: Factor = (1.0, 1.0)
    saturation: Factor = (1.0, 1.0)
    hue: SymmetricRange = (0.0, 0.0)

    def check(self) -> None:
        Hue(self.hue)

    def sample(self, rng: Cursor, scene: Scene) -> tuple[Step, ...]:
        steps = _parts(self.brightness, self.contrast, self.saturation, self.hue)
        return tuple([steps[index] for index in rng.permutation(len(steps))])

    def sample_columns(self, rng: Cursors, scene: Scenes) -> tuple[Some, ...]:
        return rng.shuffled(_parts(self.brightness, self.contrast, self.saturation, self.hue))

    def expect(self, scene: Scene, p: float) -> tuple[Step, ...]:
        return _parts(self.brightness, self.contrast, self.saturation, self.hue)


@functools.lru_cache(maxsize=64)
def _parts(brightness: Factor, contrast: Factor, saturation: Factor, hue: SymmetricRange) -> tuple[Step, ...]:
    """The steps of a jitter. They are cached, because a new step checks its arguments."""
    steps = (Brightness(brightness), Contrast(contrast), Saturation(saturation), Hue(hue))
    values = (brightness, contrast, saturation, hue)
    neutral = ((1.0, 1.0), (1.0, 1.0), (1.0, 1.0), (0.0, 0.0))
    return tuple(as_step(step) for step, value, none in zip(steps, values, neutral, strict=True) if value != none)


@transform("grayscale", kind="color", rule="mean_parameter", exact="the mean of each pixel value", preview=({},))
class Grayscale:
    """Convert to grayscale and keep the number of channels: L = (19595 R + 38470 G + 7471 B + 32768) >> 16.

    L is the luma of ITU-R 601-2. If p < 1, the test-time image is the mean of the color and the gray image, which is
    saturation 1 - p.
    """

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        return ops.Enhance("gray", 0.0, label="grayscale")

    sample_columns = sample

    def expect(self, scene: Scene, p: float) -> Op:
        return ops.enhance("gray", 1.0 - p, "saturation")


@transform("invert", kind="color", rule="same", preview=({},))
class Invert:
    """Invert the pixel values: v becomes white - v, where white is 255 for bytes and 1 for floats."""

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        return ops.point_function("invert")

    sample_columns = sample


@transform("posterize", kind="color", preview=({"bits": 6}, {"bits": 4}, {"bits": 3}, {"bits": 2}, {"bits": 1}))
class Posterize:
    """Keep only the highest `bits` bits of every pixel value, their number drawn uniformly; 8 changes nothing."""

    bits: Annotated[Range, "integers from 1 to 8"] = (4.0, 8.0)

    def check(self) -> None:
        low, high = self.bits
        if not (1 <= low <= high <= 8 and low == int(low) and high == int(high)):
            hint = nearest([min(max(round(bits), 1), 8) for bits in self.bits])
            raise ValueError(f"bits must be integers from 1 to 8, got {list(self.bits)}{hint}")

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        low, high = int(self.bits[0]), int(self.bits[1])
        return ops.point_function("posterize", 1.0 * (low + rng.integers(high - low + 1)))

    sample_columns = sample


@transform("solarize", kind="color", preview=tuple({"threshold": value} for value in (192, 128, 64)))
class Solarize:
    """Invert all pixel values at or above a threshold, drawn uniformly on the 0..256 scale; 256 changes nothing."""

    threshold: Range = (128.0, 128.0)

    def check(self) -> None:
        check_range("threshold", self.threshold, 0, 256)

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        return ops.point_function("solarize", rng.uniform(*self.threshold))

    sample_columns = sample


@transform("solarize_add", kind="color")
class SolarizeAdd:
    """Add an amount, drawn uniformly on the 0..255 scale, to all pixel values below 128."""

    amount: Range = (0.0, 110.0)

    def check(self) -> None:
        check_range("amount", self.amount, -255, 255)

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        return ops.point_function("solarize_add", rng.uniform(*self.amount))

    sample_columns = sample


@transform("auto_contrast", kind="color", rule="same", preview=({}, {"cutoff": 5}, {"cutoff": 20}))
class AutoContrast:
    """Stretch the pixel values of each channel to the full range, ignoring `cutoff` percent of them at each end."""

    cutoff: Annotated[float, Meta(ge=0, lt=50)] = 0.0

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        return ops.image_statistic("auto_contrast", self.cutoff)

    sample_columns = sample


@transform("equalize", kind="color", rule="same", preview=({},))
class Equalize:
    """Equalize the histogram of each channel, so that its pixel values are spread evenly over the range."""

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        return ops.image_statistic("equalize")

    sample_columns = sample


@transform("gamma", kind="color")
class Gamma:
    """Apply a gamma correction: v becomes v ** gamma on the 0..1 scale, where gamma is drawn log-uniformly.

    A gamma below 1 brightens, one above 1 darkens; black and white stay the same. With a log-uniform draw, brighter
    and darker images are equally likely if the ends of the range are inverses of each other, such as [0.5, 2]. With
    `spacing: linear`, gamma is drawn uniformly.
    """

    gamma: Range = (0.7, 1.4)
    spacing: Literal["log", "linear"] = "log"
    later: ClassVar[tuple[str, ...]] = ("spacing",)

    def check(self) -> None:
        check_range("gamma", self.gamma, 0.01, 100)

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        if self.spacing == "linear":
            return ops.point_function("gamma", rng.uniform(*self.gamma))
        return ops.point_function("gamma", math.exp(rng.uniform(math.log(self.gamma[0]), math.log(self.gamma[1]))))

    sample_columns = lazy.method("augreg.columns.colors", "gamma")


@transform("clahe", kind="color", preview=({"clip": 1.5}, {"clip": 3}, {"clip": 8}))
class Clahe:
    """Equalize the histogram of the luma tile by tile, with limited contrast (CLAHE).

    `clip`, drawn uniformly, limits the contrast: a bin of a tile's histogram may hold at most `clip` times as many
    pixels as in a uniform histogram; 1 changes almost nothing. `tiles` are the numbers of rows and columns of tiles;
    there are fewer if a tile would be smaller than 8 pixels. Between the centers of tiles, results are interpolated
    bilinearly. Each channel changes by as much as the luma. Zuiderveld 1994, Contrast limited adaptive histogram
    equalization.
    """

    clip: Range = (1.0, 4.0)
    tiles: Size = (8, 8)

    def check(self) -> None:
        check_range("clip", self.clip, 1, 256)
        if max(self.tiles) > 64:
            raise ValueError(f"tiles must be at most 64 a side, got {list(self.tiles)}")

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        rows, columns = (min(count, max(1, side // 8)) for count, side in zip(self.tiles, scene.size, strict=True))
        return ops.local_contrast(rng.uniform(*self.clip), (rows, columns))

    sample_columns = lazy.method("augreg.columns.colors", "clahe")
