"""Regularizers of what a classifier is trained towards: softer targets, and predictions that are less sure."""

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
    """Give a share of each target to all classes alike.

    t (1 - smoothing) + smoothing / K for K classes: the true class has 1 - e + e/K and each other one e/K. Labels of
    several classes at once go towards one half. The loss then has a floor above 0: 0.5003 for K = 10 and e = 0.1.
    Szegedy et al. 2016, arXiv 1512.00567.
    """

    smoothing: Probability = 0.1

    def target(self, probabilities: Tensor) -> Tensor:
        return probabilities * (1.0 - self.smoothing) + self.smoothing / probabilities.shape[1]


@regularizer("confidence_penalty", section="loss", preview=({"strength": 0.1}, {"strength": 1.0}))
class ConfidencePenalty:
    """Subtract the entropy of the predictions from the loss, so that being sure costs something.

    - strength * H(p) with H(p) = - sum p log p in nats, p = softmax(logits); of the two classes of each label where
    several can be true. The loss can go below 0. Pereyra et al. 2017, arXiv 1701.06548, who take 0.1 to 1.
    """

    strength: Annotated[float, Meta(ge=0)] = 0.1

    def term(self, logits: Tensor) -> Tensor:
        log_p = logits.log_softmax(1)
        # a class that is ruled out by a logit of -inf adds nothing, rather than 0 times infinity
        finite = log_p.masked_fill(log_p == -float("inf"), 0.0)
        return self.strength * (log_p.exp() * finite).sum(1)
