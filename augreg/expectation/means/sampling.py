"""Monte Carlo: predictions are averaged over observations, until there are enough of them.

One observation of an image is the weighted mean of the predictions for all of its fixed views by all models, each
with noise of its own; what is drawn for views changes from one observation to the next. Observations are independent,
so the standard error of their mean is their standard deviation over the square root of their number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from augreg.expectation.means.model_inputs import Arguments
from augreg.expectation.means.outputs import Output, check_outputs, entropy_of, joined_outputs
from augreg.expectation.means.running_moments import RunningMoments
from augreg.expectation.means.stopping import Stopping

__all__ = ["Inputs", "Sampler", "of_moments"]


_OUTPUTS = 1 << 18
"""The outputs of several calls are averaged together up to about so many numbers: 2 MiB in float64."""


class Inputs(Protocol):
    """Images that `Sampler` takes. `view_weights` are views x images, or views x 1, and sum to one for each image."""

    count: int
    view_weights: Tensor

    def rows(self, images: Tensor | None, observations: range, views: range) -> Arguments:
        """The arguments of the model for these observations, views and images (None: all), rows in this order."""

    def restored(
        self, values: Tensor, images: Tensor | None, observations: range, views: range
    ) -> tuple[Tensor, Tensor | None]:
        """Predictions, observations x views x images x .., in the frame of the image, and which of them there are."""


@dataclass
class Sampler:
    """Averages the predictions of models. `predict` calls model number m, and gives its outputs, rows x C x .., or an
    `Output` if they are means over its noise already.

    `rows` is the largest number of rows of one call, several observations and views of the images; None takes one
    view of one observation for each call. With `together` all images of a group are in every call, so they are done
    only together. `during` is a context for the calls of one observation.
    """

    predict: Callable[[int, Arguments], Tensor | Output]
    members: int
    space: str
    multi_label: bool
    rows: int | None
    together: bool = False
    during: Callable[[int], AbstractContextManager[None]] | None = None
    forwards: int = 0
    batches: int = 0
    _largest: int = 0
    """The numbers in the largest output so far."""

    def moments(self, inputs: Inputs, stopping: Stopping) -> tuple[dict[str, RunningMoments], bool]:
        """The moments of `values`, `probabilities` and `entropies`, and whether the standard error was reached."""
        found: dict[str, RunningMoments] = {}
        active: Tensor | None = None
        done = 0
        for count in stopping.counts:
            for observed, seen in self._observed(inputs, active, done, count):
                for name, value in observed.items():
                    place = None if seen is None else _of_maps(name, seen)
                    found.setdefault(name, RunningMoments(inputs.count)).add(value, active, place)
            done = count
            if stopping.until is not None:
                active = self._unfinished(found["values"], stopping.until)
                if len(active) == 0:
                    return found, True
                active = None if len(active) == inputs.count else active
        return found, stopping.until is None

    def _unfinished(self, values: RunningMoments, until: float) -> Tensor:
        """The numbers of the images of which some value has a larger standard error."""
        error = values.standard_error()
        unfinished = (error > until).reshape(len(error), -1).any(1)
        if self.together and bool(unfinished.any()):
            unfinished[:] = True
        return unfinished.nonzero()[:, 0]

    def _observed(
        self, inputs: Inputs, images: Tensor | None, first: int, last: int
    ) -> Iterator[tuple[dict[str, Tensor], Tensor | None]]:
        """Blocks of observations x images x .. values, by name, and which of them there are."""
        start = first
        while start < last:
            observations = range(start, min(start + self._block_size(inputs, images), last))
            yield self._block(inputs, images, observations)
            start = observations.stop

    def _block_size(self, inputs: Inputs, images: Tensor | None) -> int:
        """How many observations are averaged at once: those of one call, or of several with small outputs."""
        pairs = self._pairs(inputs, images)
        calls = 1 if self._largest == 0 else max(1, _OUTPUTS // self._largest)
        return max(1, calls * pairs // len(inputs.view_weights))

    def _pairs(self, inputs: Inputs, images: Tensor | None) -> int:
        """How many pairs of an observation and a view go into one call."""
        count = inputs.count if images is None else len(images)
        return max(1, self.rows // count) if self.rows else 1

    def _block(
        self, inputs: Inputs, images: Tensor | None, observations: range
    ) -> tuple[dict[str, Tensor], Tensor | None]:
        """The weighted means over views and models."""
        total: dict[str, Tensor] = {}
        covered: Tensor | None = None
        weights = inputs.view_weights if images is None else _of_images(inputs.view_weights, images)
        at_once = min(len(weights), self._pairs(inputs, images))
        for start in range(0, len(weights), at_once):
            views = range(start, min(start + at_once, len(weights)))
            fractions = weights[views.start : views.stop] / self.members
            for member in range(self.members):
                predicted = self._predicted(member, inputs, images, observations, views)
                found, seen = self._found(predicted, inputs, images, observations, views)
                for name, value in found.items():
                    part = _weighted(value, fractions, _seen_for(name, seen))
                    total[name] = total[name] + part if name in total else part
                if seen is not None:
                    part = _weighted(seen.to(predicted.values.dtype), fractions, None)
                    covered = part if covered is None else covered + part
        if covered is None:
            return total, None
        divisor = covered.where(covered > 0, 1.0)
        return {name: value / _of_maps(name, divisor) for name, value in total.items()}, covered > 0

    def _predicted(
        self, member: int, inputs: Inputs, images: Tensor | None, observations: range, views: range
    ) -> Output:
        """The predictions of a model, observations x views x images x .."""
        size = max(1, self._pairs(inputs, images) // len(views))
        outputs: list[Any] = []
        for start in range(observations.start, observations.stop, size):
            some = range(start, min(start + size, observations.stop))
            with self.during(start) if self.during else nullcontext():
                outputs.append(self.predict(member, inputs.rows(images, some, views)))
            self._count(outputs[-1])
        return self._converted(outputs).reshaped((len(observations), len(views), -1))

    def _count(self, output: Tensor | Output) -> None:
        values = output.values if isinstance(output, Output) else output
        if self.batches == 0 and values is output:
            check_outputs(values, self.space, self.multi_label)
        self.batches += 1
        self.forwards += len(values)
        self._largest = max(self._largest, values.numel())

    def _converted(self, outputs: list[Any]) -> Output:
        if isinstance(outputs[0], Output):
            return joined_outputs(outputs)
        return Output.of(outputs[0] if len(outputs) == 1 else torch.cat(outputs), self.space, self.multi_label)

    def _found(
        self, predicted: Output, inputs: Inputs, images: Tensor | None, observations: range, views: range
    ) -> tuple[dict[str, Tensor], Tensor | None]:
        """What is averaged, in the frame of the image, and which of it there is."""

        def restored(values: Tensor) -> Tensor:
            return inputs.restored(values, images, observations, views)[0]

        values, seen = inputs.restored(predicted.values, images, observations, views)
        found = {"values": values}
        if predicted.errors is not None:
            found["errors"] = restored(predicted.errors)
        if predicted.probabilities is None:
            return found, seen
        probabilities = values
        if self.space != "probability":
            probabilities = found["probabilities"] = restored(predicted.probabilities)
        if predicted.entropies is None:
            entropies = entropy_of(probabilities.flatten(0, 2), self.multi_label)
            found["entropies"] = entropies.reshape(*values.shape[:3], *entropies.shape[1:])
        elif seen is None:
            found["entropies"] = predicted.entropies
        else:  # as a map of one channel
            found["entropies"] = restored(predicted.entropies[:, :, :, None])[:, :, :, 0]
        return found, seen


def _of_maps(name: str, values: Tensor) -> Tensor:
    """Values for observations x images x classes x height x width; entropies have no classes."""
    return values[:, :, 0] if name == "entropies" else values


def _seen_for(name: str, seen: Tensor | None) -> Tensor | None:
    """The same for observations x views x images x classes x height x width."""
    return seen[:, :, :, 0] if seen is not None and name == "entropies" else seen


def _of_images(weights: Tensor, images: Tensor) -> Tensor:
    return weights if weights.shape[1] == 1 else weights.index_select(1, images.to(weights.device))


def _weighted(value: Tensor, weights: Tensor, seen: Tensor | None) -> Tensor:
    """The sum over the views, dimension 1, by weight (views x images, or views x 1)."""
    if seen is not None:
        value = torch.where(seen, value, 0.0)
    if weights.numel() == 1 and weights.item() == 1.0:
        return value[:, 0]
    weights = weights.to(value.device, value.dtype)
    return (value * weights.reshape(*weights.shape, *[1] * (value.ndim - 3))).sum(1)


def of_moments(found: dict[str, RunningMoments], multi_label: bool) -> dict[str, Any]:
    """The entries of a `Prediction`, without samples and report."""
    values = found["values"]
    probabilities = found.get("probabilities", values) if "entropies" in found else None
    entropy = None if probabilities is None else entropy_of(probabilities.known(), multi_label)
    return {
        "mean": values.known(),
        "standard_error": _with_errors(_error(values), found),
        "entropy": entropy,
        # rounding can give -1e-17, where the true value is 0
        "mutual_information": None if entropy is None else (entropy - found["entropies"].mean).clamp(min=0.0),
        "probabilities": None if probabilities is None else probabilities.known(),
        "probability_error": None if probabilities is None else _with_errors(_error(probabilities), found),
        "observations": values.observations,
    }


def _error(values: RunningMoments) -> Tensor:
    """The standard error; 0 for a single observation, which is taken only if nothing is drawn."""
    once = values.observations.reshape(-1, *[1] * (values.mean.ndim - 1)) < 2
    return torch.where(once, torch.zeros_like(values.squares), values.standard_error())


def _with_errors(error: Tensor, found: dict[str, RunningMoments]) -> Tensor:
    """The standard error with that of the single predictions, which all observations may share."""
    return (error.square() + found["errors"].mean.square()).sqrt() if "errors" in found else error
