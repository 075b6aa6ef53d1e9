"""Rules for functions that rearrange the units of a tensor: views, slices, concatenation, padding."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from augreg.expectation.moments.forward import Forward, rule
from augreg.expectation.moments.normal import Cumulants, Normal, covariance_between

__all__ = ["expanded", "rearranged"]


@rule("contiguous", "clone", "detach", "alias", "requires_grad_", "to", "float", "double", "type_as", "cuda", "cpu")
def same(run: Forward, func: Any, x: Any, *args: Any, **kwargs: Any) -> Any:
    """Casts and copies change nothing: moments are in float32 or better."""
    return x


@rule(
    *("view", "reshape", "flatten", "ravel", "unflatten", "permute", "transpose", "movedim", "moveaxis", "swapaxes"),
    *("swapdims", "t", "T", "mT", "squeeze", "unsqueeze", "expand", "expand_as", "view_as", "reshape_as", "narrow"),
    *(
        "__getitem__",
        "chunk",
        "split",
        "split_with_sizes",
        "tensor_split",
        "unbind",
        "select",
        "index_select",
        "roll",
    ),
    *("flip", "repeat", "tile", "repeat_interleave", "pixel_shuffle", "pixel_unshuffle", "channel_shuffle", "_shape"),
    *("broadcast_to", "unfold", "squeeze_", "unsqueeze_"),
)
def view(run: Forward, func: Any, x: Any, *args: Any, **kwargs: Any) -> Any:
    """Each unit of the output is one of the input."""
    plain = tuple(value.mean if isinstance(value, Normal) else value for value in args)
    if not isinstance(x, Normal):
        return func(x, *plain, **kwargs)  # such as view_as of a plain tensor
    return rearranged(run, x, lambda value: func(value, *plain, **kwargs))


def rearranged(run: Forward, x: Normal, function: Callable[[Tensor], Any]) -> Any:
    """What a function that moves units makes of a random tensor; the function may return several tensors."""
    batch = len(x.mean)
    numbers = torch.arange(x.mean.numel(), device=x.mean.device).reshape(x.shape)
    places = function(numbers)
    if isinstance(places, Tensor):
        return _moved(run, x, function, places, batch)

    def part_of(number: int) -> Callable[[Tensor], Tensor]:
        return lambda value: function(value)[number]

    return type(places)(_moved(run, x, part_of(k), places[k], batch) for k in range(len(places)))


def _moved(run: Forward, x: Normal, function: Callable[[Tensor], Tensor], places: Tensor, batch: int) -> Normal:
    mean, variance = function(x.mean), function(x.variance)
    cumulants = None if x.cumulants is None else x.cumulants.mapped(lambda part, k: function(part))
    own = _own_units(places, batch, x.units)
    if own is None:
        if x.covariance is not None:
            run.note("rearranged", "the covariance is left: an image of the batch became several, or several one")
        return run.behind(mean, variance, [], noise=x.noise, cumulants=cumulants)

    def push(rows: Tensor) -> Tensor:
        return rows.reshape(*rows.shape[:2], -1)[..., own].reshape(*rows.shape[:2], *places.shape[1:])

    once = len(own) == len(own.unique())
    covariance = None
    if (x.covariance is not None or not once) and run.affords(batch, len(own), len(own)):
        whole = run.full_covariance(x)  # copies of a unit are not independent
        covariance = None if whole is None else whole[:, own][:, :, own]
    once = x.independent and once
    return run.behind(mean, variance, [(x, push)], covariance=covariance, independent=once, cumulants=cumulants)


def _own_units(places: Tensor, batch: int, units: int) -> Tensor | None:
    """Which unit of its image each unit of the output is; None unless that is so, and the same for each image."""
    if places.dim() < 2 or len(places) != batch or units == 0:
        return None
    flat = places.reshape(batch, -1)
    rows = torch.arange(batch, device=places.device).unsqueeze(1)
    own = flat - rows * units
    fits = (own[0] >= 0).all() & (own[0] < units).all() & (own == own[0]).all()
    return own[0] if bool(fits) else None


def expanded(run: Forward, x: Any, shape: Sequence[int]) -> Any:
    """A random tensor, or a plain one, broadcast to a shape."""
    if x.shape == torch.Size(shape):
        return x
    if not isinstance(x, Normal):
        return x.expand(shape)
    if x.mean.dim() == len(shape) and len(x.mean) == 1 < shape[0]:
        x = _repeated(run, x, shape[0])
    return rearranged(run, x, lambda value: value.expand(shape))


def _repeated(run: Forward, x: Normal, batch: int) -> Normal:
    """Noise of a single row, which all images of a batch share, for each of them."""

    def repeated(part: Tensor) -> Tensor:
        return part.expand(batch, *part.shape[1:])

    return run.behind(
        repeated(x.mean),
        repeated(x.variance),
        [],
        cumulants=None if x.cumulants is None else x.cumulants.mapped(lambda part, k: repeated(part)),
        covariance=None if x.covariance is None else repeated(x.covariance),
        noise=x.noise,
    )


@rule("cat", "concat", "concatenate")
def concatenated(run: Forward, func: Any, tensors: Sequence[Any], dim: int = 0, **kwargs: Any) -> Any:
    """Units side by side. Those of different tensors covary by the noise that both were computed from."""
    dim = kwargs.pop("axis", dim)
    normals = [_as_normal(run, each) for each in tensors]
    return joined(run, normals, lambda parts: func(parts, dim, **kwargs))


@rule("stack")
def stacked(run: Forward, func: Any, tensors: Sequence[Any], dim: int = 0) -> Any:
    """Units side by side, in a new dimension."""
    return joined(run, [_as_normal(run, each) for each in tensors], lambda parts: func(parts, dim))


def joined(run: Forward, normals: Sequence[Normal], function: Callable[[Sequence[Tensor]], Tensor]) -> Normal:
    """Several random tensors in one, by a function that puts them side by side."""
    batch, counts = len(normals[0].mean), [each.units for each in normals]
    total = sum(counts)
    starts = [sum(counts[:k]) for k in range(len(counts))]
    numbers = [_numbers(each, start, total) for each, start in zip(normals, starts, strict=True)]
    mean, places = function([each.mean for each in normals]), function(numbers)
    cumulants = None
    if any(each.cumulants is not None for each in normals):
        cumulants = Cumulants(
            lambda: (
                function([_or_zeros(each.third, each) for each in normals]),
                function([_or_zeros(each.fourth, each) for each in normals]),
            )
        )
    own = _own_units(places, batch, total)
    covariance, parents = None, []
    if own is not None and all(len(each.mean) == batch for each in normals):
        parents = [
            (each, _placed(each, start, own, total, places)) for each, start in zip(normals, starts, strict=True)
        ]
        if run.affords(batch, total, total):
            covariance = _blocks(run, normals)[:, own][:, :, own]
    variance = function([each.variance for each in normals])
    noise = frozenset[tuple[int, str]]().union(*(each.noise for each in normals))
    return run.behind(mean, variance, parents, covariance=covariance, noise=noise, cumulants=cumulants)


def _blocks(run: Forward, normals: Sequence[Normal]) -> Tensor:
    rows = []
    for first in normals:
        row = [
            covariance_between(first, second) if first is not second else run.full_covariance(first)
            for second in normals
        ]
        batch = len(first.mean)
        rows.append(
            torch.cat(
                [
                    first.mean.new_zeros(batch, first.units, second.units) if part is None else part
                    for part, second in zip(row, normals, strict=True)
                ],
                2,
            )
        )
    return torch.cat(rows, 1)


def _placed(x: Normal, start: int, own: Tensor, total: int, places: Tensor) -> Callable[[Tensor], Tensor]:
    def push(rows: Tensor) -> Tensor:
        wide = rows.new_zeros(*rows.shape[:2], total)
        wide[..., start : start + x.units] = rows.flatten(2)
        return wide[..., own].reshape(*rows.shape[:2], *places.shape[1:])

    return push


def _numbers(x: Normal, start: int, total: int) -> Tensor:
    """The numbers of the units in an image with so many units in all."""
    rows = torch.arange(len(x.mean), device=x.mean.device).unsqueeze(1) * total
    return (rows + start + torch.arange(x.units, device=x.mean.device)).reshape(x.shape)


def _as_normal(run: Forward, value: Any) -> Normal:
    return value if isinstance(value, Normal) else Normal(value, torch.zeros_like(value))


def _or_zeros(value: Tensor | None, like: Normal) -> Tensor:
    return torch.zeros_like(like.mean) if value is None else value


@rule("pad")
def padded(run: Forward, func: Any, x: Any, pad: Any, mode: str = "constant", value: float | None = None) -> Any:
    """Zeros or another number around an image, or copies of its own units."""

    def power(part: Tensor, k: int) -> Tensor:
        return func(part, pad, mode, None if mode != "constant" else 0.0)

    if mode == "constant":
        return run.linear(x, func(x.mean, pad, mode, value), power)
    places = torch.arange(x.mean.numel(), device=x.mean.device, dtype=torch.float64).reshape(x.shape)
    moved = func(places, pad, mode, None).long()
    return _moved(run, x, lambda part: power(part, 1), moved, len(x.mean))
