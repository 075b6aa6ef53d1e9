"""Which parameters of a run are trained: what is frozen, what the optimizer has, and what gets a gradient."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from augreg.recipe.batches import Batch
from augreg.recipe.result import Cause
from augreg.recipe.training import Training

__all__ = ["NO_ZERO_GRAD", "GradientWatch", "Untrained", "accumulates", "gradient_causes"]


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


NO_ZERO_GRAD = Cause(
    "missing zero_grad",
    "gradients that were set to large numbers after a step were still there in the next one",
    "call optimizer.zero_grad() before each backward pass",
)


def gradient_causes(untrained: Untrained | None, error: str) -> list[Cause]:
    """Why parameters are not trained. `error` is what training raised, or empty."""
    if untrained is None:
        return []
    found = []
    if untrained.steps == 0 and not error:
        return [
            Cause("missing step", "the optimizer never made a step", "call optimizer.step() after the backward pass")
        ]
    if "does not require grad" in error or untrained.detached:
        names = untrained.detached or ("all parameters",)
        because = f"no gradient reaches {_listed(names)}" + (f": {error}" if error else "")
        found.append(
            Cause(
                "detached gradients",
                because,
                "look for detach(), .data, .item(), torch.no_grad() or NumPy between these parameters and the loss",
            )
        )
    elif error:
        found.append(Cause("error", f"training raised: {error}", "fix this error first"))
    if untrained.frozen:
        found.append(
            Cause(
                "frozen parameters",
                f"requires_grad is off for {_listed(untrained.frozen)}",
                "turn it on, or name these parameters as `frozen` of the task if that is meant",
            )
        )
    if untrained.not_in_optimizer:
        found.append(
            Cause(
                "parameters without optimizer",
                f"the optimizer does not have {_listed(untrained.not_in_optimizer)}",
                "give it the parameters of the whole model, after all layers were made",
            )
        )
    if untrained.zero and len(untrained.zero) >= max(1, len(untrained.trained)):
        found.append(
            Cause(
                "dead layers",
                f"the gradient of {_listed(untrained.zero)} is exactly zero",
                "look for activations that are zero for all inputs, and for a factor that is zero",
            )
        )
    return found


def _listed(names: tuple[str, ...], most: int = 6) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
