"""The field of a grid is the bilinear mean of its nodes, pixel for pixel, and costs little beside the remap."""

from __future__ import annotations

import numpy as np
import pytest

from augreg.backends import displacement
from augreg.ops import Remap
from augreg.rng import field


def _by_gathering(op: Remap, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Every pixel's four nodes gathered and mixed in float64, first down, then across."""
    rows, columns, limit = int(op.numbers[0]), int(op.numbers[1]), op.numbers[2]
    nodes = np.zeros((2, rows + 1, columns + 1))
    inner = 2.0 * field("uniform", op.key, (2, rows - 1, columns - 1)) - 1.0
    nodes[:, 1:-1, 1:-1] = inner * limit * np.array([height / rows, width / columns]).reshape(2, 1, 1)
    y, x = (np.arange(height) + 0.5) * (rows / height), (np.arange(width) + 0.5) * (columns / width)
    v, u = y.astype(int)[:, None], x.astype(int)[None]
    down, across = y[:, None] - v, x[None] - u
    left = nodes[:, v, u] * (1 - down) + nodes[:, v + 1, u] * down
    right = nodes[:, v, u + 1] * (1 - down) + nodes[:, v + 1, u + 1] * down
    shift_y, shift_x = (left * (1 - across) + right * across).astype(np.float32)
    return (
        np.arange(height, dtype=np.float32)[:, None] + np.float32(0.5) + shift_y,
        np.arange(width, dtype=np.float32)[None] + np.float32(0.5) + shift_x,
    )


@pytest.mark.parametrize("size", [(1, 1), (5, 3), (61, 47), (33, 100), (97, 200)])
@pytest.mark.parametrize("cells", [(1, 1), (3, 5), (20, 7), (1, 4)])
def test_the_field_is_the_same_byte_for_byte(cells: tuple[int, int], size: tuple[int, int]) -> None:
    """Also where there are more cells than pixels."""
    op = Remap("grid", (*map(float, cells), 0.4), 9)
    for found, wanted in zip(displacement.sources(op, *size), _by_gathering(op, *size), strict=True):
        assert np.array_equal(found, wanted)
        assert not found.flags.writeable
