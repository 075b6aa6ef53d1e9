"""One comparison of an audit: what the fast rule predicts, and what the mean over the noise predicts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from augreg.expectation.auditing.bootstrap import Difference, calibration_difference, mean_difference
from augreg.expectation.auditing.metrics import (
    Calibration,
    adaptive_calibration,
    brier_scores,
    calibration,
    confidences,
    log_losses,
    right_predictions,
)
from augreg.expectation.auditing.sampling import SampledMean
from augreg.expectation.auditing.verdicts import Evidence, Verdict, verdict

__all__ = ["TOLERANCE", "AuditRow", "Collected", "Metrics"]

TOLERANCE = 0.01
"""A distance in probability that makes no difference."""
_NORMAL = 1.959964  # the 97.5 % quantile of the normal distribution
_THIRD = 9  # the square of 3: the error of a mean of the suggested number of samples is a third of the distance
_SUBJECTS = {
    "batch norm": ("what the running statistics give", "recalibration"),
    "moments": ("one pass of moments", "Monte Carlo"),
}
"""What is compared with what, where it is not a fast rule with a mean."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Metrics:
    """How good predictions are: the accuracy, the negative log-likelihood in nats, the Brier score, the calibration.

    `calibration` has bins of equal width, `adaptive` has bins with equal numbers of images.
    """

    accuracy: float
    log_loss: float
    brier: float
    calibration: Calibration
    adaptive: Calibration

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return {
            "accuracy": self.accuracy,
            "log_loss": self.log_loss,
            "brier": self.brier,
            "calibration_error": self.calibration.error,
            "adaptive_calibration_error": self.adaptive.error,
            "reliability": self.calibration.as_dict(),
        }


@dataclass(frozen=True)
class AuditRow:
    """How far a fast rule is from the mean that it stands for, on some images, and what to do about it.

    `kind` is "model noise", "image steps", "batch norm" or "moments"; `instead` names what would take the place of
    the fast rule. `distance` is the root mean square over the images of sqrt(sum over classes of difference^2 / 2),
    which is between 0 and 1 and, for two classes, the difference of the probability; `low` and `high` are its 95 %
    interval, `standard_error` its error. The error of the mean itself is subtracted; `sampling_error` is that error.
    `samples` is the number of predictions for each image, `exact` whether they give the mean exactly.
    `changed` counts the images whose top class differs; of these, `unsure` ones differ between the two halves of the
    samples, too. With labels there are `fast` and `mean`, the differences of their metrics (mean minus fast) with a
    paired bootstrap, and the numbers of predictions that turn right or wrong. `curve` has the error of means of n
    samples by n. `needed` is the number of samples whose error is a third of the distance.
    """

    name: str
    kind: str
    instead: str
    images: int
    samples: int
    exact: bool
    distance: float
    standard_error: float
    low: float
    high: float
    sampling_error: float
    changed: int
    unsure: int
    needed: int
    verdict: Verdict
    rule: str = ""
    curve: dict[int, float] = field(default_factory=dict)
    fast: Metrics | None = None
    mean: Metrics | None = None
    accuracy_difference: Difference | None = None
    loss_difference: Difference | None = None
    calibration_difference: Difference | None = None
    right_to_wrong: int | None = None
    wrong_to_right: int | None = None

    @property
    def agreement(self) -> float:
        """The fraction of the images with the same top class."""
        return 1.0 - self.changed / self.images

    @property
    def advice(self) -> str:
        """The verdict as an instruction."""
        if self.verdict.action == "keep":
            return "keep it"
        return f"use {self.instead}" if self.verdict.action == "change" else "not enough images to tell"

    @property
    def sentence(self) -> str:
        """The finding and the verdict in words."""
        exact = self.distance == 0.0 and self.exact
        off = "is exact" if exact else f"is {_percent(self.distance)} off in probability"
        some = f"{self.changed:,} of {self.images:,} predictions change"
        turned = ""
        if self.changed and self.right_to_wrong is not None:
            turned = f" ({self.wrong_to_right} to right, {self.right_to_wrong} to wrong)"
        subject, mean = _SUBJECTS.get(self.kind, ("the fast rule", "the mean"))
        subject += f" ({self.rule})" if self.rule else ""
        reason = self.verdict.reason.replace("the mean", mean)
        return f"{self.name}: {subject} {off}; {some}{turned}; {self.advice}: {reason}."

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        differences = {
            name: None if value is None else value.as_dict()
            for name, value in (
                ("accuracy_difference", self.accuracy_difference),
                ("log_loss_difference", self.loss_difference),
                ("calibration_difference", self.calibration_difference),
            )
        }
        return {
            "name": self.name,
            "kind": self.kind,
            "rule": self.rule,
            "images": self.images,
            "samples": self.samples,
            "exact": self.exact,
            "distance": self.distance,
            "standard_error": _finite(self.standard_error),
            "interval": [self.low, _finite(self.high)],
            "sampling_error": self.sampling_error,
            "agreement": self.agreement,
            "changed": self.changed,
            "unsure": self.unsure,
            "needed_samples": self.needed,
            "curve": {str(n): value for n, value in self.curve.items()},
            "fast": None if self.fast is None else self.fast.as_dict(),
            "mean": None if self.mean is None else self.mean.as_dict(),
            **differences,
            "right_to_wrong": self.right_to_wrong,
            "wrong_to_right": self.wrong_to_right,
            "verdict": self.verdict.action,
            "advice": self.advice,
            "reason": self.verdict.reason,
            "sentence": self.sentence,
        }


