"""What to do at test time, decided from what an audit measured: one table of rules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from augreg.expectation.auditing.bootstrap import Difference

__all__ = ["Evidence", "Verdict", "verdict"]

Action = Literal["keep", "change", "unknown"]

_LEAST = 30  # images below which the bootstrap's intervals are too narrow
_MARGIN = 0.005  # nats of negative log-likelihood that make no difference


@dataclass(frozen=True)
class Evidence:
    """What was measured of a fast rule and of the mean that it stands for.

    `low` and `high` are the ends of the 95 % interval of their distance, and `tolerance` is the distance that makes
    no difference. `loss` and `accuracy` are the mean's metrics minus those of the fast rule; None without labels.
    """

    images: int
    low: float
    high: float
    tolerance: float
    loss: Difference | None = None
    accuracy: Difference | None = None

    @property
    def is_labeled(self) -> bool:
        """Whether there were labels."""
        return self.loss is not None

    @property
    def is_near(self) -> bool:
        """Whether the distance is within the tolerance."""
        return self.high <= self.tolerance

    @property
    def is_far(self) -> bool:
        """Whether the distance is above the tolerance."""
        return self.low > self.tolerance

    @property
    def costs_accuracy(self) -> bool:
        """Whether the mean has the lower accuracy."""
        return self.accuracy is not None and self.accuracy.is_lower

    @property
    def is_better(self) -> bool:
        """Whether the mean has the lower negative log-likelihood."""
        return self.loss is not None and self.loss.is_lower

    @property
    def is_worse(self) -> bool:
        """Whether the mean has the higher negative log-likelihood."""
        return self.loss is not None and self.loss.is_higher

    @property
    def is_equal(self) -> bool:
        """Whether the two have the same negative log-likelihood, to 0.005 nats."""
        return self.loss is not None and self.loss.low > -_MARGIN and self.loss.high < _MARGIN


@dataclass(frozen=True)
class Verdict:
    """What to do (`keep` the fast rule, `change` it, or `unknown`), and why."""

    action: Action
    reason: str


_RULES: tuple[tuple[Callable[[Evidence], bool], Verdict], ...] = (
    (lambda seen: seen.is_near, Verdict("keep", "the difference is within the tolerance")),
    (lambda seen: seen.images < _LEAST, Verdict("unknown", f"at least {_LEAST} images are needed")),
    (lambda seen: seen.costs_accuracy, Verdict("keep", "the mean has the lower accuracy")),
    (lambda seen: seen.is_better, Verdict("change", "the mean has the better likelihood")),
    (lambda seen: seen.is_worse, Verdict("keep", "the mean has the worse likelihood")),
    (lambda seen: seen.is_equal, Verdict("keep", "the likelihood is the same")),
    (lambda seen: seen.is_labeled, Verdict("unknown", "the difference of the likelihoods may be chance")),
    (lambda seen: seen.is_far, Verdict("change", "the difference is above the tolerance")),
    (lambda seen: True, Verdict("unknown", "more images or samples are needed to know the distance")),
)
"""The first rule that holds decides."""


def verdict(evidence: Evidence) -> Verdict:
    """The verdict of the first rule that holds."""
    return next(found for holds, found in _RULES if holds(evidence))
