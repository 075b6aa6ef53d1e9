"""The mean loss and the mean metric over batches, with the standard error of the metric."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

__all__ = ["Means", "Measured"]


class Measured(dict[str, float]):
    """The mean loss and the mean metric over samples: `loss`, `metric`; `largest loss` of a batch; `samples`.

    `metric error` is the standard error of the metric, NaN if it is not known.
    """


@dataclass
class Means:
    """Collects the losses and scores of batches."""

    losses: list[tuple[float, int]] = field(default_factory=list)  # of batches, with their sizes
    scores: list[tuple[float, int]] = field(default_factory=list)  # of samples, or of batches with their sizes
    targets: list[Tensor] = field(default_factory=list)  # of a regression, whose scores are squared errors

    @property
    def samples(self) -> int:
        """How many samples there were."""
        return sum(size for _, size in self.losses)

    def add(self, loss: Any, scores: Any, size: int, targets: Any = None) -> None:
        """Add a batch. `scores` has a number for each sample, or is their mean; `targets` are those of R²."""
        self.losses.append((float(loss), size))
        found = torch.as_tensor(scores).double().cpu()
        self.scores += [(float(found), size)] if found.ndim == 0 else [(value, 1) for value in found.tolist()]
        if targets is not None:
            self.targets.append(targets.double().reshape(size, -1).cpu())

    def measured(self) -> Measured:
        """The means. Raises ValueError if there were no batches."""
        if not self.losses:
            raise ValueError("there are no batches to measure")
        metric, error = _mean(self.scores)
        variance = float(torch.cat(self.targets).var(0, correction=0).mean()) if self.targets else 0.0
        if variance > 0:
            metric, error = 1 + metric / variance, error / variance
        return Measured(
            {
                "loss": sum(loss * size for loss, size in self.losses) / self.samples,
                "largest loss": max(loss for loss, _ in self.losses),
                "metric": metric,
                "metric error": error,
                "samples": float(self.samples),
            }
        )


def _mean(scores: list[tuple[float, int]]) -> tuple[float, float]:
    """The mean over samples, and its standard error."""
    if not scores:
        return math.nan, math.nan
    values, sizes = (torch.tensor(each, dtype=torch.float64) for each in zip(*scores, strict=True))
    mean = float((values * sizes).sum() / sizes.sum())
    if len(values) < 2:
        return mean, math.nan
    return mean, float(values.std() / math.sqrt(len(values)))
