"""What is known of a tensor while an input is followed: which of its dimensions walk along which axis.

A dimension is a product of factors, slowest first: `flatten` makes one dimension of height and width, and a later
view takes them apart again. An axis that no dimension walks along was summed over: then every element of the tensor
sees the same stretch of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from augreg.inspect.extents import Extent, Window, hull

__all__ = ["Factor", "Track", "merged", "start"]


class Factor(NamedTuple):
    """A part of a dimension: its length, and the input axis it walks along, if any."""

    size: int
    axis: int | None = None


Dims = tuple[tuple[Factor, ...], ...]


@dataclass(frozen=True)
class Track:
    """The factors of each dimension of a tensor, what its positions see of each axis, and the input's size."""

    dims: Dims
    extents: tuple[Extent, ...]
    limits: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """The tensor's shape."""
        return tuple(math.prod(factor.size for factor in dim) for dim in self.dims)

    def place(self, axis: int) -> int | None:
        """The dimension that walks along an axis."""
        return next((d for d, dim in enumerate(self.dims) if any(f.axis == axis for f in dim)), None)

    def axes(self, dim: int) -> list[int]:
        """The axes that a dimension walks along."""
        return [factor.axis for factor in self.dims[dim] if factor.axis is not None]

    def summed(self, dims: Iterable[int]) -> Track:
        """The same shape, but every element depends on everything along these dimensions."""
        track = self
        for dim in dims:
            for axis in self.axes(dim):
                track = track.without(axis)
        return track

    def without(self, axis: int) -> Track:
        """The same shape, but every element depends on everything along an axis that it walks along."""
        size = next(f.size for dim in self.dims for f in dim if f.axis == axis)
        dims = tuple(tuple(Factor(f.size) if f.axis == axis else f for f in dim) for dim in self.dims)
        return replace(self, dims=dims).seeing(axis, self.extents[axis].over(range(size)))

    def seeing(self, axis: int, extent: Extent) -> Track:
        """With another extent along an axis."""
        return replace(self, extents=(*self.extents[:axis], extent, *self.extents[axis + 1 :]))

    def through(self, dim: int, window: Window, size: int) -> Track:
        """Behind an operation that takes a window along a dimension and leaves `size` positions."""
        axes = self.axes(dim)
        if not axes:
            return self.with_dim(dim, (Factor(size),))
        if len(self.dims[dim]) > 1:
            raise ValueError("it moves along a dimension into which several were flattened")
        extent = self.extents[axes[0]].through(window)
        return self.seeing(axes[0], extent).with_dim(dim, (Factor(size, axes[0]),))

    def chosen(self, dim: int, position: int) -> Track:
        """One position along a dimension, which is dropped."""
        track, axes = self, self.axes(dim)
        if axes:
            if len(self.dims[dim]) > 1:
                raise ValueError("it takes a position of a dimension into which several were flattened")
            track = self.seeing(axes[0], self.extents[axes[0]].over([position]))
        return replace(track, dims=track.dims[:dim] + track.dims[dim + 1 :])

    def with_dim(self, dim: int, factors: tuple[Factor, ...]) -> Track:
        """With other factors for one dimension."""
        return replace(self, dims=(*self.dims[:dim], factors, *self.dims[dim + 1 :]))

    def permuted(self, order: Sequence[int]) -> Track:
        """With its dimensions in another order."""
        return replace(self, dims=tuple(self.dims[d] for d in order))

    def viewed(self, shape: Sequence[int]) -> Track:
        """As another shape of as many elements. Raises ValueError where that takes an axis apart."""
        shape = tuple(shape)
        if shape == self.shape:
            return self
        track = self.summed(d for d, dim in enumerate(self.dims) if any(f.size == 1 for f in dim))
        left = _together(factor for dim in track.dims for factor in dim if factor.size > 1)
        return replace(track, dims=tuple(_take(left, size) for size in shape))


def start(shape: Sequence[int]) -> Track:
    """The track of an input of shape (batch, channels, axis, axis, ..): each position sees itself."""
    batch, channels, *axes = shape
    dims = ((Factor(batch),), (Factor(channels),), *((Factor(size, a),) for a, size in enumerate(axes)))
    return Track(dims, tuple(Extent(((0, 0),), 1) for _ in axes), tuple(axes))


