"""What `propagate` returns: the moments of a model's outputs, and what was done layer by layer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from augreg import notebook
from augreg.expectation.moments.forward import Step
from augreg.expectation.moments.softmax_mean import Probabilities, mean_softmax
from augreg.inspect.tables import table

__all__ = ["Moments", "MomentsReport"]


@dataclass(frozen=True)
class MomentsReport:
    """What was done at each layer, in the order of the calls, and which approximation it is.

    A step has `.name` (the module), `.function`, `.how` and `.covariance` (whether it was kept behind the step).
    """

    steps: tuple[Step, ...]

    def as_dict(self) -> dict[str, Any]:
        """The report as plain data."""
        return {"steps": [dict(vars(step)) for step in self.steps]}

    def __str__(self) -> str:
        rows = [*self._rows()]
        return table(_HEADER, rows) if rows else "no layer draws: the outputs are certain"

    def _repr_html_(self) -> str:
        """For notebooks."""
        return notebook.table(type(self).__name__, _HEADER, self._rows(), [])

    def _rows(self) -> Iterable[Sequence[str]]:
        for step in self.steps:
            yield (step.name or "(the model)", step.function, step.how, "kept" if step.covariance else "")


_HEADER = ("module", "function", "how", "covariance")


@dataclass(frozen=True)
class Moments:
    """Mean and variance of a model's outputs over its noise: `mean` and `variance` have the shape of the outputs.

    `covariance` is batch x n x n over the n outputs of an image, None if it was not kept. `report` says what was done
    at each layer.
    """

    mean: Tensor
    variance: Tensor
    covariance: Tensor | None
    report: MomentsReport

    def probabilities(self, samples: int = 1024, seed: int = 0) -> Probabilities:
        """The mean of the softmax over dimension 1 of normal logits with these moments.

        `samples` quasi-random normal vectors (scrambled Sobol points, from `seed`) are used, the same for each image.
        `.mean` has the shape of the outputs, and `.error` is its standard error. Without covariance the logits count
        as independent.
        """
        return mean_softmax(self.mean, self.variance, self.covariance, samples, seed)
