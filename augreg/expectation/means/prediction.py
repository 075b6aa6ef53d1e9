"""Prediction: the mean prediction of a batch, its standard error, and its uncertainty."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from augreg import notebook
from augreg.expectation.means.student import student_quantile
from augreg.expectation.noise.find_noise import NoiseReport
from augreg.inspect.tables import table

__all__ = ["ExpectationReport", "Prediction", "in_order", "joined"]

_SHOWN = 10  # images in the printed table


@dataclass(frozen=True)
class ExpectationReport:
    """How a prediction was computed.

    `over` has what was averaged: "image", "model", "ensemble". `views` is the number of views of one observation,
    `drawn_views` whether they differ from one observation to the next, and `exact_views` whether their weighted mean
    is the exact expectation over what training draws. `members` is the number of models, `noise` what
    draws in each. `forwards` counts the rows that went through a model, `batches` the calls, and `peak_bytes` is the
    estimated peak of the memory of one call. `reached` is whether the wanted standard error was reached, None if none
    was wanted. `notes` are sentences.
    """

    by: str
    over: tuple[str, ...]
    space: str
    views: int = 1
    exact_views: bool = True
    drawn_views: bool = False
    members: int = 1
    noise: tuple[NoiseReport, ...] = ()
    forwards: int = 0
    batches: int = 0
    peak_bytes: int = 0
    reached: bool | None = None
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The report as plain data."""
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {
            **plain,
            "over": list(self.over),
            "noise": [each.as_dict() for each in self.noise],
            "notes": list(self.notes),
        }

    def lines(self) -> list[str]:
        """The report in sentences."""
        parts = []
        if "image" in self.over:
            parts.append(_views_in_words(self))
        if self.members > 1:
            parts.append(f"{self.members} models")
        if "model" in self.over:
            names = dict.fromkeys(name for each in self.noise for name in each.names)
            parts.append(f"the noise of {len(names)} module{'s' * (len(names) != 1)}")
        counted = f"{self.forwards} rows in {self.batches} forward pass{'es' * (self.batches != 1)}"
        lines = [f"mean {self.space} over {' and '.join(parts)} by {self.by}: {counted}"]
        if self.reached is not None:
            lines.append(f"the wanted standard error was {'reached' if self.reached else 'not reached'}")
        return [*lines, *self.notes]

    def __str__(self) -> str:
        return "\n".join(self.lines())


def _views_in_words(report: ExpectationReport) -> str:
    if report.drawn_views:
        return "drawn views"
    kind = "exact" if report.exact_views else "fixed"
    return f"{report.views} {kind} view{'s' * (report.views != 1)}"


