"""Rules for pooling: averages are linear, and maxima follow Clark 1961 (Operations Research 9)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from augreg.expectation.moments.forward import Forward, rule
from augreg.expectation.moments.normal import Normal, pushed_twice

__all__ = ["clark_maximum"]


@rule("avg_pool1d", "avg_pool2d", "avg_pool3d")
def average_pool(run: Forward, func: Any, x: Normal, *args: Any, **kwargs: Any) -> Any:
    """A sum of units over their number, which padding may make another one at the border."""

    def pooled(part: Tensor) -> Tensor:
        result: Tensor = func(part, *args, **kwargs)
        return result

    share = _smallest_part(func, x, *args, **kwargs)
    return _averaged(run, func.__name__, x, pooled, share)


def _smallest_part(func: Any, x: Normal, *args: Any, **kwargs: Any) -> Tensor:
    """The weight of one unit in each output: a unit that is 1 adds it. It is the same for all units of an output.

    The pooled image of ones is the number of units times the weight, and the number comes from a sum without padding.
    """
    dims = int(func.__name__[-2])
    ones = torch.ones((1, 1, *x.shape[-dims:]), dtype=x.mean.dtype, device=x.mean.device)
    names = ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad", "divisor_override")
    given = dict(zip(names, args, strict=False)) | kwargs
    size = _tuple(given["kernel_size"], dims)
    stride = given.get("stride")
    count = functional.conv3d(
        functional.pad(
            ones.reshape(1, 1, *(1,) * (3 - dims), *x.shape[-dims:]),
            _room(x.shape[-dims:], size, _tuple(stride or size, dims), _tuple(given.get("padding", 0), dims), given),
        ),
        ones.new_ones((1, 1, *(1,) * (3 - dims), *size)),
        stride=(*(1,) * (3 - dims), *_tuple(stride or size, dims)),
    )
    pooled: Tensor = func(ones, *args, **kwargs)
    return pooled / count.reshape(pooled.shape)


def _room(
    sizes: Sequence[int], kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int], given: dict[str, Any]
) -> list[int]:
    """The padding on both sides of each dimension, the last first; more at the end with ceil_mode."""
    room = []
    for n, k, s, p in zip(reversed(sizes), reversed(kernel), reversed(stride), reversed(padding), strict=True):
        end = p
        if given.get("ceil_mode"):
            steps = -(-(n + 2 * p - k) // s)
            steps -= steps * s >= n + p  # a window that starts in the padding at the end is left out
            end = max(p, steps * s + k - n - p)
        room += [p, end]
    return room


@rule("adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d")
def adaptive_average_pool(run: Forward, func: Any, x: Normal, output_size: Any) -> Any:
    """Means of bins, whose sizes may differ by one."""
    dims = int(func.__name__[-2])
    sizes = x.shape[-dims:]
    wanted = [n if w is None else w for n, w in zip(sizes, _tuple(output_size, dims), strict=True)]
    share = x.mean.new_ones(())
    for n, w in zip(sizes, wanted, strict=True):
        counts = [-(-(k + 1) * n // w) - k * n // w for k in range(w)]
        share = share.unsqueeze(-1) / x.mean.new_tensor(counts)

    def pooled(part: Tensor) -> Tensor:
        result: Tensor = func(part, output_size)
        return result

    return _averaged(run, func.__name__, x, pooled, share)


def _averaged(run: Forward, name: str, x: Normal, pooled: Callable[[Tensor], Tensor], share: Tensor) -> Normal:
    """The mean of each window, in which each unit has this weight."""
    result = run.linear(x, pooled(x.mean), lambda part, k: pooled(part) * share ** (k - 1))
    if x.covariance is None and x.shared and result.covariance is None:
        result.variance = pooled(x.variance.clamp(min=0.0).sqrt()).square()
    run.note(name, f"a mean of units {assumed(x)}", result, assumes_independence(x))
    return result


def assumed(x: Normal) -> str:
    """What is assumed of units that are summed or compared."""
    if x.covariance is not None:
        return "with their covariance"
    if x.independent:
        return "that are independent"
    return "taken as fully correlated" if x.shared else "taken as independent"


def assumes_independence(x: Normal) -> bool:
    """Whether units count as independent that may share noise."""
    return x.covariance is None and not x.independent and not x.shared


@rule("max_pool1d", "max_pool2d", "max_pool3d", "boolean_dispatch")
def maximum_pool(
    run: Forward,
    func: Any,
    x: Normal,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The maximum of each window, two at a time."""
    if return_indices or not func.__name__.startswith("max_pool"):
        return None
    dims = int(func.__name__[-2])
    size, gap = _tuple(kernel_size, dims), _tuple(dilation, dims)
    step, padding = _tuple(stride or kernel_size, dims), _tuple(padding, dims)
    span = [(k - 1) * d + 1 for k, d in zip(size, gap, strict=True)]
    room = _room(x.shape[-dims:], span, step, padding, {"ceil_mode": ceil_mode})

    def windows(part: Tensor, value: float = 0.0) -> Tensor:
        """The units of each window in a last dimension."""
        part = functional.pad(part, room, value=value)
        first = part.dim() - dims
        for number in range(dims):
            part = part.unfold(first + number, span[number], step[number])
        for number in range(dims):
            part = part[(..., slice(None, None, gap[number]), *(slice(None),) * (dims - 1 - number))]
        first_unit = part.movedim([*range(-dims, 0)], [*range(dims)])  # in memory, each unit of all windows together
        return first_unit.flatten(0, dims - 1).movedim(0, -1)

    return _maximum(run, func.__name__, x, windows)


