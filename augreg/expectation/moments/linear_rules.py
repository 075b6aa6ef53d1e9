"""Rules for linear layers, convolutions and normalization."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from augreg.expectation.moments.forward import MOST_TERMS, Forward, rule, wide
from augreg.expectation.moments.normal import Normal

__all__ = ["linear", "powered", "scaled"]


def _noted(run: Forward, name: str, x: Normal, result: Normal) -> Normal:
    """The result, with a line in the report that says what was assumed of the inputs."""
    assumes = False
    if x.independent:
        how = "independent inputs"
    elif result.covariance is not None and x.covariance is not None:
        how = "with the covariance of the inputs"
    else:
        assumes = True
        how = "inputs taken as independent"
        how += ", although noise was drawn once for several" if x.shared else ", although they share noise"
    result.shared = False
    run.note(name, f"mean and variance of a sum: {how}", result, assumes)
    return result


def powered(weight: Tensor, k: int) -> Tensor:
    """Each weight raised to the k-th power. Squares are much faster than the general power."""
    if k == 4:
        return weight.square().square()
    return weight if k == 1 else weight**k


@rule("linear")
def linear(run: Forward, func: Any, x: Any, weight: Any, bias: Any = None) -> Any:
    """W x + b: the mean is W e + b, the covariance is W C W^T."""
    if not isinstance(x, Normal) or isinstance(weight, Normal) or isinstance(bias, Normal):
        return None
    dtype = x.mean.dtype
    weight = wide(weight).to(dtype)
    mean = functional.linear(x.mean, weight, None if bias is None else wide(bias).to(dtype))

    def power(part: Tensor, k: int) -> Tensor:
        return functional.linear(part, powered(weight, k))

    terms = weight.shape[-1]
    result = _from_independent(run, x, mean, power, weight) or run.linear(x, mean, power, terms)
    return _noted(run, "linear", x, result)


def _from_independent(run: Forward, x: Normal, mean: Tensor, power: Any, weight: Tensor) -> Normal | None:
    """The result for many independent inputs, whose covariance W diag(v) W^T needs none of the inputs."""
    count = len(weight)
    if x.covariance is not None or mean.dim() != 2 or not run.affords(len(mean), count, max(count, x.units)):
        return None
    return run.behind(
        mean,
        x.variance,
        [(x, lambda rows: functional.linear(rows, weight))],
        cumulants=x.cumulants.mapped(power) if x.cumulants is not None and x.units <= MOST_TERMS else None,
        covariance=(weight * x.variance.unsqueeze(1)) @ weight.t(),
    )


@rule("conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
def convolution(run: Forward, func: Any, x: Any, weight: Any, bias: Any = None, *args: Any, **kwargs: Any) -> Any:
    """A convolution is linear, with each weight once in an output."""
    if not isinstance(x, Normal) or isinstance(weight, Normal):
        return None
    dtype = x.mean.dtype
    weight = wide(weight).to(dtype)
    mean = func(x.mean, weight, None if bias is None else wide(bias).to(dtype), *args, **kwargs)

    def power(part: Tensor, k: int) -> Tensor:
        return func(part, powered(weight, k), None, *args, **kwargs)

    terms = weight[:, 0].numel() if "transpose" in func.__name__ else weight[0].numel()
    return _noted(run, func.__name__, x, run.linear(x, mean, power, terms))


@rule("batch_norm")
def batch_norm(
    run: Forward,
    func: Any,
    x: Normal,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    """Batch norm in evaluation multiplies each channel by a number and adds one."""
    if training or running_mean is None or running_var is None:
        return None
    shape = (-1, *(1 for _ in x.shape[2:]))
    scale = 1 / torch.sqrt(wide(running_var) + eps)
    scale = scale if weight is None else scale * wide(weight)
    shift = -wide(running_mean) * scale
    shift = shift if bias is None else shift + wide(bias)
    scale = scale.to(x.mean.dtype).reshape(shape)
    mean = x.mean * scale + shift.to(x.mean.dtype).reshape(shape)
    result = run.linear(x, mean, lambda part, k: part * scale**k)
    run.note("batch_norm", "exact: each channel is scaled and shifted", result)
    return result


@rule("layer_norm", "rms_norm", "group_norm")
def normalized(
    run: Forward,
    func: Any,
    x: Normal,
    groups: Any,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float | None = 1e-5,
) -> Any:
    """Subtract the mean of a group of units, which is linear, and divide by the root of the expected mean square.

    The mean square of many independent units is nearly a number: its own variance is left out.
    """
    name = func.__name__
    if eps is None:
        eps = torch.finfo(x.mean.dtype).eps

    def grouped(part: Tensor) -> Tensor:
        if name == "group_norm":
            return part.reshape(len(part), groups, -1)
        return part.reshape(*part.shape[: part.dim() - len(groups)], -1)

    centered = name != "rms_norm"
    count = grouped(x.mean).shape[-1]

    def center(part: Tensor, k: int) -> Tensor:
        """Unit i of the output is (1 - 1/n) x_i minus 1/n of each other one."""
        if not centered:
            return part
        rows = grouped(part)
        own = (1 - 1 / count) ** k - (-1 / count) ** k
        return (own * rows + (-1 / count) ** k * rows.sum(-1, keepdim=True)).reshape(part.shape)

    middle = run.linear(x, center(x.mean, 1), center)
    square = grouped(middle.mean.square() + middle.variance).mean(-1, keepdim=True)
    scale = (1 / torch.sqrt(square + eps)).expand_as(grouped(x.mean)).reshape(x.shape)
    shape = (-1, *(1 for _ in x.shape[2:])) if name == "group_norm" else tuple(groups)
    if weight is not None:
        scale = scale * wide(weight).reshape(shape)
    mean = middle.mean * scale
    if bias is not None:
        mean = mean + wide(bias).reshape(shape)
    result = scaled(run, middle, mean, scale)
    run.note(name, _left_out(x, grouped(middle.mean), grouped(middle.variance), square), result, not x.independent)
    return result


def _left_out(x: Normal, mean: Tensor, variance: Tensor, square: Tensor) -> str:
    """What a norm leaves out: the deviation of the mean square, which is Var q = mean(2 v^2 + 4 m^2 v) / n."""
    spread = (2 * variance.square() + 4 * mean.square() * variance).mean(-1, keepdim=True) / mean.shape[-1]
    ratio = (spread.sqrt() / square.clamp(min=1e-24)).max().item()
    bound = "up to" if x.independent else "at least"  # shared noise adds to it
    return f"divided by the root of the expected mean square, whose deviation, {bound} {ratio:.0%}, is left out"


def scaled(run: Forward, x: Normal, mean: Tensor, scale: Tensor) -> Normal:
    """The random tensor with each unit times a number, which may differ between images, and this mean."""

    def push(rows: Tensor) -> Tensor:
        return rows * scale

    covariance = None
    if x.covariance is not None:
        flat = scale.expand(x.shape).reshape(len(x.mean), -1)
        covariance = x.covariance * flat.unsqueeze(1) * flat.unsqueeze(2)
    return run.behind(
        mean,
        x.variance * scale.square(),
        [(x, push)],
        cumulants=None if x.cumulants is None else x.cumulants.mapped(lambda part, k: part * scale**k),
        covariance=covariance,
    )