@dataclass(frozen=True)
class Prediction:
    """The mean prediction of N images. Prints as a table.

    mean: N x C (or x H x W): in the space that was asked for.
    standard_error: of the mean, in the same shape; that of Monte Carlo. 0 if nothing was drawn.
    entropy: N (or x H x W), in nats: of the mean class probabilities; None for a regression.
    mutual_information: in nats: `entropy` minus the mean entropy of the single predictions: what views, noise and
        models disagree on. Houlsby et al. 2011, arXiv 1112.5745 (BALD). None for a regression.
    probabilities: the mean class probabilities, in every space; None for a regression.
    samples: N: forward passes that each image took.
    observations: N: independent observations that the mean is over. One observation is the weighted mean over all
        exact views and all models.
    report: how it was computed.
    """

    mean: Tensor
    standard_error: Tensor
    entropy: Tensor | None
    mutual_information: Tensor | None
    probabilities: Tensor | None
    samples: Tensor
    observations: Tensor
    report: ExpectationReport
    probability_error: Tensor | None = field(default=None, repr=False)
    """The standard error of `probabilities`."""

    @property
    def entropy_bias(self) -> Tensor | None:
        """By how much `entropy` and `mutual_information` are too low, estimated to first order, in nats.

        The entropy is concave, so that of a mean with errors is too low: by half the sum over the classes of
        standard_error^2 / probability.
        """
        if self.probabilities is None or self.probability_error is None:
            return None
        tiny = torch.finfo(self.probabilities.dtype).tiny
        parts = self.probability_error.square() / (2 * self.probabilities.clamp(min=tiny))
        return parts.sum(1) if parts.ndim > 1 else parts

    def interval(self, level: float = 0.95) -> tuple[Tensor, Tensor]:
        """The ends of an interval around each mean that covers the true mean with this probability.

        It is mean +- t standard_error with Student's t, which is wide for few observations.
        """
        counts = [max(1, int(count) - 1) for count in self.observations]
        quantiles = {count: student_quantile(level, count) for count in set(counts)}
        half = self.mean.new_tensor([quantiles[count] for count in counts])
        half = half.reshape(-1, *[1] * (self.mean.ndim - 1)) * self.standard_error
        return self.mean - half, self.mean + half

    def __len__(self) -> int:
        return len(self.mean)

    def _header(self) -> Sequence[str]:
        return ("image", "top class", "mean", "standard error", "entropy", "mutual information", "samples")

    def _rows(self) -> Iterable[Sequence[str]]:
        for number in range(min(len(self), _SHOWN)):
            yield self._row(number)

    def _row(self, number: int) -> Sequence[str]:
        mean, error = self.mean[number], self.standard_error[number]
        information = [value[number] for value in (self.entropy, self.mutual_information) if value is not None]
        words = [f"{_average(value):.4f}" for value in information] or ["-", "-"]
        top, shown, spread = "-", f"{_average(mean):.4g}", _average(error)
        if self.probabilities is not None and mean.ndim == 1:
            place = int(self.probabilities[number].argmax())
            top, shown, spread = str(place), f"{float(mean[place]):.4f}", float(error[place])
        elif mean.numel() == 1:
            shown, spread = f"{float(mean):.4g}", float(error)
        return (str(number), top, shown, f"{spread:.2g}", *words, str(int(self.samples[number])))

    def _notes(self) -> Sequence[str]:
        more = len(self) - _SHOWN
        notes = [f"and {more} more images"] if more > 0 else []
        if self.mean.ndim > 2:
            notes.append("each number is the mean over a map")
        return [*notes, *self.report.lines()]

    def __str__(self) -> str:
        return "\n".join([table(self._header(), self._rows()), *self._notes()])

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        """For notebooks."""
        return notebook.table(type(self).__name__, self._header(), self._rows(), self._notes())


def _average(values: Tensor) -> float:
    """The mean over the positions of a map that were seen."""
    return float(values.detach().cpu().double().nanmean())


def joined(parts: Sequence[Prediction]) -> Prediction:
    """One prediction of all images of several, in order, with the report of the first."""
    if len(parts) == 1:
        return parts[0]

    def together(name: str) -> Any:
        values = [getattr(part, name) for part in parts]
        return None if values[0] is None else torch.cat(values)

    names = [name for name in Prediction.__dataclass_fields__ if name != "report"]
    return Prediction(report=parts[0].report, **{name: together(name) for name in names})


def in_order(parts: Sequence[Prediction], numbers: Sequence[Sequence[int]]) -> Prediction:
    """One prediction of the images of several groups; `numbers` has the places of the images of each."""
    if len(parts) == 1:
        return parts[0]
    whole = joined(parts)
    places = torch.tensor([number for group in numbers for number in group], device=whole.mean.device).argsort()
    reports = [part.report for part in parts]
    reached = [report.reached for report in reports if report.reached is not None]
    report = replace(
        reports[0],
        views=max(report.views for report in reports),
        exact_views=all(report.exact_views for report in reports),
        drawn_views=any(report.drawn_views for report in reports),
        forwards=sum(report.forwards for report in reports),
        batches=sum(report.batches for report in reports),
        peak_bytes=max(report.peak_bytes for report in reports),
        reached=all(reached) if reached else None,
        notes=tuple(dict.fromkeys(note for report in reports for note in report.notes)),
    )
    names = [name for name in Prediction.__dataclass_fields__ if name != "report"]
    values = {name: getattr(whole, name) for name in names}
    moved = {name: None if value is None else value.index_select(0, places) for name, value in values.items()}
    return Prediction(report=report, **moved)
