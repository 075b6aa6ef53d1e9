"""Rules for linear layers, convolutions and normalization."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from augreg.expectation.moments.forward import Forward, rule, wide
from augreg.expectation.moments.normal import Normal

__all__ = ["linear"]

_EXACT = "mean and variance of a sum: {}"
_FULL, _DIAGONAL, _OWN = "with the covariance of the inputs", "inputs taken as independent", "independent inputs"


def _how(x: Normal, result: Normal) -> str:
    if x.independent:
        return _EXACT.format(_OWN)
    return _EXACT.format(_FULL if result.covariance is not None and x.covariance is not None else _DIAGONAL)


@rule("linear")
def linear(run: Forward, func: Any, x: Any, weight: Any, bias: Any = None) -> Any:
    """W x + b: the mean is W e + b, the covariance is W C W^T."""
    if not isinstance(x, Normal) or isinstance(weight, Normal) or isinstance(bias, Normal):
        return None
    dtype = x.mean.dtype
    weight = wide(weight).to(dtype)
    mean = functional.linear(x.mean, weight, None if bias is None else wide(bias).to(dtype))

    def power(part: Tensor, k: int) -> Tensor:
        return functional.linear(part, weight if k == 1 else weight**k)

    result = _from_independent(run, x, mean, power, weight) or run.linear(x, mean, power)
    result.shared = False
    run.note("linear", _how(x, result), result)
    return result


def _from_independent(run: Forward, x: Normal, mean: Tensor, power: Any, weight: Tensor) -> Normal | None:
    """The result for many independent inputs, whose covariance W diag(v) W^T needs none of the inputs."""
    count = len(weight)
    if x.covariance is not None or mean.dim() != 2 or not run.affords(len(mean), count, max(count, x.units)):
        return None
    return run.behind(
        mean,
        x.variance,
        [(x, lambda rows: functional.linear(rows, weight))],
        third=None if x.third is None else power(x.third, 3),
        fourth=None if x.fourth is None else power(x.fourth, 4),
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
        return func(part, weight if k == 1 else weight**k, None, *args, **kwargs)

    result = run.linear(x, mean, power)
    result.shared = False
    run.note(func.__name__, _how(x, result), result)
    return result


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

    The mean square of many units is nearly a number: its own variance is left out.
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
    run.note(name, "divided by the root of the expected mean square, whose own variance is left out", result)
    return result


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
        third=None if x.third is None else x.third * scale**3,
        fourth=None if x.fourth is None else x.fourth * scale**4,
        covariance=covariance,
    )
