"""`sample_columns` of quarter turns and of maps of the plane, whose numbers come from functions of `math`.

The formulas and the order of the draws are those of `sample` and of the functions in `augreg.ops`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from msgspec.structs import replace

from augreg import ops
from augreg.columns.cursors import Cursors, Floats, Integers, Rows, Some, exactly
from augreg.columns.records import Scenes
from augreg.ops import projective
from augreg.ops.geometry import cornered, moved_points
from augreg.ops.projective import NEAREST

if TYPE_CHECKING:
    from collections.abc import Iterator

    from augreg.ops import Op

__all__ = [
    "affine", "affine_points", "d4", "perspective", "perspective_zoom", "rot90", "rotate", "rotated", "safe_rotate",
]  # fmt: skip

# they take an array for each image's own number as they take the number
_affine: Final[Any] = ops.affine
_quarter_turns: Final[Any] = ops.quarter_turns
_Warp: Final[Any] = ops.Warp


def _by_value(values: Integers, rows: Rows | None = None) -> Iterator[tuple[int, Rows]]:
    """The values that occur, and the images that have them; `rows` are the images, if not all."""
    for value in np.unique(values).tolist():
        having = np.flatnonzero(values == value)
        yield value, having if rows is None else rows[having]


def rot90(transform: Any, rng: Cursors, scene: Scenes) -> tuple[Some, ...]:
    """The images that are turned alike together."""
    return tuple([Some(rows, _quarter_turns(scene.taken(rows), turns)) for turns, rows in _by_value(rng.integers(4))])


def d4(transform: Any, rng: Cursors, scene: Scenes) -> tuple[Some, ...]:
    """The images with one symmetry together."""
    found = []
    for symmetry, rows in _by_value(rng.integers(8)):
        turn = _quarter_turns(scene.taken(rows), symmetry % 4)
        if symmetry >= 4:
            turn = replace(turn, flip_x=not turn.flip_x, label=f"{turn}, mirrored")
        found.append(Some(rows, turn))
    return tuple(found)


def rotate(transform: Any, rng: Cursors, scene: Scenes) -> tuple[Some, ...]:
    """A warp for most images, and a quarter turn for those whose angle is a multiple that fits."""
    how = transform.interpolation, transform.fill, transform.mode
    return rotated(scene, rng.uniform(*transform.degrees), *how)


def rotated(
    scene: Scenes, degrees: Floats, interpolation: Any, fill: Any, mode: str = "constant"
) -> tuple[Some, ...]:
    """As `ops.rotate`."""
    angle = degrees % 360.0
    moved = (angle % 180.0 == 0.0) | ((angle % 90.0 == 0.0) & (scene.height == scene.width))
    turned, warped = np.flatnonzero(moved), np.flatnonzero(~moved)
    turns = angle[turned].astype(np.int64) // 90
    found = [Some(rows, _quarter_turns(scene.taken(rows), number)) for number, rows in _by_value(turns, turned)]
    if len(warped):
        some = scene.taken(warped)
        angles = angle[warped].tolist()
        known = {each: projective.turn(each) for each in set(angles)}  # a policy has few angles
        cos, sin = np.array([known[each] for each in angles]).T
        matrix = projective.turned_about(cos, sin, some.width / 2.0, some.height / 2.0)  # type: ignore[arg-type]
        label = "rotate {:.1f}°".format, degrees[warped]
        found.append(Some(warped, _affine(some, matrix, interpolation, fill, label, mode)))
    return tuple(found)


def affine(transform: Any, rng: Cursors, scene: Scenes) -> Op:
    """A warp for each image."""
    angle = exactly(math.radians, rng.uniform(*transform.degrees))
    vertical, horizontal = transform.translate
    down = rng.uniform(-vertical, vertical) * scene.height
    right = rng.uniform(-horizontal, horizontal) * scene.width
    zoom = rng.uniform(*transform.scale)
    slant_x = exactly(math.tan, exactly(math.radians, rng.uniform(*transform.shear_x)))
    slant_y = exactly(math.tan, exactly(math.radians, rng.uniform(*transform.shear_y)))
    cos, sin = exactly(math.cos, angle), exactly(math.sin, angle)
    a, b = zoom * (cos + sin * slant_y), zoom * (cos * slant_x + sin)
    d, e = zoom * (cos * slant_y - sin), zoom * (cos - sin * slant_x)
    det = a * e - b * d
    singular = np.abs(det) < 1e-9 * zoom * zoom
    a, b, d, e, det = (
        np.where(singular, only, value)
        for only, value in zip((1.0, 0.0, 0.0, 1.0, 1.0), (a, b, d, e, det), strict=True)
    )
    a, b, d, e = e / det, -b / det, -d / det, a / det
    x, y = scene.width / 2.0, scene.height / 2.0
    matrix = (a, b, x - a * (x + right) - b * (y + down), d, e, y - d * (x + right) - e * (y + down))
    label = "affine {:.1f}° x{:.2f} move ({:.0f}, {:.0f})".format, exactly(math.degrees, angle), zoom, right, down
    op: Op = _affine(scene, matrix, transform.interpolation, transform.fill, label, transform.mode)
    return op


def safe_rotate(transform: Any, rng: Cursors, scene: Scenes) -> Op:
    """A warp for each image."""
    degrees = rng.uniform(*transform.degrees)
    cos, sin = np.array([projective.turn(each) for each in degrees.tolist()]).reshape(-1, 2).T
    width, height = scene.width.astype(np.float64), scene.height.astype(np.float64)
    across, down = (np.abs(cos) + np.abs(sin) * one / other for one, other in ((height, width), (width, height)))
    a, b, d, e = cos * across, sin * down, -sin * across, cos * down
    matrix = (a, b, (width - a * width - b * height) / 2.0, d, e, (height - d * width - e * height) / 2.0)
    label = "rotate {:.1f}° into the frame".format, degrees
    op: Op = _affine(scene, matrix, transform.interpolation, transform.fill, label, transform.mode)
    return op


def affine_points(transform: Any, rng: Cursors, scene: Scenes) -> Op:
    """A warp for each image."""
    far = transform.distance
    rng.ready(6)
    moves = [(rng.uniform(-far, far), rng.uniform(-far, far)) for _ in range(3)]
    (x0, y0), (x1, y1), (x2, y2) = moves
    x, y = scene.width / 2.0, scene.height / 2.0
    if transform.swapped:
        x, y = y, x
    half = np.minimum(*scene.size) / 3.0
    a, b = 1.0 + (x1 - x2) / (2.0 * half), (x0 - x1) / (2.0 * half)
    d, e = (y1 - y2) / (2.0 * half), 1.0 + (y0 - y1) / (2.0 * half)
    det = a * e - b * d
    flat = np.abs(det) < 1e-9
    a, b, d, e, det = (
        np.where(flat, only, value) for only, value in zip((1.0, 0.0, 0.0, 1.0, 1.0), (a, b, d, e, det), strict=True)
    )
    along_x, along_y = (np.where(flat, 0.0, each) for each in ((x0 + x2) / 2.0, (y0 + y2) / 2.0))
    a, b, d, e = e / det, -b / det, -d / det, a / det
    right, down = x + along_x, y + along_y
    matrix = (a, b, x - a * right - b * down, d, e, y - d * right - e * down)
    label = (moved_points, *moves)
    op: Op = _affine(scene, matrix, transform.interpolation, transform.fill, label, transform.mode)
    return op


def perspective(transform: Any, rng: Cursors, scene: Scenes) -> Op:
    """A warp for each image."""
    height, width = scene.height, scene.width
    max_x, max_y = transform.distortion * width / 2.0, transform.distortion * height / 2.0
    rng.ready(8)
    (x0, y0), (x1, y1), (x2, y2), (x3, y3) = [(rng.uniform(0.0, max_x), rng.uniform(0.0, max_y)) for _ in range(4)]
    corners = ((x0, y0), (width - x1, y1), (width - x2, height - y2), (x3, height - y3))
    return _through_corners(transform, scene, _through_points(corners, _corners(scene)), "perspective", corners)


_Points = tuple[tuple[Floats, Floats], ...]


def _corners(scene: Scenes) -> _Points:
    """Those of the images: top left, top right, bottom right, bottom left."""
    far_x, far_y, none = scene.width.astype(np.float64), scene.height.astype(np.float64), np.zeros(len(scene))
    return (none, none), (far_x, none), (far_x, far_y), (none, far_y)


def _through_corners(transform: Any, scene: Scenes, matrix: Any, name: str, corners: _Points) -> Op:
    how = transform.interpolation, scene.pixel_values(transform.fill), transform.mode
    op: Op = _Warp(matrix, scene.height, scene.width, *how, label=(cornered, name, *corners))
    return op


def perspective_zoom(transform: Any, rng: Cursors, scene: Scenes) -> Op:
    """A warp for each image."""
    scale = rng.uniform(*transform.scale)
    rng.ready(16)
    inward = [[np.abs(scale * rng.normal()) % 0.32 for _ in range(2)] for _ in range(4)]
    whole = _corners(scene)
    inner = tuple([
        (np.abs(x - right * scene.width), np.abs(y - down * scene.height))
        for (x, y), (right, down) in zip(whole, inward, strict=True)
    ])  # fmt: skip
    if not transform.fit:
        matrix = _through_points(whole, inner)
        if transform.twice:
            matrix = _enlarged(matrix, inner, scene)
        return _through_corners(transform, scene, matrix, "zoom to", inner)
    corners = _fitted(whole, inner)
    return _through_corners(transform, scene, _through_points(corners, whole), "perspective", corners)


def _enlarged(matrix: tuple[Floats, ...], inner: _Points, scene: Scenes) -> tuple[Floats, ...]:
    """The inverse maps after another scale by the sides of the image over those of the quadrilateral."""
    (x0, y0), (x1, y1), (x2, y2), (x3, y3) = inner
    across = np.maximum(np.sqrt((x1 - x0) ** 2 + (y1 - y0) ** 2), np.sqrt((x2 - x3) ** 2 + (y2 - y3) ** 2))
    down = np.maximum(np.sqrt((x2 - x1) ** 2 + (y2 - y1) ** 2), np.sqrt((x3 - x0) ** 2 + (y3 - y0) ** 2))
    u, v = np.maximum(2, across.astype(np.int64)) / scene.width, np.maximum(2, down.astype(np.int64)) / scene.height
    a, b, c, d, e, f, g, h = matrix
    return a * u, b * v, c, d * u, e * v, f, g * u, h * v


def _fitted(whole: _Points, inner: _Points) -> _Points:
    """As `PerspectiveZoom` has it: where a corner is nearly behind the viewer, the inner points move half way out."""
    while True:
        a, b, c, d, e, f, g, h = _through_points(inner, whole)
        depths = [g * x + h * y + 1.0 for x, y in whole]
        behind = np.minimum.reduce(depths) < NEAREST * np.maximum.reduce(depths)
        if not behind.any():
            break
        inner = tuple([
            (np.where(behind, (x + u) / 2.0, u), np.where(behind, (y + v) / 2.0, v))
            for (x, y), (u, v) in zip(whole, inner, strict=True)
        ])  # fmt: skip
    places = [
        ((a * x + b * y + c) / depth, (d * x + e * y + f) / depth)
        for (x, y), depth in zip(whole, depths, strict=True)
    ]
    ends = [(np.minimum.reduce(each), np.maximum.reduce(each)) for each in zip(*places, strict=True)]
    (left, right), (top, bottom) = ends
    width, height = whole[2]
    return tuple([((x - left) / (right - left) * width, (y - top) / (bottom - top) * height) for x, y in places])


def _through_points(source: _Points, target: _Points) -> tuple[Floats, ...]:
    """As `projective.through_points`: the same elimination, in each image with its own pivots."""
    count = len(source[0][0])
    one, none = np.ones(count), np.zeros(count)
    lines = []
    for (x, y), (u, v) in zip(source, target, strict=True):
        lines.append([x, y, one, none, none, none, -u * x, -u * y, u])
        lines.append([none, none, none, x, y, one, -v * x, -v * y, v])
    rows = np.array(lines)  # 8 x 9 x images
    images = np.arange(count)
    for column in range(8):
        sizes = np.abs(rows[column:, column])
        pivot = column + sizes.argmax(axis=0)
        if np.any(sizes.max(axis=0) < 1e-12):
            raise ValueError("three of the four corners lie on one line")
        head = rows[pivot, :, images].T
        rows[pivot, :, images] = rows[column].T
        head = head / head[column]
        rows[column] = head
        for number in range(8):
            scale = rows[number, column]
            if number != column and scale.any():
                rows[number] = np.where(scale != 0.0, rows[number] - scale * head, rows[number])
    return tuple(rows[:, 8])
