"""Monte Carlo: predictions are averaged over observations, until there are enough of them.

One observation of an image is the weighted mean of the predictions for all of its exact views by all models, each with
noise of its own; views that are drawn change from one observation to the next. Observations are independent, so the
standard error of their mean is their standard deviation over the square root of their number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from augreg.expectation.model_inputs import Arguments
from augreg.expectation.outputs import Output, check_outputs, entropy_of
from augreg.expectation.running_moments import RunningMoments

__all__ = ["Inputs", "Sampler", "Stopping"]


class Inputs(Protocol):
    """A group of images that `Sampler` takes."""

    count: int
    view_weights: Sequence[float]

    def rows(self, images: Tensor | None, observations: range, views: range) -> Arguments:
        """The arguments of the model for these observations, views and images (None: all), rows in this order."""


@dataclass(frozen=True)
class Stopping:
    """How many observations: at these counts, in order, images whose standard error is at most `until` are done."""

    counts: tuple[int, ...]
    until: float | None = None


@dataclass
class Sampler:
    """Averages the predictions of models. `predict` calls model number m, and gives its predictions, rows x C x ..

    `rows` is the largest number of rows of one call; it is at least the number of images of a group.
    """

    predict: Callable[[int, Arguments], Tensor]
    members: int
    space: str
    multi_label: bool
    rows: int
    together: bool = False
    """Whether all images of a group must be in every call, so that they are done only together."""
    forwards: int = 0
    batches: int = 0

    def moments(self, inputs: Inputs, stopping: Stopping) -> tuple[dict[str, RunningMoments], bool]:
        """The moments of `values`, `probabilities` and `entropies`, and whether the standard error was reached."""
        found: dict[str, RunningMoments] = {}
        active: Tensor | None = None
        done = 0
        for count in stopping.counts:
            for observed in self._observed(inputs, active, done, count):
                for name, value in observed.items():
                    found.setdefault(name, RunningMoments(inputs.count)).add(value, active)
            done = count
            if stopping.until is not None:
                active = self._unfinished(found["values"], stopping.until)
                if len(active) == 0:
                    return found, True
                active = None if len(active) == inputs.count else active
        return found, stopping.until is None

    def _unfinished(self, values: RunningMoments, until: float) -> Tensor:
        """The numbers of the images of which some value has a larger standard error."""
        error = values.standard_error().flatten(1) if values.mean.ndim > 1 else values.standard_error()[:, None]
        unfinished = (~(error <= until)).any(1)
        if self.together and bool(unfinished.any()):
            unfinished[:] = True
        return unfinished.nonzero()[:, 0]

    def _observed(self, inputs: Inputs, images: Tensor | None, first: int, last: int) -> Iterator[dict[str, Tensor]]:
        """Blocks of observations x images x .. values, by name."""
        views = len(inputs.view_weights)
        count = inputs.count if images is None else len(images)
        at_once = max(1, self.rows // count)  # pairs of an observation and a view in one call
        size = max(1, at_once // views)
        for start in range(first, last, size):
            observations = range(start, min(start + size, last))
            yield self._block(inputs, images, count, observations, min(views, at_once))

    def _block(
        self, inputs: Inputs, images: Tensor | None, count: int, observations: range, views_at_once: int
    ) -> dict[str, Tensor]:
        """The weighted means over views and models."""
        total: dict[str, Tensor] = {}
        weights = inputs.view_weights
        for start in range(0, len(weights), views_at_once):
            views = range(start, min(start + views_at_once, len(weights)))
            arguments = inputs.rows(images, observations, views)
            for member in range(self.members):
                for name, value in self._predicted(member, arguments).items():
                    value = value.reshape(len(observations), len(views), count, *value.shape[1:])
                    value = self._weighted(value, [weights[view] for view in views])
                    total[name] = total[name] + value if name in total else value
        return total

    def _weighted(self, value: Tensor, weights: Sequence[float]) -> Tensor:
        """The sum over the views, dimension 1, by weight."""
        if len(weights) == 1:
            factor = weights[0] / self.members
            return value[:, 0] if factor == 1.0 else value[:, 0] * factor
        return torch.tensordot(value.movedim(1, -1), value.new_tensor(weights) / self.members, dims=1)

    def _predicted(self, member: int, arguments: Arguments) -> dict[str, Tensor]:
        output = self.predict(member, arguments)
        if self.batches == 0:
            check_outputs(output, self.space, self.multi_label)
        self.forwards += len(output)
        self.batches += 1
        converted = Output.of(output, self.space, self.multi_label)
        found = {"values": converted.values}
        if converted.probabilities is not None:
            if self.space != "probability":
                found["probabilities"] = converted.probabilities
            found["entropies"] = entropy_of(converted.probabilities, self.multi_label)
        return found


def of_moments(found: dict[str, RunningMoments], multi_label: bool) -> dict[str, Any]:
    """The entries of a `Prediction`, without samples and report."""
    values = found["values"]
    probabilities = None
    if "entropies" in found:
        probabilities = found.get("probabilities", values)
    entropy = None if probabilities is None else entropy_of(probabilities.mean, multi_label)
    return {
        "mean": values.mean,
        "standard_error": _error(values),
        "entropy": entropy,
        # rounding can give -1e-17, where the true value is 0
        "mutual_information": None if entropy is None else (entropy - found["entropies"].mean).clamp(min=0.0),
        "probabilities": None if probabilities is None else probabilities.mean,
        "probability_error": None if probabilities is None else _error(probabilities),
        "observations": values.count.long(),
    }


def _error(values: RunningMoments) -> Tensor:
    """The standard error; 0 for a single observation, which is taken only if nothing is drawn."""
    once = values.count.reshape(-1, *[1] * (values.mean.ndim - 1)) < 2
    return torch.where(once, torch.zeros_like(values.squares), values.standard_error())
