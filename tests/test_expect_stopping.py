"""until=: sampling stops at a wanted standard error, image by image, and the intervals cover the truth."""

from __future__ import annotations

import pytest
import torch
from enumerated_networks import Networks
from torch import nn

import augreg
from augreg.expectation.means.stopping import counts
from augreg.expectation.means.student import student_quantile


def test_intervals_cover_the_truth_of_1000_networks() -> None:
    networks = Networks.random(1000, seed=0)
    truth = torch.from_numpy(networks.logits())
    p = augreg.expect(networks.model(), space="logit", until=0.25, seed=1)(*networks.arguments())
    assert p.report.reached and "was reached" in str(p)
    assert (p.standard_error <= 0.25).all()
    assert p.samples.min() == 32 and p.samples.max() >= 512
    low, high = p.interval(0.95)
    covered = ((low <= truth) & (truth <= high)).double().mean(0)
    assert (covered >= 0.93).all()
    assert 0.94 <= covered.mean() <= 0.96


def test_images_are_done_one_by_one() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Dropout(0.5), nn.Linear(6, 3))
    x = torch.randn(3, 6) * torch.tensor([[0.0], [1.0], [4.0]])
    p = augreg.expect(model, space="logit", until=0.05)(x)
    assert p.samples.tolist() == sorted(p.samples.tolist())
    assert p.samples[0] == 32 and p.samples[2] > p.samples[1] > 32
    assert p.report.forwards == p.samples.sum()
    alone = augreg.expect(model, space="logit", until=0.05)(x[:1])
    assert torch.equal(alone.mean[0], p.mean[0])  # without noise, since its input is zero


def test_the_most_samples_are_a_bound() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Dropout(0.5), nn.Linear(6, 3))
    p = augreg.expect(model, space="logit", until=1e-4, max_samples=100)(torch.randn(2, 6))
    assert p.report.reached is False and "was not reached" in str(p)
    assert p.samples.tolist() == [100, 100] and (p.standard_error > 1e-4).all()


def test_counts_double_from_a_pilot() -> None:
    assert counts(1, 8, 0.1, 300).counts == (32, 64, 128, 256, 300)
    assert counts(2, 100, 0.1, 300).counts == (50, 100, 150)
    assert counts(4, 8, 0.1, 64).counts == (16,)
    assert counts(3, 32, None, 300).counts == (10,)
    with pytest.raises(ValueError, match="samples=16 or more"):
        counts(8, 15, None, 300)


@pytest.mark.parametrize(
    ("level", "freedom", "expected"),  # from printed tables
    [
        (0.95, 1, 12.706),
        (0.95, 2, 4.303),
        (0.95, 9, 2.262),
        (0.95, 30, 2.042),
        (0.99, 4, 4.604),
        (0.99, 5, 4.032),
        (0.5, 3, 0.765),
        (0.95, 100_000, 1.95999),
    ],
)
def test_quantiles_of_student(level: float, freedom: int, expected: float) -> None:
    assert student_quantile(level, freedom) == pytest.approx(expected, abs=6e-4)


def test_the_expansion_of_the_quantile_continues_the_exact_one() -> None:
    assert student_quantile(0.95, 2000) == pytest.approx(student_quantile(0.95, 1999), abs=1e-6)
    with pytest.raises(ValueError, match="between 0 and 1"):
        student_quantile(95.0, 3)
    with pytest.raises(ValueError, match="degree of freedom"):
        student_quantile(0.95, 0)


def test_the_interval_is_wide_for_few_samples() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Dropout(0.5), nn.Linear(6, 3))
    p = augreg.expect(model, samples=3, space="value")(torch.randn(2, 6))
    low, high = p.interval(0.95)
    assert torch.allclose((high - low) / 2, 4.3027 * p.standard_error, rtol=1e-4)
    low, high = p.interval(0.5)
    assert torch.allclose((high - low) / 2, 0.8165 * p.standard_error, rtol=1e-4)
