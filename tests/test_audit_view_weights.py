"""Learned view weights: where the maximum is known, and only where they are better on other images."""

from __future__ import annotations

import numpy as np
import pytest

from augreg.expectation.auditing.learned_weights import fitted_weights, learned_weights

NAMES = ("the test image", "flipped")


def test_the_weights_of_two_views_by_hand() -> None:
    # log(0.8 w + 0.2 (1 - w)) three times, and log(0.2 w + 0.8 (1 - w)) once:
    # 3 * 0.6 / (0.2 + 0.6 w) = 0.6 / (0.8 - 0.6 w) at w = 11 / 12
    likelihoods = np.array([[0.8, 0.2]] * 3 + [[0.2, 0.8]])
    np.testing.assert_allclose(fitted_weights(likelihoods), [11 / 12, 1 / 12], atol=1e-6)


def test_weights_are_the_maximum_of_the_likelihood() -> None:
    rng = np.random.default_rng(0)
    likelihoods = rng.uniform(0.05, 1.0, (80, 3))
    weights = fitted_weights(likelihoods)
    assert weights.sum() == pytest.approx(1.0) and (weights >= 0).all()
    best = np.log(likelihoods @ weights).mean()
    for other in rng.dirichlet([1.0] * 3, 300):
        assert np.log(likelihoods @ other).mean() <= best + 1e-7


def test_a_view_of_tiny_likelihoods_gets_no_weight() -> None:
    assert fitted_weights(np.array([[1e-300, 1e-310], [1e-320, 0.0]]))[0] == pytest.approx(1.0)


def better(images: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """Likelihoods of two views, of which the second is better, and that of the fast rule, which is the first."""
    rng = np.random.default_rng(1)
    likelihoods = np.stack([rng.uniform(0.2, 0.5, images), rng.uniform(0.5, 0.9, images)], 1)
    return likelihoods, likelihoods[:, 0]


def test_weights_that_are_better_on_the_other_half_are_offered() -> None:
    likelihoods, fast = better()
    found = learned_weights(likelihoods, fast, np.array([0.5, 0.5]), NAMES)
    assert found is not None and found.is_better
    assert (found.fitted_on, found.checked_on) == (100, 100)
    assert found.weights[1] > 0.95
    assert found.log_loss == pytest.approx(-np.log(likelihoods[1::2] @ found.weights).mean())
    assert found.over_fast.value == pytest.approx(found.log_loss + np.log(fast[1::2]).mean())
    assert found.over_declared.value == pytest.approx(found.log_loss + np.log(likelihoods[1::2].mean(1)).mean())
    assert found.sentence.startswith("learned view weights: 0.2") and "0.00, 1.00" in found.sentence


def test_weights_that_fit_chance_are_not_offered() -> None:
    likelihoods = np.random.default_rng(2).uniform(0.2, 0.9, (200, 2))
    found = learned_weights(likelihoods, likelihoods.mean(1), np.array([0.5, 0.5]), NAMES)
    assert found is not None and not found.is_better
    assert "no better" in found.sentence


def test_weights_must_be_better_than_both() -> None:
    likelihoods, _ = better()
    # the declared weights are as good, and the fast rule is worse; then the other way around
    declared = learned_weights(likelihoods, likelihoods[:, 0], np.array([0.0, 1.0]), NAMES)
    fast = learned_weights(likelihoods, likelihoods[:, 1], np.array([0.5, 0.5]), NAMES)
    assert declared is not None and fast is not None
    assert declared.over_fast.is_lower and not declared.is_better
    assert fast.over_declared.is_lower and not fast.is_better


def test_few_images_and_one_view_get_none() -> None:
    likelihoods, fast = better(59)
    assert learned_weights(likelihoods, fast, np.array([0.5, 0.5]), NAMES) is None
    likelihoods, fast = better(60)
    assert learned_weights(likelihoods, fast, np.array([0.5, 0.5]), NAMES) is not None
    assert learned_weights(likelihoods[:, :1], fast, np.array([1.0]), NAMES[:1]) is None
