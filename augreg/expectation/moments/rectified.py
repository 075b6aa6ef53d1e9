"""Moments of a rectified normal variable in closed form, corrected for its third and fourth cumulants."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

__all__ = [
    "central_moments",
    "leaky_relu_moments",
    "normal_leaky_relu",
    "probability_positive",
    "relu_covariance",
    "standardized",
]

NODES = 16
"""Nodes of the quadrature of `relu_covariance`: it is within 1e-9 for correlations up to 0.95."""

MOST_SKEW, MOST_EXCESS = 1.0, 4.0
"""Bounds beyond which cumulants are cut. An excess kurtosis is at least -2.

Without skewness the series is nonnegative, so a density, for an excess from 0 to 4, and for no other. With an excess
of 2.5 it is one up to a skewness of 0.68. Outside of that it still corrects means.
"""


def normal_leaky_relu(mean: Tensor, variance: Tensor, slope: float = 0.0) -> tuple[Tensor, Tensor, Tensor]:
    """Mean and variance of max(x, 0) + slope min(x, 0) for normal x, with no difference of large numbers; P(x > 0).

    With r = m / s, P = Phi(r) and Q = 1 - P: the ReLU has the mean m P + s phi(r) and the variance
    s^2 (P + r^2 P Q + r phi(r) (Q - P) - phi(r)^2), and its covariance with x is s^2 P.
    """
    deviation = variance.clamp(min=1e-24).sqrt()
    ratio = (mean / deviation).clamp(-40.0, 40.0)
    above = torch.special.ndtr(ratio)
    density = torch.exp(-0.5 * ratio.square()) / math.sqrt(2.0 * math.pi)
    rectified = (mean * above + deviation * density).clamp(min=0.0)
    spread = above + ratio.square() * above * (1 - above) + ratio * density * (1 - 2 * above) - density.square()
    spread = spread.clamp(min=0.0)
    if slope:
        rectified = slope * mean + (1 - slope) * rectified
        spread = slope**2 + (1 - slope) ** 2 * spread + 2 * slope * (1 - slope) * above
    return rectified, variance * spread, above


def leaky_relu_moments(
    mean: Tensor, variance: Tensor, third: Tensor | None, fourth: Tensor | None, slope: float = 0.0
) -> list[Tensor]:
    """E[f^k] for k = 1 .. 4, for f(x) = max(x, 0) + slope min(x, 0).

    For normal x and M_k = E[max(x, 0)^k], with r = m / s: M_0 = Phi(r), M_1 = m Phi(r) + s phi(r) and
    M_k = m M_(k-1) + (k - 1) s^2 M_(k-2). A third and fourth cumulant add the terms of Edgeworth's series, with He
    the Hermite polynomials of (x - m) / s:

        E[f^k (1 + k3/(6 s^3) He_3 + k4/(24 s^4) He_4 + k3^2/(72 s^6) He_6)]

    The mean of the ReLU stays between max(m, 0) and (m + sqrt(m^2 + s^2)) / 2, as it does for every distribution.
    """
    deviation = variance.clamp(min=1e-24).sqrt()
    ratio = mean / deviation
    density = torch.exp(-0.5 * ratio.square()) / math.sqrt(2.0 * math.pi)
    above = [torch.special.ndtr(ratio), mean * torch.special.ndtr(ratio) + deviation * density]
    whole = [torch.ones_like(mean), mean]
    for k in (2, 3, 4):
        above.append(mean * above[k - 1] + (k - 1) * variance * above[k - 2])
        whole.append(mean * whole[k - 1] + (k - 1) * variance * whole[k - 2])
    plain_above, plain_whole = [*above], [*whole]
    for order, weight in _edgeworth(deviation, third, fourth):
        for k in range(1, 5):
            factor = weight * deviation**k * math.perm(k, min(k, order))
            rest = order - k  # the derivatives of f^k: E[f^k He_j] = k s E[f^(k-1) He_(j-1)]
            if rest > 0:
                above[k] = above[k] + factor * _hermite(rest - 1, -ratio) * density
            else:
                above[k] = above[k] + factor * plain_above[k - order] / deviation ** (k - order)
                whole[k] = whole[k] + factor * plain_whole[k - order] / deviation ** (k - order)
    highest = (mean + torch.sqrt(mean.square() + variance)) / 2
    above[1] = torch.minimum(torch.maximum(above[1], mean.clamp(min=0.0)), highest)
    if slope == 0.0:
        return above[1:]
    return [above[k] + slope**k * (whole[k] - above[k]) for k in range(1, 5)]


def _edgeworth(deviation: Tensor, third: Tensor | None, fourth: Tensor | None) -> list[tuple[int, Tensor]]:
    """The orders of the Hermite polynomials with their weights."""
    skew, excess = standardized(deviation, third, fourth)
    terms = [] if skew is None else [(3, skew / 6), (6, skew.square() / 72)]
    return terms if excess is None else [*terms, (4, excess / 24)]


def standardized(
    deviation: Tensor, third: Tensor | None, fourth: Tensor | None
) -> tuple[Tensor | None, Tensor | None]:
    """Skewness and excess kurtosis, within the bounds between which the series is of use."""
    skew = None if third is None else (third / deviation**3).clamp(-MOST_SKEW, MOST_SKEW)
    excess = None if fourth is None else (fourth / deviation**4).clamp(-2.0, MOST_EXCESS)
    return skew, excess


def _hermite(order: int, x: Tensor) -> Tensor:
    """The Hermite polynomial He of an order, from He_0 = 1, He_1 = x and He_(n+1) = x He_n - n He_(n-1)."""
    before, value = torch.zeros_like(x), torch.ones_like(x)
    for n in range(order):
        before, value = value, x * value - n * before
    return value


def central_moments(raw: list[Tensor]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Mean, variance, third and fourth cumulant from E[x^k] for k = 1 .. 4."""
    first, second, third, fourth = raw
    variance = (second - first.square()).clamp(min=0.0)
    skew = third - 3 * first * second + 2 * first**3
    excess = fourth - 4 * first * third - 3 * second.square() + 12 * first.square() * second - 6 * first**4
    return first, variance, skew, excess


