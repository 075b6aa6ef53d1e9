"""`sample_columns` of noise that needs a square root, or factors of the channels of each image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from augreg import ops
from augreg.columns.cursors import Cursors
from augreg.columns.records import Scenes

if TYPE_CHECKING:
    from augreg.ops import Op

__all__ = ["gaussian_noise", "multiplicative_noise"]

# they take an array for each image's own number as they take the number
_noise: Final[Any] = ops.noise
_point_function: Final[Any] = ops.point_function
_scale_channels: Final[Any] = ops.scale_channels


def gaussian_noise(transform: Any, rng: Cursors, scene: Scenes) -> Op:
    """A deviation for each image; roots are correctly rounded everywhere."""
    low, high = transform.std
    drawn = transform.uniform == "std"
    std = rng.uniform(low, high) if drawn else np.sqrt(rng.uniform(low * low, high * high))
    found: Op = _noise(scene, "gaussian" if transform.per == "value" else "gray", (std,), rng.bits())
    return found


def multiplicative_noise(transform: Any, rng: Cursors, scene: Scenes) -> Op:
    """Factors for each image, or for each of its channels, or a key for those of its pixels."""
    low, high = transform.factor
    found: Op
    if transform.per == "image":
        found = _point_function("brightness", rng.uniform(low, high))
    elif transform.per == "channel":
        found = _scale_channels(tuple([rng.uniform(low, high) for _ in range(scene.colors)]))
    else:
        found = _noise(scene, "factor" if transform.per == "value" else "gray factor", (low, high), rng.bits())
    return found
