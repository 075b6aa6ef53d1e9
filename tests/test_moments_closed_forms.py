"""Closed forms of moments against quadrature and enumeration."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from scipy import integrate, special, stats

from augreg.expectation.moments.gelu import gelu_gain, gelu_moments, owens_t
from augreg.expectation.moments.noise_rules import bernoulli
from augreg.expectation.moments.normal import Normal
from augreg.expectation.moments.pooling_rules import clark_maximum
from augreg.expectation.moments.rectified import (
    central_moments,
    leaky_relu_moments,
    normal_leaky_relu,
    relu_covariance,
)
from augreg.expectation.moments.softmax_mean import mean_softmax

NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(120)


def expected(function, mean: float, deviation: float, weights=lambda z: 1.0) -> float:
    """E[f(mean + deviation z)] by adaptive quadrature, with a break where a ReLU has its kink."""
    kink = np.clip(-mean / deviation, -12, 12)

    def integrand(z: float) -> float:
        return function(mean + deviation * z) * weights(z) * np.exp(-z * z / 2) / np.sqrt(2 * np.pi)

    return sum(integrate.quad(integrand, *ends, epsabs=1e-12)[0] for ends in ((-13, kink), (kink, 13)))


def double(*values: float) -> list[torch.Tensor]:
    return [torch.tensor([value], dtype=torch.float64) for value in values]


def edgeworth(z, skew: float, excess: float):
    """Edgeworth's series to the second order, over the normal density."""
    third, fourth, sixth = z**3 - 3 * z, z**4 - 6 * z**2 + 3, z**6 - 15 * z**4 + 45 * z**2 - 15
    return 1 + skew / 6 * third + excess / 24 * fourth + skew**2 / 72 * sixth


@pytest.mark.parametrize(
    ("skew", "excess", "positive"),
    [
        *((0.0, 0.01, True), (0.0, 3.99, True), (0.0, -0.01, False), (0.0, 4.01, False)),
        *((0.67, 2.5, True), (0.69, 2.5, False), (-0.67, 2.5, True), (0.69, 2.0, False), (0.69, 3.0, False)),
    ],
)
def test_where_the_series_is_a_density(skew: float, excess: float, positive: bool) -> None:
    assert (edgeworth(np.linspace(-20, 20, 20_001), skew, excess).min() >= 0) is np.bool_(positive)


@pytest.mark.parametrize(
    ("mean", "deviation"), [(0.3, 1.0), (-1.2, 0.7), (1.0, 0.8), (30.0, 0.7), (-30.0, 1.0), (0.0, 0.0)]
)
@pytest.mark.parametrize("slope", [0.0, 0.2])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rectified_normals_in_any_precision(mean: float, deviation: float, slope: float, dtype: torch.dtype) -> None:
    inputs = (torch.tensor([each], dtype=dtype) for each in (mean, deviation**2))
    found, spread, positive = normal_leaky_relu(*inputs, slope)
    if deviation == 0.0:
        assert (found.item(), spread.item()) == pytest.approx((0.0, 0.0), abs=1e-11)
        return
    first, second = (expected(lambda x, k=k: max(x, slope * x) ** k, mean, deviation) for k in (1, 2))
    near = 2e-7 if dtype == torch.float32 else 1e-10
    assert found.item() == pytest.approx(first, rel=near, abs=near)
    assert spread.item() == pytest.approx(second - first**2, rel=4 * near, abs=4 * near)
    assert positive.item() == pytest.approx(stats.norm.cdf(mean / deviation), abs=near)


def test_rectified_normals_far_from_zero_are_neither_negative_nor_infinite() -> None:
    mean = torch.cat([torch.linspace(-9, 0, 20_000), torch.tensor([1e10, -1e10])])
    variance = torch.cat([torch.ones(20_000), torch.zeros(2)])
    found, spread, _ = normal_leaky_relu(mean, variance)
    assert (found >= 0).all() and (spread >= 0).all()
    assert found[-2:].tolist() == [1e10, 0.0] and spread[-2:].tolist() == [0.0, 0.0]


