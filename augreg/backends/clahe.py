"""CLAHE: histogram equalization tile by tile, with a limit to the slope, bilinear between tiles.

Pizer et al. 1987 and Zuiderveld 1994, as OpenCV defines it; the OpenCV backend calls OpenCV's own function. It is
computed on the luma. The change of the luma is added to all color channels; float images get the change of the
nearest byte image.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from augreg.backends import plain
from augreg.ops import LocalContrast

__all__ = ["apply", "equalized", "whole_tiles"]

Array = NDArray[Any]
Bytes = NDArray[np.uint8]
Plane = Callable[[Bytes, float, tuple[int, int]], Bytes]


def apply(op: LocalContrast, image: Array, gray: Callable[[Bytes], Bytes], plane: Plane) -> Array:
    """The image after CLAHE: `gray` computes the luma of bytes, `plane` equalizes it, padded to whole tiles."""
    channels = image.shape[2]
    plain.need_color("clahe", channels)
    whole = image if image.dtype == np.uint8 else np.clip(np.rint(image * 255), 0, 255).astype(np.uint8)
    luma = gray(whole)
    height, width = luma.shape
    found = plane(whole_tiles(luma, op.tiles), op.clip, op.tiles)[:height, :width]
    if image.dtype == np.uint8 and channels == 1:
        return np.array(found[..., None])
    moved = found.astype(np.int16) - luma
    if image.dtype == np.uint8:
        shifted: Array = np.clip(image + moved[..., None], 0, 255).astype(np.uint8)
    else:
        shifted = np.clip(image + moved[..., None] * np.float32(1 / 255), 0, 1)
    return shifted


def whole_tiles(luma: Bytes, tiles: tuple[int, int]) -> Bytes:
    """The plane, extended by reflection at the right and bottom to a whole number of pixels per tile."""
    missing = [-size % count for size, count in zip(luma.shape, tiles, strict=True)]
    return np.pad(luma, [(0, missing[0]), (0, missing[1])], mode="reflect") if any(missing) else luma


def equalized(luma: Bytes, clip: float, tiles: tuple[int, int]) -> Bytes:
    """A plane of whole tiles, equalized: each pixel is interpolated between the tables of its four nearest tiles."""
    height, width = luma.shape[0] // tiles[0], luma.shape[1] // tiles[1]
    tables = _tables(luma, clip, tiles)
    (up, down, part_y), (left, right, part_x) = _between(luma.shape[0], height), _between(luma.shape[1], width)
    part_y, part_x = part_y[:, None], part_x[None]
    upper = tables[up[:, None], left[None], luma] * (1 - part_x) + tables[up[:, None], right[None], luma] * part_x
    lower = tables[down[:, None], left[None], luma] * (1 - part_x) + tables[down[:, None], right[None], luma] * part_x
    mixed: Bytes = np.rint(upper * (1 - part_y) + lower * part_y).astype(np.uint8)
    return mixed


def _between(size: int, tile: int) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]:
    """For each position along a side: the tiles with centers before and after it, and the fraction between them."""
    place = np.arange(size, dtype=np.float32) * np.float32(1 / tile) - np.float32(0.5)
    before = np.floor(place)
    last = size // tile - 1
    first = np.clip(before, 0, last).astype(np.intp)
    return first, np.clip(before + 1, 0, last).astype(np.intp), place - before


def _tables(luma: Bytes, clip: float, tiles: tuple[int, int]) -> NDArray[np.float32]:
    """Tiles x 256: the cumulative histogram of each tile, clipped at the limit, the excess spread over all values."""
    rows, columns = tiles
    area = luma.size // (rows * columns)
    limit = max(1, int(clip * area / 256))
    tables = np.empty((rows, columns, 256), np.float32)
    for row, band in enumerate(np.split(luma, rows)):
        for column, tile in enumerate(np.split(band, columns, axis=1)):
            histogram = np.bincount(tile.ravel(), minlength=256)
            excess = int(np.maximum(histogram - limit, 0).sum())
            histogram = np.minimum(histogram, limit) + excess // 256
            rest = excess % 256
            if rest:
                histogram[np.arange(rest) * max(1, 256 // rest)] += 1
            tables[row, column] = np.rint(np.cumsum(histogram).astype(np.float32) * np.float32(255 / area))
    return np.minimum(tables, 255)
