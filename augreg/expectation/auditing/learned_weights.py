"""Learned weights of views: fitted on one half of the images, checked on the other.

Shanmugam et al. 2021 (arXiv 2011.11156) and Molchanov et al. 2020 (GPS, arXiv 2002.09103) choose views and weights
for a trained model. Here the mean of the probabilities stays a mean: weights are not negative and sum to one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from augreg.expectation.auditing.bootstrap import Difference, mean_difference

__all__ = ["LearnedWeights", "fitted_weights", "learned_weights"]

_STEPS = 500
_CONVERGED = 1e-10
_LEAST = 30
_TINY = float(np.finfo(np.float64).tiny)

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class LearnedWeights:
    """Weights of views, and the negative log-likelihood with them on images that they were not fitted on.

    `over_fast` and `over_declared` are the differences to the fast rule and to the weights of the pipeline, in nats.
    `names` says what each view shows. `is_better` is whether both intervals are below 0: only then use the weights.
    """

    weights: Floats
    declared: Floats
    names: tuple[str, ...]
    fitted_on: int
    checked_on: int
    log_loss: float
    over_fast: Difference
    over_declared: Difference

    @property
    def is_better(self) -> bool:
        """Whether the weights are better than the fast rule and the declared weights."""
        return self.over_fast.is_lower and self.over_declared.is_lower

    @property
    def sentence(self) -> str:
        """The finding in words."""
        checked = f"on {self.checked_on} images that they were not fitted on"
        if not self.is_better:
            return f"learned view weights: no better {checked}; leave them out."
        shown = ", ".join(f"{weight:.2f}" for weight in self.weights)
        gain = f"{-self.over_declared.value:.3f} nats better than the declared ones, "
        return f"learned view weights: {gain}{-self.over_fast.value:.3f} than the fast rule, {checked}: {shown}."

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return {
            "weights": self.weights.tolist(),
            "declared": self.declared.tolist(),
            "views": list(self.names),
            "fitted_on": self.fitted_on,
            "checked_on": self.checked_on,
            "log_loss": self.log_loss,
            "over_fast": self.over_fast.as_dict(),
            "over_declared": self.over_declared.as_dict(),
            "is_better": self.is_better,
        }


def fitted_weights(likelihoods: Floats) -> Floats:
    """The weights that maximize the mean log of the weighted mean likelihood, images x views.

    The log-likelihood of mixture weights is concave, and expectation maximization finds its maximum.
    """
    images, views = likelihoods.shape
    scaled = likelihoods / np.maximum(likelihoods.max(1, keepdims=True), _TINY)
    weights = np.full(views, 1.0 / views)
    for _ in range(_STEPS):
        parts = scaled * weights
        new = (parts / np.maximum(parts.sum(1, keepdims=True), _TINY)).sum(0) / images
        new /= new.sum()
        change = float(np.abs(new - weights).max())
        weights = new
        if change < _CONVERGED:
            break
    return weights


def learned_weights(
    likelihoods: Floats, fast: Floats, declared: Floats, names: tuple[str, ...], seed: int = 0
) -> LearnedWeights | None:
    """Fit weights on every second image, and check them on the others. None with less than 60 images, or one view.

    `likelihoods` are the probabilities of the label by view, images x views; `fast` is that by the fast rule.
    """
    if len(likelihoods) < 2 * _LEAST or likelihoods.shape[1] < 2:
        return None
    weights = fitted_weights(likelihoods[::2])
    others, single = likelihoods[1::2], fast[1::2]

    def losses(means: Floats) -> Floats:
        return -np.log(np.maximum(means, _TINY))

    learned, before = losses(others @ weights), losses(others @ declared)
    return LearnedWeights(
        weights=weights,
        declared=declared,
        names=names,
        fitted_on=len(likelihoods) - len(others),
        checked_on=len(others),
        log_loss=float(learned.mean()),
        over_fast=mean_difference(losses(single), learned, seed=seed, name="view weights"),
        over_declared=mean_difference(before, learned, seed=seed, name="view weights"),
    )