def _together(factors: Iterable[Factor]) -> list[Factor]:
    """Neighboring factors without an axis as one, in reverse order, to be taken from the end."""
    joined: list[Factor] = []
    for factor in factors:
        if joined and factor.axis is None and joined[-1].axis is None:
            joined[-1] = Factor(joined[-1].size * factor.size)
        else:
            joined.append(factor)
    return joined[::-1]


def _take(left: list[Factor], size: int) -> tuple[Factor, ...]:
    taken: list[Factor] = []
    while size > 1:
        factor = left.pop()
        if size % factor.size == 0:
            taken.append(factor)
            size //= factor.size
        elif factor.axis is None and factor.size % size == 0:
            taken.append(Factor(size))
            left.append(Factor(factor.size // size))
            size = 1
        else:
            raise ValueError("its view takes a spatial axis apart")
    return tuple(taken) or (Factor(1),)


def merged(tracks: Sequence[Track], shape: Sequence[int]) -> Track:
    """The track of a tensor of this shape, each element of which depends on the same element of several tensors.

    Shapes are aligned from the right and broadcast. Raises ValueError where two tensors walk along an axis at
    different speeds.
    """
    shape = tuple(shape)
    aligned = _without_crossings([_broadcast(track, shape) for track in tracks])
    dims = tuple(_common([track.dims[d] for track in aligned]) for d in range(len(shape)))
    result = Track(dims, aligned[0].extents, aligned[0].limits)
    for axis in range(len(result.limits)):
        result = _joined(result, axis, aligned)
    return result


def _without_crossings(tracks: list[Track]) -> list[Track]:
    """Rows against columns, as attention has it: an axis that two tensors have in different places is summed over."""
    places: dict[tuple[int, int], set[int]] = {}
    for track in tracks:
        for d, dim in enumerate(track.dims):
            for k, factor in enumerate(dim):
                if factor.axis is not None:
                    places.setdefault((d, k), set()).add(factor.axis)
    crossed = {axis for axes in places.values() if len(axes) > 1 for axis in axes}
    crossed |= {axis for axes in places.values() for axis in axes if sum(axis in a for a in places.values()) > 1}
    for axis in crossed:
        tracks = [track.without(axis) if track.place(axis) is not None else track for track in tracks]
    return tracks


def _broadcast(track: Track, shape: tuple[int, ...]) -> Track:
    missing = len(shape) - len(track.dims)
    track = replace(track, dims=(*((Factor(1),) for _ in range(missing)), *track.dims))
    spread = [d for d, size in enumerate(track.shape) if size != shape[d]]
    track = track.summed(spread)
    for d in spread:
        track = track.with_dim(d, (Factor(shape[d]),))
    return track


def _common(candidates: list[tuple[Factor, ...]]) -> tuple[Factor, ...]:
    walking = [dim for dim in candidates if any(factor.axis is not None for factor in dim)]
    if len({tuple(factor.size for factor in dim) for dim in walking}) > 1:
        raise ValueError("it joins dimensions into which different ones were flattened")
    columns = zip(*(walking or candidates[:1]), strict=True)
    return tuple(next((f for f in column if f.axis is not None), column[0]) for column in columns)


def _joined(result: Track, axis: int, tracks: list[Track]) -> Track:
    moving = [track.extents[axis] for track in tracks if track.place(axis) is not None]
    everywhere = hull(track.extents[axis].spans[0] for track in tracks if track.place(axis) is None)
    if not moving:
        return result.seeing(axis, Extent((everywhere,), 0))
    extent = moving[0]
    for other in moving[1:]:
        extent = extent.joined(other)
    if everywhere is None:
        return result.seeing(axis, extent)
    result = result.seeing(axis, extent).without(axis)
    reached = result.extents[axis].spans[0]
    last = result.limits[axis] - 1
    if reached is not None and (everywhere[0] > max(0, reached[0]) or everywhere[1] < min(last, reached[1])):
        raise ValueError("it joins a part of an axis, the same for all positions, with positions along it")
    return result.seeing(axis, Extent((hull((everywhere, reached)),), 0))
