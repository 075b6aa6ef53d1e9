"""What is seen of boxes in cells: rectangles of which no two overlap, each x1, y1, x2, y2."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from augreg.targets.conventions import NEAR
from augreg.targets.polygons import in_cells, total_area

__all__ = ["seen_edges", "seen_polygons"]

Points = NDArray[np.float64]


def seen_edges(edges: Points, cells: Points) -> tuple[Points, Points]:
    """The edges around what is seen of upright boxes in these cells, and its fraction of each."""
    low = np.maximum(edges[:, None, :2], cells[None, :, :2])
    high = np.minimum(edges[:, None, 2:], cells[None, :, 2:])
    extent = high - low
    whole = (low == edges[:, None, :2]) & (high == edges[:, None, 2:])
    there = ((extent > NEAR) | ((extent > 0.0) & whole)).all(axis=2)
    area = (np.where(there, extent.prod(axis=2), 0.0)).sum(axis=1)
    around = np.concatenate(
        (
            np.where(there[..., None], low, np.inf).min(axis=1, initial=np.inf),
            np.where(there[..., None], high, -np.inf).max(axis=1, initial=-np.inf),
        ),
        axis=1,
    )
    part = np.minimum(area / (edges[:, 2:] - edges[:, :2]).prod(axis=1), 1.0)
    return np.where(part[:, None] >= 1.0 - 1e-9, edges, around), part


def seen_polygons(polygons: Sequence[Points], cells: Points) -> tuple[list[Points], Points]:
    """The points around what is seen of each polygon in these cells, and its fraction of the area."""
    found, parts = [], np.zeros(len(polygons))
    for number, polygon in enumerate(polygons):
        pieces = in_cells(polygon, cells)
        parts[number] = min(total_area(pieces) / total_area([polygon]), 1.0)
        found.append(polygon if parts[number] >= 1.0 - 1e-9 or not pieces else np.concatenate(pieces))
    return found, parts
