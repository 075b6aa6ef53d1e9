"""Ops that change colors: tables, enhancements, hue, channel matrices, normalization; and functions to make them."""

from __future__ import annotations

import functools
from typing import Any, ClassVar, Literal

import msgspec

from augreg.ops.geometry import Move
from augreg.ops.op import Op
from augreg.ops.scene import PixelValues, Scene

__all__ = [
    "ColorMatrix",
    "Enhance",
    "Hue",
    "ImageStatistic",
    "LocalContrast",
    "Lookup",
    "Normalize",
    "PointFunction",
    "ShiftHsv",
    "drop_channels",
    "enhance",
    "hue",
    "image_statistic",
    "local_contrast",
    "permute_channels",
    "point_function",
    "scale_channels",
    "shift_channels",
    "shift_hsv",
]


class PointFunction(msgspec.Struct, frozen=True):
    """A function of one pixel value: brightness, invert, posterize, solarize and so on, or table.

    `amount` is its number (the factor, bits, threshold, addition or exponent); for `multiply_add` a factor and an
    addition as a fraction of white; for `curve` the heights from 0 to 1 of the two inner points of a cubic Bezier
    curve from black to white, a third and two thirds of the way; for `table` the 256 values as bytes.
    """

    name: str
    amount: float | bytes | tuple[float, float] = 0.0


class ImageStatistic(msgspec.Struct, frozen=True):
    """A function of the pixel value that depends on statistics of the image: auto_contrast, equalize, contrast.

    And `multiply_add_mean`, which multiplies by the first number of `amount` and adds the second times the mean of
    all pixel values.
    """

    name: str
    amount: float | tuple[float, float] = 0.0


def _measured(stages: tuple[PointFunction | ImageStatistic, ...]) -> bool:
    for stage in stages:  # noqa: SIM110 - any(..) takes four times as long
        if isinstance(stage, ImageStatistic):
            return True
    return False


class Lookup(Op, frozen=True, eq=False):
    """Apply functions to every pixel value, one after the other; on byte images they become one table."""

    on_colors: ClassVar[bool] = True
    stages: tuple[PointFunction | ImageStatistic, ...]

    @property
    def measured(self) -> bool:
        """Whether it depends on statistics of the image, so that crops and painted boxes before it matter."""
        return _measured(self.stages)


class Enhance(Op, frozen=True, eq=False):
    """Mix with a copy that lacks color or detail: factor 0 gives the copy, 1 the image, above 1 exaggerates.

    `degenerate` is `gray` (the luma of each pixel) or `smooth` (a 3x3 smoothing that keeps the border).
    """

    on_colors: ClassVar[bool] = True
    degenerate: Literal["gray", "smooth"]
    factor: float


class Hue(Op, frozen=True, eq=False):
    """Shift the hue by a fraction of the full circle, -0.5 to 0.5."""

    on_colors: ClassVar[bool] = True
    shift: float


class ShiftHsv(Op, frozen=True, eq=False):
    """Shift the hue by a fraction of the full circle, and add to saturation and value, both from 0 to 1, and clip.

    Gray pixels, which have no saturation, keep none; in gray images only the value changes.
    """

    on_colors: ClassVar[bool] = True
    hue: float
    saturation: float
    value: float


class ColorMatrix(Op, frozen=True, eq=False):
    """Each channel becomes a weighted sum of all: a row of weights each, plus `offsets`; rounded and clipped.

    `offsets` are pixel values, one per channel.
    """

    on_colors: ClassVar[bool] = True
    rows: tuple[tuple[float, ...], ...]
    offsets: PixelValues


class LocalContrast(Op, frozen=True, eq=False):
    """Equalize the luma tile by tile with a limit to the slope (CLAHE); colors change with their luma."""

    on_colors: ClassVar[bool] = True
    clip: float
    tiles: tuple[int, int]


class Normalize(Op, frozen=True, eq=False):
    """Convert pixel values to floats: (value / white - mean) / std, per channel.

    `mean_image` (a path of an .npy file, or rows of numbers) replaces `mean` when it is given. It has the size
    `frame`; moves that the planner put in front of this op are its `window`. `stages` are point functions and image
    statistics to apply first, in the same pass.
    """

    mean: PixelValues
    std: PixelValues
    mean_image: str | tuple[Any, ...] | None = None
    frame: tuple[int, int] | None = None
    window: tuple[Move, ...] = ()
    stages: tuple[PointFunction | ImageStatistic, ...] = ()

    @property
    def measured(self) -> bool:
        """Whether it depends on statistics of the image, as for `Lookup`."""
        return _measured(self.stages)

    def after(self, scene: Scene) -> Scene:
        return msgspec.structs.replace(scene, dtype="float32", normalized=True)


