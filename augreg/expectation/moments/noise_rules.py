"""Rules for noise: a random tensor or a plain one times random factors that are independent of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from augreg.expectation.moments.conditions import two_values
from augreg.expectation.moments.forward import Forward, rule, wide
from augreg.expectation.moments.linear_rules import scaled
from augreg.expectation.moments.normal import Cumulants, Normal

__all__ = ["Factor", "bernoulli", "multiplied", "of_image", "with_dropout"]


@dataclass(frozen=True)
class Factor:
    """A random factor: its mean and its second, third and fourth moment around the mean; numbers, or one per unit."""

    mean: Any
    second: Any
    third: Any
    fourth: Any


def bernoulli(keep: float, scale: Any = 1.0) -> Factor:
    """`scale` with probability `keep`, else 0."""
    drop = 1.0 - keep
    spread = keep * drop
    return Factor(
        keep * scale, spread * scale**2, spread * (drop - keep) * scale**3, spread * (1 - 3 * spread) * scale**4
    )


def multiplied(run: Forward, x: Tensor | Normal, factor: Factor, shape: Sequence[int] | None = None) -> Normal:
    """A tensor times an independent random factor, one for each element of a tensor of this shape, broadcast to it.

    With x = e + a and a factor of mean u and deviation d, the product is u e + (u a + d x), whose moments are sums of
    products of those of a and d. Units with the same factor covary by d^2 (C + e e^T).
    """
    certain = not isinstance(x, Normal)
    x = x if isinstance(x, Normal) else _certain(x)
    e, v, u, d2 = x.mean, x.variance, factor.mean, factor.second
    variance = u**2 * v + d2 * (e.square() + v)
    cumulants = Cumulants(lambda: _cumulants(x, factor, variance)) if run.settings.fourth_cumulant else None
    covariance = None
    shared = shape is not None and tuple(shape) != tuple(x.shape) and math.prod(shape[1:]) < x.units
    if x.covariance is not None:
        flat = (u * torch.ones_like(e)).reshape(len(e), -1)
        covariance = x.covariance * flat.unsqueeze(1) * flat.unsqueeze(2)
    if shared and shape is not None and run.affords(len(e), x.units, x.units):
        if covariance is None:
            covariance = u**2 * torch.diag_embed(v.reshape(len(e), -1))
        covariance = covariance + _shared(x, d2, shape)
    if covariance is not None:
        covariance.diagonal(dim1=1, dim2=2).copy_(variance.reshape(len(e), -1))
    independent = not shared and (certain or x.independent)
    parents = [(x, lambda rows: rows * u)]
    known = {"covariance": covariance, "independent": independent, "shared": shared, "noise": run.new_noise()}
    return run.behind(u * e, variance, parents, cumulants=cumulants, **known)


def of_image(run: Forward, name: str, x: Any, factor: Factor) -> Any:
    """A tensor times an independent random number for each image: held at a value, if the run conditions on it.

    A number that a batch shares has the same moments in each image.
    """
    if run.image_factors is None:
        result = multiplied(run, x, factor, (x.shape[0], *(1 for _ in x.shape[1:])))
        run.note(name, "exact: a random number for each image", result)
        return result
    value = run.image_factors.next_value(two_values(factor.mean, factor.second, factor.third))
    run.note(name, "a random number for each image, which is held at its values in turn")
    if not isinstance(x, Normal):
        return x * value
    return scaled(run, x, x.mean * value, torch.full_like(x.mean, value))


def _certain(x: Tensor) -> Normal:
    x = wide(x)
    return Normal(x, torch.zeros_like(x))


def _shared(x: Normal, spread: Any, shape: Sequence[int]) -> Tensor:
    """What units with one factor covary by, for a factor of this shape and variance."""
    numbers = torch.arange(math.prod(shape[1:]), device=x.mean.device).reshape(1, *shape[1:])
    numbers = numbers.expand(1, *x.shape[1:]).reshape(-1)
    same = numbers.unsqueeze(0) == numbers.unsqueeze(1)
    flat = x.mean.reshape(len(x.mean), -1)
    both = flat.unsqueeze(1) * flat.unsqueeze(2)
    both = both if x.covariance is None else both + x.covariance
    return spread * (same * both)


def _cumulants(x: Normal, factor: Factor, variance: Tensor) -> tuple[Tensor, Tensor]:
    """The third and fourth cumulant of the product."""
    e, x2, u, d2, d3, d4 = x.mean, x.variance, factor.mean, factor.second, factor.third, factor.fourth
    x3 = torch.zeros_like(e) if x.third is None else x.third
    x4 = 3 * x2.square() if x.fourth is None else x.fourth + 3 * x2.square()
    e2, e3 = e.square(), e**3
    third = u**3 * x3 + 3 * u * d2 * (2 * e * x2 + x3) + d3 * (e3 + 3 * e * x2 + x3)
    fourth = (
        u**4 * x4
        + 6 * u**2 * d2 * (e2 * x2 + 2 * e * x3 + x4)
        + 4 * u * d3 * (3 * e2 * x2 + 3 * e * x3 + x4)
        + d4 * (e2.square() + 6 * e2 * x2 + 4 * e * x3 + x4)
    )
    return third, fourth - 3 * variance.square()


def with_dropout(
    run: Forward, name: str, x: Any, keep: float, scale: float, shape: Sequence[int] | None, what: str = "element"
) -> Any:
    """A tensor with elements, or groups of them that share a number, set to zero with probability 1 - keep."""
    if keep == 1.0 and scale == 1.0:
        return x
    if shape is not None and math.prod(shape[1:]) == 1 and 0.0 < keep < 1.0:
        return of_image(run, name, x, bernoulli(keep, scale))
    result = multiplied(run, x, bernoulli(keep, scale), shape)
    run.note(name, f"exact: one number in {{0, {scale:.4g}}} for each {what}", result)
    return result


@rule("dropout", "dropout_", draws=True)
def dropout(run: Forward, func: Any, x: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Inverted dropout of elements. `torch.dropout` has its arguments in the same order."""
    if not training or p == 0.0:
        return x
    return with_dropout(run, "dropout", x, 1 - p, 1 / (1 - p) if p < 1 else 1.0, None)


