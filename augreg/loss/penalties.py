"""Penalties and constraints on the weights of a model: which parameters, the sums, and what is done after a step.

    loss = criterion(model(x), y) + penalty(pipe.spec.loss, model)
    loss.backward(); optimizer.step()
    constrain(pipe.spec.loss, model)

What `pipe.regularize(model)` returns calls these.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from augreg.errors import Problem, SpecError
from augreg.steps.schedules import scheduled
from augreg.steps.selectors import Selector, nearest_names, selects
from augreg.steps.step import Step

__all__ = [
    "Weight",
    "check",
    "constrain",
    "exempt",
    "gram_distance",
    "parameters",
    "penalty",
    "project",
    "renormalize",
    "total",
    "unwrapped",
    "weights",
]

_NORM = re.compile(r"Norm(\d[dD])?$")


@dataclass(frozen=True)
class Weight:
    """A parameter of a model: all of its names (tied parameters have several), and the modules that own it."""

    value: nn.Parameter
    names: tuple[str, ...]
    owners: tuple[nn.Module, ...]

    @property
    def multiplies(self) -> bool:
        """Whether it is a matrix or a kernel: two axes or more, and somewhere not of a norm layer or an embedding."""
        return self.value.ndim >= 2 and not all(map(_is_norm_or_embedding, map(type, self.owners)))

    @property
    def precise(self) -> Tensor:
        """Its numbers in float32, or in float64 if they are, with the gradient of the parameter."""
        return self.value if self.value.dtype == torch.float64 else self.value.float()

    def selected(self, at: Iterable[Selector]) -> bool:
        """Whether one of its names, with the type of the module there, is selected."""
        found = zip(self.names, self.owners, strict=True)
        return any(selects(at, name, (cls.__name__ for cls in type(owner).__mro__)) for name, owner in found)


@functools.lru_cache(maxsize=1024)
def _is_norm_or_embedding(owner: type[nn.Module]) -> bool:
    return any(_NORM.search(cls.__name__) or cls in (nn.Embedding, nn.EmbeddingBag) for cls in owner.__mro__)


def parameters(model: nn.Module) -> list[Weight]:
    """Every parameter of a model once, in the model's order.

    The model is walked through at each call, since modules and parameters may be exchanged between two.
    """
    found: dict[int, Weight] = {}
    for name, value, owner in _held(unwrapped(model), "", None):
        before = found.get(id(value))
        if before is None:
            found[id(value)] = Weight(value, (name,), (owner,))
        else:
            found[id(value)] = Weight(value, (*before.names, name), (*before.owners, owner))
    return list(found.values())


def _held(module: nn.Module, prefix: str, owner: nn.Module | None) -> list[tuple[str, nn.Parameter, nn.Module]]:
    """The parameters of a module and its parts under all of their names, each with the module that owns it.

    What a parametrization (weight norm, say) holds belongs to the module that it stands in, the `owner`.
    """
    held = owner or module
    found = [(prefix + name, value, held) for name, value in module._parameters.items() if value is not None]
    for name, child in module._modules.items():
        if child is not None:
            inside = held if owner is not None or name == "parametrizations" else None
            found += _held(child, f"{prefix}{name}.", inside)
    return found


def exempt(model: nn.Module) -> set[str]:
    """The parameters that a model lists in a method `no_weight_decay()`, as timm's do."""
    named = getattr(unwrapped(model), "no_weight_decay", None)
    return set(named()) if callable(named) else set()


def _is_direction(weight: Weight) -> bool:
    """Whether it is the part of a weight norm that sets a direction: its length has no effect on the model."""
    (name, owner) = weight.names[0], weight.owners[0]
    path, _, last = name.rpartition(".")
    if last == "original1" and "parametrizations." in path:
        return True  # torch.nn.utils.parametrizations.weight_norm; no other of torch's has two originals
    return last.endswith("_v") and f"{last[:-2]}_g" in owner._parameters  # torch.nn.utils.weight_norm


def unwrapped(model: nn.Module) -> nn.Module:
    """The model, whose names are meant, inside torch.compile, DistributedDataParallel and AveragedModel."""
    wrappers = (nn.DataParallel, nn.parallel.DistributedDataParallel, torch.optim.swa_utils.AveragedModel)
    while True:
        if isinstance(model, wrappers):
            model = model.module
        elif hasattr(model, "_orig_mod"):  # torch.compile's; to ask for its class would import the compiler
            model = model._orig_mod
        else:
            return model


def weights(
    model: nn.Module,
    at: tuple[Selector, ...] | None,
    include: Literal["weights", "all"] = "weights",
    name: str = "",
    *,
    frozen: bool = False,
) -> list[Weight]:
    """The parameters that a penalty or a constraint is for, each once; without frozen ones unless they are asked for.

    Without `at` these are the weights that multiply: biases, norm layers, embeddings and other parameters with fewer
    than two axes are left out, and so is what the model lists in `no_weight_decay()`, and of a weight norm's two
    parts the direction, unless `include` is `all`. `at` selects among them by the parameter's name and the class of
    the module that owns it. Raises SpecError, for the step called `name`, where nothing is selected, or where a lazy
    module has no weights yet.
    """
    known = parameters(model)
    lazy = next((weight for weight in known if is_lazy(weight.value) and (at is None or weight.selected(at))), None)
    if lazy is not None:
        message = f"{lazy.names[0]!r} of a lazy module has no shape yet: run the model once on a batch first"
        raise SpecError(f"loss.{name}.at" if name else "at", message)
    spared = exempt(model)
    allowed = [
        weight
        for weight in known
        if include == "all" or (weight.multiplies and spared.isdisjoint(weight.names) and not _is_direction(weight))
    ]
    chosen = allowed if at is None else [weight for weight in allowed if weight.selected(at)]
    if not chosen:
        raise SpecError(f"loss.{name}.at" if name else "at", _nothing(known, allowed, at))
    return [weight for weight in chosen if frozen or weight.value.requires_grad]