@pytest.mark.parametrize(("mean", "deviation"), [(0.3, 1.0), (-1.2, 0.7), (1.0, 0.8)])
@pytest.mark.parametrize("slope", [0.0, 0.2])
def test_powers_of_a_rectified_normal_with_edgeworths_series(mean: float, deviation: float, slope: float) -> None:
    skew, excess = 0.2, -0.3
    known = double(mean, deviation**2, skew * deviation**3, excess * deviation**4)
    found = leaky_relu_moments(*known, slope)

    def series(z: float) -> float:
        return edgeworth(z, skew, excess)

    for k in range(1, 5):
        truth = expected(lambda x, k=k: max(x, slope * x) ** k, mean, deviation, series)
        assert found[k - 1].item() == pytest.approx(truth, abs=1e-9)


def test_mean_of_the_relu_keeps_its_bounds_where_the_series_does_not() -> None:
    mean, variance = double(-0.2, 1.0)
    plain = leaky_relu_moments(mean, variance, None, None)[0]
    wild = leaky_relu_moments(mean, variance, None, torch.full_like(mean, 1e6))[0]
    limited = leaky_relu_moments(mean, variance, None, torch.full_like(mean, 4.0))[0]
    assert wild.item() == limited.item() != plain.item()
    far, small = double(-2.5, 1.0)
    assert leaky_relu_moments(far, small, None, torch.full_like(far, -2.0))[0].item() == 0.0  # the series is negative


def test_cumulants_of_dropped_sums_are_those_of_all_masks() -> None:
    weights, keep = np.array([0.7, -1.1, 0.4, 0.9]), 0.7
    masks = np.array([*itertools.product((0, 1), repeat=4)])
    chance = (keep ** masks.sum(1)) * (1 - keep) ** (4 - masks.sum(1))
    sums = masks @ weights / keep
    mean = chance @ sums
    around = [chance @ (sums - mean) ** k for k in range(5)]
    factor = bernoulli(keep, 1 / keep)
    assert keep / keep * weights.sum() == pytest.approx(mean)
    assert (weights**2).sum() * factor.second == pytest.approx(around[2])
    assert (weights**3).sum() * factor.third == pytest.approx(around[3])
    assert (weights**4).sum() * (factor.fourth - 3 * factor.second**2) == pytest.approx(
        around[4] - 3 * around[2] ** 2
    )


def test_central_moments_are_cumulants() -> None:
    raw = [torch.tensor(stats.gamma(2.5).moment(k)) for k in range(1, 5)]
    assert [float(each) for each in central_moments(raw)] == pytest.approx([2.5, 2.5, 5.0, 15.0])


@pytest.mark.parametrize("correlation", [-0.95, -0.4, 0.0, 0.3, 0.9, 0.999, 1.0])
def test_covariance_of_two_rectified_normals(correlation: float) -> None:
    mean, deviation = np.array([0.4, -0.7]), np.array([1.3, 0.6])
    covariance = np.outer(deviation, deviation) * np.array([[1, correlation], [correlation, 1]])
    found = relu_covariance(torch.tensor(mean)[None], torch.tensor(covariance)[None])[0, 0, 1].item()
    rest = np.sqrt(max(1 - correlation**2, 0.0))

    def conditional(z: float) -> float:
        """E[ReLU(b)] for the first one at z deviations."""
        m, s = mean[1] + deviation[1] * correlation * z, deviation[1] * rest
        return max(m, 0.0) if s < 1e-9 else m * stats.norm.cdf(m / s) + s * stats.norm.pdf(m / s)

    kinks = [-mean[0] / deviation[0], -mean[1] / deviation[1] / correlation if correlation else 0.0]
    low, high = kinks[0], 12.0
    middle = min(max(kinks[1], low), high)
    product = sum(
        integrate.quad(
            lambda z: (mean[0] + deviation[0] * z) * conditional(z) * stats.norm.pdf(z), *ends, epsabs=1e-12
        )[0]
        for ends in ((low, middle), (middle, high))
    )
    means = [m * stats.norm.cdf(m / s) + s * stats.norm.pdf(m / s) for m, s in zip(mean, deviation, strict=True)]
    assert found == pytest.approx(product - means[0] * means[1], abs=1e-8 if abs(correlation) < 0.96 else 1e-4)


