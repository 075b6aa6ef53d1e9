"""`sample_columns` of steps on colors that need a function of `math`, or that mix the channels of each image."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from augreg import ops
from augreg.columns.cursors import Cursors, Some, exactly
from augreg.columns.records import Scenes
from augreg.ops.color import listed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from augreg.ops import Op

__all__ = ["channel_drop", "channel_shuffle", "clahe", "gamma", "tone_curve"]

# they take an array for each image's own number as they take the number
_point_function: Final[Any] = ops.point_function
_local_contrast: Final[Any] = ops.local_contrast
_Matrix: Final[Any] = ops.ColorMatrix


def gamma(transform: Any, rng: Cursors, scene: Scenes) -> Op:
    """An exponent for each image."""
    low, high = transform.gamma
    if transform.spacing == "linear":
        exponent = rng.uniform(low, high)
    else:
        exponent = exactly(math.exp, rng.uniform(math.log(low), math.log(high)))
    op: Op = _point_function("gamma", exponent)
    return op


def clahe(transform: Any, rng: Cursors, scene: Scenes) -> Op:
    """A limit for each image, and tiles by its size."""
    rows, columns = transform.tiles
    tiles = np.minimum(rows, np.maximum(1, scene.height // 8)), np.minimum(columns, np.maximum(1, scene.width // 8))
    op: Op = _local_contrast(rng.uniform(*transform.clip), tiles)
    return op


def channel_shuffle(transform: Any, rng: Cursors, scene: Scenes) -> Op:
    """A matrix of zeros and ones for each image."""
    colors = range(scene.colors)
    order = rng.permutation(scene.colors).T
    rows = [[order[one] == other for other in colors] for one in colors]
    op: Op = _Matrix(_floats(rows), (0.0,) * scene.colors, label=(listed, "channels", *order))
    return op


def channel_drop(transform: Any, rng: Cursors, scene: Scenes) -> tuple[Some, ...]:
    """A matrix for each image that loses a channel."""
    low, high = transform.count
    colors = range(scene.colors)
    count = np.minimum(low + rng.integers(high - low + 1), scene.colors - 1)
    place = rng.permutation(scene.colors).argsort(axis=1).T
    dropped = place < count
    some = np.flatnonzero(count)
    if not len(some):
        return ()
    dropped = dropped[:, some]
    (value,) = scene.pixel_values((transform.fill,))
    rows = _floats([[~dropped[one] if one == other else np.zeros(len(some)) for other in colors] for one in colors])
    offsets = tuple(np.where(dropped[one], value, 0.0) for one in colors)
    return (Some(some, _Matrix(rows, offsets, label=(_listed_where, "drop channels", *dropped))),)


def _listed_where(name: str, *chosen: bool) -> str:
    return listed(name, *[channel for channel, one in enumerate(chosen) if one])


def _floats(rows: list[list[Any]]) -> tuple[tuple[NDArray[np.float64], ...], ...]:
    return tuple(tuple(each.astype(np.float64) for each in row) for row in rows)


def tone_curve(transform: Any, rng: Cursors, scene: Scenes) -> Op:
    """Two heights for each image."""
    low, high = (np.clip(rng.normal(mean, transform.scale), 0.0, 1.0) for mean in (0.25, 0.75))
    op: Op = _point_function("curve", (low, high))
    return op
