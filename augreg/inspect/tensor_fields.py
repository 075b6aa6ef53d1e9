"""The receptive field of a tensor's elements: which of its dimensions vary along which input axis, and how.

A dimension is a product of factors, slowest first: `flatten` makes one dimension of height and width, and a later
view splits them again. An axis along which no dimension varies was summed over, so every element of the tensor
sees the same interval of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from augreg.inspect.axis_fields import AxisField, Window, hull

__all__ = ["Factor", "TensorField", "merged", "start"]


class Factor(NamedTuple):
    """A factor of a dimension: its length, and the input axis along which it varies, if any."""

    size: int
    axis: int | None = None


Dims = tuple[tuple[Factor, ...], ...]


@dataclass(frozen=True)
class TensorField:
    """The factors of each dimension of a tensor, the field along each input axis, and the input's size."""

    dims: Dims
    axis_fields: tuple[AxisField, ...]
    limits: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """The tensor's shape."""
        return tuple(math.prod(factor.size for factor in dim) for dim in self.dims)

    def place(self, axis: int) -> int | None:
        """The dimension that varies along an axis, or None."""
        return next((d for d, dim in enumerate(self.dims) if any(f.axis == axis for f in dim)), None)

    def axes(self, dim: int) -> list[int]:
        """The axes along which a dimension varies."""
        return [factor.axis for factor in self.dims[dim] if factor.axis is not None]

    def summed(self, dims: Iterable[int]) -> TensorField:
        """The same shape, but every element depends on all positions of these dimensions."""
        field = self
        for dim in dims:
            for axis in self.axes(dim):
                field = field.without(axis)
        return field

    def without(self, axis: int) -> TensorField:
        """The same shape, but every element depends on all positions along an axis."""
        size = next(f.size for dim in self.dims for f in dim if f.axis == axis)
        dims = tuple(tuple(Factor(f.size) if f.axis == axis else f for f in dim) for dim in self.dims)
        return replace(self, dims=dims).seeing(axis, self.axis_fields[axis].over(range(size)))

    def seeing(self, axis: int, axis_field: AxisField) -> TensorField:
        """With another field along an axis."""
        return replace(self, axis_fields=(*self.axis_fields[:axis], axis_field, *self.axis_fields[axis + 1 :]))

    def through(self, dim: int, window: Window, size: int) -> TensorField:
        """After an operation that takes windows along a dimension and has `size` output positions."""
        axes = self.axes(dim)
        if not axes:
            return self.with_dim(dim, (Factor(size),))
        if len(self.dims[dim]) > 1:
            raise ValueError("it moves along a dimension that several dimensions were flattened into")
        axis_field = self.axis_fields[axes[0]].through(window)
        return self.seeing(axes[0], axis_field).with_dim(dim, (Factor(size, axes[0]),))

    def chosen(self, dim: int, position: int) -> TensorField:
        """One position of a dimension, which is dropped."""
        field, axes = self, self.axes(dim)
        if axes:
            if len(self.dims[dim]) > 1:
                raise ValueError("it selects a position of a dimension that several dimensions were flattened into")
            field = self.seeing(axes[0], self.axis_fields[axes[0]].over([position]))
        return replace(field, dims=field.dims[:dim] + field.dims[dim + 1 :])

    def with_dim(self, dim: int, factors: tuple[Factor, ...]) -> TensorField:
        """With other factors for one dimension."""
        return replace(self, dims=(*self.dims[:dim], factors, *self.dims[dim + 1 :]))

    def permuted(self, order: Sequence[int]) -> TensorField:
        """With its dimensions in another order."""
        return replace(self, dims=tuple(self.dims[d] for d in order))

    def viewed(self, shape: Sequence[int]) -> TensorField:
        """Reshaped to another shape with as many elements. Raises ValueError if that splits an axis."""
        shape = tuple(shape)
        if shape == self.shape:
            return self
        field = self.summed(d for d, dim in enumerate(self.dims) if any(f.size == 1 for f in dim))
        left = _together(factor for dim in field.dims for factor in dim if factor.size > 1)
        return replace(field, dims=tuple(_take(left, size) for size in shape))


