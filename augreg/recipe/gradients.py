"""Which parameters of a run are trained: what is frozen, what the optimizer has, and what gets a gradient."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from augreg.recipe.batches import Batch
from augreg.recipe.training import Training

__all__ = ["GradientWatch", "Untrained", "accumulates"]


@dataclass(frozen=True)
class Untrained:
    """The names of parameters that are not trained, by the reason.

    `detached` have no gradient although their module ran, `zero` have a gradient of exactly zero, and `unused` belong
    to modules that did not run. `steps` is how often the optimizer made a step.
    """

    frozen: tuple[str, ...]
    not_in_optimizer: tuple[str, ...]
    detached: tuple[str, ...]
    zero: tuple[str, ...]
    unused: tuple[str, ...]
    trained: tuple[str, ...]
    steps: int


class GradientWatch:
    """A context that looks at the gradients whenever the optimizer of a run makes a step."""

    def __init__(self, training: Training) -> None:
        self.training = training
        self.largest: dict[str, float] = {}
        self.ran: set[nn.Module] = set()
        self.steps = 0

    def __enter__(self) -> GradientWatch:
        self._handles = [
            self.training.optimizer.register_step_pre_hook(self._look),
            *(each.register_forward_pre_hook(self._note) for each in self.training.model.modules()),
        ]
        return self

    def __exit__(self, *error: object) -> None:
        for handle in self._handles:
            handle.remove()

    def _note(self, module: nn.Module, inputs: Any) -> None:
        self.ran.add(module)

    def _look(self, *arguments: Any) -> None:
        self.steps += 1
        for name, parameter in self.training.model.named_parameters():
            if parameter.grad is not None:
                value = float(parameter.grad.abs().max())
                self.largest[name] = max(self.largest.get(name, 0.0), value if value == value else float("inf"))

    def untrained(self) -> Untrained:
        """What was not trained in the steps seen so far. Parameters that the task calls frozen are left out."""
        optimized = {id(each) for group in self.training.optimizer.param_groups for each in group["params"]}
        owners = {
            f"{prefix}.{name}".lstrip("."): module
            for prefix, module in self.training.model.named_modules()
            for name, _ in module.named_parameters(recurse=False)
        }
        found: dict[str, list[str]] = {name: [] for name in Untrained.__dataclass_fields__ if name != "steps"}
        for name, parameter in self.training.model.named_parameters():
            if not any(fnmatch.fnmatchcase(name, pattern) for pattern in self.training.task.frozen):
                found[self._state(name, parameter, optimized, owners.get(name))].append(name)
        return Untrained(**{name: tuple(names) for name, names in found.items()}, steps=self.steps)

    def _state(self, name: str, parameter: Tensor, optimized: set[int], owner: nn.Module | None) -> str:
        if not parameter.requires_grad:
            return "frozen"
        if id(parameter) not in optimized:
            return "not_in_optimizer"
        if name not in self.largest:
            return "detached" if owner in self.ran else "unused"
        return "trained" if self.largest[name] > 0 else "zero"


def accumulates(training: Training, batch: Batch) -> bool:
    """Whether an update adds its gradients to those of the update before: `zero_grad` is missing.

    Large numbers are put into the gradients after a step of the optimizer. If the next step, on the same batch, has
    the direction of the step before, they were removed. The rate is zero meanwhile, so no weight changes.
    """
    for group in training.optimizer.param_groups:
        group["lr"] = torch.zeros_like(group["lr"]) if isinstance(group["lr"], Tensor) else 0.0
    parameters = [each for group in training.optimizer.param_groups for each in group["params"]]
    directions: list[Tensor] = []

    def look(*arguments: Any) -> None:
        if len(directions) < 2:
            directions.append(_flat(parameters))

    def disturb(*arguments: Any) -> None:
        size = 1e3 * max(float(directions[0].abs().max()), 1e-6)
        for parameter in parameters:
            if parameter.grad is not None:
                noise = torch.linspace(-size, size, parameter.numel()).reshape(parameter.shape)
                parameter.grad.copy_(noise.roll(1))

    optimizer = training.optimizer
    handles = [optimizer.register_step_pre_hook(look), optimizer.register_step_post_hook(disturb)]
    try:
        for _ in range(_MOST_UPDATES):
            training.update(batch)
            if len(directions) == 2:
                break
    finally:
        for handle in handles:
            handle.remove()
    return len(directions) == 2 and _cosine(*directions) < 0.5


_MOST_UPDATES = 16  # until the optimizer made two steps, if the task's step accumulates gradients on purpose


def _flat(parameters: Iterable[Tensor]) -> Tensor:
    gradients = [torch.zeros_like(each) if each.grad is None else each.grad for each in parameters]
    return torch.cat([each.detach().flatten().cpu().double() for each in gradients])


def _cosine(first: Tensor, second: Tensor) -> float:
    norms = float(first.norm() * second.norm())
    return float(first @ second) / norms if norms > 0 else 1.0
