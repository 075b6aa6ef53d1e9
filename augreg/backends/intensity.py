"""Functions of the pixel value, as tables of 256 entries for byte images and as formulas for floats.

Byte tables are Pillow's definitions bit for bit: float32 where Pillow uses C floats, truncation where it truncates.
Float images have pixel values from 0 to 1 and follow the same formulas without rounding. Statistics of a float image
are those of the nearest byte image.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from augreg.errors import ImageError
from augreg.images.files import read_file
from augreg.ops import ImageStatistic, Normalize, PointFunction

__all__ = [
    "LUMA",
    "float_lookup",
    "normalize_floats",
    "normalize_tables",
    "per_channel",
    "read_mean_image",
    "table",
]

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]

_RAMP: Final = np.arange(256, dtype=np.float32)
_UNITS: Final = np.arange(256) / 255.0
_VALUES: Final = np.arange(256, dtype=np.uint8)
LUMA: Final = (19595, 38470, 7471)
"""Weights of red, green and blue in 65536ths."""


def _clipped(values: Floats) -> Bytes:
    np.maximum(values, np.float32(0.0), out=values)  # both together take half the time of np.clip
    np.minimum(values, np.float32(255.0), out=values)
    return values.astype(np.uint8)


def _blended(degenerate: float, factor: float) -> Bytes:
    """degenerate + factor * (value - degenerate) in float32, clipped and truncated."""
    return _clipped(np.float32(degenerate) + np.float32(factor) * (_RAMP - np.float32(degenerate)))


@functools.lru_cache(maxsize=1024)
def _point_table(function: PointFunction) -> Bytes:
    """The table of a function. It is kept: those of policies have few different amounts."""
    table = _made(function)
    table.flags.writeable = False
    return table


def _made(function: PointFunction) -> Bytes:
    amount = function.amount
    if isinstance(amount, bytes):
        return np.frombuffer(amount, np.uint8)
    if isinstance(amount, tuple):
        if function.name == "curve":
            return np.clip(np.rint(255.0 * _curve(amount, _UNITS)), 0, 255).astype(np.uint8)
        return _multiplied(amount, 255.0)
    match function.name:
        case "brightness":
            return _blended(0.0, amount)
        case "invert":
            return 255 - _VALUES
        case "posterize":
            return _VALUES & np.uint8(256 - (1 << (8 - int(amount))))
        case "solarize":
            return np.where(amount > _RAMP, _VALUES, 255 - _VALUES)
        case "solarize_add":
            return np.where(_VALUES < 128, np.clip(_VALUES.astype(np.int64) + int(amount), 0, 255), _VALUES).astype(
                np.uint8
            )
        case "gamma":
            return np.rint(255.0 * _UNITS**amount).astype(np.uint8)
    raise ImageError(f"there is no point function named {function.name!r}")


def _curve(amount: tuple[float, float], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """A cubic Bezier curve from black to white, whose inner points are at these heights, for values from 0 to 1."""
    low, high = amount
    rest = 1.0 - values
    found: NDArray[np.float64] = (
        3.0 * rest * rest * values * low + 3.0 * rest * values * values * high + values * values * values
    )
    return found


def _multiplied(amount: tuple[float, float], white: float) -> Bytes:
    """The table of value * factor + addition * white in float32, clipped and truncated."""
    factor, addition = amount
    return _clipped(_RAMP * np.float32(factor) + np.float32(addition * white))


def _mean(histograms: Sequence[NDArray[np.int64]]) -> float:
    """The mean of all pixel values of all channels."""
    total = sum(histograms)
    return float((total * np.arange(256)).sum() / np.sum(total))


def _stretched(histogram: NDArray[np.int64], cutoff: float) -> Bytes:
    """auto_contrast: stretch the range from the lowest to the highest value that occurs to 0..255."""
    if cutoff:
        histogram = histogram.copy()
        most = int(histogram.sum() * cutoff // 100)
        for order in (range(256), range(255, -1, -1)):
            cut = most
            for value in order:
                if cut <= 0:
                    break
                taken = min(cut, int(histogram[value]))
                histogram[value] -= taken
                cut -= taken
    present = histogram.nonzero()[0]
    if len(present) == 0 or present[0] >= present[-1]:
        return _VALUES
    return _stretch(int(present[0]), int(present[-1]))


@functools.lru_cache(maxsize=4096)
def _stretch(low: int, high: int) -> Bytes:
    """The table that makes black of `low` and white of `high`."""
    scale = 255.0 / (high - low)
    return np.clip((np.arange(256) * scale + -low * scale).astype(np.int64), 0, 255).astype(np.uint8)


def _equalized(histogram: NDArray[np.int64]) -> Bytes:
    """equalize: the cumulative histogram, in steps."""
    until = histogram.cumsum()
    step = int(until[-1] - histogram[histogram.nonzero()[0][-1]]) // 255
    if not step:  # also where there is one value only
        return _VALUES
    before = until - histogram
    steps: Bytes = np.minimum(255, (step // 2 + before) // step).astype(np.uint8)
    return steps


def _histogram_after(histogram: NDArray[np.int64], through: Bytes) -> NDArray[np.int64]:
    """The histogram after a table."""
    return np.bincount(through, weights=histogram, minlength=256).astype(np.int64)


Histogram = Callable[[Bytes], Sequence[NDArray[np.int64]]]
MeanLuma = Callable[[Bytes], float]
Apply = Callable[[NDArray[Any], Bytes], Bytes]


def table(
    stages: Sequence[PointFunction | ImageStatistic],
    image: Bytes,
    histogram: Histogram,
    mean_luma: MeanLuma,
    apply: Apply,
) -> Bytes:
    """The table of all stages, one after the other: 256 values, or channels x 256 where channels differ.

    The backend measures the image: `histogram` per channel, `mean_luma` (of rounded luma), and `apply`, which applies
    a table to an image. A histogram after earlier stages is computed from their table; a mean luma needs a pass over
    the pixels, because rounding depends on each of them.
    """
    total: Bytes | None = None
    for stage in stages:
        if isinstance(stage, PointFunction):
            step = _point_table(stage)
        elif stage.name == "contrast" and not isinstance(stage.amount, tuple):
            so_far = image if total is None else apply(total, image)
            step = _blended(int(mean_luma(so_far) + 0.5), stage.amount)
        else:
            found = histogram(image)
            if total is not None:
                each = total if total.ndim == 2 else [total] * len(found)
                found = [_histogram_after(one, before) for one, before in zip(found, each, strict=True)]
            if isinstance(stage.amount, tuple):
                step = _multiplied(stage.amount, _mean(found))
            elif stage.name == "equalize":
                step = np.stack([_equalized(one) for one in found])
            else:
                step = np.stack([_stretched(one, stage.amount) for one in found])
        total = step if total is None else _after(total, step)
    return _VALUES if total is None else total


def _after(first: Bytes, second: Bytes) -> Bytes:
    """The table that applies `first` and then `second`; either may have a row per channel."""
    if second.ndim == 1:
        return second[first]
    if first.ndim == 1:
        return second[:, first]
    return np.take_along_axis(second, first.astype(np.intp), axis=1)


def float_lookup(
    stages: Sequence[PointFunction | ImageStatistic], image: Floats, gray: Callable[[Floats], Floats]
) -> Floats:
    """A float image after all stages, by the same formulas on pixel values from 0 to 1."""
    for stage in stages:
        if isinstance(stage, PointFunction):
            image = _float_point_function(stage, image)
        elif isinstance(stage.amount, tuple):
            image = _multiplied_floats(stage.amount, float(image.mean(dtype=np.float64)), image)
        elif stage.name == "contrast" and stage.amount != 1.0:
            mean = np.float32(gray(image).mean(dtype=np.float64))
            image = np.clip(mean + np.float32(stage.amount) * (image - mean), 0.0, 1.0)
        elif stage.name != "contrast":
            image = _float_statistic(stage, image)
    return image


def _float_point_function(function: PointFunction, image: Floats) -> Floats:
    amount = function.amount
    if isinstance(amount, bytes):
        return _between(np.frombuffer(amount, np.uint8), image)
    if isinstance(amount, tuple):
        if function.name == "curve":
            return np.clip(_curve(amount, image.astype(np.float64)), 0.0, 1.0).astype(np.float32)
        return _multiplied_floats(amount, 1.0, image)
    match function.name:
        case "brightness":
            bright: Floats = np.clip(image * np.float32(amount), 0.0, 1.0)
            return bright
        case "invert":
            return np.float32(1.0) - image
        case "posterize":
            steps = np.float32(2 ** int(amount))
            return np.clip(np.floor(image * steps), 0.0, steps - 1) / steps if amount < 8 else image
        case "solarize":
            return np.where(image < np.float32(amount / 255.0), image, np.float32(1.0) - image)
        case "solarize_add":
            return np.where(
                image < np.float32(128 / 255), np.clip(image + np.float32(int(amount) / 255), 0.0, 1.0), image
            )
        case "gamma":
            risen: Floats = np.clip(image, 0.0, 1.0) ** np.float32(amount)
            return risen
    raise ImageError(f"there is no point function named {function.name!r}")


def _multiplied_floats(amount: tuple[float, float], white: float, image: Floats) -> Floats:
    factor, addition = amount
    found: Floats = np.clip(image * np.float32(factor) + np.float32(addition * white), 0.0, 1.0)
    return found


def _between(table: Bytes, image: Floats) -> Floats:
    """A byte table applied to float pixel values, linearly between its entries."""
    found: Floats = np.interp(image * np.float32(255.0), np.arange(256), table / 255.0).astype(np.float32)
    return found


def _float_statistic(stage: ImageStatistic, image: Floats) -> Floats:
    """auto_contrast or equalize with the histogram of the nearest byte image."""
    cutoff = float(stage.amount)  # type: ignore[arg-type]
    nearest = np.clip(np.rint(image * 255.0), 0, 255).astype(np.uint8)
    planes = []
    for channel in range(image.shape[2]):
        histogram = np.bincount(nearest[..., channel].ravel(), minlength=256)
        found = _equalized(histogram) if stage.name == "equalize" else _stretched(histogram, cutoff)
        planes.append(_between(found, image[..., channel]))
    return np.stack(planes, axis=2)


def per_channel(values: tuple[float, ...], channels: int, what: str) -> NDArray[np.float64]:
    """One number per channel, from one number or one per channel. Raises ImageError for other counts."""
    if len(values) not in (1, channels):
        raise ImageError(
            f"{what} has {len(values)} numbers and the image has {channels} channels: give one number, or one per "
            "channel (`channels` in the spec sets those of files and PIL images; arrays and tensors keep theirs)"
        )
    return np.broadcast_to(np.asarray(values, np.float64), channels)


@functools.lru_cache(maxsize=64)
def normalize_tables(mean: tuple[float, ...], std: tuple[float, ...], channels: int) -> Floats:
    """Channels x 256: the float for each byte value, computed in float64 and rounded once to float32."""
    means = per_channel(mean, channels, "normalize's mean")[:, None]
    stds = per_channel(std, channels, "normalize's std")[:, None]
    tables = ((np.arange(256, dtype=np.float64) / 255.0 - means) / stds).astype(np.float32)
    tables.flags.writeable = False
    return tables


def normalize_floats(op: Normalize, image: Floats, out: Floats) -> Floats:
    """A float image normalized per channel into `out`, in float32."""
    channels = image.shape[2]
    np.subtract(image, per_channel(op.mean, channels, "normalize's mean").astype(np.float32), out=out)
    np.divide(out, per_channel(op.std, channels, "normalize's std").astype(np.float32), out=out)
    return out


_recent: tuple[Any, Floats | None] = (None, None)


def read_mean_image(source: str | tuple[Any, ...]) -> Floats:
    """The mean image of a normalize op: height x width x channels, values from 0 to 1. A file is read once."""
    global _recent
    known, image = _recent
    if image is None or known is not source:  # by identity: hashing rows of numbers takes longer than normalizing
        image = _read_mean_image(source)
        _recent = source, image
    return image


@functools.lru_cache(maxsize=8)
def _read_mean_image(source: str | tuple[Any, ...]) -> Floats:
    try:
        if isinstance(source, str):
            found = np.load(io.BytesIO(read_file(source)), allow_pickle=False)
        else:
            found = np.array(source, np.float32)
    except (OSError, ValueError, MemoryError) as error:
        name = source if isinstance(source, str) else "given as numbers"
        reason = (isinstance(error, OSError) and error.strerror) or error
        raise ImageError(f"the mean image {name} cannot be read as an array of numbers: {reason}") from None
    if found.ndim == 2:
        found = found[..., None]
    if found.ndim != 3 or found.dtype.kind not in "fiu" or not np.isfinite(found).all():
        raise ImageError(
            f"a mean image is height x width x channels of finite numbers, got {found.dtype} {found.shape}"
        )
    if found.dtype.kind in "iu" or found.max() > 1.0:
        raise ImageError("a mean image has pixel values from 0 to 1; divide it by 255")
    result = np.ascontiguousarray(found, np.float32)
    result.flags.writeable = False
    return result
