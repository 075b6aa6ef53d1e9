"""Shadows, lightness, fog, flares and rain, by NumPy on every backend."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from augreg.backends import plain, raining
from augreg.backends.regions import regions, union
from augreg.ops import Flare, Fog, Op, Rain, Shade

__all__ = ["KERNELS", "lightness", "relit"]

Array = NDArray[Any]
Floats = NDArray[np.float32]


def by_regions(op: Shade | Fog | Flare, image: Array) -> Array:
    """The image after the maps of classes of the op."""
    height, width, channels = image.shape
    white = 255.0 if image.dtype == np.uint8 else 1.0
    for of, tables, factor, addition in regions(op, height, width, channels, white):
        every = np.arange(channels) if tables.shape[1] > 1 else 0
        if image.dtype == np.uint8:
            start = (of * tables.shape[1])[..., None] + every
            image = tables.ravel()[start * 256 + image]
        else:
            image = np.clip(image * factor[of] + addition[of], 0, 1)
    return image


def shade(op: Shade, image: Array) -> Array:
    """Pixel values, or their lightness, times a factor."""
    if op.of == "values":
        return by_regions(op, image)
    plain.need_color("lightness", image.shape[2])
    inside = union(op.polygons, *image.shape[:2])
    pixels = image[inside]
    values = pixels if image.dtype == np.float32 else pixels * np.float32(1 / 255)
    before = lightness(values)
    factor = np.where(before < np.float32(op.below), np.float32(op.factor), np.float32(1))
    values = relit(values, before, np.clip(before * factor, 0, 1))
    out = plain.like(image, *image.shape[:2])
    out[:] = image
    out[inside] = values if image.dtype == np.float32 else np.rint(values * np.float32(255))
    return out


def lightness(values: Floats) -> Floats:
    """The lightness of pixels from 0 to 1, one a row: the mean of the largest and the smallest channel."""
    found: Floats = (values.max(axis=-1) + values.min(axis=-1)) * np.float32(0.5)
    return found


def relit(values: Floats, before: Floats, after: Floats) -> Floats:
    """Pixels from 0 to 1, one a row, whose lightness changes and whose hue and saturation stay; gray ones stay gray.

    The saturation of HSL is the chroma, the largest channel less the smallest, over the most that is possible with
    the lightness L: 1 - |2 L - 1|.
    """
    low = values.min(axis=-1, keepdims=True)
    chroma = values.max(axis=-1, keepdims=True) - low
    room = (np.float32(1) - np.abs(np.float32(2) * one - np.float32(1)) for one in (before, after))
    most, most_after = (one[..., None] for one in room)
    colored = (chroma > 0) & (most > 0)
    saturation = np.where(colored, chroma / np.where(colored, most, 1), 0)
    place = (values - low) / np.where(colored, chroma, 1)
    found: Floats = np.clip(after[..., None] + saturation * most_after * (place - np.float32(0.5)), 0, 1)
    return np.where(colored, found, after[..., None])


KERNELS: dict[type[Op], Callable[[Any, Array], Array]] = {
    Shade: shade,
    Fog: by_regions,
    Flare: by_regions,
    Rain: raining.rained,
}