@rule("adaptive_max_pool1d", "adaptive_max_pool2d", "adaptive_max_pool3d")
def adaptive_maximum_pool(run: Forward, func: Any, x: Normal, output_size: Any, return_indices: bool = False) -> Any:
    """As `maximum_pool`, if the bins have one size."""
    dims = int(func.__name__[-2])
    sizes = x.shape[-dims:]
    wanted = [n if w is None else w for n, w in zip(sizes, _tuple(output_size, dims), strict=True)]
    if return_indices or any(n % w for n, w in zip(sizes, wanted, strict=True)):
        return None
    return maximum_pool(
        run, getattr(functional, f"max_pool{dims}d"), x, [n // w for n, w in zip(sizes, wanted, strict=True)]
    )


@rule("amax")
def largest(run: Forward, func: Any, x: Normal, dim: Any, keepdim: bool = False) -> Any:
    """The maximum over dimensions other than the batch."""
    dims = [d % x.mean.dim() for d in ([dim] if isinstance(dim, int) else dim)]
    if 0 in dims or not dims:
        return None
    rest = [d for d in range(x.mean.dim()) if d not in dims]

    def windows(part: Tensor, value: float = 0.0) -> Tensor:
        moved = part.movedim(dims, [*range(len(rest), part.dim())]).flatten(len(rest))
        if keepdim:
            for d in sorted(dims):
                moved = moved.unsqueeze(d)
        return moved

    return _maximum(run, "amax", x, windows)


def _maximum(run: Forward, name: str, x: Normal, windows: Callable[..., Tensor]) -> Normal:
    lowest = x.mean.min().item() - 40 * math.sqrt(max(x.variance.max().item(), 0.0)) - 1  # padding never wins
    within = None if x.covariance is None else _within(x, windows)
    if x.covariance is None and x.shared:
        deviation = windows(x.variance.clamp(min=0.0).sqrt())
        within = deviation.unsqueeze(-1) * deviation.unsqueeze(-2)
    given = windows(x.mean, lowest), windows(x.variance), within
    tracked = run.settings.covariance is not False and run.affords(len(x.mean), x.units, x.units)
    mean, variance, weights = clark_maximum(*given, rates=tracked)

    def push(rows: Tensor) -> Tensor:
        flat = windows(rows.flatten(0, 1)).unflatten(0, rows.shape[:2])
        return (flat * weights).sum(-1)

    covariance = None
    units = mean[0].numel()
    if x.covariance is not None and run.affords(len(mean), units, x.units):
        covariance = pushed_twice(x.covariance, push, x.shape)
        covariance.diagonal(dim1=1, dim2=2).copy_(variance.reshape(len(mean), -1))
    result = run.behind(mean, variance, [(x, push)], covariance=covariance)
    run.note(name, f"Clark's maximum of two at a time, of units {assumed(x)}", result, assumes_independence(x))
    return result


def _within(x: Normal, windows: Callable[..., Tensor]) -> Tensor:
    """The covariances between the units of each window, batch x .. x units x units."""
    numbers = torch.arange(x.units, device=x.mean.device, dtype=torch.float64).reshape(1, *x.shape[1:])
    units = windows(numbers, float(x.units))[0].long()  # padding is one unit more, which is certain
    assert x.covariance is not None
    covariance = functional.pad(x.covariance, (0, 1, 0, 1))
    return covariance[:, units.unsqueeze(-1), units.unsqueeze(-2)]


def clark_maximum(
    mean: Tensor, variance: Tensor, covariance: Tensor | None = None, rates: bool = True
) -> tuple[Tensor, Tensor, Tensor]:
    """Mean and variance of the largest of normal units along the last dimension, and how often each is the largest.

    The maximum of two, with d^2 = v1 + v2 - 2 c and r = (m1 - m2) / d, has the mean m1 Phi(r) + m2 Phi(-r) + d phi(r)
    and the mean square (m1^2 + v1) Phi(r) + (m2^2 + v2) Phi(-r) + (m1 + m2) d phi(r). It covaries with a third unit
    by c13 Phi(r) + c23 Phi(-r), and counts as normal in the next comparison. Without a covariance, .. x n x n, the
    units are independent. `rates` is whether to compute how often each is the largest.
    """
    count = mean.shape[-1]
    weights = torch.zeros_like(mean)
    weights[..., 0] = 1.0
    largest, spread = mean[..., 0], variance[..., 0]
    shared = None if covariance is None else covariance[..., 0, :]
    for k in range(1, count):
        between = 0.0 if shared is None else shared[..., k]
        largest, spread, first = _larger(largest, spread, mean[..., k], variance[..., k], between)
        if rates:
            weights = weights * first.unsqueeze(-1)
            weights[..., k] = 1 - first
        if covariance is not None and shared is not None:
            shared = shared * first.unsqueeze(-1) + covariance[..., k, :] * (1 - first).unsqueeze(-1)
    return largest, spread, weights


def _larger(m1: Tensor, v1: Tensor, m2: Tensor, v2: Tensor, between: Any) -> tuple[Tensor, Tensor, Tensor]:
    """Mean and variance of the larger of two, and the probability that it is the first."""
    width = (v1 + v2 - 2 * between).clamp(min=1e-24).sqrt()
    gap = m1 - m2  # moments of the maximum minus m2, which do not cancel
    first = torch.special.ndtr(gap / width)
    peak = width * torch.exp(-0.5 * (gap / width).square()) / math.sqrt(2 * math.pi)
    mean = gap * first + peak
    square = (gap.square() + v1) * first + v2 * (1 - first) + gap * peak
    return m2 + mean, (square - mean.square()).clamp(min=0.0), first


def _tuple(value: Any, dims: int) -> list[int]:
    values = [value] if isinstance(value, int) else [*value]
    return values * dims if len(values) == 1 else values
