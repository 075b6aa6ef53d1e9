"""Means over the noise of a model or of image steps, in two halves with independent draws.

The square of a noisy mean's distance from a fast rule is too large, by the variance of the mean. The product of the
distances of two independent means has the right expectation, which is 0 for an exact rule.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from augreg.expectation.means.model_inputs import ModelInputs
from augreg.expectation.means.outputs import Output, Select, check_outputs, selected_output
from augreg.expectation.means.view_inputs import ViewInputs, view_groups
from augreg.expectation.noise.find_noise import NoiseReport, drawing
from augreg.expectation.noise.generators import seeded
from augreg.expectation.noise.modes import evaluating

__all__ = ["Noise", "Predictor", "SampledMean", "sampled_mean"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Noise:
    """Noise that is drawn together: modules of the model by name, and steps of the pipeline by path.

    An empty tuple is none. Everything else follows its test-time rule.
    """

    name: str
    modules: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()


@dataclass(frozen=True)
class SampledMean:
    """The mean predictions of images, images x classes, from two halves of the samples.

    `variance` is that of one observation: half the sum over the classes, for each image. `observations` are those of
    each half, `samples` is the number of predictions in both. `curve` maps n to the squared error of a mean of n
    predictions, for each image. `is_exact` says whether nothing is drawn, so that the two halves are the same mean.
    """

    first: Floats
    second: Floats
    variance: Floats
    observations: int
    samples: int
    curve: dict[int, Floats]
    is_exact: bool

    @property
    def mean(self) -> Floats:
        """The mean of all samples."""
        return (self.first + self.second) / 2


@dataclass
class Predictor:
    """A model with its noise and its pipeline, which predicts class probabilities.

    `rows` is the largest number of rows of one forward pass. `seed` decides what the model draws.
    """

    model: nn.Module
    pipe: Any
    report: NoiseReport
    select: Select
    rows: int
    seed: int
    forwards: int = 0
    _checked: bool = field(default=False, repr=False)

    def fast(self, images: Sequence[Any]) -> Floats:
        """The class probabilities by the test-time rules, images x classes."""
        found: dict[int, Floats] = {}
        with torch.no_grad(), evaluating(self.model):
            for numbers, inputs in self.groups(images, list(range(len(images))), ()):
                for number, row in zip(numbers, self._observation(inputs, 0), strict=True):
                    found[number] = row
        return np.stack([found[number] for number in range(len(images))])

    def groups(
        self,
        images: Sequence[Any],
        indices: Sequence[Any],
        steps: tuple[str, ...],
        most: int | None = None,
        draws: int = 1,
    ) -> list[tuple[list[int], Any]]:
        """The inputs of the model for images, with the views of these steps: `most` nodes, about so many draws."""
        if self.pipe is None:
            return [(list(range(len(images))), ModelInputs((self._stacked(images),), {}))]
        views: Any = _OnlySteps(self.pipe, steps) if steps else self.pipe
        return view_groups(views, list(images), list(indices), most if steps else None, draws, self.like, "test")

    def drawing(self, modules: tuple[str, ...]) -> AbstractContextManager[None]:
        """The context in which these modules draw, and all else is in evaluation."""
        if not modules:
            return evaluating(self.model)
        only = None if set(modules) == set(self.report.names) else list(modules)
        return drawing(self.model, self.report, only)

    def observations(self, inputs: Any, count: int, seeds: Sequence[Any]) -> Iterator[Floats]:
        """So many observations of a group of images, images x classes each; `seeds` says what the model draws."""
        seeded(self.seed, [self.model], [str(each) for each in seeds])
        for number in range(count):
            yield self._observation(inputs, number)

    def of_view(self, inputs: Any, view: int) -> Floats:
        """The prediction for one view of each image of a group."""
        (rows,), _ = inputs.rows(None, range(1), range(view, view + 1))
        return self._predicted(rows)

    def of_input(self, image: Tensor) -> Floats:
        """The prediction for one input of the model."""
        return np.asarray(self._predicted(image[None].to(self.like.device, self.like.dtype))[0])

    @property
    def like(self) -> Tensor:
        """A tensor of the type and on the device of the model."""
        tensors = (each for each in self.model.parameters() if each.is_floating_point())
        return next(tensors, torch.zeros(()))

    def _observation(self, inputs: Any, number: int) -> Floats:
        """The weighted mean over the views of one observation, images x classes."""
        weights = inputs.view_weights
        size = max(1, self.rows // inputs.count)
        total: Floats | float = 0.0
        for start in range(0, len(weights), size):
            views = range(start, min(start + size, len(weights)))
            (rows,), _ = inputs.rows(None, range(number, number + 1), views)
            predicted = self._predicted(rows).reshape(len(views), inputs.count, -1)
            total = total + (predicted * weights[views.start : views.stop, :, None].numpy()).sum(0)
        return np.asarray(total)

    def _predicted(self, rows: Tensor) -> Floats:
        output = selected_output(self.model(rows), self.select)
        if not self._checked:
            if output.ndim != 2:
                raise ValueError(
                    f"an audit needs class scores, images x classes, and the model returns {tuple(output.shape)}; "
                    "see select="
                )
            check_outputs(output, "probability", False)
            self._checked = True
        self.forwards += len(rows)
        probabilities = Output.of(output, "probability", False).probabilities
        assert probabilities is not None
        return np.asarray(probabilities.cpu().double().numpy())

    def _stacked(self, images: Sequence[Any]) -> Tensor:
        tensors = [image if isinstance(image, Tensor) else torch.as_tensor(np.asarray(image)) for image in images]
        shapes = {tuple(each.shape) for each in tensors}
        if len(shapes) > 1 or not tensors[0].is_floating_point():
            shown = ", ".join("x".join(map(str, shape)) for shape in sorted(shapes))
            raise TypeError(
                f"without a pipeline, images are inputs of the model: floats of one size, got {tensors[0].dtype} of "
                f"{shown}; give pipe= to prepare them"
            )
        return torch.stack(tensors).to(self.like.device, self.like.dtype)


class _OnlySteps:
    """A pipeline whose views draw the noise of some steps only."""

    def __init__(self, pipe: Any, steps: tuple[str, ...]) -> None:
        self._pipe = pipe
        self._steps = steps

    def views(self, image: Any, count: int, index: int | str) -> Any:
        """The views of an image."""
        return self._pipe.channels_first.views(image, count, index, only=self._steps)


def sampled_mean(predictor: Predictor, noise: Noise, images: Sequence[Any], first: int, samples: int) -> SampledMean:
    """The mean predictions of images over a noise, from two halves of `samples`; `first` numbers the first image."""
    parts: list[tuple[list[int], SampledMean]] = []
    # with the noise of the model, each half takes two observations of all views
    most = max(1, samples // 4) if noise.modules else samples
    with torch.no_grad(), predictor.drawing(noise.modules):
        halves = []
        for half in ("", ", second half"):
            indices = [f"{first + place}{half}" for place in range(len(images))]
            halves.append(predictor.groups(images, indices, noise.steps, most, samples // 2))
        for (numbers, inputs), (_, others) in zip(*halves, strict=True):
            draws = bool(noise.modules) or (isinstance(inputs, ViewInputs) and inputs.drawn)
            if not draws:
                parts.append((numbers, _exact(predictor, inputs)))
                continue
            count = max(2, samples // 2 // len(inputs.view_weights))
            address = (noise.name, first, numbers[0])
            parts.append((numbers, _of_halves(predictor, (inputs, others), count, address)))
    return _in_order(parts)


def _exact(predictor: Predictor, inputs: Any) -> SampledMean:
    mean = next(predictor.observations(inputs, 1, ()))
    views = len(inputs.view_weights)
    return SampledMean(mean, mean, np.zeros(len(mean)), 1, views, {}, getattr(inputs, "exact", True))


def _of_halves(predictor: Predictor, inputs: tuple[Any, Any], count: int, address: tuple[Any, ...]) -> SampledMean:
    means, squares, running = [], [], {}
    views = len(inputs[0].view_weights)
    for half, each in enumerate(inputs):
        total = squared = np.zeros(())
        for done, values in enumerate(predictor.observations(each, count, (*address, half)), 1):
            total, squared = total + values, squared + values**2
            if half == 0 and done & (done - 1) == 0:
                running[done * views] = total / done
        means.append(total / count)
        squares.append((squared - total**2 / count) / (count - 1))
    variance = np.maximum(0.0, (squares[0] + squares[1]) / 2).sum(1) / 2
    # the second half is an independent estimate of the truth, with an error of its own, which is that of the first
    error = np.square(means[0] - means[1]).sum(1) / 4
    curve = {n: np.square(mean - means[1]).sum(1) / 2 - error for n, mean in running.items()}
    return SampledMean(means[0], means[1], variance, count, 2 * count * views, curve, False)


def _in_order(parts: list[tuple[list[int], SampledMean]]) -> SampledMean:
    if len(parts) == 1:
        return parts[0][1]
    places = np.argsort([number for numbers, _ in parts for number in numbers])
    found = [part for _, part in parts]
    steps = set.intersection(*(set(part.curve) for part in found))

    def joined(arrays: list[Floats]) -> Floats:
        return np.asarray(np.concatenate(arrays)[places])

    return SampledMean(
        joined([part.first for part in found]),
        joined([part.second for part in found]),
        joined([part.variance for part in found]),
        min(part.observations for part in found),
        max(part.samples for part in found),
        {n: joined([part.curve[n] for part in found]) for n in sorted(steps)},
        all(part.is_exact for part in found),
    )
