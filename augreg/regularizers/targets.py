"""Regularizers of a classifier's targets and predictions: softer targets, and less confident predictions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from msgspec import Meta

from augreg.steps.declare import regularizer
from augreg.steps.fields import Probability

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["ConfidencePenalty", "LabelSmoothing"]


@regularizer("label_smoothing", section="loss", preview=({"smoothing": 0.05}, {"smoothing": 0.1}, {"smoothing": 0.2}))
class LabelSmoothing:
    """Mix each target with the uniform distribution over the classes.

    t (1 - smoothing) + smoothing / K for K classes. With e = smoothing, the true class gets 1 - e + e/K and every
    other class e/K. Multi-label targets move toward one half. The smallest possible loss is then above 0: 0.5003 for
    K = 10 and e = 0.1. Szegedy et al. 2016, arXiv 1512.00567.
    """

    smoothing: Probability = 0.1

    def target(self, probabilities: Tensor) -> Tensor:
        return probabilities * (1.0 - self.smoothing) + self.smoothing / probabilities.shape[1]


@regularizer("confidence_penalty", section="loss", preview=({"strength": 0.1}, {"strength": 1.0}))
class ConfidencePenalty:
    """Subtract the entropy of the predictions from the loss, which penalizes confident predictions.

    - strength * H(p) with H(p) = - sum p log p in nats and p = softmax(logits). For multi-label targets, p has two
    classes per label, true and false. The loss can become negative. Pereyra et al. 2017, arXiv 1701.06548, use a
    strength of 0.1 to 1.
    """

    strength: Annotated[float, Meta(ge=0)] = 0.1

    def term(self, logits: Tensor) -> Tensor:
        log_p = logits.log_softmax(1)
        # a class with a logit of -inf adds 0, where the formula gives 0 times infinity
        finite = log_p.masked_fill(log_p == -float("inf"), 0.0)
        return self.strength * (log_p.exp() * finite).sum(1)
