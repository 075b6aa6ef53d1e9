"""Invert a displacement: move points by a field of coordinates that went through a transform."""

import numpy as np
from scipy.spatial import cKDTree

__all__ = ["move_points"]

_MAX_PIXELS = 1 << 18  # of larger fields only every second, third, .. row and column is used
_NEAREST = 8
_FAR = 3.0  # pixels; a point that is farther from all source coordinates is not visible


def move_points(field, points):
    """Return the new positions of points (x, y), n x 2, under the displacement that a field describes.

    `field` is height x width x 3: for each output pixel, the source coordinates x and y, and 1. A third value below 1
    marks a pixel whose source is outside the image. The displacement of a point is a linear fit to the displacements
    of the eight pixels whose sources are nearest to it. A point that no pixel shows gets the displacement of the
    nearest source, which puts it outside the image.
    """
    step = int(np.ceil(np.sqrt(field[..., 0].size / _MAX_PIXELS)))
    rows, columns = np.nonzero(field[::step, ::step, 2] > 0.999)
    if len(rows) == 0:
        return np.full(points.shape, -1.0)
    sources = field[rows * step, columns * step, :2].astype(np.float64)
    positions = np.stack([columns, rows], axis=1) * step + 0.5
    distance, nearest = cKDTree(sources).query(points, k=range(1, min(_NEAREST, len(rows)) + 1))
    source, position = sources[nearest], positions[nearest]
    # a source may be visible in two places: use only pixels near the nearest one
    together = np.abs(position - position[:, :1]).max(axis=2) <= 2.0 * step
    weight = together[..., None] / together.sum(axis=1)[:, None, None]
    moved = position - source
    center, shift = (weight * source).sum(axis=1), (weight * moved).sum(axis=1)
    spread = source - center[:, None]
    square = np.einsum("nki,nkj->nij", weight * spread, spread) + 1e-3 * np.eye(2)
    slope = np.linalg.solve(square, np.einsum("nki,nkj->nij", weight * spread, moved - shift[:, None]))
    near = points + shift + np.einsum("ni,nij->nj", points - center, slope)
    return np.where(distance[:, :1] > _FAR * step, points + moved[:, 0], near)
