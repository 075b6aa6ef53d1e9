"""The paired bootstrap: by formulas, and one resample at a time."""

from __future__ import annotations

import numpy as np
import pytest

from augreg.expectation.auditing.bootstrap import calibration_difference, mean_difference, resamples
from augreg.expectation.auditing.metrics import calibration


def test_resamples_are_addressed() -> None:
    whole = resamples(7, 3, "dropout", 0, 20)
    assert (whole.sum(1) == 7).all()
    np.testing.assert_array_equal(whole[5:9], resamples(7, 3, "dropout", 5, 9))
    for other in (resamples(7, 4, "dropout", 0, 20), resamples(7, 3, "rotate", 0, 20)):
        assert (whole != other).any()


def test_every_image_is_drawn_equally_often() -> None:
    counts = resamples(5, 0, "", 0, 2000).sum(0)
    assert np.abs(counts - 2000).max() < 5 * np.sqrt(2000 * 0.8)


def test_the_interval_of_a_mean_is_that_of_the_normal_distribution() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.normal(0.0, 1.0, 400), rng.normal(0.2, 1.0, 400)
    found = mean_difference(first, second, resamples=2000)
    difference = second - first
    half = 1.96 * difference.std(ddof=1) / 20
    assert found.value == pytest.approx(difference.mean())
    assert found.low == pytest.approx(difference.mean() - half, abs=0.1 * half)
    assert found.high == pytest.approx(difference.mean() + half, abs=0.1 * half)


def test_pairs_that_move_together_have_a_narrow_interval() -> None:
    first = np.random.default_rng(0).normal(0.0, 10.0, 50)
    found = mean_difference(first, first + 0.5)
    assert (found.low, found.high) == (pytest.approx(0.5), pytest.approx(0.5))
    assert found.is_higher and not found.is_lower
    assert mean_difference(first + 0.5, first).is_lower


def test_the_same_seed_gives_the_same_interval() -> None:
    values = np.arange(30.0) % 7
    one = mean_difference(np.zeros(30), values, seed=1)
    assert one == mean_difference(np.zeros(30), values, seed=1)
    assert one != mean_difference(np.zeros(30), values, seed=2)


def test_calibration_errors_of_resamples_are_those_of_the_images_in_them() -> None:
    rng = np.random.default_rng(1)
    pairs = [(rng.uniform(0.3, 1.0, 40), (rng.uniform(size=40) < 0.6).astype(float)) for _ in range(2)]
    found = calibration_difference(pairs[0], pairs[1], 5, seed=3, name="x", resamples=200)
    values = []
    for counts in resamples(40, 3, "x", 0, 200):
        chosen = np.repeat(np.arange(40), counts)
        errors = [calibration(confidence[chosen], right[chosen], 5).error for confidence, right in pairs]
        values.append(errors[1] - errors[0])
    assert found.value == pytest.approx(calibration(*pairs[1], 5).error - calibration(*pairs[0], 5).error)
    np.testing.assert_allclose((found.low, found.high), np.quantile(values, (0.025, 0.975)))
