"""A simple reference for blending a batch: float64, pixel by pixel, without code of the package."""

from __future__ import annotations

from typing import Any

import numpy as np

from augreg.batch.blends import Blend, Mix, Paste


def blended(blends: tuple[Blend, ...], batch: np.ndarray, nearest: bool = False, rounded: bool = False) -> np.ndarray:
    """N x C x H x W after these blends, as float64; with `rounded`, rounded to whole numbers after each."""
    old = batch.astype(np.float64)
    for blend in blends:
        new = old.copy()
        if isinstance(blend, Mix):
            for i, (partner, weight) in enumerate(zip(blend.partners, blend.weights, strict=True)):
                new[i] = weight * old[i] + (1 - weight) * old[partner]
        else:
            assert isinstance(blend, Paste)
            for patch in blend.patches:
                top, left, height, width = patch.source_box
                piece = old[patch.source, :, top : top + height, left : left + width]
                top, left, height, width = patch.box
                if not nearest and patch.box[2:] != patch.source_box[2:]:
                    piece = scaled(scaled(piece, height, 1, rounded), width, 2, rounded)
                for y in range(height):
                    for x in range(width):
                        source_y = int((y + 0.5) * piece.shape[1] / height)
                        source_x = int((x + 0.5) * piece.shape[2] / width)
                        new[patch.into, :, top + y, left + x] = piece[:, source_y, source_x]
        old = np.floor(new + 0.5) if rounded else new
    return old


def scaled(planes: np.ndarray, size: int, axis: int, rounded: bool) -> np.ndarray:
    """An axis scaled: each new pixel is the mean of the old ones under a triangle around its center."""
    old = planes.shape[axis]
    reach = max(1.0, old / size)
    found: list[Any] = []
    for k in range(size):
        center = (k + 0.5) * old / size
        triangle = [max(0.0, 1 - abs(j + 0.5 - center) / reach) for j in range(old)]
        found.append(sum(t * planes.take(j, axis) for j, t in enumerate(triangle)) / sum(triangle))
    stacked = np.stack(found, axis)
    return np.floor(stacked + 0.5) if rounded else stacked
