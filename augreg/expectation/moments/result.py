"""What `propagate` returns: the moments of a model's outputs, and what was done layer by layer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from augreg import notebook
from augreg.expectation.moments.conditions import Condition
from augreg.expectation.moments.forward import Step
from augreg.expectation.moments.softmax_mean import Probabilities, mean_softmax
from augreg.inspect.tables import table

__all__ = ["Moments", "MomentsReport"]


@dataclass(frozen=True)
class MomentsReport:
    """What was done at each layer, in the order of the calls, and which approximation it is.

    A step has `.name` (the module), `.function`, `.how`, `.covariance` (whether it was kept behind the step) and
    `.assumes_independence` (whether something that shares noise was taken as independent).
    """

    steps: tuple[Step, ...]

    @property
    def assumed_independent(self) -> tuple[Step, ...]:
        """The steps whose variance is wrong by an unknown amount, since what shares noise counts as independent."""
        return tuple(step for step in self.steps if step.assumes_independence)

    def as_dict(self) -> dict[str, Any]:
        """The report as plain data."""
        return {"steps": [dict(vars(step)) for step in self.steps]}

    def __str__(self) -> str:
        rows = [*self._rows()]
        if not rows:
            return "no layer draws: the outputs are certain"
        return "\n\n".join([table(_HEADER, rows), *self._warnings()])

    def _warnings(self) -> Iterable[str]:
        places = dict.fromkeys(step.name or "(the model)" for step in self.assumed_independent)
        if places:
            yield (
                f"taken as independent although noise is shared, at {', '.join(places)}: the variance is off there. "
                "covariance=True keeps it where memory allows"
            )

    def _repr_html_(self) -> str:
        """For notebooks."""
        return notebook.table(type(self).__name__, _HEADER, self._rows(), [*self._warnings()])

    def _rows(self) -> Iterable[Sequence[str]]:
        for step in self.steps:
            yield (step.name or "(the model)", step.function, step.how, "kept" if step.covariance else "")


_HEADER = ("module", "function", "how", "covariance")


@dataclass(frozen=True)
class Moments:
    """Mean and variance of a model's outputs over its noise: `mean` and `variance` have the shape of the outputs.

    `covariance` is batch x n x n over the n outputs of an image, None if it was not kept. `report` says what was done
    at each layer. `conditions` are the moments with noise of whole images held at its values, and their weights, if
    there was such noise: the mean of a function of the outputs is the weighted sum of its means under them.
    """

    mean: Tensor
    variance: Tensor
    covariance: Tensor | None
    report: MomentsReport
    conditions: tuple[Condition, ...] = ()

    def probabilities(self, samples: int = 1024, seed: int = 0) -> Probabilities:
        """The mean of the softmax over dimension 1 of normal logits with these moments.

        `samples` quasi-random normal vectors (scrambled Sobol points, from `seed`) are used, the same for each image.
        `.mean` has the shape of the outputs, and `.error` is its standard error. Without covariance the logits count
        as independent. Under `conditions`, the mean is theirs, and the error is at most as large.
        """
        if not self.conditions:
            return mean_softmax(self.mean, self.variance, self.covariance, samples, seed)
        mean, error = torch.zeros_like(self.mean), torch.zeros_like(self.mean)
        for each in self.conditions:
            found = mean_softmax(each.mean, each.variance, each.covariance, samples, seed)
            mean += each.weight * found.mean
            error += abs(each.weight) * found.error
        mean = mean.clamp(min=0.0)  # some weights may be negative
        return Probabilities(mean / mean.sum(1, keepdim=True), error)
