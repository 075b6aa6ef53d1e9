"""expect: the mean prediction of a model over image views, model noise and several models, as a module."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from augreg.expectation.means.model_inputs import Arguments, ModelInputs
from augreg.expectation.means.moment_predictions import moment_output
from augreg.expectation.means.outputs import Output, Select, entropy_of, selected_output
from augreg.expectation.means.prediction import ExpectationReport, Prediction, in_order, joined
from augreg.expectation.means.preparation import Preparation
from augreg.expectation.means.running_moments import RunningMoments
from augreg.expectation.means.sampling import Sampler, of_moments
from augreg.expectation.means.settings import Settings
from augreg.expectation.means.stopping import Stopping, counts
from augreg.expectation.means.view_inputs import ViewInputs, view_groups
from augreg.expectation.noise.find_noise import NoiseReport, drawing, kept
from augreg.expectation.noise.generators import seeded
from augreg.loss.penalties import unwrapped
from augreg.pipeline import Pipeline
from augreg.training.ensembles import Ensemble

__all__ = ["Expectation", "expect"]


def expect(
    model: nn.Module | Sequence[nn.Module],
    pipe: Pipeline | None = None,
    *,
    over: str | Sequence[str] = ("image", "model"),
    by: Literal["samples", "moments"] = "samples",
    samples: int = 32,
    views: int | None = None,
    until: float | None = None,
    max_samples: int = 4096,
    space: Literal["probability", "logit", "value"] = "probability",
    seed: int = 0,
    select: Select = None,
    only: str | Mapping[str, Any] | Sequence[Any] | None = None,
    batch_statistics: bool | list[Any] = False,
    multi_label: bool = False,
    monte_carlo: Sequence[str] = (),
    frame: Literal["test", "image"] = "test",
    memory: int | None = None,
    gradients: bool = False,
) -> Expectation:
    """The mean prediction of a model over image views, model noise and several models, as a module.

    Called like the model, it returns a `Prediction`. With a pipeline it takes images instead (see `Expectation`).

    model: a module, a list of modules for one task, or an `Ensemble`, whose members are averaged as `space` says. It
        may be in half precision, compiled, or in DistributedDataParallel.
    over: "image", the views of `pipe.views`; "model", what draws in the model in training (`find_noise`); or both.
        Without a pipeline there are no views.
    by: "samples", Monte Carlo; or "moments", one pass that propagates mean and variance (`moments.propagate`), with
        samples of the layers that `monte_carlo` names.
    samples: forward passes for each image. Exact views take an equal number each. Views that are drawn take one each,
        or `samples / views` if `views` says how many there are.
    until: the wanted standard error, of every number of a prediction. Images are done one by one; `samples`, and at
        least 32, are drawn at first, and `max_samples` at most.
    space: what is averaged. "probability", softmax of the outputs, is the default, since the mean of probabilities is
        the predictive distribution: its entropy, likelihood and calibration mean something, and it is what an
        ensemble and Monte Carlo dropout average. "logit" averages the outputs; the softmax of the result is the
        normalized geometric mean of the probabilities. "value" is for outputs that are no logits, such as regression.
    seed: of the model's noise; the same seed gives the same result. Views are addressed by the seed of the pipeline.
    select: where the logits are in what the model returns: an attribute, a key, a position, or a function.
    only: which modules draw, by name pattern or type, as `at` in a spec; all by default.
    batch_statistics: True lets batch norm normalize by the given batch as in training, in place of its running
        statistics. A list of batches of training images, one for each sample, makes its statistics a noise: Monte
        Carlo batch norm (Teye et al. 2018, arXiv 1802.06455). `only` selects batch norm layers, too.
    multi_label: each class is true or false by itself: sigmoid takes the place of softmax.
    frame: where maps (N x C x H x W) come back to: the test image of the pipeline, or the image as it was given.
    memory: a bound in bytes for the tensors of one forward pass; batches are split and samples joined accordingly.
        1 GiB by default, and on a GPU a quarter of its memory.
    gradients: whether gradients flow through the mean. All samples are then kept, whatever `memory` says.

    Raises ValueError and TypeError for arguments that are wrong, with what to do.
    """
    settings = Settings(
        over=(over,) if over is None or isinstance(over, str) else tuple(over),
        by=by,
        samples=samples,
        views=views,
        until=until,
        max_samples=max_samples,
        space=space,
        seed=seed,
        select=select,
        only=only,
        batch_statistics=batch_statistics,
        multi_label=multi_label or (isinstance(model, Ensemble) and model.multi_label),
        monte_carlo=(monte_carlo,) if isinstance(monte_carlo, str) else tuple(monte_carlo),
        frame=frame,
        memory=memory,
        gradients=gradients,
    )
    return Expectation(model, pipe, settings)


class Expectation(nn.Module):
    """A module whose call returns the mean prediction of models, a `Prediction`. Made by `expect`.

    Without a pipeline it takes what the models take. With one it takes an image as `pipe.test` does, a list of
    images, or a batch of them; `index=` gives the index of each, so that its views are the same alone or in any batch
    (0 for all by default, as in `pipe.views`).

    The modes and buffers of the models and all random generators are as before after each call, also if it raises.
    Its own mode does not matter.
    """

    def __init__(self, model: nn.Module | Sequence[nn.Module], pipe: Pipeline | None, settings: Settings) -> None:
        super().__init__()
        if pipe is None and "model" not in settings.over:
            raise ValueError('over="image" needs the pipeline: expect(model, pipe, over="image")')
        if pipe is None and settings.views is not None:
            raise ValueError("views= is for the images of a pipeline: expect(model, pipe, views=..)")
        if pipe is not None and not isinstance(pipe, Pipeline):
            raise TypeError(f"expected a Pipeline as the second argument, got {type(pipe).__name__}")
        self.members = nn.ModuleList(_members(model))
        self.pipe = pipe
        self.settings = settings
        self._preparation = Preparation(settings)

    def forward(self, *inputs: Any, index: Any = None, **named: Any) -> Prediction:
        """The prediction for a batch of images; the arguments are those of the models, or images for the pipeline."""
        with self._keeping():
            if self.pipe is None:
                if index is not None:
                    raise TypeError("index= is for the images of a pipeline; this expectation has none")
                return self._of_groups([([], ModelInputs(inputs, named))])
            if len(inputs) != 1 or named:
                raise TypeError("with a pipeline there is one argument: an image, a list of images, or a batch")
            most, draws = self._most_views(), self.settings.views or self.settings.samples // len(self.members)
            frame = self.settings.frame
            views = view_groups(self.pipe, inputs[0], index, most, draws, self._example(), frame)
            return self._of_groups(views)

    def extra_repr(self) -> str:
        """The settings in short."""
        return f"over={self.settings.over}, by={self.settings.by!r}, space={self.settings.space!r}"

    def _of_groups(self, groups: list[tuple[list[int], Any]]) -> Prediction:
        """The prediction of images in groups, of which each has as many views."""
        if len(groups) > 1 and self.settings.batch_statistics is True:
            raise ValueError("batch_statistics=True needs the same number of views for all images of a batch")
        noise = self._preparation.noise(self.members, groups[0][1])
        found = []
        batches = self.settings.batch_statistics
        with self._drawing(noise, batches[0] if isinstance(batches, list) else batches):
            for _, inputs in groups:
                found.append(self._of_group(inputs, noise))
        return in_order(found, [numbers for numbers, _ in groups])

    def _of_group(self, inputs: Any, noise: tuple[NoiseReport, ...]) -> Prediction:
        """The prediction of images with as many views each."""
        settings = self.settings
        by_moments = settings.by == "moments"
        draws = self._preparation.draws(self.members) or isinstance(settings.batch_statistics, list)
        inputs, stopping = self._planned(inputs, draws and not by_moments)
        cost = self._preparation.cost(inputs, lambda rows: self._one_of_each(inputs.first(rows)))
        size, rows = self._preparation.sizes(cost, inputs)
        sampler = self._sampler(noise, rows, stopping)
        seeded(settings.seed, self.members)
        parts, reached = [], True
        for first in range(0, inputs.count, size):
            moments, finished = sampler.moments(inputs.part(first, min(first + size, inputs.count)), stopping)
            reached = reached and finished
            parts.append(of_moments(moments, settings.multi_label))
        cells = len(inputs.view_weights) * len(self.members)
        report = ExpectationReport(
            by=settings.by,
            over=settings.over if self.pipe is not None else ("model",),
            space=settings.space,
            views=len(inputs.view_weights),
            exact_views=getattr(inputs, "exact", True),
            drawn_views=getattr(inputs, "drawn", False),
            members=len(self.members),
            noise=noise,
            forwards=sampler.forwards,
            batches=sampler.batches,
            peak_bytes=cost.fixed + (rows or size) * cost.per_row,
            reached=reached if stopping.until is not None else None,
            notes=tuple(_notes(noise, inputs, draws, settings)),
        )
        return joined([Prediction(samples=part["observations"] * cells, report=report, **part) for part in parts])

    def _sampler(self, noise: tuple[NoiseReport, ...], rows: int | None, stopping: Stopping) -> Sampler:
        settings, batches = self.settings, self.settings.batch_statistics
        sampler = Sampler(self._predict, len(self.members), settings.space, settings.multi_label, rows)
        sampler.together = batches is True
        if settings.by == "moments":
            sampler.predict = lambda member, arguments: moment_output(
                self.members[member], noise[member], arguments, settings
            )
        if isinstance(batches, list):
            if len(batches) < stopping.counts[-1]:
                raise ValueError(
                    f"batch_statistics= has {len(batches)} batches, and {stopping.counts[-1]} samples need one each"
                )
            sampler.during = lambda observation: self._drawing(noise, batches[observation])
        return sampler

    def _planned(self, inputs: Any, draws: bool) -> tuple[Any, Stopping]:
        """The inputs, with the views of one observation, and how many observations there are."""
        settings, members = self.settings, len(self.members)
        views = settings.views
        if not isinstance(inputs, ViewInputs) or not inputs.drawn:
            if not draws:
                return inputs, Stopping((1,))
        elif views is not None:
            if settings.until is not None:
                raise ValueError("until= draws as many views as it takes: leave views= out")
            inputs = inputs.with_masks(max(1, settings.samples // (views * members)) if draws else 1)
            return inputs, counts(inputs.nodes, views, None, 0, "views")
        cells = len(inputs.view_weights) * members
        return inputs, counts(cells, settings.samples, settings.until, settings.max_samples)

    def _most_views(self) -> int | None:
        """The largest number of exact views: so many that each gets two draws of the noise."""
        settings = self.settings
        if "image" not in settings.over:
            return None
        if settings.views is not None:
            return settings.views
        return max(1, settings.samples // (len(self.members) * (2 if "model" in settings.over else 1)))

    def _example(self) -> Tensor:
        """A parameter of the model, whose device and type images are given."""
        tensors = [*self.members[0].parameters(), *self.members[0].buffers()]
        return next((tensor for tensor in tensors if tensor.is_floating_point()), torch.empty(0))

    def _predict(self, member: int, arguments: Arguments) -> Tensor:
        inputs, named = arguments
        return selected_output(self._used(self.members[member])(*inputs, **named), self.settings.select)

    def _one_of_each(self, arguments: Arguments) -> None:
        """What one call of each model takes, without what is around the models, so that operators can be seen."""
        inputs, named = arguments
        for model in self.members:
            output = selected_output(unwrapped(model)(*inputs, **named), self.settings.select)
            converted = Output.of(output, self.settings.space, self.settings.multi_label)
            RunningMoments(1).add(converted.values[:, None])
            if converted.probabilities is not None:
                entropy_of(converted.probabilities, self.settings.multi_label)

    def _used(self, model: nn.Module) -> nn.Module:
        """The model; without the wrapper of a distributed run, in which ranks wait for one another."""
        return unwrapped(model) if isinstance(model, nn.parallel.DistributedDataParallel) else model

    @contextlib.contextmanager
    def _keeping(self) -> Iterator[None]:
        """The models and all generators are kept; gradients are off unless they are asked for."""
        with contextlib.ExitStack() as stack:
            if not self.settings.gradients:
                stack.enter_context(torch.no_grad())
            for model in self.members:
                stack.enter_context(kept(model))
            yield

    @contextlib.contextmanager
    def _drawing(self, noise: tuple[NoiseReport, ...], batch_statistics: Any) -> Iterator[None]:
        only = self.settings.only if "model" in self.settings.over else None
        with contextlib.ExitStack() as stack:
            for model, report in zip(self.members, noise, strict=True):
                stack.enter_context(drawing(model, report, only, batch_statistics))
            yield


def _notes(noise: tuple[NoiseReport, ...], inputs: Any, draws: bool, settings: Settings) -> Iterator[str]:
    """What the numbers do not show."""
    if "model" in settings.over:
        if not draws:
            yield "nothing draws in the model"
        for report in noise:
            yield from (f"does not draw: {name or 'the model'}: {reason}" for name, reason in report.silent.items())
    for report in noise:
        yield from (f"draws in evaluation, too: {source.name or 'the model'}" for source in report.always)
    if settings.by == "moments" and draws:
        yield "moments approximate the noise of the model; the standard error leaves out by how much"
    if isinstance(inputs, ViewInputs) and not inputs.exact and not inputs.drawn:
        yield "the fixed views approximate the expectation; the standard error leaves out by how much"


def _members(model: Any) -> list[nn.Module]:
    """The models to average. Raises TypeError and ValueError for what are none."""
    if isinstance(model, Ensemble):
        return list(model.members)
    if isinstance(model, nn.Module) and not isinstance(model, nn.ModuleList):
        return [model]
    members = list(model) if isinstance(model, Sequence | nn.ModuleList) else []
    if not members or not all(isinstance(one, nn.Module) for one in members):
        raise TypeError(
            f"expected a torch.nn.Module, or a list of them, got {type(model).__name__}; for the state_dicts of "
            "snapshots, use augreg.training.Ensemble.of_snapshots(model, states)"
        )
    if len({id(one) for one in members}) < len(members):
        raise ValueError("a model was given twice: for snapshots of one model, use Ensemble.of_snapshots")
    return members
