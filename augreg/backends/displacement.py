"""Displacement fields: where each pixel of a remapped image is read.

Positions are (y, x) from the top left, and pixel centers are at +0.5, as in `Warp`. Backends share these fields, so
they read at the same positions and differ only in how they interpolate.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from augreg.backends import borders, meshes, plain, tiles
from augreg.errors import ImageError
from augreg.ops import Filter, Remap
from augreg.rng import field

__all__ = ["Blur", "GridLines", "grid_lines", "outside", "sampled", "sources"]

Array = NDArray[Any]
Floats = NDArray[np.float32]
Blur = Callable[[Filter, Array], Array]

_ROWS: Final = 32  # rows of a field that are computed at once
_MOST_KEPT: Final = 1 << 20  # pixels of a field that is cached, 8 MB; larger ones are computed again


def _plain_blur(op: Filter, image: Array) -> Array:
    return plain.float_blur(op.amount, image)


def sources(op: Remap, height: int, width: int, blur: Blur = _plain_blur) -> tuple[Floats, Floats]:
    """Where the center of each output pixel reads the input: rows and columns, both height x width, read-only.

    `blur` is the Gaussian filter to use: a backend's own is faster. If it has a method `mirrored(sigma, noise)`,
    that one smooths noise as if it were mirrored at its edges, so that no border is needed. An image, its mask and
    its points need the same field one after the other, so the last two are cached.
    """
    bare = Remap(op.field, op.numbers, op.key)  # the field does not depend on interpolation and fill
    return (_kept if height * width <= _MOST_KEPT else _sources)(bare, height, width, blur)


def _sources(op: Remap, height: int, width: int, blur: Blur) -> tuple[Floats, Floats]:
    match op.field:
        case "elastic" | "elastic_normal":
            shift_y, shift_x = _elastic(op, height, width, blur)
        case "waves":
            shift_y, shift_x = _waves(op, height, width, blur)
        case "grid":
            shift_y, shift_x = _grid(op, height, width)
        case "lens":
            shift_y, shift_x = _lens(op.numbers[0], height, width)
        case "camera" | "fisheye":
            shift_y, shift_x = meshes.camera(op, height, width)
        case "bands":
            shift_y, shift_x = meshes.bands(op, height, width)
        case "nodes":
            shift_y, shift_x = meshes.nodes(op, height, width)
        case "tiles":
            shift_y, shift_x = tiles.shifts(op, height, width)
        case _:
            raise ImageError(f"there is no displacement field named {op.field!r}")
    ys = np.arange(height, dtype=np.float32)[:, None] + np.float32(0.5)
    xs = np.arange(width, dtype=np.float32)[None] + np.float32(0.5)
    found = _added(ys, shift_y), _added(xs, shift_x)
    for places in found:
        places.flags.writeable = False
    return found


def _added(places: Floats, shift: Floats) -> Floats:
    """Places plus their shifts, in the memory of the shifts where they are not a part of a larger array."""
    return np.add(places, shift, out=shift if shift.flags.c_contiguous else None)


_kept = functools.lru_cache(maxsize=2)(_sources)


def _elastic(op: Remap, height: int, width: int, blur: Blur) -> tuple[Floats, Floats]:
    """Uniform noise in [-1, 1), smoothed by a Gaussian, times alpha: Simard et al. 2003.

    For `elastic_normal` it is normal noise divided by its largest absolute value. The noise is mirrored at the
    edges; repeating the edge would make displacements there far too large.
    """
    alpha, sigma = op.numbers
    if op.field == "elastic":
        noise = 2.0 * field("uniform", op.key, (height, width, 2)) - 1.0
    else:
        noise = field("normal", op.key, (height, width, 2))
        noise /= np.abs(noise).max()
    shifts = np.float32(alpha) * _smoothed(sigma, noise, blur)
    return shifts[..., 0], shifts[..., 1]


def _smoothed(sigma: float, noise: Floats, blur: Blur, edges: Literal["symmetric", "edge"] = "symmetric") -> Floats:
    """Noise smoothed by a Gaussian, as if it were mirrored at its edges, or its edges repeated."""
    mirrored = getattr(blur, "mirrored", None)
    if mirrored is not None and edges == "symmetric":
        found: Floats = mirrored(sigma, noise)
        return found
    if edges == "edge":  # as filters do
        return blur(Filter("gaussian", sigma), noise)
    height, width = noise.shape[:2]
    reach = math.ceil(4.0 * sigma)
    noise = np.pad(noise, ((reach, reach), (reach, reach), (0, 0)), mode="symmetric")
    smooth: Floats = blur(Filter("gaussian", sigma), noise)[reach : reach + height, reach : reach + width]
    return smooth


def _waves(op: Remap, height: int, width: int, blur: Blur) -> tuple[Floats, Floats]:
    """An elastic field with a Gaussian that is cut off, with other edges or the same noise twice: see `ops.waves`."""
    alpha, sigma, reach, same, normal, repeat = op.numbers
    shape = (height, width, 1) if same else (2 * height, width, 1) if repeat else (height, width, 2)
    if normal:
        noise = field("normal", op.key, shape)
        noise /= np.abs(noise).max()
    else:
        noise = 2.0 * field("uniform", op.key, shape) - 1.0
    edges: Literal["symmetric", "edge"] = "edge" if repeat else "symmetric"
    smooth = meshes.windowed(sigma, int(reach), noise, edges) if reach else _smoothed(sigma, noise, blur, edges)
    shifts = np.float32(alpha) * smooth
    if shape[0] > height:  # the one axis is below the other
        return shifts[height:, :, 0], shifts[:height, :, 0]
    return shifts[..., 0], shifts[..., shape[2] - 1].copy()


class GridLines(NamedTuple):
    """Shifts of a grid along the lines between its columns, and where the pixels of a row lie between these lines.

    `shifts` is 2 x height x lines, for rows and columns. A pixel is in the cell `cells`, after as many lines, and
    `parts` is how far it lies within it, from 0 to 1. In between the shift is bilinear.
    """

    shifts: NDArray[np.float64]
    cells: NDArray[np.intp]
    parts: NDArray[np.float64]


def grid_lines(op: Remap, height: int, width: int) -> GridLines:
    """Nodes of a grid displaced by up to a fraction of a cell; nodes on the edge stay."""
    rows, columns, limit = int(op.numbers[0]), int(op.numbers[1]), op.numbers[2]
    nodes = np.zeros((2, rows + 1, columns + 1))
    inner = 2.0 * field("uniform", op.key, (2, rows - 1, columns - 1)) - 1.0
    nodes[:, 1:-1, 1:-1] = inner * limit * np.array([height / rows, width / columns]).reshape(2, 1, 1)
    first, part = _within_cells(height, rows)
    part = part[:, None]
    lines = np.take(nodes, first, 1) * (1.0 - part) + np.take(nodes, first + 1, 1) * part
    return GridLines(lines, *_within_cells(width, columns))


def _grid(op: Remap, height: int, width: int) -> tuple[Floats, Floats]:
    """The shifts of a grid, bilinear between its lines."""
    lines, first, part = grid_lines(op, height, width)
    columns = lines.shape[2] - 1
    ends = np.searchsorted(first, np.arange(columns + 1))
    shifts = np.empty((2, height, width), np.float32)
    for top in range(0, height, _ROWS):
        rows_now = slice(top, top + _ROWS)
        for cell in range(columns):  # cell by cell, so that nothing is gathered; the rows fit into the cache
            across = slice(ends[cell], ends[cell + 1])
            left, right = lines[:, rows_now, cell, None], lines[:, rows_now, cell + 1, None]
            shifts[:, rows_now, across] = left * (1.0 - part[across]) + right * part[across]
    return shifts[0], shifts[1]


def _within_cells(size: int, cells: int) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """For each pixel along a side: its cell, and how far it lies within it, from 0 to 1."""
    place: NDArray[np.float64] = (np.arange(size, dtype=np.float64) + 0.5) * (cells / size)
    first = place.astype(np.intp)
    part: NDArray[np.float64] = place - first
    return first, part


def _lens(k: float, height: int, width: int) -> tuple[Floats, Floats]:
    """Radial distortion of the first order, r (1 + k r^2) about the center, with r = 1 at the corners: Brown 1966."""
    y = np.arange(height)[:, None] + 0.5 - height / 2.0
    x = np.arange(width)[None] + 0.5 - width / 2.0
    stretch = k * (y * y + x * x) / ((height * height + width * width) / 4.0)
    return (y * stretch).astype(np.float32), (x * stretch).astype(np.float32)


def outside(ys: Floats, xs: Floats, height: int, width: int) -> NDArray[np.bool_] | None:
    """Which of these positions lie outside of an image of this size; None if none does."""
    if ys.min() >= 0 and ys.max() < height and xs.min() >= 0 and xs.max() < width:
        return None
    return (ys < 0) | (ys >= height) | (xs < 0) | (xs >= width)


def sampled(image: Array, ys: Floats, xs: Floats, interpolation: str) -> Array:
    """The image at these positions, its edges repeated: the nearest pixel, bilinear between four, or bicubic."""
    if interpolation == "bicubic":
        return borders.sampled(image, ys, xs, interpolation, "edge")
    height, width = image.shape[:2]
    if interpolation == "nearest":
        found: Array = image[_within(ys, height), _within(xs, width)]
        return found
    ys, xs = ys - np.float32(0.5), xs - np.float32(0.5)
    top, left = np.floor(ys), np.floor(xs)
    down, right = (ys - top)[..., None], (xs - left)[..., None]
    first_y, second_y = _within(top, height), _within(top + 1, height)
    first_x, second_x = _within(left, width), _within(left + 1, width)
    upper = image[first_y, first_x] * (1 - right) + image[first_y, second_x] * right
    lower = image[second_y, first_x] * (1 - right) + image[second_y, second_x] * right
    mixed: Array = upper * (1 - down) + lower * down
    return mixed if image.dtype == np.float32 else np.rint(mixed).astype(np.uint8)


_FAR: Final = 2.0**30


def _within(places: Floats, size: int) -> NDArray[np.intp]:
    """Positions as whole numbers from 0 to size - 1."""
    whole: NDArray[np.intp] = np.clip(np.floor(np.clip(places, -1.0, _FAR)).astype(np.intp), 0, size - 1)
    return whole
