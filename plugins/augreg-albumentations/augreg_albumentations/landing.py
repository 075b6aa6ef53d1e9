"""Landing: where points go, found from an image of coordinates that went through a transform."""

import numpy as np
from scipy.spatial import cKDTree

__all__ = ["landed"]

_MOST = 1 << 18  # pixels that are looked at; of more, every second, third .. row and column
_NEAREST = 8
_FAR = 3.0  # pixels


def landed(field, points):
    """Where points (x, y) show, n x 2, for a field of height x width x 3: what each pixel shows, x and y, and 1.

    Where the third number is less than 1, the pixel shows something from beyond the border. How far a pixel has come
    is taken to be linear among the eight pixels that show what is nearest to a point. A point that nothing shows goes
    as far as its nearest one that does, and so out of the image.
    """
    step = int(np.ceil(np.sqrt(field[..., 0].size / _MOST)))
    rows, columns = np.nonzero(field[::step, ::step, 2] > 0.999)
    if len(rows) == 0:
        return np.full(points.shape, -1.0)
    shown = field[rows * step, columns * step, :2].astype(np.float64)
    places = np.stack([columns, rows], axis=1) * step + 0.5
    away, nearest = cKDTree(shown).query(points, k=range(1, min(_NEAREST, len(rows)) + 1))
    source, place = shown[nearest], places[nearest]
    # one thing may show twice: only what shows where the nearest does
    together = np.abs(place - place[:, :1]).max(axis=2) <= 2.0 * step
    weight = together[..., None] / together.sum(axis=1)[:, None, None]
    moved = place - source
    middle, shift = (weight * source).sum(axis=1), (weight * moved).sum(axis=1)
    spread = source - middle[:, None]
    square = np.einsum("nki,nkj->nij", weight * spread, spread) + 1e-3 * np.eye(2)
    slope = np.linalg.solve(square, np.einsum("nki,nkj->nij", weight * spread, moved - shift[:, None]))
    near = points + shift + np.einsum("ni,nij->nj", points - middle, slope)
    return np.where(away[:, :1] > _FAR * step, points + moved[:, 0], near)
