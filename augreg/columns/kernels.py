"""`sample_columns` of blurs whose images have kernels of different sizes: those of one size together."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from augreg import ops
from augreg.columns.cursors import Cursors, Floats, Integers, Some
from augreg.columns.records import Scenes
from augreg.ops.convolution import (
    LEAST_PART,
    deviation,
    disk_label,
    edge_weights,
    gaussian_weights,
    line_label,
    oriented_label,
    oriented_weights,
)

if TYPE_CHECKING:
    from augreg.ops import Op

__all__ = ["box_blur", "defocus", "gaussian_blur", "motion_blur", "oriented_blur"]

# they take an array for each image's own number as they take the number
_gaussian_blur: Final[Any] = ops.gaussian_blur
_motion_blur: Final[Any] = ops.motion_blur
_Convolve: Final[Any] = ops.Convolve


def gaussian_blur(transform: Any, rng: Cursors, scene: Scenes) -> Op | tuple[Some, ...]:
    """By the blur of the backends, or by a kernel of a size."""
    low, high = transform.sigma
    sigma = rng.uniform(low, high)
    if transform.size is None:
        blurred: Op = _gaussian_blur(sigma)
        return blurred
    first, last = transform.size
    sides = (first + rng.integers(last - first + 1)) | 1
    found = []
    for side in np.unique(sides).tolist():
        rows = np.flatnonzero(sides == side)
        op = ops.windowed_blur(low, side) if low == high else _windowed(sigma[rows], side)
        found.append(Some(rows, op))
    return tuple(found)


def _windowed(sigma: Floats, side: int) -> Op:
    """As `ops.windowed_blur`, with a deviation for each image."""
    sigma = np.where(sigma == 0.0, deviation(side), sigma)
    weights = np.array([gaussian_weights(one, side) for one in sigma.tolist()]).T
    kernel = tuple([tuple([one * other for other in weights]) for one in weights])
    op: Op = _Convolve(kernel, label=("blur {:.2f} in {}x{}".format, sigma, side, side))
    return op


def box_blur(transform: Any, rng: Cursors, scene: Scenes) -> tuple[Some, ...]:
    """One kernel for each size."""
    low, high = transform.size
    sides: Integers = low + 2 * rng.integers((high - low) // 2 + 1)
    return tuple([Some(np.flatnonzero(sides == side), ops.box_blur(side)) for side in np.unique(sides).tolist()])


def oriented_blur(transform: Any, rng: Cursors, scene: Scenes) -> tuple[Some, ...]:
    """Kernels that are made one by one."""
    low, high = transform.size
    sides: Integers = low + 2 * rng.integers((high - low) // 2 + 1)
    ends = transform.sigma_x, transform.sigma_y, transform.angle
    numbers = [rng.uniform(*pair) for pair in ends]
    least, most = transform.power
    if least < 1.0 < most:
        below = rng.bernoulli(0.5)
        least, most = np.where(below, least, 1.0), np.where(below, 1.0, most)
    numbers.append(rng.uniform(least, most))
    first, last = transform.noise
    factors = np.ones((len(rng), int(sides.max()) ** 2))
    if first != last:
        factors = first + (last - first) * rng.randoms(int(sides.max()) ** 2)
    found = []
    for side in np.unique(sides).tolist():
        rows = np.flatnonzero(sides == side)
        drawn = [number[rows] for number in numbers]
        each = zip(*(number.tolist() for number in drawn), factors[rows, : side**2].tolist(), strict=True)
        kernels = [oriented_weights(side, (x, y), angle, power, own) for x, y, angle, power, own in each]
        weights = tuple(map(tuple, np.array(kernels).transpose(1, 2, 0)))
        found.append(Some(rows, _Convolve(weights, label=(oriented_label, side, *drawn))))
    return tuple(found)


def motion_blur(transform: Any, rng: Cursors, scene: Scenes) -> Op | tuple[Some, ...]:
    """By the blur of the backends, or by kernels of lines, which are made one by one."""
    length, angle = rng.uniform(*transform.length), rng.uniform(*transform.angle)
    if transform.direction == (0.0, 0.0) and not transform.shift:
        blurred: Op = _motion_blur(length, angle)
        return blurred
    direction, most = rng.uniform(*transform.direction), transform.shift * (length - 1.0) / 2.0
    lines = np.stack([length, angle, direction, rng.uniform(-most, most), rng.uniform(-most, most)])
    kernels: dict[tuple[int, ...], tuple[list[int], list[Floats]]] = {}
    for row, numbers in enumerate(lines.T.tolist()):
        kernel = _of_line(*numbers)
        rows, alike = kernels.setdefault(kernel.shape, ([], []))
        rows.append(row)
        alike.append(kernel)
    found = []
    for rows, alike in kernels.values():
        chosen = np.array(rows, np.intp)
        weights = tuple(map(tuple, np.stack(alike, axis=2)))
        found.append(Some(chosen, _Convolve(weights, label=(line_label, *lines[:, chosen]))))
    return tuple(found)


def _of_line(length: float, degrees: float, direction: float, down: float, right: float) -> Floats:
    """The kernel of `ops.line_blur`: the same sums in the same order, a quarter of the time."""
    half = max(0.0, length - 1.0) / 2.0
    first, last = -half * (1.0 - max(0.0, direction)), half * (1.0 + min(0.0, direction))
    count = 16 * math.ceil(last - first) + 1
    along = first + (last - first) * (np.arange(count) + 0.5) / count
    slope = math.radians(degrees)
    points = np.stack([down + along * -math.sin(slope), right + along * math.cos(slope)])
    points = np.maximum(-half, np.minimum(half, points))
    before = np.floor(points)
    after = points - before
    reach = math.ceil(half) + 1
    side = 2 * reach + 1
    shares = np.stack([1.0 - after, after], axis=2)
    parts = (shares[0, :, :, None] * shares[1, :, None]).ravel()
    corner = (before[0] + reach) * side + before[1] + reach
    places = (corner[:, None] + (0, 1, side, side + 1)).ravel().astype(np.intp)
    seen = parts > LEAST_PART
    weights: Any = np.bincount(places[seen], parts[seen] / count, side * side).reshape(side, side)
    y, x = (np.abs(np.flatnonzero(weights.any(axis)) - reach).max() for axis in (1, 0))
    kernel: Floats = weights[reach - y : reach + y + 1, reach - x : reach + x + 1]
    return kernel


def defocus(transform: Any, rng: Cursors, scene: Scenes) -> tuple[Some, ...]:
    """The disks of one radius together."""
    low, high = transform.radius
    radius, sigma = low + rng.integers(high - low + 1), rng.uniform(*transform.edge)
    found = []
    for one in np.unique(radius).tolist():
        rows = np.flatnonzero(radius == one)
        kernel = tuple(map(tuple, _disks(one, sigma[rows])))
        found.append(Some(rows, _Convolve(kernel, label=(disk_label, one, sigma[rows]))))
    return tuple(found)


def _disks(radius: int, sigma: Floats) -> Floats:
    """The kernels of `ops.disk_blur`, rows x columns x images: the same sums in the same order."""
    weights = np.array([edge_weights(radius, one) for one in sigma.tolist()]).T
    reach = len(weights) // 2
    place = np.arange(-radius - 2 * reach, radius + 2 * reach + 1)
    disk = ((place * place)[:, None] + place * place <= radius * radius).astype(np.float64)[..., None]
    side = len(place) - 2 * reach
    across: Floats = np.zeros((len(place), side, len(sigma)))
    found: Floats = np.zeros((side, side, len(sigma)))
    whole = np.zeros(len(sigma))
    for number, weight in enumerate(weights):
        across += weight * disk[:, number : number + side]
        whole += weight
    for number, weight in enumerate(weights):
        found += weight * across[number : number + side]
    found /= whole * whole * float(disk.sum())
    return found