def start(shape: Sequence[int]) -> TensorField:
    """The field of an input of shape (batch, channels, axis, axis, ..): each position sees itself."""
    batch, channels, *axes = shape
    dims = ((Factor(batch),), (Factor(channels),), *((Factor(size, a),) for a, size in enumerate(axes)))
    return TensorField(dims, tuple(AxisField(((0, 0),), 1) for _ in axes), tuple(axes))


def _together(factors: Iterable[Factor]) -> list[Factor]:
    """Adjacent factors without an axis merged into one, in reverse order, so that the first can be popped."""
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
            raise ValueError("its view splits a spatial axis")
    return tuple(taken) or (Factor(1),)


def merged(fields: Sequence[TensorField], shape: Sequence[int]) -> TensorField:
    """The field of a tensor of this shape, each element of which depends on the same element of several tensors.

    Shapes are aligned from the right and broadcast. Raises ValueError if two tensors vary along an axis with
    different strides.
    """
    shape = tuple(shape)
    aligned = _without_crossings([_broadcast(field, shape) for field in fields])
    dims = tuple(_common([field.dims[d] for field in aligned]) for d in range(len(shape)))
    result = TensorField(dims, aligned[0].axis_fields, aligned[0].limits)
    for axis in range(len(result.limits)):
        result = _joined(result, axis, aligned)
    return result


def _without_crossings(fields: list[TensorField]) -> list[TensorField]:
    """Sum over each axis that two tensors have in different dimensions, such as rows and columns in attention."""
    places: dict[tuple[int, int], set[int]] = {}
    for field in fields:
        for d, dim in enumerate(field.dims):
            for k, factor in enumerate(dim):
                if factor.axis is not None:
                    places.setdefault((d, k), set()).add(factor.axis)
    crossed = {axis for axes in places.values() if len(axes) > 1 for axis in axes}
    crossed |= {axis for axes in places.values() for axis in axes if sum(axis in a for a in places.values()) > 1}
    for axis in crossed:
        fields = [field.without(axis) if field.place(axis) is not None else field for field in fields]
    return fields


def _broadcast(field: TensorField, shape: tuple[int, ...]) -> TensorField:
    missing = len(shape) - len(field.dims)
    field = replace(field, dims=(*((Factor(1),) for _ in range(missing)), *field.dims))
    spread = [d for d, size in enumerate(field.shape) if size != shape[d]]
    field = field.summed(spread)
    for d in spread:
        field = field.with_dim(d, (Factor(shape[d]),))
    return field


def _common(candidates: list[tuple[Factor, ...]]) -> tuple[Factor, ...]:
    varying = [dim for dim in candidates if any(factor.axis is not None for factor in dim)]
    if len({tuple(factor.size for factor in dim) for dim in varying}) > 1:
        raise ValueError("it merges dimensions that different dimensions were flattened into")
    columns = zip(*(varying or candidates[:1]), strict=True)
    return tuple(next((f for f in column if f.axis is not None), column[0]) for column in columns)


def _joined(result: TensorField, axis: int, fields: list[TensorField]) -> TensorField:
    moving = [field.axis_fields[axis] for field in fields if field.place(axis) is not None]
    everywhere = hull(field.axis_fields[axis].intervals[0] for field in fields if field.place(axis) is None)
    if not moving:
        return result.seeing(axis, AxisField((everywhere,), 0))
    axis_field = moving[0]
    for other in moving[1:]:
        axis_field = axis_field.joined(other)
    if everywhere is None:
        return result.seeing(axis, axis_field)
    result = result.seeing(axis, axis_field).without(axis)
    reached = result.axis_fields[axis].intervals[0]
    last = result.limits[axis] - 1
    if reached is not None and (everywhere[0] > max(0, reached[0]) or everywhere[1] < min(last, reached[1])):
        raise ValueError("it merges one part of an axis, the same for all positions, with positions along it")
    return result.seeing(axis, AxisField((hull((everywhere, reached)),), 0))
