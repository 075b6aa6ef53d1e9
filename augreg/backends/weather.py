"""Shadows, lightness, fog, flares and rain, by NumPy on every backend."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from augreg.backends import plain, planar, raining
from augreg.backends.regions import Classes, regions, union
from augreg.images import buffers
from augreg.ops import Flare, Fog, Op, Rain, Shade

__all__ = ["KERNELS", "lightness", "relit"]

Array = NDArray[Any]
Floats = NDArray[np.float32]


def by_regions(op: Shade | Fog | Flare, image: Array) -> Array:
    """The image after the maps of classes of the op."""
    height, width, channels = image.shape
    white = 255.0 if image.dtype == np.uint8 else 1.0
    for maps in regions(op, height, width, channels, white):
        out = buffers.empty(image.shape, image.dtype)
        for rows in planar.parts(image):
            out[rows] = _classified(maps, maps.of[rows], image[rows])
        image = out
    return image


def _classified(maps: Classes, of: NDArray[np.int64], pixels: Array) -> Array:
    """What pixels of these classes become."""
    _, tables, factor, addition = maps
    if pixels.dtype != np.uint8:
        floats: Array = np.clip(pixels * factor.take(of, axis=0) + addition.take(of, axis=0), 0, 1)
        return floats
    height, width, channels = pixels.shape
    planes = tables.shape[1]
    place = np.repeat(of * (256 * planes), channels, axis=1)  # one row of pixel values
    if planes > 1:
        place += np.tile(np.arange(0, 256 * planes, 256), width)
    place += pixels.reshape(height, -1)
    return tables.ravel().take(place).reshape(pixels.shape)


def shade(op: Shade, image: Array) -> Array:
    """Pixel values, or their lightness, times a factor."""
    if op.of == "values":
        return by_regions(op, image)
    plain.need_color("lightness", image.shape[2])
    inside = union(op.polygons, *image.shape[:2])

    def shaded(channels: planar.Channels, rows: slice) -> Iterator[Floats]:
        before = lightness(channels)
        changes = inside[rows] & (before < np.float32(op.below))
        after = np.clip(before * np.float32(op.factor), 0, 1)
        return (
            np.where(changes, found, channel)
            for found, channel in zip(relit(channels, before, after), channels, strict=True)
        )

    return planar.computed(shaded, image)


def lightness(channels: planar.Channels) -> Floats:
    """The lightness of pixels: the mean of the largest and the smallest channel."""
    found: Floats = functools.reduce(np.maximum, channels) + functools.reduce(np.minimum, channels)
    found *= np.float32(0.5)
    return found


def relit(channels: planar.Channels, before: Floats, after: Floats) -> Iterator[Floats]:
    """The channels of pixels from 0 to 1 whose lightness changes; hue and saturation stay, and gray stays gray.

    The saturation of HSL is the chroma, the largest channel less the smallest, over the most that is possible with
    the lightness L, which is twice the smaller one of L and 1 - L. So distances from the lightness change as it does.
    """
    most, most_after = (np.minimum(one, np.float32(1) - one) for one in (before, after))
    ratio = most_after / np.where(most > 0, most, np.float32(1))
    for channel in channels:
        found = channel - before
        found *= ratio
        found += after
        yield np.clip(found, 0, 1, out=found)


KERNELS: dict[type[Op], Callable[[Any, Array], Array]] = {
    Shade: shade,
    Fog: by_regions,
    Flare: by_regions,
    Rain: raining.rained,
}
