"""The image of the tests of dicts of albumentations 1."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["scene"]


def scene() -> NDArray[np.uint8]:
    """An image that is smooth, and nowhere symmetric."""
    y, x = np.mgrid[0:30, 0:40].astype(np.float64)
    planes = (3 * x + y * y / 6, 250 - 5 * y + x * x / 30, 128 + 100 * np.sin(x / 7 + y / 5))
    return np.clip(np.stack(planes, axis=2), 0, 255).astype(np.uint8)
