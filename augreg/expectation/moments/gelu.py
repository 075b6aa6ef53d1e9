"""Mean and variance of the GELU of a normal variable in closed form."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

__all__ = ["gelu_gain", "gelu_moments", "owens_t"]


def gelu_moments(mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of x Phi(x) for x ~ N(m, v) (the function of arXiv 1606.08415).

    Stein's lemma E[x g(x)] = m E[g] + v E[g'] reduces both to the moments of Phi, with w^2 = 1 + v and h = m / w:

        E[Phi] = Phi(h), E[phi] = phi(h) / w, E[Phi^2] = Phi(h) - 2 T(h, 1 / sqrt(1 + 2 v)), T of Owen
        E[x Phi] = m Phi(h) + v phi(h) / w
        E[x Phi^2] = m E[Phi^2] + 2 v E[Phi phi]
        E[x^2 Phi^2] = m E[x Phi^2] + v (E[Phi^2] + 2 E[x Phi phi])

    phi times the density of x is phi(h) / w times the density of N(m / w^2, v / w^2), so E[Phi phi] and E[x Phi phi]
    are phi(h) / w times the first and third expectation above for that distribution.
    """
    mean, variance = mean + 0.0, variance.clamp(min=0.0)
    squared = 1 + variance
    width = squared.sqrt()
    ratio = mean / width
    density = _density(ratio) / width
    both = torch.special.ndtr(ratio) - 2 * owens_t(ratio, 1 / torch.sqrt(1 + 2 * variance))
    inner_mean, inner_variance = mean / squared, variance / squared
    product = density * torch.special.ndtr(inner_mean / torch.sqrt(1 + inner_variance))
    first = gelu_mean(mean, variance)
    once = mean * both + 2 * variance * product
    second = mean * once + variance * (both + 2 * density * gelu_mean(inner_mean, inner_variance))
    return first, (second - first.square()).clamp(min=0.0)


def gelu_mean(mean: Tensor, variance: Tensor) -> Tensor:
    """E[x Phi(x)] for x ~ N(mean, variance)."""
    width = torch.sqrt(1 + variance)
    return mean * torch.special.ndtr(mean / width) + variance * _density(mean / width) / width


def gelu_gain(mean: Tensor, variance: Tensor) -> Tensor:
    """E[Phi(x) + x phi(x)], the mean derivative: x phi(x) has the mean m phi(h) / w^3."""
    width = torch.sqrt(1 + variance)
    return torch.special.ndtr(mean / width) + mean * _density(mean / width) / width**3


def owens_t(h: Tensor, a: Tensor) -> Tensor:
    """Owen's T(h, a) = 1/(2 pi) int_0^a exp(-h^2 (1 + x^2) / 2) / (1 + x^2) dx for 0 <= a <= 1, by quadrature."""
    total = torch.zeros_like(h)
    for node, weight in zip(*np.polynomial.legendre.leggauss(20), strict=True):
        place = 1 + (a * ((float(node) + 1) / 2)).square()
        total += float(weight) / 2 * torch.exp(-0.5 * h.square() * place) / place
    return a * total / (2 * math.pi)


def _density(x: Tensor) -> Tensor:
    return torch.exp(-0.5 * x.square()) / math.sqrt(2 * math.pi)
