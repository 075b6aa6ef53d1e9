"""A small model with a module of every kind that regularizers are attached to, and regularizers attached to it."""

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
from augreg.testing.subjects import Subject

__all__ = ["Example", "ModelSubject", "Residual", "Trial", "again", "drawn", "made", "sites", "trials"]


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
class ModelSubject(Subject):
    """A subject with a model, and a batch for it, of the author's own."""

    model: Any = None
    batch: Any = None


@dataclass
class Trial:
    """A model as it was, a copy with the regularizer attached, with which arguments, and a batch for both."""

    arguments: Mapping[str, Any]
    pipeline: Pipeline
    plain: nn.Module
    model: nn.Module
    attached: Attachment
    batch: Any

    @property
    def written(self) -> bool:
        """Whether attaching wrote weights, which `detach` does not undo."""
        return any("written" in row.by for row in self.attached.report())


def trials(tested: Subject) -> Iterator[Trial]:
    """The regularizer attached, with each of its arguments. Raises AssertionError if no module takes it."""
    for arguments in tested.arguments:
        plain, batch = made(tested)
        model = copy.deepcopy(plain)
        pipeline = _pipeline(tested, arguments)
        try:
            attached = pipeline.regularize(model)
        except AugregError as error:  # made for other names: wherever it can be
            able = [name for name, _ in plain.named_modules() if name and _takes(tested, arguments, plain, name)]
            assert able, f"no module of the {type(model).__name__} takes it; give a model that has one. {error}"
            arguments = {**arguments, "at": able[0]}
            pipeline = _pipeline(tested, arguments)
            attached = pipeline.regularize(model)
        yield Trial(arguments, pipeline, plain, model, attached, batch)


def again(tested: Subject, trial: Trial, arguments: Mapping[str, Any]) -> tuple[nn.Module, Attachment]:
    """Another copy of a trial's model, with the regularizer attached with other arguments."""
    model = copy.deepcopy(trial.plain)
    return model, _pipeline(tested, arguments).regularize(model)


def sites(tested: Subject) -> Iterator[Trial]:
    """The regularizer at one module alone, for each of its arguments: modules of other types in turn."""
    for turn, trial in enumerate(trials(tested)):
        names = list({row.type: row.module for row in trial.attached.report()}.values())
        arguments = {**trial.arguments, "at": names[turn % len(names)]}
        with contextlib.suppress(AugregError):  # some need a second one beside it
            model, attached = again(tested, trial, arguments)
            yield Trial(arguments, trial.pipeline, trial.plain, model, attached, trial.batch)


def drawn(model: nn.Module, batch: Any, seed: int, calls: int = 1) -> list[Tensor]:
    """Outputs of some calls after torch.manual_seed; its generator, and the model's buffers, are put back."""
    kept = [(buffer, buffer.detach().clone()) for buffer in model.buffers()]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        outputs = [model(batch) for _ in range(calls)]
    with torch.no_grad():
        for buffer, value in kept:
            buffer.copy_(value)
    return outputs


def made(tested: Subject) -> tuple[nn.Module, Any]:
    """A fresh model, the same at every call, and a batch for it."""
    own = getattr(tested, "model", None)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        plain = Example() if own is None else copy.deepcopy(own)
        batch = getattr(tested, "batch", None)
        return plain, torch.randn(4, 3, 8, 8) if batch is None else batch


def _pipeline(tested: Subject, arguments: Mapping[str, Any]) -> Pipeline:
    return Pipeline.from_spec({"model": [{tested.name: dict(arguments)}]}, tested.registry)


def _takes(tested: Subject, arguments: Mapping[str, Any], plain: nn.Module, name: str) -> bool:
    try:
        _pipeline(tested, {**arguments, "at": name}).regularize(copy.deepcopy(plain))
    except AugregError:
        return False
    return True
