"""The receptive field of a tensor's elements: which of its dimensions vary along which input axis, and how.

A dimension is a product of factors, slowest first: `flatten` makes one dimension of height and width, and a later
view splits them again. A view may also split an axis: 56 positions become 8 windows of 7, two factors of one axis.
Where a factor of an axis is missing, the field is the same for all of its positions. An axis along which no dimension
varies was summed over, so every element of the tensor sees the same interval of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import NamedTuple

from augreg.inspect.axis_fields import AxisField, Window, hull

__all__ = ["Factor", "TensorField", "merged", "start"]


class Factor(NamedTuple):
    """A factor of a dimension: its length, and the input axis along which it varies, if any.

    The next index is `step` positions further along the axis. A dimension of tokens has one factor, whose `grid` are
    the factors of the image's positions; `before` other tokens come first, and what is left of `size` after.
    """

    size: int
    axis: int | None = None
    step: int = 1
    grid: tuple[Factor, ...] = ()
    before: int = 0


Dim = tuple[Factor, ...]
_NOTHING = AxisField((None,), 0)


@dataclass(frozen=True)
class TensorField:
    """The factors of each dimension of a tensor, the field along each input axis, and the input's size.

    `limits` are the sizes of the input without the end that nothing reads, where strides leave a rest.
    """

    dims: tuple[Dim, ...]
    axis_fields: tuple[AxisField, ...]
    limits: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """The tensor's shape."""
        return tuple(math.prod(factor.size for factor in dim) for dim in self.dims)

    def factors(self, axis: int) -> list[Factor]:
        """The factors that vary along an axis, fastest first."""
        return sorted((f for dim in self.dims for f in _inner(dim) if f.axis == axis), key=lambda f: f.step)

    def varies(self, axis: int) -> bool:
        """Whether a dimension varies along an axis."""
        return bool(self.factors(axis))

    def axes(self, dim: int) -> list[int]:
        """The axes along which a dimension varies."""
        return list(dict.fromkeys(f.axis for f in _inner(self.dims[dim]) if f.axis is not None))

    def summed(self, dims: Iterable[int]) -> TensorField:
        """The same shape, but every element depends on all positions of these dimensions."""
        return self.mixed(f for dim in dims for f in _inner(self.dims[dim]) if f.axis is not None)

    def mixed(self, factors: Iterable[Factor]) -> TensorField:
        """The same shape, but every element depends on all positions along these factors."""
        field, chosen = self, set(factors)
        for axis in {f.axis for f in chosen if f.axis is not None}:
            every = self.factors(axis)
            if chosen.issuperset(every):
                field = field.without(axis)
                continue
            seen = field.axis_fields[axis]
            for factor in chosen.intersection(every):
                seen = seen.through(_over(factor))
            field = field.seeing(axis, seen)
            if len({seen.at(position) for position in _positions(every)}) == 1:
                field = field.without(axis)
        return field

    def without(self, axis: int) -> TensorField:
        """The same shape, but every element depends on all positions along an axis."""
        seen = self.axis_fields[axis].over(_positions(self.factors(axis)))
        return self._relabeled({f: Factor(f.size) for f in self.factors(axis)}).seeing(axis, seen)

    def _relabeled(self, new: dict[Factor, Factor]) -> TensorField:
        """With other factors in place of some."""
        dims: list[Dim] = []
        for dim in self.dims:
            if dim[0].grid:
                grid = tuple(new.get(f, f) for f in dim[0].grid)
                tokens = dim[0]._replace(grid=grid if any(f.axis is not None for f in grid) else ())
                dims.append((tokens if tokens.grid else Factor(tokens.size),))
            else:
                dims.append(tuple(new.get(f, f) for f in dim))
        return replace(self, dims=tuple(dims))

    def seeing(self, axis: int, axis_field: AxisField) -> TensorField:
        """With another field along an axis."""
        return replace(self, axis_fields=(*self.axis_fields[:axis], axis_field, *self.axis_fields[axis + 1 :]))

    def renumbered(self) -> TensorField:
        """With consecutive positions along every axis that lacks a factor."""
        field = self
        for axis in range(len(self.limits)):
            factors, new, step = self.factors(axis), {}, 1
            for factor in factors:
                new[factor] = factor._replace(step=step)
                step *= factor.size
            if any(old != other for old, other in new.items()):
                last = factors[-1]
                window = Window(lambda j, f=factors: (_position(f, j),), step // last.size, last.step)  # type: ignore[misc]
                field = field._relabeled(new).seeing(axis, self.axis_fields[axis].through(window))
        return field

    def by_position(self) -> TensorField:
        """Renumbered, where each position sees what all of its channels see.

        Channels may be positions too: patches that are merged have several positions of an axis in their channels.
        """
        channels = {
            f
            for dim in self.dims
            if any(f.axis is None and f.size > 1 for f in dim)
            for f in dim
            if f.axis is not None and self.factors(f.axis)[-1] not in dim
        }
        return self.mixed(channels)._relabeled({f: Factor(f.size) for f in channels}).renumbered()

    def through(self, dim: int, window: Window, size: int) -> TensorField:
        """After an operation that takes windows along a dimension and has `size` output positions."""
        axes = self.axes(dim)
        if not axes:
            return self.with_dim(dim, (Factor(size),))
        if len(self.dims[dim]) > 1 or self.dims[dim][0].grid:
            raise ValueError("it moves along a dimension that several dimensions were flattened into")
        axis = axes[0]
        if len(self.factors(axis)) > 1:
            raise ValueError("it moves along a part of an axis that a view split")
        field = self.renumbered()
        return field.seeing(axis, field.axis_fields[axis].through(window)).with_dim(dim, (Factor(size, axis),))

    def cut(self, dim: int) -> TensorField:
        """Without the end of the input that no position along a dimension sees."""
        limits = list(self.limits)
        for axis in self.axes(dim):
            seen = hull(map(self.axis_fields[axis].at, _positions(self.factors(axis))))
            if seen is not None:
                limits[axis] = max(0, min(limits[axis], seen[1] + 1))
        return replace(self, limits=tuple(limits))

    def chosen(self, dim: int, position: int) -> TensorField:
        """One position of a dimension, which is dropped."""
        field = self.piece(dim, position, 1) if self.dims[dim][0].grid else self
        factors = field.dims[dim]
        field = replace(field, dims=field.dims[:dim] + field.dims[dim + 1 :])
        for factor in reversed(factors):
            position, index = divmod(position, factor.size)
            if factor.axis is None:
                continue
            seen = field.axis_fields[factor.axis]
            if field.varies(factor.axis):
                seen = seen.through(_over(factor, [index]))
            else:
                seen = seen.over([index * factor.step])
            field = field.seeing(factor.axis, seen)
        return field

    def piece(self, dim: int, first: int, size: int) -> TensorField:
        """Consecutive tokens of a dimension of tokens: those of the image, or some of the others.

        Raises ValueError for a part of the image's tokens, or for tokens of both kinds.
        """
        (tokens,) = self.dims[dim]
        count = math.prod(f.size for f in tokens.grid)
        if (first, size) == (tokens.before, count):
            return self.with_dim(dim, tokens.grid)
        if first < tokens.before + count and first + size > tokens.before:
            raise ValueError("it takes a part of the image's tokens")
        field = self
        for axis in self.axes(dim):  # these tokens have not seen the image yet
            field = field.without(axis).seeing(axis, _NOTHING)
        return field.with_dim(dim, (Factor(size),))

    def with_dim(self, dim: int, factors: Dim) -> TensorField:
        """With other factors for one dimension."""
        return replace(self, dims=(*self.dims[:dim], factors, *self.dims[dim + 1 :]))

    def permuted(self, order: Sequence[int]) -> TensorField:
        """With its dimensions in another order."""
        return replace(self, dims=tuple(self.dims[d] for d in order))

    def viewed(self, shape: Sequence[int]) -> TensorField:
        """Reshaped to another shape with as many elements. Raises ValueError if that splits an axis unevenly."""
        shape = tuple(shape)
        if shape == self.shape:
            return self
        field = self.summed(d for d, dim in enumerate(self.dims) if any(f.size == 1 for f in dim))
        left = _together(factor for dim in field.dims for factor in dim)
        return replace(field, dims=tuple(_take(left, size) for size in shape))


def start(shape: Sequence[int]) -> TensorField:
    """The field of an input of shape (batch, channels, axis, axis, ..): each position sees itself."""
    batch, channels, *axes = shape
    dims = ((Factor(batch),), (Factor(channels),), *((Factor(size, a),) for a, size in enumerate(axes)))
    return TensorField(dims, tuple(AxisField(((0, 0),), 1) for _ in axes), tuple(axes))


def _inner(dim: Dim) -> Dim:
    """The factors of a dimension, with those of the image's positions in place of a factor of tokens."""
    return dim[0].grid or dim


def _positions(factors: Sequence[Factor]) -> list[int]:
    """The positions along an axis that its factors reach."""
    return [_position(factors, j) for j in range(math.prod(f.size for f in factors))] if factors else [0]


def _position(factors: Sequence[Factor], j: int) -> int:
    """The position of the j-th of them; beyond the ends, the slowest factor goes on."""
    position = 0
    for factor in factors[:-1]:
        j, index = divmod(j, factor.size)
        position += index * factor.step
    return position + j * factors[-1].step


def _over(factor: Factor, indices: Iterable[int] | None = None) -> Window:
    """Each position sees these indices (by default all) of a factor, whichever of them it has itself."""
    offsets = [index * factor.step for index in (range(factor.size) if indices is None else indices)]

    def taps(j: int) -> Iterable[int]:
        first = j - j // factor.step % factor.size * factor.step
        return [first + offset for offset in offsets]

    return Window(taps, factor.size * factor.step, factor.size * factor.step)


def _together(factors: Iterable[Factor]) -> list[Factor]:
    """Adjacent factors of one axis, or of none, merged, in reverse order, so that the first can be popped."""
    joined: list[Factor] = []
    for factor in factors:
        if factor.size == 1:
            continue
        last = joined[-1] if joined else factor._replace(axis=-1)
        if factor.axis is not None and last[1:] == (factor.axis, factor.size * factor.step, (), 0):
            joined[-1] = factor._replace(size=last.size * factor.size)
        elif factor[1:] == last[1:] == Factor(1)[1:]:
            joined[-1] = Factor(last.size * factor.size)
        else:
            joined.append(factor)
    return joined[::-1]


def _take(left: list[Factor], size: int) -> Dim:
    taken: list[Factor] = []
    while size > 1:
        factor = left.pop()
        if size % factor.size == 0:
            taken.append(factor)
            size //= factor.size
        elif factor.size % size == 0 and not factor.grid:
            rest = factor.size // size
            taken.append(factor._replace(size=size, step=1 if factor.axis is None else factor.step * rest))
            left.append(factor._replace(size=rest))
            size = 1
        else:
            what = "the image's tokens and others" if factor.grid else "a spatial axis"
            raise ValueError(f"its view splits {what} unevenly")
    if len(taken) > 1 and any(factor.grid for factor in taken):
        raise ValueError("its view joins the image's tokens with another dimension")
    return tuple(taken) or (Factor(1),)


def merged(fields: Sequence[TensorField], shape: Sequence[int]) -> TensorField:
    """The field of a tensor of this shape, each element of which depends on the same element of several tensors.

    Shapes are aligned from the right and broadcast. Raises ValueError if two tensors vary along an axis with
    different strides.
    """
    shape = tuple(shape)
    aligned = _aligned([_broadcast(field, shape) for field in fields])
    if _crossings(aligned)[1]:  # some may have lost a factor, and others not
        aligned = _aligned([field.renumbered() for field in aligned])
    aligned = _without_crossings(aligned)
    dims = tuple(_common([field.dims[d] for field in aligned]) for d in range(len(shape)))
    limits = tuple(map(max, zip(*(field.limits for field in aligned), strict=True)))
    result = TensorField(dims, aligned[0].axis_fields, limits)
    for axis in range(len(result.limits)):
        result = _joined(result, axis, aligned)
    return result


def _broadcast(field: TensorField, shape: tuple[int, ...]) -> TensorField:
    missing = len(shape) - len(field.dims)
    field = replace(field, dims=(*((Factor(1),) for _ in range(missing)), *field.dims))
    spread = [d for d, size in enumerate(field.shape) if size != shape[d]]
    field = field.summed(spread)
    for d in spread:
        field = field.with_dim(d, (Factor(shape[d]),))
    return field


def _aligned(fields: list[TensorField]) -> list[TensorField]:
    """The fields with factors of the same lengths in each dimension."""
    for d in range(len(fields[0].dims)):
        sizes = [tuple(f.size for f in field.dims[d]) for field in fields if field.axes(d)]
        common = reduce(_refined, sizes) if sizes else (fields[0].shape[d],)
        for k, field in enumerate(fields):
            left = _together(field.dims[d])
            fields[k] = field.with_dim(d, tuple(f for size in common for f in _take(left, size)))
    return fields


def _refined(one: tuple[int, ...], other: tuple[int, ...]) -> tuple[int, ...]:
    """The longest common factors of two products of lengths."""
    a, b, found = list(one), list(other), []
    while a and b:
        x, y = a.pop(), b.pop()
        if x % y and y % x:
            raise ValueError("it merges dimensions that different dimensions were flattened into")
        found.append(min(x, y))
        if x > y:
            a.append(x // y)
        elif y > x:
            b.append(y // x)
    return tuple(found[::-1])


def _crossings(fields: Sequence[TensorField]) -> tuple[set[Factor], set[tuple[int, int]]]:
    """The factors that tensors have in different places, such as rows and columns in attention, and all such places.

    A place is the dimension and the number of the factor in it.
    """
    places: dict[Factor, set[tuple[int, int]]] = {}
    labels: dict[tuple[int, int], set[Factor]] = {}
    for field in fields:
        for d, dim in enumerate(field.dims):
            for k, factor in enumerate(dim):
                if factor.axis is not None or factor.grid:
                    places.setdefault(factor, set()).add((d, k))
                    labels.setdefault((d, k), set()).add(factor)
    several = {place for place, factors in labels.items() if len(factors) > 1}
    crossed = {factor for factor, found in places.items() if len(found) > 1 or found & several}
    return crossed, several


def _without_crossings(fields: list[TensorField]) -> list[TensorField]:
    """Sum over each factor that tensors have in different places; at most one of these places keeps it."""
    crossed, several = _crossings(fields)
    kept: dict[Factor, tuple[int, int]] = {}
    result = []
    for field in fields:
        field = field.mixed(f for factor in crossed for f in _inner((factor,)) if f in _all(field))
        for d, dim in enumerate(field.dims):
            left = [
                f if f not in crossed or ((d, k) not in several and kept.setdefault(f, (d, k)) == (d, k)) else None
                for k, f in enumerate(dim)
            ]
            if None in left:
                rest = tuple(f or Factor(old.size) for f, old in zip(left, dim, strict=True))
                field = field.with_dim(d, rest)
        result.append(field)
    return result


def _all(field: TensorField) -> set[Factor]:
    return {f for dim in field.dims for f in _inner(dim)}


def _common(candidates: list[Dim]) -> Dim:
    columns = zip(*candidates, strict=True)
    return tuple(next((f for f in column if f.axis is not None or f.grid), column[0]) for column in columns)


def _joined(result: TensorField, axis: int, fields: list[TensorField]) -> TensorField:
    moving = [field.axis_fields[axis] for field in fields if field.varies(axis)]
    everywhere = hull(field.axis_fields[axis].at(0) for field in fields if not field.varies(axis))
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
