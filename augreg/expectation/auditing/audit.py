"""audit: how far each fast test-time rule of a model and a pipeline is from the mean that it stands for."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from torch import nn

from augreg.attachment.attach import attachments
from augreg.expectation.auditing.checks import batch_norm_row, size_check
from augreg.expectation.auditing.examples import example_views
from augreg.expectation.auditing.images import Chunk, chunks
from augreg.expectation.auditing.report import Audit
from augreg.expectation.auditing.rows import TOLERANCE, Collected
from augreg.expectation.auditing.sampling import Noise, Predictor, SampledMean, sampled_mean
from augreg.expectation.auditing.view_likelihoods import ViewLikelihoods
from augreg.expectation.means.outputs import Select
from augreg.expectation.moments.propagation import propagate
from augreg.expectation.noise.find_noise import NoiseReport, NoiseSource, find_noise, kept
from augreg.loss.penalties import unwrapped
from augreg.pipeline import Pipeline
from augreg.spec.one_view import check_one_view
from augreg.steps.rules import is_random, rule_of

__all__ = ["audit"]

_FIRST = 8  # images of the first chunk: small, so that a time limit is kept
_RETAINED = 256  # images that batch norm and the test size are examined with
_ALL_OF_MODEL = "all noise of the model"

Progress = Callable[[str, int, int], None]


def audit(
    model: nn.Module,
    images: Any,
    labels: Any = None,
    pipe: Pipeline | None = None,
    samples: int = 256,
    *,
    seed: int = 0,
    select: Select = None,
    batch_size: int = 64,
    bins: int = 15,
    tolerance: float = TOLERANCE,
    time_limit: float | None = None,
    progress: Progress | None = None,
) -> Audit:
    """Compare the fast test-time rules with the means that they stand for, and say which to keep.

    There is a row for each module that draws in training (dropout, stochastic depth, attached regularizers, ..), for
    each random image step, and for all of them together; for one pass of moments, if the model has only layers with
    known moments; for batch norm, recalibrated, if its running statistics are off; and for the size of test images.

    model: returns class scores (logits), images x classes; `select` says where they are in what it returns.
    images: a list, a dataset or a DataLoader of images, or of pairs of image and label. With `pipe` they are what
        `pipe.test` takes, without it they are inputs of the model. They are read once, in chunks, so any number fits.
    labels: class numbers, one for each image. Without labels there is no accuracy, likelihood and calibration.
    pipe: the pipeline, whose image steps are examined; its model steps must be attached (`pipe.regularize(model)`).
    samples: predictions for each image and row, half of which check the other half. 4 or more.
    seed: of what is drawn for the model, and of the bootstrap: the same seed gives the same audit.
    batch_size: the largest number of images of one forward pass.
    bins: of the calibration error. tolerance: a distance in probability that makes no difference.
    time_limit: in seconds; when it is over, the audit ends with the images that were done. At least a few images are.
    progress: called with a stage, how much is done, and of how much (0: not known).

    The model and all random generators are as before. Raises TypeError and ValueError for wrong arguments.
    """
    _check(model, pipe, samples, time_limit, tolerance)
    started = time.monotonic()
    run = _Run(
        Predictor(model, pipe, NoiseReport((), (), {}, (), ()), select, batch_size, seed),
        samples,
        bins,
        tolerance,
        None if time_limit is None else started + time_limit,
        progress or (lambda stage, done, total: None),
        _count_of(images),
    )
    for chunk in chunks(images, labels, batch_size, _FIRST):
        with kept(model):
            run.add(chunk)
        if run.is_over():
            break
    with kept(model):
        return replace(run.finished(), seconds=time.monotonic() - started)


def _check(model: Any, pipe: Any, samples: Any, time_limit: Any, tolerance: Any) -> None:
    if not isinstance(model, nn.Module):
        raise TypeError(f"expected the model, a torch.nn.Module, got {type(model).__name__}")
    if pipe is not None and not isinstance(pipe, Pipeline):
        raise TypeError(f"pipe must be a Pipeline, got {type(pipe).__name__}")
    check_one_view(pipe, "an audit")
    if isinstance(samples, bool) or not isinstance(samples, int) or samples < 4:
        raise ValueError(f"samples must be an integer of at least 4, two for each half, got {samples!r}")
    if time_limit is not None and not time_limit > 0:
        raise ValueError(f"time_limit is in seconds, above 0, got {time_limit!r}")
    if not 0.0 < tolerance < 1.0:
        raise ValueError(f"tolerance is a probability between 0 and 1, got {tolerance!r}")


def _count_of(images: Any) -> int:
    """The number of images, 0 if it is not known."""
    counted = getattr(images, "dataset", images) if hasattr(images, "batch_size") else images
    try:
        return len(counted)
    except TypeError:
        return 0


@dataclass
class _Compared:
    """A noise, and what was found."""

    noise: Noise
    found: Collected


@dataclass
class _Run:
    """An audit while it runs."""

    predictor: Predictor
    samples: int
    bins: int
    tolerance: float
    deadline: float | None
    progress: Progress
    total: int
    images: int = 0
    _compared: list[_Compared] = field(default_factory=list)
    _moments: Collected | None = None
    _notes: list[str] = field(default_factory=list)
    _retained: list[Any] = field(default_factory=list)
    _labels: list[int] = field(default_factory=list)
    _examples: tuple[Any, ...] = ()
    _view_likelihoods: ViewLikelihoods | None = None
    _labeled: bool | None = None

    def is_over(self) -> bool:
        """Whether the time is over."""
        return self.deadline is not None and time.monotonic() >= self.deadline

    def add(self, chunk: Chunk) -> None:
        """Examine the images of a chunk, by every comparison for which there is time."""
        if self.images == 0:
            self._start(chunk)
        if self._labeled is not (chunk.labels is not None):
            raise ValueError("some images have labels and others have none")
        room = _RETAINED - len(self._retained)
        self._retained += chunk.images[:room]
        self._labels += (chunk.labels or [])[:room]
        fast = self.predictor.fast(chunk.images)
        for number, compared in enumerate(self._compared):
            self.progress(compared.noise.name, chunk.first, self.total)
            if number and self.is_over():
                break
            sampled = sampled_mean(self.predictor, compared.noise, chunk.images, chunk.first, self.samples)
            compared.found.add(fast, sampled, chunk.labels)
            if compared.noise.modules == self.predictor.report.names and not compared.noise.steps:
                self._add_moments(chunk, sampled)
        if self._view_likelihoods is not None and chunk.labels is not None and not self.is_over():
            self._view_likelihoods.add(self.predictor, chunk, fast)
        self.images += len(chunk.images)

    def finished(self) -> Audit:
        """The audit of the images so far."""
        if not self.images:
            raise ValueError("there are no images to audit")
        seed = self.predictor.seed
        collected = [compared.found for compared in self._compared] + ([self._moments] if self._moments else [])
        rows = [found.row(seed, self.bins, self.tolerance) for found in collected]
        missing = [found.name for found, row in zip(collected, rows, strict=True) if row is None]
        notes = list(self._notes)
        if self.total and self.images < self.total:
            notes.append(f"the time limit ended the audit after {self.images:,} of {self.total:,} images")
        notes += [f"not examined within the time limit: {name}" for name in missing]
        labels = self._labels if self._labeled else None
        norm = size = None
        if not self.is_over():
            self.progress("batch norm", 0, 0)
            norm, row = batch_norm_row(self.predictor, self._retained, labels, seed, self.bins, self.tolerance)
            rows.append(row)
        if not self.is_over() and self.predictor.pipe is not None:
            self.progress("test size", 0, 0)
            size, words = size_check(self.predictor, self._retained, labels)
            notes += [words] if words else []
        return Audit(
            rows=tuple(row for row in rows if row is not None),
            images=self.images,
            labeled=bool(self._labeled),
            samples=self.samples,
            tolerance=self.tolerance,
            noise=self.predictor.report,
            batch_norm=norm,
            size=size,
            weights=self._view_likelihoods.learned(seed) if self._view_likelihoods else None,
            examples=self._examples,
            notes=tuple(notes),
        )

    def _start(self, chunk: Chunk) -> None:
        """Find what draws, by the first images."""
        predictor = self.predictor
        (_, inputs), *_ = predictor.groups(chunk.images[:1], [0], ())
        (example,), _ = inputs.first(1)
        model = unwrapped(predictor.model)
        predictor.report = find_noise(model, lambda: model(example))
        report = predictor.report
        self._labeled = chunk.labels is not None
        self._compared = list(_comparisons(report, predictor.pipe))
        self._notes += _notes(predictor, self._compared)
        if report.names:
            self._moments = Collected("moments", "moments", "Monte Carlo ({samples} samples)")
        if predictor.pipe is not None:
            self._examples = example_views(predictor, chunk.images[0])
            self._view_likelihoods = ViewLikelihoods.of(predictor, chunk, [each.noise for each in self._compared])

    def _add_moments(self, chunk: Chunk, sampled: SampledMean) -> None:
        if self._moments is None:
            return
        predictor, probabilities = self.predictor, np.empty_like(sampled.first)
        try:
            for numbers, inputs in predictor.groups(chunk.images, list(range(len(chunk.images))), ()):
                (rows,), _ = inputs.rows(None, range(1), range(1))
                found = propagate(predictor.model, rows, noise=predictor.report, select=_function(predictor.select))
                probabilities[numbers] = found.probabilities().mean.cpu().double().numpy()
        except NotImplementedError as error:
            unknown = [line.strip() for line in str(error).splitlines() if line.startswith("  ")]
            self._notes.append(f"no moments: there is no rule for {'; '.join(unknown[:3])}")
            self._moments = None
            return
        self._moments.add(probabilities, sampled, chunk.labels)


def _function(select: Select) -> Callable[[Any], Any] | None:
    from augreg.expectation.means.outputs import selected_output

    return None if select is None else lambda output: selected_output(output, select)


def _comparisons(report: NoiseReport, pipe: Any) -> Iterator[_Compared]:
    """One comparison for each noise, and one for all of the model, of the image steps, and of both."""
    monte_carlo, views = "Monte Carlo ({samples} samples)", "the mean over views ({samples} of them)"
    for source in report.sources:
        yield _compared(Noise(_source_name(source), (source.name,)), "model noise", monte_carlo)
    if len(report.names) > 1:
        yield _compared(Noise(_ALL_OF_MODEL, report.names), "model noise", monte_carlo)
    steps = [step for step in pipe.steps if is_random(step)] if pipe is not None else []
    for step in steps:
        yield _compared(Noise(step.path, (), (step.path,)), "image steps", views, rule_of(step))
    paths = tuple(step.path for step in steps)
    if len(paths) > 1:
        yield _compared(Noise("all image steps", (), paths), "image steps", views)
    if paths and report.names:
        both = "the mean over views and noise ({samples} samples)"
        yield _compared(Noise("image steps and model", report.names, paths), "image steps", both)


def _compared(noise: Noise, kind: str, instead: str, rule: str = "") -> _Compared:
    return _Compared(noise, Collected(noise.name, kind, instead, rule))


def _source_name(source: NoiseSource) -> str:
    attached = [draws.removeprefix("attached ") for draws in source.draws if draws.startswith("attached ")]
    kind = " and ".join(attached) or source.type
    return f"{kind} at {source.name}" if source.name else f"{kind}, the model"


def _notes(predictor: Predictor, compared: Sequence[_Compared]) -> Iterator[str]:
    report, pipe = predictor.report, predictor.pipe
    for name, reason in report.silent.items():
        yield f"does not draw: {name or 'the model'}: {reason}"
    for source in report.always:
        yield f"draws in evaluation, too, so the fast rule is random: {source.name or 'the model'}"
    if not compared:
        yield "nothing is random in the model" + ("" if pipe is None else " and in the image steps")
    if pipe is not None and pipe.spec.model and not attachments(predictor.model):
        yield "the model steps of the pipeline are not attached: call pipe.regularize(model) before the audit"
