"""Where the points of a transformed image come from, op by op in float64, to draw figures on it as pixels.

The functions follow the definitions of the ops and share no code with the package: a figure is drawn by asking of
every point of the result whether it comes from within the figure, and whether it was in the image all the way.
"""

from __future__ import annotations

import numpy as np

from augreg.execution.plan import Plan
from augreg.ops import Move, Op, Pad, Remap, Resize, Warp

__all__ = ["corners_by_hand", "forward", "grid", "inside", "origin", "sizes"]

Points = np.ndarray
Size = tuple[int, int]


def sizes(plan: Plan) -> list[Size]:
    """The (height, width) before every op, and after the last."""
    found = [plan.scene.size]
    for op in plan.ops:
        found.append(op.size_after(*found[-1]) or found[-1])
    return found


def origin(plan: Plan, points: Points) -> tuple[Points, np.ndarray]:
    """Where points of the result come from, and whether they were within the image before and after every op."""
    steps = sizes(plan)
    seen = _within(points, steps[-1])
    for op, size in zip(reversed(plan.ops), reversed(steps[:-1]), strict=True):
        points = _back(op, points, size)
        seen &= _within(points, size)
    return points, seen


def forward(plan: Plan, points: Points) -> tuple[Points, np.ndarray]:
    """Where points of the image go, and whether they are within it before and after every op."""
    seen = _within(points, plan.scene.size)
    steps = sizes(plan)
    for op, size, after in zip(plan.ops, steps[:-1], steps[1:], strict=True):
        points = _ahead(op, points, size)
        seen &= _within(points, after)
    return points, seen


def corners_by_hand(center: Points, side: Points, angle: float) -> Points:
    """The corners of a rectangle whose first side points by `angle` radians from the x axis towards the y axis."""
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return center + np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * side / 2 @ turn.T


def inside(points: Points, corners: Points, slack: float = 0.0) -> np.ndarray:
    """Whether points are within a convex quadrangle, or no further away from each of its edges than `slack`."""
    edges = np.roll(corners, -1, axis=0) - corners
    x, y = corners.T
    way = np.sign((x * np.roll(y, -1) - y * np.roll(x, -1)).sum())
    off = points[:, None] - corners
    depth = way * (edges[:, 0] * off[..., 1] - edges[:, 1] * off[..., 0]) / np.hypot(*edges.T)
    return (depth >= -slack).all(axis=1)


def grid(size: Size, parts: int) -> Points:
    """The centers of parts x parts pieces of every pixel: n x 2."""
    ys, xs = np.mgrid[: size[0] * parts, : size[1] * parts]
    return np.stack((xs.ravel() + 0.5, ys.ravel() + 0.5), axis=1) / parts


def _within(points: Points, size: Size) -> np.ndarray:
    return ((points >= -1e-9) & (points <= np.array(size[::-1]) + 1e-9)).all(axis=1)


def _matrix(op: Op, size: Size) -> np.ndarray | None:
    """The 3 x 3 matrix from the image after an op to the one before."""
    if isinstance(op, Move):
        height, width = op.size_after(*size)
        found = np.eye(3)
        if op.flip_x:
            found = np.array([[-1, 0, width], [0, 1, 0], [0, 0, 1]]) @ found
        if op.flip_y:
            found = np.array([[1, 0, 0], [0, -1, height], [0, 0, 1]]) @ found
        if op.transpose:
            found = np.array([[0, 1, 0], [1, 0, 0], [0, 0, 1]]) @ found
        return np.array([[1, 0, op.left], [0, 1, op.top], [0, 0, 1]]) @ found
    if isinstance(op, Pad):
        return np.array([[1.0, 0, -op.left], [0, 1, -op.top], [0, 0, 1]])
    if isinstance(op, Resize):
        return np.diag([size[1] / op.width, size[0] / op.height, 1.0])
    return np.reshape([*op.matrix, 1.0], (3, 3)) if isinstance(op, Warp) else None


def _mapped(matrix: np.ndarray, points: Points) -> Points:
    x, y, depth = matrix @ np.stack((*points.T, np.ones(len(points))))
    return np.stack((x / depth, y / depth), axis=1)


def _back(op: Op, points: Points, size: Size) -> Points:
    matrix = _matrix(op, size)
    return _lens(op, points, size) if matrix is None else _mapped(matrix, points)


def _ahead(op: Op, points: Points, size: Size) -> Points:
    matrix = _matrix(op, size)
    if matrix is not None:
        return _mapped(np.linalg.inv(matrix), points)
    found = points
    for _ in range(150):  # the slope of a lens is below 2.5, so that half a step each time arrives
        found = found - 0.5 * (_lens(op, found, size) - points)
    return found


def _lens(op: Op, points: Points, size: Size) -> Points:
    """Where a lens reads; it is a field of shifts at the centers of pixels, and beyond the outermost they stay."""
    assert isinstance(op, Remap) and op.field == "lens", op
    middle, half = np.array(size[::-1]) / 2, np.hypot(*size) / 2
    off = np.clip(points, 0.5, np.array(size[::-1]) - 0.5) - middle
    return points + off * (op.numbers[0] * (np.hypot(*off.T) / half) ** 2)[:, None]
