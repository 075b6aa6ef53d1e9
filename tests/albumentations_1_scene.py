"""The image of the tests of dicts of albumentations 1."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["scene", "shares"]


def scene() -> NDArray[np.uint8]:
    """An image that is smooth, and nowhere symmetric."""
    y, x = np.mgrid[0:30, 0:40].astype(np.float64)
    planes = (3 * x + y * y / 6, 250 - 5 * y + x * x / 30, 128 + 100 * np.sin(x / 7 + y / 5))
    return np.clip(np.stack(planes, axis=2), 0, 255).astype(np.uint8)


def shares(image: NDArray[np.uint8], boxes: NDArray[np.float64]) -> list[float]:
    """The mean of each channel, the deviation, the detail along both axes, and where the box is, if it is there."""
    values = image.astype(np.float64) / 255
    detail = [float(np.abs(np.diff(values, axis=axis)).mean()) for axis in (0, 1)]
    place = boxes.reshape(-1, 4)[0] / 50 if len(boxes) else np.full(4, np.nan)
    return [*values.mean(axis=(0, 1)).tolist(), float(values.std()), *detail, *place.tolist(), float(len(boxes))]