def probability_positive(mean: Tensor, variance: Tensor) -> Tensor:
    """P(x > 0) for normal x, which is the mean derivative of the ReLU."""
    return torch.special.ndtr(mean / variance.clamp(min=1e-24).sqrt())


def relu_covariance(mean: Tensor, covariance: Tensor) -> Tensor:
    """The covariance of ReLU(a), batch x n x n, for normal a with this mean, batch x n, and covariance.

    By Price's theorem the derivative of E[ReLU(a) ReLU(b)] by the covariance c of a and b is P(a > 0, b > 0), and the
    derivative of that by the correlation t is the density of the bivariate normal at 0. Integrated twice, with
    r = m / s and c = s_a s_b t:

        Cov = s_a s_b (t Phi(r_a) Phi(r_b) + 1/(2 pi) int_0^asin(t) (t - sin u) exp(-(r_a^2 - 2 r_a r_b sin u + r_b^2)
              / (2 cos^2 u)) du)

    The integral is a Gauss-Legendre quadrature.
    """
    deviation = covariance.diagonal(dim1=1, dim2=2).clamp(min=1e-24).sqrt()
    ratio = mean / deviation
    first, second = ratio.unsqueeze(2), ratio.unsqueeze(1)
    scale = deviation.unsqueeze(2) * deviation.unsqueeze(1)
    correlation = (covariance / scale).clamp(-1.0, 1.0)
    positive = torch.special.ndtr(ratio)
    total = correlation * positive.unsqueeze(2) * positive.unsqueeze(1)
    angle = torch.asin(correlation)
    products, squares = first * second, (first.square() + second.square()) / 2
    for node, weight in zip(*np.polynomial.legendre.leggauss(NODES), strict=True):
        sine = torch.sin(angle * (float(node) + 1) / 2)
        exponent = (products * sine - squares) / (1 - sine.square()).clamp(min=1e-12)
        total += angle * (correlation - sine) * exponent.exp() * (float(weight) / (4 * math.pi))
    return total * scale
