"""expect: the mean prediction of a model over image views, model noise and ensembles, as a module."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from augreg.expectation.forward_cost import ForwardCost, forward_cost
from augreg.expectation.generators import seeded
from augreg.expectation.model_inputs import Arguments, ModelInputs
from augreg.expectation.noise import NoiseReport, drawing, find_noise, kept
from augreg.expectation.outputs import Select, check_space, selected_output
from augreg.expectation.prediction import ExpectationReport, Prediction, joined
from augreg.expectation.sampling import Sampler, Stopping, of_moments
from augreg.expectation.stopping import observation_counts
from augreg.loss.penalties import unwrapped
from augreg.training.ensembles import Ensemble

__all__ = ["Expectation", "expect"]

_ROWS = 32  # rows in one forward pass from which more are no faster on a CPU


def expect(
    model: nn.Module | Sequence[nn.Module],
    pipe: Any = None,
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
    batch_statistics: bool = False,
    multi_label: bool = False,
    memory: int = 2**29,
    gradients: bool = False,
) -> Expectation:
    """The mean prediction of a model over image views, model noise and ensembles, as a module: see `Expectation`."""
    return Expectation(
        model,
        pipe,
        over=over,
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
        multi_label=multi_label,
        memory=memory,
        gradients=gradients,
    )


class Expectation(nn.Module):
    """A module that returns the mean prediction of a model, a `Prediction`, in place of a single output."""

    def __init__(
        self,
        model: nn.Module | Sequence[nn.Module],
        pipe: Any = None,
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
        batch_statistics: bool = False,
        multi_label: bool = False,
        memory: int = 2**29,
        gradients: bool = False,
    ) -> None:
        super().__init__()
        check_space(space)
        self.members = nn.ModuleList(_members(model))
        self.over = (over,) if isinstance(over, str) else tuple(over)
        self.samples = samples
        self.until = until
        self.max_samples = max_samples
        self.space = space
        self.seed = seed
        self.select = select
        self.only = only
        self.batch_statistics = batch_statistics
        self.multi_label = multi_label or (isinstance(model, Ensemble) and model.multi_label)
        self.memory = memory
        self.gradients = gradients
        self._noise: tuple[Any, tuple[NoiseReport, ...]] | None = None
        self._costs: dict[Any, ForwardCost] = {}

    def forward(self, *inputs: Any, index: Any = None, **named: Any) -> Prediction:
        """The prediction for a batch; the arguments are those of the model."""
        given = ModelInputs(inputs, named)
        with self._running(index):
            noise = self._found_noise(given)
            with self._drawing(noise):
                return self._predicted(given, noise)

    def _predicted(self, given: ModelInputs, noise: tuple[NoiseReport, ...]) -> Prediction:
        draws = self.batch_statistics or any(report.sources or report.always for report in noise)
        cells = len(self.members) * len(given.view_weights)
        stopping = observation_counts(draws, cells, self.samples, self.until, self.max_samples)
        cost = self._cost(given)
        limit = cost.rows(self.memory)
        if limit == 0:
            raise ValueError(
                f"one image takes {cost.fixed + cost.per_row:,} bytes, and memory={self.memory:,} allows less"
            )
        together = self.batch_statistics
        size = given.count if together else min(given.count, limit)
        if size > limit:
            raise ValueError(
                f"the batch takes {cost.fixed + size * cost.per_row:,} bytes and memory={self.memory:,} allows less; it "
                "cannot be split, since batch norm uses its statistics. Give a smaller batch or more memory"
            )
        alone = together or not cost.independent_rows
        rows = size if alone else max(size, min(limit, _ROWS))
        sampler = Sampler(self._predict, len(self.members), self.space, self.multi_label, rows, together)
        parts, reached = [], True
        for first in range(0, given.count, size):
            found, finished = sampler.moments(given.part(first, min(first + size, given.count)), stopping)
            reached = reached and finished
            entries = of_moments(found, self.multi_label)
            report = ExpectationReport("samples", self.over, self.space)
            parts.append(Prediction(samples=entries["observations"] * cells, report=report, **entries))
        report = ExpectationReport(
            by="samples",
            over=tuple(each for each in self.over if each != "image"),
            space=self.space,
            members=len(self.members),
            noise=noise,
            forwards=sampler.forwards,
            batches=sampler.batches,
            peak_bytes=cost.fixed + rows * cost.per_row,
            reached=None if self.until is None else reached,
        )
        return joined(parts, report)

    def _predict(self, member: int, arguments: Arguments) -> Tensor:
        inputs, named = arguments
        return selected_output(self._member(member)(*inputs, **named), self.select)

    def _member(self, number: int) -> nn.Module:
        """The model; without the wrapper of a distributed run, whose ranks would wait for each other."""
        model = self.members[number]
        inner = unwrapped(model)
        return inner if isinstance(model, nn.parallel.DistributedDataParallel) else model

    @contextlib.contextmanager
    def _running(self, index: Any) -> Iterator[None]:
        """The models and all generators are kept; gradients are off unless they are asked for."""
        with contextlib.ExitStack() as stack:
            if not self.gradients:
                stack.enter_context(torch.no_grad())
            for model in self.members:
                stack.enter_context(kept(model))
            yield

    @contextlib.contextmanager
    def _drawing(self, noise: tuple[NoiseReport, ...]) -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            for model, report in zip(self.members, noise, strict=True):
                stack.enter_context(drawing(model, report, self.only, self.batch_statistics))
            seeded(self.seed, self.members)
            yield

    def _found_noise(self, given: ModelInputs) -> tuple[NoiseReport, ...]:
        if "model" not in self.over:
            return tuple(NoiseReport(()) for _ in self.members)
        if self._noise is None:
            arguments = given.first(1)
            self._noise = (None, tuple(find_noise(model, self._caller(model, arguments)) for model in self.members))
        return self._noise[1]

    def _caller(self, model: nn.Module, arguments: Arguments) -> Callable[[], Any]:
        return lambda: unwrapped(model)(*arguments[0], **arguments[1])

    def _cost(self, given: ModelInputs) -> ForwardCost:
        if "cost" not in self._costs:

            def run(rows: int) -> Any:
                inputs, named = given.first(rows)
                return [unwrapped(model)(*inputs, **named) for model in self.members]

            self._costs["cost"] = forward_cost(run)
            seeded(self.seed, self.members)
        return self._costs["cost"]


def _members(model: Any) -> list[nn.Module]:
    if isinstance(model, Ensemble):
        return list(model.members)
    if isinstance(model, nn.Module):
        return [model]
    return list(model)
