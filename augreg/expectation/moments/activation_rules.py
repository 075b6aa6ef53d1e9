"""Rules for activation functions: in closed form where there is one, else by quadrature."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from augreg.expectation.moments.forward import Forward, rule
from augreg.expectation.moments.gelu import gelu_gain, gelu_moments
from augreg.expectation.moments.normal import Cumulants, Normal
from augreg.expectation.moments.rectified import (
    central_moments,
    leaky_relu_moments,
    normal_leaky_relu,
    probability_positive,
    relu_covariance,
    standardized,
)

__all__ = ["NODES", "by_quadrature"]

NODES = 20
"""Nodes of the Gauss-Hermite quadrature of smooth activations."""
ORDERS = 6
"""Terms of the series of the covariance behind a smooth activation."""


@rule("relu", "relu_")
def relu(run: Forward, func: Any, x: Normal, inplace: bool = False) -> Normal:
    """Closed forms."""
    return _leaky(run, "relu", x, 0.0)


@rule("leaky_relu", "leaky_relu_")
def leaky_relu(run: Forward, func: Any, x: Normal, negative_slope: float = 0.01, inplace: bool = False) -> Normal:
    """Closed forms."""
    return _leaky(run, "leaky_relu", x, negative_slope)


@rule("clamp_min", "clamp_min_")
def clamp_min(run: Forward, func: Any, x: Normal, min: Any) -> Any:
    """The ReLU, if the bound is zero."""
    return _leaky(run, "relu", x, 0.0) if min == 0 else None


def _leaky(run: Forward, name: str, x: Normal, slope: float) -> Normal:
    if x.cumulants is None:
        mean, variance, positive = normal_leaky_relu(x.mean, x.variance, slope)
    else:
        mean, variance = _leaky_moments(x, slope)[:2]
        positive = probability_positive(x.mean, x.variance)
    gain = slope + (1 - slope) * positive
    between = None
    if x.covariance is not None:
        flat, rate = x.mean.reshape(len(x.mean), -1), positive.reshape(len(x.mean), -1)
        between = (1 - slope) ** 2 * relu_covariance(flat, x.covariance)
        if slope:  # of slope x and (1 - slope) ReLU(x); Cov(ReLU(a), b) = P(a > 0) Cov(a, b)
            both = rate.unsqueeze(1) + rate.unsqueeze(2)
            between = between + (slope**2 + slope * (1 - slope) * both) * x.covariance
    cumulants = None
    if run.settings.fourth_cumulant:
        cumulants = Cumulants(lambda: _leaky_moments(x, slope)[2:])
    result = run.elementwise(x, mean, variance, gain, between, cumulants)
    run.note(name, f"closed form for a normal input{_corrected(x)}", result)
    return result


def _leaky_moments(x: Normal, slope: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Mean, variance, third and fourth cumulant."""
    mean, variance, third, fourth = _in_double(
        x, lambda m, v, k3, k4: central_moments(leaky_relu_moments(m, v, k3, k4, slope))
    )
    return mean, variance, third, fourth


@rule("gelu")
def gelu(run: Forward, func: Any, x: Normal, approximate: str = "none") -> Normal:
    """Closed forms for x Phi(x); by quadrature for the approximation by tanh, or for inputs with cumulants."""
    if approximate != "none" or x.cumulants is not None:
        return by_quadrature(run, "gelu", x, lambda value: functional.gelu(value, approximate=approximate))
    mean, variance = (part.to(x.mean.dtype) for part in gelu_moments(x.mean.double(), x.variance.double()))
    between = None
    if x.covariance is not None:
        between = _series(x, _coefficients(x, functional.gelu))
    result = run.elementwise(x, mean, variance, gelu_gain(x.mean, x.variance), between)
    run.note("gelu", "closed form for a normal input", result)
    return result


_SMOOTH: dict[str, Callable[..., Tensor]] = {
    **{name: getattr(functional, name) for name in ("silu", "elu", "selu", "celu", "mish", "softplus", "hardswish")},
    **{name: getattr(functional, name) for name in ("relu6", "hardtanh", "hardsigmoid", "softsign", "logsigmoid")},
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "exp": torch.exp,
    "square": torch.square,
    "erf": torch.erf,
}


def _smooth(name: str) -> Callable[..., Normal]:
    function = _SMOOTH[name]

    def computed(run: Forward, func: Any, x: Normal, *args: Any, inplace: bool = False, **kwargs: Any) -> Normal:
        return by_quadrature(run, name, x, lambda value: function(value, *args, **kwargs))

    return computed


