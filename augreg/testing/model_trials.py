"""A small model with every kind of module that regularizers attach to, and regularizers attached to it."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from augreg.attachment.attach import Attachment
from augreg.errors import AugregError
from augreg.pipeline import Pipeline
from augreg.testing.step_under_test import StepUnderTest

__all__ = [
    "Example",
    "RegularizerUnderTest",
    "Residual",
    "Trial",
    "attach_again",
    "make_model",
    "seeded_outputs",
    "sites",
    "trials",
]


class Residual(nn.Module):  # type: ignore[misc]  # torch is not analyzed
    """x + f(x)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1), nn.Tanh(), nn.Conv2d(channels, channels, 3, padding=1)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same."""
        return x + self.branch(x)


class Example(nn.Module):  # type: ignore[misc]
    """Images (N, 3, 8, 8) to scores (N, 5): `features`, residual `blocks`, a `norm` and a `classifier`."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1))
        self.blocks = nn.Sequential(Residual(4), Residual(4))
        self.norm = nn.BatchNorm2d(4)
        self.classifier = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 5))

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) to (N, 5)."""
        return self.classifier(self.norm(self.blocks(self.features(x))).mean((2, 3)))


@dataclass(frozen=True)
class RegularizerUnderTest(StepUnderTest):
    """A regularizer with a model, and a batch for it, that its author provides."""

    model: Any = None
    batch: Any = None


@dataclass
class Trial:
    """A plain model, a copy with the regularizer attached, its arguments, and a batch for both."""

    arguments: Mapping[str, Any]
    pipeline: Pipeline
    plain: nn.Module
    model: nn.Module
    attached: Attachment
    batch: Any

    @property
    def written(self) -> bool:
        """Whether attaching wrote weights, which `detach` does not restore."""
        return any("written" in row.by for row in self.attached.report())


def trials(tested: StepUnderTest) -> Iterator[Trial]:
    """The regularizer attached with each of its arguments. Raises AssertionError if no module accepts it."""
    for arguments in tested.arguments:
        plain, batch = make_model(tested)
        model = copy.deepcopy(plain)
        pipeline = _pipeline(tested, arguments)
        try:
            attached = pipeline.regularize(model)
        except AugregError as error:  # its patterns match nothing here: use the first module that accepts it
            accepting = [
                name for name, _ in plain.named_modules() if name and _accepts(tested, arguments, plain, name)
            ]
            assert accepting, f"no module of {type(model).__name__} accepts it; pass a model that has one: {error}"
            arguments = {**arguments, "at": accepting[0]}
            pipeline = _pipeline(tested, arguments)
            attached = pipeline.regularize(model)
        yield Trial(arguments, pipeline, plain, model, attached, batch)


def attach_again(tested: StepUnderTest, trial: Trial, arguments: Mapping[str, Any]) -> tuple[nn.Module, Attachment]:
    """A copy of a trial's plain model, with the regularizer attached with other arguments."""
    model = copy.deepcopy(trial.plain)
    return model, _pipeline(tested, arguments).regularize(model)


def sites(tested: StepUnderTest) -> Iterator[Trial]:
    """The regularizer at a single module, for each of its arguments, alternating between types of modules."""
    for number, trial in enumerate(trials(tested)):
        names = list({row.type: row.module for row in trial.attached.report()}.values())
        arguments = {**trial.arguments, "at": names[number % len(names)]}
        with contextlib.suppress(AugregError):  # some regularizers need several modules
            model, attached = attach_again(tested, trial, arguments)
            yield Trial(arguments, trial.pipeline, trial.plain, model, attached, trial.batch)


def seeded_outputs(model: nn.Module, batch: Any, seed: int, calls: int = 1) -> list[Tensor]:
    """Outputs of several calls after torch.manual_seed; torch's generator and the buffers are restored."""
    kept = [(buffer, buffer.detach().clone()) for buffer in model.buffers()]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        outputs = [model(batch) for _ in range(calls)]
    with torch.no_grad():
        for buffer, value in kept:
            buffer.copy_(value)
    return outputs


def make_model(tested: StepUnderTest) -> tuple[nn.Module, Any]:
    """A new model, the same at every call, and a batch for it."""
    own = getattr(tested, "model", None)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        plain = Example() if own is None else copy.deepcopy(own)
        batch = getattr(tested, "batch", None)
        return plain, torch.randn(4, 3, 8, 8) if batch is None else batch


def _pipeline(tested: StepUnderTest, arguments: Mapping[str, Any]) -> Pipeline:
    return Pipeline.from_spec({"model": [{tested.name: dict(arguments)}]}, tested.registry)


def _accepts(tested: StepUnderTest, arguments: Mapping[str, Any], plain: nn.Module, name: str) -> bool:
    try:
        _pipeline(tested, {**arguments, "at": name}).regularize(copy.deepcopy(plain))
    except AugregError:
        return False
    return True