def _nothing(known: list[Weight], allowed: list[Weight], at: tuple[Selector, ...] | None) -> str:
    if at is None:
        return f"the model has no weights, only {len(known)} biases and other parameters of less than two axes"
    shown = ", ".join(map(str, at))
    left_out = [weight.names[0] for weight in known if weight.selected(at)]
    if left_out:
        return (
            f"{shown} selects only biases, or parameters of norm layers and embeddings, or what no_weight_decay() "
            f"lists, such as {left_out[0]!r}, which are left out; with `include: all` they are not"
        )
    near = nearest_names(at, (name for weight in allowed for name in weight.names))
    return f"{shown} selects no parameter; the nearest are {', '.join(near) or 'none'}"


def total(terms: Iterable[Tensor]) -> Tensor:
    """The sum of numbers that may lie on several devices, on that of the first."""
    found = [torch.as_tensor(term) for term in terms]
    if not found:
        return torch.zeros(())
    return torch.stack([term.to(found[0].device) for term in found]).sum()


def _rows(weight: Weight) -> Tensor:
    """A weight as a matrix: a row for each output unit, with all that multiplies its inputs.

    Transposed convolutions keep their outputs on the second axis, within the groups of the first.
    """
    value, owner = weight.precise, weight.owners[0]
    if not isinstance(owner, nn.modules.conv._ConvTransposeNd):
        return value.flatten(1)
    return value.unflatten(0, (owner.groups, -1)).transpose(1, 2).flatten(0, 1).flatten(1)


@torch.no_grad()
def _set_rows(weight: Weight, rows: Tensor) -> None:
    value, owner = weight.value, weight.owners[0]
    if isinstance(owner, nn.modules.conv._ConvTransposeNd):
        inputs, outputs = value.shape[0] // owner.groups, value.shape[1]
        rows = rows.view(owner.groups, outputs, inputs, -1).transpose(1, 2)
    value.copy_(rows.reshape(value.shape))


@torch.no_grad()
def renormalize(chosen: Iterable[Weight], limit: float) -> None:
    """Scale down, in place, the incoming weights of each output unit whose Euclidean norm is above `limit`."""
    for weight in chosen:
        _set_rows(weight, torch.renorm(_rows(weight), p=2, dim=0, maxnorm=limit))


@torch.no_grad()
def project(chosen: Iterable[Weight]) -> None:
    """Replace, in place, each weight as a matrix by the nearest one with orthonormal rows, or columns if it is tall.

    That is U V^T of its singular value decomposition, the nearest in the Frobenius norm.
    """
    for weight in chosen:
        left, _, right = torch.linalg.svd(_rows(weight), full_matrices=False)
        _set_rows(weight, left @ right)


def gram_distance(weight: Weight, diagonal: bool) -> Tensor:
    """||W W^T - I||^2 of a weight as a matrix, of W^T W where there are more rows than columns.

    Without `diagonal` only what is off the diagonal counts: rows of any length, at right angles.
    """
    rows = _rows(weight)
    with torch.autocast(rows.device.type, enabled=False):
        gram = rows @ rows.T if rows.shape[0] <= rows.shape[1] else rows.T @ rows
    away = gram - torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    if not diagonal:
        away = away - torch.diag(torch.diagonal(away))
    return away.square().sum()


def _having(steps: Iterable[Step], method: str, epoch: float) -> Iterator[Any]:
    for step in steps:
        if callable(getattr(step.transform, method, None)):
            yield (scheduled(step, epoch) if step.schedules else step).transform


def penalty(steps: Iterable[Step], model: nn.Module, epoch: float = 0.0) -> Tensor:
    """What the steps of a loss section add to the loss for the weights of a model: a number with a gradient.

    A zero without a gradient where no step has a penalty. Numbers that change with the epoch hold as in `epoch`.
    """
    found = [transform.penalty(unwrapped(model)) for transform in _having(steps, "penalty", epoch)]
    if found:
        return total(found)
    first = next(model.parameters(), None)
    return torch.zeros((), device=None if first is None else first.device)


@torch.no_grad()
def constrain(steps: Iterable[Step], model: nn.Module, epoch: float = 0.0) -> None:
    """Apply the constraints of a loss section to the weights of a model, in place, after each optimizer step."""
    for transform in _having(steps, "constrain", epoch):
        transform.constrain(unwrapped(model))


def check(steps: Iterable[Step], model: nn.Module) -> None:
    """Raise SpecError with every step of a loss section that selects no parameter of a model.

    A step says which parameters it is for by a method `weights(model)`; one without it is not looked at.
    """
    problems: list[Problem] = []
    for step in steps:
        try:
            if callable(getattr(step.transform, "weights", None)):
                step.transform.weights(model)
        except SpecError as error:
            problems += error.problems
    if problems:
        raise SpecError(problems)
