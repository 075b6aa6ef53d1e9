"""Rules for sums, products and means of random tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from augreg.expectation.moments.forward import Forward, rule
from augreg.expectation.moments.linear_rules import scaled
from augreg.expectation.moments.noise_rules import moved_by
from augreg.expectation.moments.normal import Cumulants, Normal, covariance_between
from augreg.expectation.moments.pooling_rules import assumed, assumes_independence
from augreg.expectation.moments.rearranging_rules import expanded

__all__: list[str] = []

_TRACKED = "with the covariance of both inputs"


def _note_independent(run: Forward, name: str, x: Normal, y: Normal, result: Normal) -> None:
    """A line in the report for two inputs whose covariance is left out, which names the noise that both depend on."""
    common = sorted({place for _, place in x.noise & y.noise})
    how = f"both inputs taken as independent, although both depend on the noise of {', '.join(common)}"
    run.note(name, how if common else "both inputs are independent", result, bool(common))


@rule("add", "add_", "__add__", "__radd__", "__iadd__")
def added(run: Forward, func: Any, x: Any, other: Any, *, alpha: float = 1) -> Any:
    """x + alpha y."""
    return _sum(run, "add", x, other, 1.0, float(alpha))


@rule("sub", "sub_", "__sub__", "__isub__", "subtract")
def subtracted(run: Forward, func: Any, x: Any, other: Any, *, alpha: float = 1) -> Any:
    """x - alpha y."""
    return _sum(run, "sub", x, other, 1.0, -float(alpha))


@rule("rsub", "__rsub__")
def subtracted_from(run: Forward, func: Any, x: Any, other: Any, *, alpha: float = 1) -> Any:
    """y - alpha x."""
    return _sum(run, "sub", x, other, -float(alpha), 1.0)


@rule("neg", "negative", "__neg__")
def negated(run: Forward, func: Any, x: Normal) -> Any:
    """-x."""
    return _times(run, x, -1.0)


@rule("mul", "mul_", "multiply", "__mul__", "__rmul__", "__imul__")
def multiplied_by(run: Forward, func: Any, x: Any, other: Any) -> Any:
    """X y, of random tensors, tensors and numbers."""
    if isinstance(x, Normal) and isinstance(other, Normal):
        return _product(run, x, other)
    return _times(run, x, other) if isinstance(x, Normal) else _times(run, other, x)


@rule("div", "div_", "true_divide", "divide", "__truediv__", "__itruediv__")
def divided_by(run: Forward, func: Any, x: Any, other: Any, **kwargs: Any) -> Any:
    """X / y, for a y that is not random."""
    if isinstance(other, Normal) or kwargs.get("rounding_mode") is not None:
        return None
    return _times(run, x, 1.0 / other)


@rule("addcmul", "lerp", "baddbmm", "bmm", "einsum")
def not_known(run: Forward, func: Any, *args: Any, **kwargs: Any) -> None:
    """No rule: the function is named."""


@rule("addmm")
def addmm(run: Forward, func: Any, bias: Any, x: Any, weight: Any, *, beta: float = 1, alpha: float = 1) -> Any:
    """Bias + x W, as layers of transformers call it."""
    from augreg.expectation.moments.linear_rules import linear

    if isinstance(weight, Normal) or isinstance(bias, Normal):
        return None
    return linear(run, func, x, weight.t() * alpha, bias * beta)


@rule("matmul", "__matmul__", "mm")
def matmul(run: Forward, func: Any, x: Any, weight: Any) -> Any:
    """X W, for a matrix W that is not random."""
    from augreg.expectation.moments.linear_rules import linear

    if isinstance(weight, Normal) or weight.dim() != 2:
        return None
    return linear(run, func, x, weight.t())


def _times(run: Forward, x: Normal, factor: Any) -> Normal:
    """A random tensor times a number or a tensor that is not random."""
    if isinstance(factor, Tensor):
        factor = factor.to(x.mean.dtype)
        shape = torch.broadcast_shapes(x.shape, factor.shape)
        x = expanded(run, x, shape)
        factor = factor.expand(shape)
    else:
        factor = torch.full_like(x.mean, float(factor))
    return scaled(run, x, x.mean * factor, factor)


def _sum(run: Forward, name: str, x: Any, y: Any, a: float, b: float) -> Any:
    """A x + b y."""
    if not isinstance(x, Normal):
        x, y, a, b = y, x, b, a
    x = x if a == 1 else _times(run, x, a)
    if not isinstance(y, Normal):
        shift = b * y
        if isinstance(shift, Tensor):
            x = expanded(run, x, torch.broadcast_shapes(x.shape, shift.shape))
            shift = shift.to(x.mean.dtype)
        return moved_by(run, x, shift)
    if y is x:
        return _times(run, x, 1 + b)
    shape = torch.broadcast_shapes(x.shape, y.shape)
    x, y = expanded(run, x, shape), expanded(run, y if b == 1 else _times(run, y, b), shape)
    between, covariance, tracked = None, None, False
    if _affordable(run, x, y):
        tracked = True
        between = covariance_between(x, y)
        covariance = _total(run, x) + _total(run, y)
        if between is not None:
            covariance = covariance + between + between.transpose(1, 2)
    result = run.behind(
        x.mean + y.mean,
        x.variance + y.variance,
        [(x, lambda rows: rows), (y, lambda rows: rows)],
        covariance=covariance,
        cumulants=_plus(x.cumulants, y.cumulants) if between is None else None,
    )
    if tracked:
        run.note(name, _TRACKED, result)
    else:
        _note_independent(run, name, x, y, result)
    return result


def _affordable(run: Forward, x: Normal, y: Normal) -> bool:
    return x.mean.dim() > 1 and len(x.mean) == len(y.mean) and run.affords(len(x.mean), x.units, x.units)


def _total(run: Forward, x: Normal) -> Tensor:
    covariance = run.full_covariance(x)
    assert covariance is not None
    return covariance


def _plus(first: Cumulants | None, second: Cumulants | None) -> Cumulants | None:
    """Those of a sum of independent terms."""
    if first is None or second is None:
        return first if second is None else second
    return first.mapped(lambda part, k: part + second.both()[k - 3])


def _product(run: Forward, x: Normal, y: Normal) -> Normal:
    """X y: for normal x and y, E = a b + c and Var = a^2 v_y + b^2 v_x + v_x v_y + 2 a b c + c^2, c = Cov(x, y).

    Other covariances follow in the same way: Cov(x_i y_i, x_j y_j) by Isserlis' theorem.
    """
    shape = torch.broadcast_shapes(x.shape, y.shape)
    x, y = expanded(run, x, shape), expanded(run, y, shape)
    a, b = x.mean, y.mean
    parents: list[tuple[Normal, Callable[[Tensor], Tensor]]] = [
        (x, lambda rows: rows * b),
        (y, lambda rows: rows * a),
    ]
    if not _affordable(run, x, y):
        variance = a.square() * y.variance + b.square() * x.variance + x.variance * y.variance
        result = run.behind(a * b, variance, parents)
        _note_independent(run, "mul", x, y, result)
        return result
    xx, yy = _total(run, x), _total(run, y)
    between = covariance_between(x, y)
    xy = torch.zeros_like(xx) if between is None else between
    yx = xy.transpose(1, 2)
    rows_a, rows_b = a.reshape(len(a), -1, 1), b.reshape(len(b), -1, 1)
    columns_a, columns_b = rows_a.transpose(1, 2), rows_b.transpose(1, 2)
    covariance = (
        xx * yy
        + xy * yx
        + rows_a * columns_a * yy
        + rows_b * columns_b * xx
        + rows_a * columns_b * yx
        + rows_b * columns_a * xy
    )
    mean = a * b + xy.diagonal(dim1=1, dim2=2).reshape(a.shape)
    result = run.behind(mean, x.variance, parents, covariance=covariance)
    run.note("mul", _TRACKED, result)
    return result


@rule("mean")
def mean(run: Forward, func: Any, x: Normal, dim: Any = None, keepdim: bool = False, **kwargs: Any) -> Any:
    """The mean over dimensions other than the batch."""
    return _reduced(run, "mean", x, kwargs.pop("axis", dim), kwargs.pop("keepdims", keepdim), True)


@rule("sum")
def total(run: Forward, func: Any, x: Normal, dim: Any = None, keepdim: bool = False, **kwargs: Any) -> Any:
    """The sum over dimensions other than the batch."""
    return _reduced(run, "sum", x, kwargs.pop("axis", dim), kwargs.pop("keepdims", keepdim), False)


def _reduced(run: Forward, name: str, x: Normal, dim: Any, keepdim: bool, mean: bool) -> Any:
    if dim is None:
        return None  # over the batch, too
    dims: Sequence[int] = [d % x.mean.dim() for d in ([dim] if isinstance(dim, int) else dim)]
    if 0 in dims:
        return None
    count = 1
    for d in dims:
        count *= x.shape[d]

    def power(part: Tensor, k: int) -> Tensor:
        result = part.sum(tuple(dims), keepdim=keepdim)
        return result / count**k if mean else result

    result = run.linear(x, power(x.mean, 1), power)
    if x.covariance is None and x.shared and result.covariance is None:
        result.variance = power(x.variance.clamp(min=0.0).sqrt(), 1).square()
    run.note(name, f"a sum of units {assumed(x)}", result, assumes_independence(x))
    return result