@rule("native_dropout", draws=True)
def native_dropout(run: Forward, func: Any, x: Any, p: float, train: bool | None) -> Any:
    """What `augreg.nn.Dropout` calls on CUDA."""
    return dropout(run, func, x, p, bool(train)), None


def _channels(dims: int) -> Any:
    def computed(
        run: Forward, func: Any, x: Any, p: float = 0.5, training: bool = True, inplace: bool = False
    ) -> Any:
        if not training or p == 0.0:
            return x
        own = min(2, max(len(x.shape) - dims, 1)) if dims else 2
        shape = (*x.shape[:own], *(1 for _ in x.shape[own:]))
        return with_dropout(run, func.__name__, x, 1 - p, 1 / (1 - p) if p < 1 else 1.0, shape, "channel")

    return computed


for _name, _dims in (("dropout1d", 1), ("dropout2d", 2), ("dropout3d", 3), ("feature_dropout", 0)):
    rule(_name, draws=True)(_channels(_dims))


SATURATION = -1.0507009873554805 * 1.6732632423543772  # the limit of SELU at -infinity


@rule("alpha_dropout", "feature_alpha_dropout", draws=True)
def alpha_dropout(
    run: Forward, func: Any, x: Any, p: float = 0.5, training: bool = False, inplace: bool = False
) -> Any:
    """A (m x + (1 - m) a') + B; see `augreg.nn.AlphaDropout`."""
    if not training or p == 0.0:
        return x
    shape = None
    if func.__name__ == "feature_alpha_dropout":
        shape = (*x.shape[:2], *(1 for _ in x.shape[2:]))
    return with_saturation(run, func.__name__, x, p, shape)


