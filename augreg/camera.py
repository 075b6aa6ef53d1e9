"""More ops: what lenses bend, sensors grain, colour processing shifts and files lose.

Records and constructors as in `ops`. What is random over the pixels (a field of displacements, noise) is a function
of a `key`, so that the records stay small.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, TypeAlias

from augreg.ops import Filter, Op, Scene
from augreg.scene import Levels

__all__ = ["ColorMatrix", "Encode", "LocalContrast", "Noise", "Remap"]

Sampling: TypeAlias = Literal["nearest", "bilinear"]


class Remap(Op, frozen=True, eq=False):
    """Resample through a field of displacements at the same size, outside of which lies `fill`.

    The field is a function of the numbers, the key and the picture's size; `backends/displacement.py` has the
    formulas. `elastic` (alpha, sigma): uniform noise smoothed by a Gaussian; `grid` (rows, columns, limit): the
    inner nodes of a grid displaced; `lens` (k): the radius r becomes r (1 + k r^2), where r is 1 at the corners.
    """

    field: Literal["elastic", "grid", "lens"]
    numbers: tuple[float, ...]
    key: int = 0
    interpolation: Sampling = "bilinear"
    fill: Levels = (0.0,)

    def forward(self, scene: Scene) -> None:
        return None


class Noise(Op, frozen=True, eq=False):
    """Add noise that is a function of `key`; amounts are on the 0..1 scale, `n` is standard normal.

    `gaussian` (std): level + std n. `shot` (photons at white): a count of photons with the mean, variance and
    skewness of Poisson's. `iso` (grain, color): level + grain sqrt(level) n, one n a pixel, + color n, one n
    a channel. `clip` keeps floats within 0 and 1; bytes are always kept within theirs.
    """

    name: Literal["gaussian", "shot", "iso"]
    amounts: tuple[float, ...]
    key: int
    clip: bool = True


class ColorMatrix(Op, frozen=True, eq=False):
    """Make each channel of all of them: a row of weights each, plus `offsets` in levels; rounded and clipped."""

    rows: tuple[tuple[float, ...], ...]
    offsets: Levels


class LocalContrast(Op, frozen=True, eq=False):
    """Equalize the luma tile by tile with a limit to the slope (CLAHE), colours moved along with their luma."""

    clip: float
    tiles: tuple[int, int]


class Encode(Op, frozen=True, eq=False):
    """Write the picture as a file of this quality, 1 to 100, and read it back."""

    format: Literal["jpeg"]
    quality: int


def elastic(
    scene: Scene, alpha: float, sigma: float, key: int, interpolation: Sampling = "bilinear", fill: Levels = (0.0,)
) -> Remap:
    """Displace every pixel at random but smoothly; `fill` is on the 0..255 scale."""
    label = f"elastic {alpha:.1f}, sigma {sigma:.1f}"
    return Remap("elastic", (alpha, sigma), key, interpolation, scene.levels(fill), label=label)


def grid(
    scene: Scene, rows: int, columns: int, limit: float, key: int, interpolation: Sampling = "bilinear"
) -> Remap:
    """Displace the inner nodes of a grid by up to `limit` of a cell; the picture's edge stays."""
    label = f"grid {rows}x{columns}, {limit:.2f}"
    return Remap("grid", (float(rows), float(columns), limit), key, interpolation, label=label)


def lens(scene: Scene, k: float, interpolation: Sampling = "bilinear", fill: Levels = (0.0,)) -> Remap:
    """Bend like a lens: a barrel where `k` is positive, a pincushion where it is negative."""
    name = "barrel" if k > 0 else "pincushion"
    return Remap("lens", (k,), 0, interpolation, scene.levels(fill), label=f"{name} {abs(k):.2f}")


def noise(scene: Scene, name: Literal["gaussian", "shot", "iso"], amounts: tuple[float, ...], key: int) -> Noise:
    """Add noise; normalized pictures are not clipped."""
    label = f"{name} noise {', '.join(f'{amount:.3g}' for amount in amounts)}"
    return Noise(name, amounts, key, not scene.normalized, label=label)


def shift_channels(scene: Scene, shifts: tuple[float, ...]) -> ColorMatrix:
    """Add to each channel, on the 0..255 scale."""
    unit = scene.white / 255.0
    label = f"shift {' '.join(f'{shift:+.0f}' for shift in shifts)}"
    return ColorMatrix(_picked(range(len(shifts)), len(shifts)), tuple(unit * shift for shift in shifts), label=label)


def permute_channels(order: tuple[int, ...]) -> ColorMatrix:
    """Channel i of the result is channel order[i]."""
    label = f"channels {' '.join(map(str, order))}"
    return ColorMatrix(_picked(order, len(order)), (0.0,) * len(order), label=label)


def drop_channels(scene: Scene, dropped: tuple[int, ...], fill: float) -> ColorMatrix:
    """Give these channels one level, on the 0..255 scale."""
    count = scene.channels
    level = scene.levels((fill,))[0]
    rows = _picked((-1 if channel in dropped else channel for channel in range(count)), count)
    offsets = tuple(level if channel in dropped else 0.0 for channel in range(count))
    return ColorMatrix(rows, offsets, label=f"drop channels {' '.join(map(str, dropped))}")


def _picked(order: Iterable[int], count: int) -> tuple[tuple[float, ...], ...]:
    """Rows that take one channel each, or none for -1."""
    return tuple(tuple(float(channel == wanted) for channel in range(count)) for wanted in order)


def local_contrast(clip: float, tiles: tuple[int, int]) -> LocalContrast:
    """Equalize tile by tile."""
    return LocalContrast(clip, tiles, label=f"clahe {clip:.1f}, {tiles[0]}x{tiles[1]} tiles")


def jpeg(quality: int) -> Encode:
    """Write as JPEG and read back."""
    return Encode("jpeg", quality, label=f"jpeg {quality}")


def motion_blur(length: float, degrees: float) -> Filter:
    """Average along a line of this length in pixels, counter-clockwise from the horizontal."""
    return Filter("motion", length, degrees, label=f"motion {length:.1f} at {degrees:.0f}°")


def median_blur(size: int) -> Filter:
    """Take the median of the square of this odd side around each pixel."""
    return Filter("median", float(size), label=f"median {size}")
