"""Accuracy, likelihood, Brier score and calibration: by hand, and against scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, strategies as st

from augreg.expectation.auditing.metrics import (
    adaptive_calibration,
    brier_scores,
    calibration,
    confidences,
    equal_width_bins,
    log_losses,
    right_predictions,
)

PROBABILITIES = np.array([[0.7, 0.2, 0.1], [0.1, 0.5, 0.4], [0.3, 0.3, 0.4]])
LABELS = np.array([0, 2, 2])


def test_values_by_hand() -> None:
    assert right_predictions(PROBABILITIES, LABELS).tolist() == [True, False, True]
    np.testing.assert_allclose(log_losses(PROBABILITIES, LABELS), [-math.log(0.7), -math.log(0.4), -math.log(0.4)])
    # (0.3^2 + 0.2^2 + 0.1^2, 0.1^2 + 0.5^2 + 0.6^2, 0.3^2 + 0.3^2 + 0.6^2)
    np.testing.assert_allclose(brier_scores(PROBABILITIES, LABELS), [0.14, 0.62, 0.54])
    assert confidences(PROBABILITIES).tolist() == [0.7, 0.5, 0.4]
    assert confidences([[1.0 + 1e-12, 0.0]]).tolist() == [1.0]


def test_a_probability_of_0_has_a_finite_loss() -> None:
    assert log_losses([[1.0, 0.0]], [1])[0] == pytest.approx(-math.log(np.finfo(float).tiny))


def test_scikit_learn_agrees() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(3)
    probabilities = rng.dirichlet([0.5] * 4, 200)
    labels = rng.integers(0, 4, 200)
    assert log_losses(probabilities, labels).mean() == pytest.approx(
        metrics.log_loss(labels, probabilities, labels=range(4))
    )
    assert right_predictions(probabilities, labels).mean() == metrics.accuracy_score(labels, probabilities.argmax(1))
    two = probabilities[:, :2] / probabilities[:, :2].sum(1, keepdims=True)
    # that of two classes counts one of them there
    assert brier_scores(two, labels % 2).mean() / 2 == pytest.approx(metrics.brier_score_loss(labels % 2, two[:, 1]))


@pytest.mark.parametrize("strategy", ["uniform", "quantile"])
def test_the_reliability_diagram_of_scikit_learn_agrees(strategy: str) -> None:
    curve = pytest.importorskip("sklearn.calibration").calibration_curve
    rng = np.random.default_rng(4)
    confidence = rng.uniform(0.2, 1.0, 150)
    right = rng.uniform(size=150) < confidence
    find = calibration if strategy == "uniform" else adaptive_calibration
    found = find(confidence, right, 10)
    fractions, means = curve(right, confidence, n_bins=10, strategy=strategy)
    filled = found.counts > 0
    np.testing.assert_allclose(found.accuracy[filled], fractions)
    np.testing.assert_allclose(found.confidence[filled], means)


def test_the_calibration_error_by_hand() -> None:
    # bins of 0.5: 0.4 and 0.5 (one right) are below, 0.8 and 1.0 (both right) above
    found = calibration([0.4, 0.5, 0.8, 1.0], [True, False, True, True], 2)
    assert found.counts.tolist() == [2, 2]
    np.testing.assert_allclose(found.confidence, [0.45, 0.9])
    np.testing.assert_allclose(found.accuracy, [0.5, 1.0])
    assert found.error == pytest.approx((2 * 0.05 + 2 * 0.1) / 4)
    assert found.as_dict()["edges"] == [0.0, 0.5, 1.0]


def test_a_confidence_of_1_is_in_the_last_bin() -> None:
    assert equal_width_bins([0.0, 0.1, 0.1000001, 0.95, 1.0], 10).tolist() == [0, 0, 1, 9, 9]
    # one bin [0.9, 1.0] with a mean confidence of 0.975 and half of it right; two bins would give (0.95 + 0) / 2
    assert calibration([0.95, 1.0], [False, True], 10).error == pytest.approx(0.475)


def test_adaptive_bins_have_equal_numbers_of_images() -> None:
    found = adaptive_calibration([0.9, 0.1, 0.5, 0.7, 0.3, 0.2], [1, 0, 1, 0, 0, 1], 3)
    assert found.counts.tolist() == [2, 2, 2]
    np.testing.assert_allclose(found.confidence, [0.15, 0.4, 0.8])
    np.testing.assert_allclose(found.accuracy, [0.5, 0.5, 0.5])
    assert found.error == pytest.approx((0.35 + 0.1 + 0.3) / 3)
    assert adaptive_calibration([0.9, 0.1], [1, 0], 15).counts.tolist() == [1, 1]


def test_empty_bins_are_none_in_json() -> None:
    assert calibration([0.9], [1], 2).as_dict()["accuracy"] == [None, 1.0]


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=30), st.integers(1, 12))
def test_every_image_is_in_one_bin(pairs: list[tuple[float, bool]], bins: int) -> None:
    confidence, right = zip(*pairs, strict=True)
    for find in (calibration, adaptive_calibration):
        found = find(confidence, right, bins)
        assert found.counts.sum() == len(pairs)
        assert 0.0 <= found.error <= 1.0
        filled = found.counts > 0
        assert (found.confidence[filled] * found.counts[filled]).sum() == pytest.approx(sum(confidence))
        assert (found.accuracy[filled] * found.counts[filled]).sum() == pytest.approx(sum(right))


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (
            lambda: log_losses([[0.5, 0.5]], [2]),
            "labels are between 0 and 1, the last class of the model, got 2 to 2",
        ),
        (lambda: log_losses([[0.5, 0.5]], [-1]), "got -1 to -1"),
        (lambda: log_losses([[0.5, 0.5]], [0.0]), "labels are class numbers, got float64"),
        (lambda: log_losses([[0.5, 0.5]], [0, 1]), "one label for each image"),
        (lambda: calibration([1.5], [1]), "a confidence is between 0 and 1, got 1.5 to 1.5"),
        (lambda: calibration([0.5], [1, 0]), "one confidence and one right or wrong"),
        (lambda: calibration([], []), "one confidence and one right or wrong"),
        (lambda: adaptive_calibration([0.5], [1], 0), "bins must be at least 1, got 0"),
    ],
)
def test_what_cannot_be_measured_is_refused(call, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        call()