def _percent(value: float) -> str:
    return f"{100 * value:.2g} %" if value < 0.0995 else f"{100 * value:.0f} %"


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


@dataclass
class Collected:
    """What an audit keeps of each image for one comparison: a few numbers, not its predictions."""

    name: str
    kind: str
    instead: str
    rule: str = ""
    samples: int = 0
    views: int = 0
    exact: bool = True
    _images: list[dict[str, NDArray[Any]]] = field(default_factory=list)

    def add(self, fast: Floats, sampled: SampledMean, labels: Sequence[int] | None) -> None:
        """Add images: their predictions by the fast rule, and the means."""
        mean = sampled.mean
        top, halves = mean.argmax(1), [half.argmax(1) for half in (sampled.first, sampled.second)]
        changed = top != fast.argmax(1)
        found: dict[str, NDArray[Any]] = {
            "squared": ((sampled.first - fast) * (sampled.second - fast)).sum(1) / 2,
            "variance": sampled.variance,
            "sampling": np.square(sampled.first - sampled.second).sum(1) / 8,
            "changed": changed,
            "unsure": changed & (halves[0] != halves[1]),
            **{f"curve {n}": values for n, values in sampled.curve.items()},
        }
        if labels is not None:
            for side, values in (("fast", fast), ("mean", mean)):
                found[f"{side} right"] = right_predictions(values, labels)
                found[f"{side} loss"] = log_losses(values, labels)
                found[f"{side} brier"] = brier_scores(values, labels)
                found[f"{side} confidence"] = confidences(values)
        self._images.append(found)
        self.samples = max(self.samples, sampled.samples)
        self.views = max(self.views, sampled.samples // (2 * sampled.observations))
        self.exact = self.exact and sampled.is_exact

    def row(self, seed: int, bins: int, tolerance: float) -> AuditRow | None:
        """The comparison of the images so far; None if there are none."""
        if not self._images:
            return None
        names = set.intersection(*(set(each) for each in self._images))
        values = {name: np.concatenate([each[name] for each in self._images]) for name in names}
        square, error = _mean(values["squared"])
        low, high = (_root(square + sign * _NORMAL * error) for sign in (-1, 1))
        distance = _root(square)
        variance = float(values["variance"].mean())
        spread = (_root(square + error) - _root(square - error)) / 2
        if square < error:  # the lower end is cut off at 0, and both would be where the estimate is negative
            spread = _root(max(0.0, square) + error) - distance
        labeled = self._with_labels(values, seed, bins) if "fast right" in names else {}
        evidence = Evidence(
            len(values["squared"]), low, high, tolerance,
            labeled.get("loss_difference"), labeled.get("accuracy_difference"),
        )  # fmt: skip
        enough = max(2, math.ceil(min(_THIRD * variance / max(square, 1e-12), 1e6)))
        needed = enough * self.views if variance else self.samples
        samples = self.samples
        return AuditRow(
            name=self.name,
            kind=self.kind,
            instead=self.instead.format(samples=min(needed, samples)),
            images=len(values["squared"]),
            samples=samples,
            exact=self.exact,
            distance=distance,
            standard_error=spread,
            low=low,
            high=high,
            sampling_error=_root(float(values["sampling"].mean())),
            changed=int(values["changed"].sum()),
            unsure=int(values["unsure"].sum()),
            needed=needed,
            verdict=verdict(evidence),
            rule=self.rule,
            curve={
                int(name.split()[1]): _root(float(values[name].mean()))
                for name in sorted((each for each in names if each.startswith("curve ")), key=_number)
            },
            **labeled,
        )

    def _with_labels(self, values: dict[str, NDArray[Any]], seed: int, bins: int) -> dict[str, Any]:
        metrics = {side: _metrics(values, side, bins) for side in ("fast", "mean")}
        right = {side: values[f"{side} right"] for side in ("fast", "mean")}
        pairs = [(values[f"{side} confidence"], right[side].astype(np.float64)) for side in ("fast", "mean")]
        drawn: dict[str, Any] = {"seed": seed, "name": self.name}
        return {
            **metrics,
            "accuracy_difference": mean_difference(right["fast"], right["mean"], **drawn),
            "loss_difference": mean_difference(values["fast loss"], values["mean loss"], **drawn),
            "calibration_difference": calibration_difference(pairs[0], pairs[1], bins, **drawn),
            "right_to_wrong": int((right["fast"] & ~right["mean"]).sum()),
            "wrong_to_right": int((~right["fast"] & right["mean"]).sum()),
        }


def _number(name: str) -> int:
    return int(name.split()[1])


def _metrics(values: dict[str, NDArray[Any]], side: str, bins: int) -> Metrics:
    right, confidence = values[f"{side} right"], values[f"{side} confidence"]
    return Metrics(
        float(right.mean()),
        float(values[f"{side} loss"].mean()),
        float(values[f"{side} brier"].mean()),
        calibration(confidence, right, bins),
        adaptive_calibration(confidence, right, bins),
    )


def _mean(values: Floats) -> tuple[float, float]:
    """The mean, and its standard error: infinite for one value."""
    if len(values) < 2:
        return float(values.mean()), math.inf
    return float(values.mean()), float(values.std(ddof=1) / math.sqrt(len(values)))


def _root(square: float) -> float:
    return math.sqrt(max(0.0, square))
