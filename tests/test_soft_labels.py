"""Soft labels: ids that no arithmetic touches, mixing and smoothing that commute, and errors in words. NumPy only."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

from augreg import Pipeline
from augreg.batch.labels import SoftLabels

SOURCES = [[0, 2], [1, 0], [2, 2], [3, 1]]
WEIGHTS = [[0.75, 0.25], [0.5, 0.5], [1.0, 0.0], [0.125, 0.875]]
IDS = np.array([2, 0, 1, 2])


def mixed(labels: Any = IDS, **more: Any) -> SoftLabels:
    return SoftLabels(labels, SOURCES, WEIGHTS, **more)


def mixing_matrix() -> np.ndarray:
    """The matrix by which the labels of a batch become the mixed ones."""
    found = np.zeros((4, 4))
    for i in range(4):
        for k in range(2):
            found[i, SOURCES[i][k]] += WEIGHTS[i][k]
    return found


def logits(classes: int = 3) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(4, classes))


def cross_entropy(z: np.ndarray, target: np.ndarray) -> np.ndarray:
    return -(target * (z - np.log(np.exp(z).sum(axis=1, keepdims=True)))).sum(axis=1)


def test_dense() -> None:
    found = mixed(classes=3).dense()
    assert found.dtype == np.float32
    assert np.array_equal(found, mixing_matrix() @ np.eye(3)[IDS])
    assert np.array_equal(mixed().dense(3), found)
    assert SoftLabels(IDS).dense(5).tolist() == np.eye(5)[IDS].tolist()
    hot = np.random.default_rng(0).integers(0, 2, (4, 6))
    for kind in (bool, np.uint8, np.int64, np.float16, np.float32, np.float64):
        target = mixed(hot.astype(kind)).dense()
        assert target.dtype == (np.float64 if kind is np.float64 else np.float32)
        assert np.array_equal(target, mixing_matrix() @ hot)


def test_pairs() -> None:
    own, partners, weights = mixed().pairs()
    assert own is IDS and partners.tolist() == [1, 2, 1, 0] and weights.tolist() == [0.75, 0.5, 1.0, 0.125]
    own, partners, weights = SoftLabels(IDS).pairs()
    assert np.array_equal(own, partners) and weights.tolist() == [1.0] * 4
    three = SoftLabels(IDS, [[i, 0, 1] for i in range(4)], [[0.5, 0.25, 0.25]] * 4)
    with pytest.raises(ValueError, match="up to 3 images are mixed in one, not pairs"):
        three.pairs()
    with pytest.raises(ValueError, match=r"call it before smoothed"):
        mixed().smoothed(0.1).pairs()


def test_cross_entropy_is_linear_in_the_target() -> None:
    z = logits()
    own, partners, weights = mixed().pairs()
    eye = np.eye(3)
    by_pairs = weights * cross_entropy(z, eye[own]) + (1 - weights) * cross_entropy(z, eye[partners])
    assert np.allclose(cross_entropy(z, mixed().dense(3).astype(np.float64)), by_pairs, atol=1e-6)


@pytest.mark.parametrize("amount", [0.0, 0.1, 0.5])
def test_smoothing_and_mixing_commute(amount: float) -> None:
    eye = np.eye(3)[IDS]
    first = mixing_matrix() @ (eye * (1 - amount) + amount / 3)
    found = mixed().smoothed(amount).dense(3)
    assert np.allclose(found, first, atol=1e-7) and np.allclose(found.sum(axis=1), 1, atol=1e-6)
    hot = np.random.default_rng(0).integers(0, 2, (4, 6)).astype(np.float64)
    first = mixing_matrix() @ (hot * (1 - amount) + amount / 2)
    assert np.allclose(mixed(hot).smoothed(amount).dense(), first, atol=1e-15)
    rows = mixed(eye).smoothed(amount, multi_label=False)
    assert np.allclose(rows.dense(), mixing_matrix() @ (eye * (1 - amount) + amount / 3), atol=1e-15)


def test_a_smoothed_one_hot_is_what_losses_make_of_it() -> None:
    """On 1 - e + e / K, off e / K; and the least cross-entropy that it allows, as published for e = .1."""
    for classes, least in ((10, 0.5003), (100, 0.7778), (1000, 1.0148)):
        target = SoftLabels([3]).smoothed(0.1).dense(classes)[0].astype(np.float64)
        assert np.isclose(target[3], 0.9 + 0.1 / classes) and np.isclose(target[0], 0.1 / classes)
        assert abs(-(target * np.log(target)).sum() - least) < 1e-4


def test_smoothing_twice_is_refused() -> None:
    once = mixed().smoothed(0.1)
    assert once.smoothing == 0.1 and mixed().smoothing == 0.0
    with pytest.raises(ValueError, match=r"already smoothed by 0\.1; smooth once"):
        once.smoothed(0.1)
    assert mixed().smoothed(0.0).smoothed(0.2).smoothing == 0.2
    for amount in (-0.1, 1.0, float("nan")):
        with pytest.raises(ValueError, match="smoothing must be at least 0"):
            mixed().smoothed(amount)
    with pytest.raises(ValueError, match="class ids have one class per image"):
        mixed().smoothed(0.1, multi_label=True)


def test_expected_accuracy() -> None:
    right = np.array([2, 0, 1, 0])  # 0.75 of it; 0.5 of it; all; 0.875, for the partner's class
    assert mixed().expected_accuracy(right) == pytest.approx((0.75 + 0.5 + 1.0 + 0.875) / 4)
    assert mixed(classes=3).smoothed(0.3).expected_accuracy(np.eye(3)[right]) == mixed().expected_accuracy(right)
    assert mixed(np.eye(3)[IDS]).expected_accuracy(right) == mixed().expected_accuracy(right)
    assert SoftLabels(IDS).expected_accuracy(IDS) == 1.0
    same = SoftLabels([1, 1], [[0, 1], [1, 0]], [[0.25, 0.75]] * 2)  # both show the same class
    assert same.expected_accuracy(np.array([1, 0])) == 0.5
    with pytest.raises(ValueError, match=r"are N x C logits or N class ids, got \(3,\)"):
        mixed().expected_accuracy(right[:3])
    with pytest.raises(TypeError, match="predicted class ids are integers, got float64"):
        mixed().expected_accuracy(right * 1.0)
    with pytest.raises(ValueError, match="have 3 classes, and 4 were asked for"):
        mixed(classes=3).expected_accuracy(logits(4))


@pytest.mark.parametrize("ids", [[255, 256, 257, 999], [2**24, 2**24 + 1, 2**24 - 1, 2**31 - 2]])
@pytest.mark.parametrize("kind", ["float16", "float32"])
def test_ids_stay_what_they_are_whatever_the_images(ids: list[int], kind: str) -> None:
    pipe = Pipeline.from_spec({"batch": [{"mixup": {"pairing": "roll"}}], "classes": 2**31 - 1})
    _, labels = pipe.batch(np.ones((4, 2, 2, 3), kind), np.array(ids), batch=0)
    own, partners, weights = labels.pairs()
    assert own.tolist() == ids and partners.tolist() == [ids[3], *ids[:3]]
    assert weights.dtype == np.float32
    assert labels.expected_accuracy(np.array(ids)) == pytest.approx(float(weights.mean()))


def test_a_comparison_with_predictions_is_refused_with_what_to_do() -> None:
    for compare in (lambda: mixed() == IDS, lambda: np.arange(4) == mixed(), lambda: mixed() != IDS):
        with pytest.raises(
            TypeError, match=r"compared with predictions: use labels.expected_accuracy\(predictions\)"
        ):
            compare()
    assert mixed().expected_accuracy([2, 0, 1, 0]) == mixed().expected_accuracy(np.array([2, 0, 1, 0]))


def test_ids_of_every_integer_kind() -> None:
    for kind in ("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64"):
        assert np.array_equal(mixed(IDS.astype(kind)).dense(3), mixed().dense(3))


def test_nobody_knows_the_classes_or_two_disagree() -> None:
    with pytest.raises(ValueError, match=r"number of classes is unknown: use dense\(10\)"):
        mixed().dense()
    with pytest.raises(ValueError, match="have 3 classes, and 4 were asked for"):
        mixed(classes=3).dense(4)
    with pytest.raises(ValueError, match="the ids of 2 classes are 0 to 1, got 2"):
        mixed().dense(2)
    with pytest.raises(ValueError, match="have 6 classes, and 5 were asked for"):
        mixed(np.zeros((4, 6))).dense(5)


@pytest.mark.parametrize(
    ("sources", "weights", "message"),
    [
        ([[0], [1]], [[1.0], [1.0]], r"4 x K for 4 labels, got \(2, 1\) and \(2, 1\)"),
        ([[0]] * 4, [[1.0, 0.0]] * 4, r"got \(4, 1\) and \(4, 2\)"),
        ([[4]] * 4, [[1.0]] * 4, "positions in a batch of 4, got 4 to 4"),
        ([[0]] * 4, [[0.9]] * 4, "0 or more and sum to 1"),
        ([[0, 1]] * 4, [[1.5, -0.5]] * 4, "0 or more and sum to 1"),
    ],
)
def test_values_that_are_not_mixtures(sources: Any, weights: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SoftLabels(IDS, sources, weights)


def test_values_that_are_not_labels() -> None:
    for labels, error, message in [
        (np.zeros((2, 2, 2)), ValueError, r"N class ids or N x C numbers from 0 to 1, got an array of shape \(2, 2"),
        (np.zeros(2, np.float32), TypeError, "class ids are integers, got float32"),
        (np.zeros(2, bool), TypeError, "class ids are integers, got bool"),
        (np.zeros((2, 2), complex), TypeError, "numbers from 0 to 1, got complex128"),
        (np.array([[0, 5]]), ValueError, "between 0 and 1, got 0 to 5; class ids have one axis"),
        (np.array([[4], [5]]), ValueError, r"give labels\[:, 0\]"),
        (7, TypeError, "got int"),
    ]:
        with pytest.raises(error, match=message):
            SoftLabels(labels)
    assert SoftLabels(np.array([[0.5], [0.0]])).dense().tolist() == [[0.5], [0.0]]
    with pytest.raises(ValueError, match="multi_label takes N x C"):
        SoftLabels([0], multi_label=True)


def test_it_is_a_value() -> None:
    one = mixed(classes=3)
    assert one == mixed(classes=3) and one != mixed() and one != one.smoothed(0.1) and one != 3
    assert one != SoftLabels(IDS, classes=3)
    assert pickle.loads(pickle.dumps(one)) == one == copy.deepcopy(one)
    assert len(one) == 4 and repr(one) == "SoftLabels(4 class ids of 3 classes, up to 2 mixed)"
    assert "smoothed by 0.1" in repr(one.smoothed(0.1))
    assert "multi-hot" in repr(SoftLabels(np.eye(3)))
    with pytest.raises(AttributeError):
        one.smoothing = 0.5  # type: ignore[misc]
    assert one.pin_memory() is one
    empty = SoftLabels([])
    assert len(empty) == 0 and empty.dense(3).shape == (0, 3) and np.isnan(empty.expected_accuracy(np.zeros((0, 3))))


def test_multi_label_is_for_one_number_per_class_alone() -> None:
    rows = np.array([[1.0, 0.0, 1.0], [0.0, 0.0, 1.0]])
    explicit = SoftLabels(rows, multi_label=True).smoothed(0.1)
    assert np.allclose(explicit.dense(3), rows * 0.9 + 0.05) and explicit == SoftLabels(rows).smoothed(0.1)
    with pytest.raises(ValueError, match="class ids have one class per image"):
        SoftLabels(np.array([0, 2]), multi_label=True)