for _name in _SMOOTH:
    rule(_name, f"{_name}_")(_smooth(_name))


def by_quadrature(run: Forward, name: str, x: Normal, function: Callable[[Tensor], Tensor]) -> Normal:
    """The moments of a function of a normal variable, with Gauss-Hermite nodes and Edgeworth's series as weights."""
    mean, variance, slope, third, fourth = _in_double(x, lambda *known: _integrated(function, *known))
    between = None if x.covariance is None else _series(x, _coefficients(x, function))
    cumulants = Cumulants(lambda: (third, fourth)) if run.settings.fourth_cumulant else None
    result = run.elementwise(x, mean, variance, slope, between, cumulants)
    run.note(name, f"quadrature over a normal input, {NODES} nodes{_corrected(x)}", result)
    return result


def _nodes() -> list[tuple[float, float]]:
    nodes, weights = np.polynomial.hermite_e.hermegauss(NODES)
    return [(float(n), float(w) / math.sqrt(2 * math.pi)) for n, w in zip(nodes, weights, strict=True)]


def _integrated(
    function: Callable[[Tensor], Tensor], mean: Tensor, variance: Tensor, third: Tensor | None, fourth: Tensor | None
) -> tuple[Tensor, ...]:
    """Mean, variance, mean derivative (by Stein's lemma), third and fourth cumulant of a function."""
    deviation = variance.clamp(min=1e-24).sqrt()
    skew, excess = standardized(deviation, third, fourth)
    center = function(mean)  # moments around it do not cancel
    raw = [torch.zeros_like(mean) for _ in range(4)]
    slope = torch.zeros_like(mean)
    for z, weight in _nodes():
        change = function(mean + z * deviation) - center
        weights: Any = 1.0
        if skew is not None:
            weights = weights + skew / 6 * (z**3 - 3 * z) + skew.square() / 72 * (z**6 - 15 * z**4 + 45 * z**2 - 15)
        if excess is not None:
            weights = weights + excess / 24 * (z**4 - 6 * z**2 + 3)
        power = weight * weights * change
        for k in range(4):
            raw[k] += power
            power = power * change
        slope += weight * z * change / deviation
    shift, spread, third, fourth = central_moments(raw)
    return center + shift, spread, slope, third, fourth


def _coefficients(x: Normal, function: Callable[[Tensor], Tensor]) -> list[Tensor]:
    """E[f(m + s z) He_j(z)] for j = 1 .. ORDERS."""
    deviation = x.variance.clamp(min=0.0).sqrt()
    center = function(x.mean)
    found = [torch.zeros_like(x.mean) for _ in range(ORDERS)]
    for node, weight in _nodes():
        change = weight * (function(x.mean + node * deviation) - center)
        before, polynomial = 1.0, node
        for j in range(ORDERS):
            found[j] += change * polynomial
            before, polynomial = polynomial, node * polynomial - (j + 1) * before
    return found


def _series(x: Normal, coefficients: list[Tensor]) -> Tensor:
    """The covariance of f(a) and f(b) by Mehler's series: the sum over j of c_j(a) c_j(b) t^j / j!."""
    covariance = x.covariance
    assert covariance is not None
    deviation = covariance.diagonal(dim1=1, dim2=2).clamp(min=1e-24).sqrt()
    correlation = (covariance / deviation.unsqueeze(1) / deviation.unsqueeze(2)).clamp(-1.0, 1.0)
    total, power = torch.zeros_like(covariance), torch.ones_like(covariance)
    for j, coefficient in enumerate(coefficients, 1):
        power = power * correlation / j
        flat = coefficient.reshape(len(x.mean), -1)
        total += power * flat.unsqueeze(1) * flat.unsqueeze(2)
    return total


def _in_double(x: Normal, function: Callable[..., Any]) -> list[Tensor]:
    """A function of the moments in float64, since differences of powers cancel, where the device has it."""
    dtype = x.mean.dtype if x.mean.device.type == "mps" else torch.float64
    parts = [None if part is None else part.to(dtype) for part in (x.mean, x.variance, x.third, x.fourth)]
    return [part.to(x.mean.dtype) for part in function(*parts)]


def _corrected(x: Normal) -> str:
    return ", corrected for its third and fourth cumulant" if x.cumulants is not None else ""