def point_function(name: str, amount: float | bytes | tuple[float, float] = 0.0) -> Lookup:
    """One fixed function of the pixel value."""
    return Lookup((PointFunction(name, amount),), label=(_named, name, amount))


def image_statistic(name: str, amount: float | tuple[float, float] = 0.0) -> Lookup:
    """One function of the pixel value that depends on statistics of the image."""
    return Lookup((ImageStatistic(name, amount),), label=(_named, name, amount if name != "equalize" else b""))


def enhance(degenerate: Literal["gray", "smooth"], factor: float, name: str) -> Enhance:
    """Mix with a copy that lacks color (`gray`) or detail (`smooth`): factor 0 gives the copy, 1 the image."""
    return Enhance(degenerate, factor, label=(_named, name, factor))


def hue(shift: float) -> Hue:
    """Shift the hue by a fraction of the full circle, -0.5 to 0.5."""
    return Hue(shift, label=("hue {:+.3f}".format, shift))


def shift_hsv(hue: float, saturation: float, value: float) -> ShiftHsv:
    """Shift the hue by a fraction of the circle, and saturation and value by fractions of their largest."""
    return ShiftHsv(hue, saturation, value, label=("hsv {:+.3f} {:+.3f} {:+.3f}".format, hue, saturation, value))


def shift_channels(scene: Scene, shifts: tuple[float, ...]) -> ColorMatrix:
    """Add to each channel, on the 0..255 scale."""
    unit = scene.white / 255.0
    rows = _picked(tuple(range(len(shifts))), len(shifts))
    return ColorMatrix(rows, tuple(unit * shift for shift in shifts), label=(_shifted, *shifts))


def _shifted(*shifts: float) -> str:
    return f"shift {' '.join(f'{shift:+.0f}' for shift in shifts)}"


def scale_channels(factors: tuple[float, ...]) -> ColorMatrix:
    """Multiply each channel by a factor."""
    channels = range(len(factors))
    rows = tuple([tuple([factors[one] if one == other else 0.0 for other in channels]) for one in channels])
    return ColorMatrix(rows, (0.0,) * len(factors), label=(_scaled, *factors))


def _scaled(*factors: float) -> str:
    return f"channels times {' '.join(f'{factor:.2f}' for factor in factors)}"


def permute_channels(order: tuple[int, ...]) -> ColorMatrix:
    """Channel i of the result is channel order[i]."""
    return ColorMatrix(_picked(order, len(order)), (0.0,) * len(order), label=(listed, "channels", *order))


def listed(name: str, *channels: int) -> str:
    """A name and the numbers of channels."""
    return f"{name} {' '.join(map(str, channels))}"


def drop_channels(scene: Scene, dropped: tuple[int, ...], fill: float) -> ColorMatrix:
    """Set these channels to one value, on the 0..255 scale."""
    count = scene.colors
    value = scene.pixel_values((fill,))[0]
    rows = _picked(tuple([-1 if channel in dropped else channel for channel in range(count)]), count)
    offsets = tuple([value if channel in dropped else 0.0 for channel in range(count)])
    return ColorMatrix(rows, offsets, label=(listed, "drop channels", *dropped))


def local_contrast(clip: float, tiles: tuple[int, int]) -> LocalContrast:
    """Equalize tile by tile."""
    return LocalContrast(clip, tiles, label=("clahe {:.1f}, {}x{} tiles".format, clip, *tiles))


@functools.lru_cache(maxsize=256)
def _picked(order: tuple[int, ...], count: int) -> tuple[tuple[float, ...], ...]:
    """Matrix rows that take one channel each, or no channel for -1."""
    return tuple(tuple(float(channel == wanted) for channel in range(count)) for wanted in order)


def _named(name: str, amount: float | bytes | tuple[float, float]) -> str:
    if isinstance(amount, bytes) or name in ("invert", "table"):
        return name
    if isinstance(amount, tuple) and name == "curve":
        return f"curve {amount[0]:.2f} {amount[1]:.2f}"
    if isinstance(amount, tuple):
        return f"multiply by {amount[0]:.2f}, add {amount[1]:+.2f} of {'the mean' if 'mean' in name else 'white'}"
    return f"{name} {amount:.2f}".removesuffix(".00")