@pytest.mark.parametrize(("mean", "variance"), [(0.0, 1.0), (-1.5, 0.3), (0.8, 4.0), (2.0, 0.0)])
def test_gelu_of_a_normal(mean: float, variance: float) -> None:
    found, spread = gelu_moments(*double(mean, variance))
    x = mean + np.sqrt(variance) * NODES
    values, weights = x * stats.norm.cdf(x), WEIGHTS / WEIGHTS.sum()
    assert found.item() == pytest.approx(weights @ values, abs=1e-9)
    assert spread.item() == pytest.approx(weights @ values**2 - (weights @ values) ** 2, abs=1e-9)
    slope = stats.norm.cdf(x) + x * stats.norm.pdf(x)
    assert gelu_gain(*double(mean, variance)).item() == pytest.approx(weights @ slope, abs=1e-9)


def test_owens_t_is_that_of_scipy() -> None:
    h, a = np.linspace(-6, 6, 25), np.linspace(0, 1, 25)
    assert owens_t(torch.tensor(h), torch.tensor(a)).numpy() == pytest.approx(special.owens_t(h, a), abs=1e-14)


@pytest.mark.parametrize("correlation", [0.0, 0.8])
def test_maximum_of_two_normals_is_exact_and_of_three_is_near(correlation: float) -> None:
    mean, variance = torch.tensor([0.2, -0.1, 0.5]).double(), torch.tensor([1.0, 0.5, 0.2]).double()
    deviation = variance.sqrt()
    covariance = correlation * deviation[:, None] * deviation + (1 - correlation) * variance.diag()
    draws = np.random.default_rng(0).multivariate_normal(mean.numpy(), covariance.numpy(), 400_000)
    given = None if correlation == 0 else covariance
    for count, near in ((2, 0.004), (3, 0.04)):
        part = None if given is None else given[:count, :count]
        found, spread, rates = clark_maximum(mean[:count], variance[:count], part)
        largest = draws[:, :count].max(1)
        assert found.item() == pytest.approx(largest.mean(), abs=near)
        assert spread.item() == pytest.approx(largest.var(), abs=near)
        shares = np.bincount(draws[:, :count].argmax(1)) / len(draws)
        assert rates.numpy() == pytest.approx(shares, abs=0.01 if count == 2 else 0.1)


def test_mean_softmax_of_two_classes_is_a_logistic_normal_integral() -> None:
    mean = torch.tensor([[0.3, -0.4]]).double()
    covariance = torch.tensor([[[1.0, 0.6], [0.6, 2.0]]]).double()
    for given, spread in ((None, 3.0), (covariance, 1.8)):
        truth = expected(special.expit, 0.7, np.sqrt(spread))
        found = mean_softmax(mean, covariance[0].diagonal()[None], given, 1024, 0)
        assert abs(found.mean[0, 0].item() - truth) < 5 * found.error[0, 0].item() + 1e-6
        assert 0 < found.error[0, 0].item() < 2e-3


def test_mean_softmax_names_what_it_cannot_take() -> None:
    with pytest.raises(ValueError, match="samples must be at least 8"):
        mean_softmax(torch.zeros(1, 2), torch.ones(1, 2), None, 4, 0)
    with pytest.raises(ValueError, match="must be batch x classes"):
        mean_softmax(torch.zeros(3), torch.ones(3), None, 16, 0)


def test_units_are_counted_for_each_image() -> None:
    assert Normal(torch.zeros(4, 3, 5), torch.zeros(4, 3, 5)).units == 15
