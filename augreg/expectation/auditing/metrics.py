"""How good class probabilities are: accuracy, negative log-likelihood, Brier score and calibration.

Probabilities are images x classes, labels are class numbers. Functions return one value for each image, whose mean is
the metric, so that two predictions for the same images can be compared image by image.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "Calibration",
    "adaptive_calibration",
    "brier_scores",
    "calibration",
    "confidences",
    "equal_width_bins",
    "log_losses",
    "right_predictions",
]

_TINY = float(np.finfo(np.float64).tiny)

Floats = NDArray[np.float64]


def right_predictions(probabilities: ArrayLike, labels: ArrayLike) -> NDArray[np.bool_]:
    """Whether the class with the largest probability is the label, N. The mean is the accuracy."""
    values, classes = _checked(probabilities, labels)
    return np.asarray(values.argmax(1) == classes)


def log_losses(probabilities: ArrayLike, labels: ArrayLike) -> Floats:
    """-log of the probability of the label, N, in nats. The mean is the negative log-likelihood.

    A probability of 0 counts as the smallest positive float64, about 2e-308.
    """
    values, classes = _checked(probabilities, labels)
    return np.asarray(-np.log(np.maximum(values[np.arange(len(classes)), classes], _TINY)))


def brier_scores(probabilities: ArrayLike, labels: ArrayLike) -> Floats:
    """The sum over the classes of (probability - 1 if it is the label)^2, N, between 0 and 2 (Brier 1950)."""
    values, classes = _checked(probabilities, labels)
    wanted = np.zeros_like(values)
    wanted[np.arange(len(classes)), classes] = 1.0
    return np.asarray(np.square(values - wanted).sum(1))


def confidences(probabilities: ArrayLike) -> Floats:
    """The largest probability of each image, N; rounding does not take it above 1."""
    return np.asarray(np.minimum(np.asarray(probabilities, np.float64).max(1), 1.0))


@dataclass(frozen=True)
class Calibration:
    """A reliability diagram: for bins of the confidence, how many predictions are right.

    `edges` are those of the bins, bins + 1. `counts`, `confidence` and `accuracy` are of the images in each bin;
    the means of an empty bin are NaN. `error` is the expected calibration error, between 0 and 1: the mean over all
    images of |accuracy - confidence| of their bin.
    """

    edges: Floats
    counts: NDArray[np.int64]
    confidence: Floats
    accuracy: Floats

    @property
    def error(self) -> float:
        """The expected calibration error."""
        filled = self.counts > 0
        gaps = np.abs(self.accuracy[filled] - self.confidence[filled])
        return float((gaps * self.counts[filled]).sum() / self.counts.sum())

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for JSON; the means of empty bins are None."""
        return {
            "edges": self.edges.tolist(),
            "counts": self.counts.tolist(),
            "confidence": [None if np.isnan(value) else float(value) for value in self.confidence],
            "accuracy": [None if np.isnan(value) else float(value) for value in self.accuracy],
            "error": self.error,
        }


def equal_width_bins(confidence: ArrayLike, bins: int) -> NDArray[np.int64]:
    """The number of the bin of each confidence: bin m holds those above m / bins, up to (m + 1) / bins.

    0 is in the first bin, and 1 in the last one, not in a bin of its own.
    """
    inner = np.arange(1, bins) / bins
    return np.asarray(np.searchsorted(inner, np.asarray(confidence, np.float64), side="left"), np.int64)


def calibration(confidence: ArrayLike, right: ArrayLike, bins: int = 15) -> Calibration:
    """The calibration in bins of equal width (Guo et al. 2017, arXiv 1706.04599).

    `confidence` is the largest probability of each image, `right` whether its prediction is right.
    """
    values, hits = _pairs(confidence, right, bins)
    numbers = equal_width_bins(values, bins)
    return _in_bins(np.arange(bins + 1) / bins, numbers, values, hits)


def adaptive_calibration(confidence: ArrayLike, right: ArrayLike, bins: int = 15) -> Calibration:
    """The calibration in bins with equal numbers of images (Nguyen and O'Connor 2015, arXiv 1508.05154).

    With fewer images than bins, each image has a bin.
    """
    values, hits = _pairs(confidence, right, bins)
    order = np.argsort(values, kind="stable")
    parts = np.array_split(order, min(bins, len(values)))
    numbers = np.empty(len(values), np.int64)
    for number, part in enumerate(parts):
        numbers[part] = number
    edges = np.array([values[parts[0][0]], *(values[part[-1]] for part in parts)])
    return _in_bins(edges, numbers, values, hits)


def _in_bins(edges: Floats, numbers: NDArray[np.int64], confidence: Floats, right: Floats) -> Calibration:
    bins = len(edges) - 1
    counts = np.bincount(numbers, minlength=bins)
    with np.errstate(invalid="ignore"):
        means = [np.bincount(numbers, weights=values, minlength=bins) / counts for values in (confidence, right)]
    return Calibration(edges, counts, *means)


def _pairs(confidence: ArrayLike, right: ArrayLike, bins: int) -> tuple[Floats, Floats]:
    values, hits = np.asarray(confidence, np.float64), np.asarray(right, np.float64)
    if bins < 1:
        raise ValueError(f"bins must be at least 1, got {bins!r}")
    if values.ndim != 1 or values.shape != hits.shape or not len(values):
        raise ValueError(
            f"expected one confidence and one right or wrong for each image, got {values.shape} and {hits.shape}"
        )
    if not (values.min() >= 0.0 and values.max() <= 1.0):
        raise ValueError(f"a confidence is between 0 and 1, got {values.min():g} to {values.max():g}")
    return values, hits


def _checked(probabilities: ArrayLike, labels: ArrayLike) -> tuple[Floats, NDArray[np.int64]]:
    values, classes = np.asarray(probabilities, np.float64), np.asarray(labels)
    if values.ndim != 2 or classes.shape != values.shape[:1]:
        raise ValueError(
            f"expected probabilities, images x classes, and one label for each image, "
            f"got {values.shape} and {classes.shape}"
        )
    if classes.dtype.kind not in "iu":
        raise ValueError(f"labels are class numbers, got {classes.dtype}")
    if len(classes) and not (classes.min() >= 0 and classes.max() < values.shape[1]):
        raise ValueError(
            f"labels are between 0 and {values.shape[1] - 1}, the last class of the model, "
            f"got {classes.min()} to {classes.max()}"
        )
    return values, classes.astype(np.int64)