def with_saturation(run: Forward, name: str, x: Any, p: float, shape: Sequence[int] | None) -> Normal:
    """The tensor with units set to the saturation value of SELU, then scaled and shifted to mean 0 and variance 1."""
    keep = 1 - p
    scale = 1 / math.sqrt(keep + SATURATION**2 * keep * p) if keep else 0.0
    x = x if isinstance(x, Normal) else _certain(x)
    moved = moved_by(run, x, -SATURATION)
    factor = multiplied(run, moved, bernoulli(keep, scale), shape)
    result = moved_by(run, factor, scale * SATURATION - scale * p * SATURATION)
    run.note(name, "exact: units are replaced by the saturation value of SELU", result)
    return result


def moved_by(run: Forward, x: Normal, shift: Any) -> Normal:
    """The tensor plus a number, or one for each unit."""
    return run.behind(
        x.mean + shift,
        x.variance,
        [(x, lambda rows: rows)],
        cumulants=x.cumulants,
        covariance=x.covariance,
        independent=x.independent,
    )


@rule("bernoulli_", draws=True)
def bernoulli_in_place(run: Forward, func: Any, x: Any, p: Any = 0.5, generator: Any = None) -> Any:
    """Random zeros and ones, which most stochastic depth of other libraries multiplies by."""
    if isinstance(p, Tensor) or isinstance(x, Normal):
        return None
    if run.image_factors is not None and math.prod(x.shape[1:]) == 1 and 0.0 < p < 1.0:
        return of_image(run, "bernoulli_", torch.ones_like(x), bernoulli(float(p)))
    ones = Normal(torch.ones_like(wide(x)), torch.zeros_like(wide(x)))
    result = multiplied(run, ones, bernoulli(float(p)))
    run.note("bernoulli_", "exact: zeros and ones", result)
    return result


def _drawn(mean: float, second: float, fourth: float) -> Any:
    """The rule of a function that draws numbers with these moments around their mean."""

    def computed(run: Forward, func: Any, *args: Any, **kwargs: Any) -> Any:
        if any(isinstance(value, Normal) for value in args):
            args = tuple(value.mean if isinstance(value, Normal) else value for value in args)
        ones = torch.ones_like(func(*args, **kwargs))
        result = multiplied(run, ones, Factor(mean, second, 0.0, fourth))
        run.note(func.__name__, "exact: independent numbers", result)
        return result

    return computed


for _names, _numbers in ((("randn", "randn_like"), (0.0, 1.0, 3.0)), (("rand", "rand_like"), (0.5, 1 / 12, 1 / 80))):
    rule(*_names, draws=True)(_drawn(*_numbers))


@rule("multi_head_attention_forward", "scaled_dot_product_attention", draws=True)
def attention(run: Forward, func: Any, *args: Any, **kwargs: Any) -> Any:
    """Attention of plain tensors without dropout runs as it is. Nothing else is known of it."""
    if any(isinstance(value, Normal) for value in (*args, *kwargs.values())):
        return None
    single = func.__name__ == "scaled_dot_product_attention"
    rate = kwargs.get("dropout_p", (args[4] if len(args) > 4 else 0.0) if single else args[10])
    drops = bool(rate) and (single or kwargs.get("training", True))
    return None if drops else func(*args, **kwargs)


@rule("lstm", "gru", "rnn_tanh", "rnn_relu", draws=True)
def recurrent(run: Forward, func: Any, *args: Any, **kwargs: Any) -> Any:
    """Recurrent layers of plain tensors without dropout run as they are. Nothing else is known of them."""
    numbers = [value for value in args if isinstance(value, float)]  # the only one is the rate of dropout
    if any(isinstance(value, Normal) for value in args) or any(numbers):
        return None
    return func(*args, **kwargs)


def _without_rule(run: Forward, func: Any, *args: Any, **kwargs: Any) -> None:
    """No rule: the function is named."""


rule(
    *("bernoulli", "normal", "normal_", "uniform_", "exponential_", "rrelu", "rrelu_", "gumbel_softmax", "poisson"),
    *(
        "multinomial",
        "fractional_max_pool2d",
        "randint",
        "randperm",
        "log_normal_",
        "geometric_",
        "cauchy_",
        "random_",
    ),
    draws=True,
)(_without_rule)
