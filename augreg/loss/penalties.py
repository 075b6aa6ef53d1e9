"""Penalties and constraints on the weights of a model: the parameters that they select, and what they compute.

    loss = criterion(model(x), y) + penalty(pipe.spec.loss, model)
    loss.backward(); optimizer.step()
    constrain(pipe.spec.loss, model)

The attachment that `pipe.regularize(model)` returns calls these functions.
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
from augreg.loss.sharding import fsdp_modules, whole, write
from augreg.steps.schedules import scheduled
from augreg.steps.selectors import Selector, listed, nearest_names, selects
from augreg.steps.step import Step

__all__ = [
    "Weight",
    "check",
    "constrain",
    "exempt",
    "gram_distance",
    "is_weight",
    "parameters",
    "penalty",
    "project",
    "renormalize",
    "total",
    "unwrapped",
    "weights",
]

_NORM = re.compile(r"Norm(\d[dD])?$")
_TABLE = re.compile(r"Embed|Position")
_LAYERS = (*(nn.Linear, nn.Bilinear, nn.modules.conv._ConvNd, nn.RNNBase, nn.RNNCellBase, nn.MultiheadAttention),)
_WEIGHT = re.compile(r"(^|_)(weights?|kernel)(_|$)")


@dataclass(frozen=True)
class Weight:
    """A parameter of a model with all its names (tied parameters have several) and the modules that own it."""

    value: nn.Parameter
    names: tuple[str, ...]
    owners: tuple[nn.Module, ...]

    @property
    def multiplies(self) -> bool:
        """Whether it is a weight, in the sense of `is_weight`, at one of its places in the model."""
        return any(is_weight(o, n, self.value) for o, n in zip(self.owners, self.names, strict=True))

    def named_by(self, at: Iterable[Selector]) -> bool:
        """Whether a pattern selects it that ends with its own name, such as `experts.*.w1`, not with a `*`.

        Not for parameters of norm layers and embeddings, and those with fewer than two axes.
        """
        possible = self.value.ndim >= 2 and not all(map(_is_norm_or_embedding, map(type, self.owners)))
        return possible and self.selected(s for s in at if "*" not in s.name.rpartition(".")[2])

    @property
    def precise(self) -> Tensor:
        """The parameter in float32, or float64 if it is that, connected to its gradient."""
        return self.value if self.value.dtype == torch.float64 else self.value.float()

    def selected(self, at: Iterable[Selector]) -> bool:
        """Whether a selector matches one of its names and the type of the module that owns it there."""
        pairs = zip(self.names, self.owners, strict=True)
        return any(selects(at, name, (cls.__name__ for cls in type(owner).__mro__)) for name, owner in pairs)


@functools.lru_cache(maxsize=1024)
def _is_norm_or_embedding(owner: type[nn.Module]) -> bool:
    return any(_NORM.search(cls.__name__) or cls in (nn.Embedding, nn.EmbeddingBag) for cls in owner.__mro__)


def is_weight(owner: nn.Module, name: str, value: Tensor) -> bool:
    """Whether a parameter multiplies the inputs of its module, so that its size is worth limiting.

    The module decides. Linear layers, convolutions, recurrent layers and attention multiply by their parameters, but
    for biases. Norm layers and embeddings do not. Of any other module only a parameter that is called a weight or a
    kernel is one: a position embedding, a class token, a relative position table and a layer scale, which are
    parameters of such modules, have two axes or more too.
    """
    cls: Any = type(owner)
    if value.ndim < 2 or _is_norm_or_embedding(cls):
        return False
    path = [part for part in name.split(".") if not part.isdigit()]  # numbers: of a ParameterList
    called = path[path.index("parametrizations") + 1] if "parametrizations" in path else path[-1]
    if "bias" in called:
        return False
    return isinstance(owner, _LAYERS) or (_WEIGHT.search(called) is not None and not _TABLE.search(cls.__name__))


def parameters(model: nn.Module) -> list[Weight]:
    """Every parameter of a model once, in the model's order.

    Nothing is cached, since modules and parameters may be replaced between two calls.
    """
    result: dict[int, Weight] = {}
    for name, value, owner in _named_parameters(unwrapped(model), "", None):
        known = result.get(id(value), Weight(value, (), ()))
        result[id(value)] = Weight(value, (*known.names, name), (*known.owners, owner))
    return list(result.values())


def _named_parameters(
    module: nn.Module, prefix: str, owner: nn.Module | None
) -> list[tuple[str, nn.Parameter, nn.Module]]:
    """The parameters of a module and its submodules under all their names, each with the module that owns it.

    The parameters of a parametrization, such as weight norm, are owned by the parametrized module, the `owner`.
    """
    current = owner or module
    named = [(prefix + name, value, current) for name, value in module._parameters.items() if value is not None]
    for name, child in module._modules.items():
        if child is not None:
            inside = current if owner is not None or name == "parametrizations" else None
            named += _named_parameters(child, f"{prefix}{name}.", inside)
    return named


def exempt(model: nn.Module) -> set[str]:
    """The names that a model returns from a method `no_weight_decay()`, as timm's models do."""
    method = getattr(unwrapped(model), "no_weight_decay", None)
    return set(method()) if callable(method) else set()


def _is_direction(weight: Weight) -> bool:
    """Whether it is the direction of a weight norm, whose length has no effect on the model."""
    (name, owner) = weight.names[0], weight.owners[0]
    path, _, last = name.rpartition(".")
    if last == "original1" and "parametrizations." in path:
        return True  # torch.nn.utils.parametrizations.weight_norm; torch has no other with two originals
    return last.endswith("_v") and f"{last[:-2]}_g" in owner._parameters  # torch.nn.utils.weight_norm


def unwrapped(model: nn.Module) -> nn.Module:
    """The model inside torch.compile, DataParallel, DistributedDataParallel and AveragedModel."""
    wrappers = (nn.DataParallel, nn.parallel.DistributedDataParallel, torch.optim.swa_utils.AveragedModel)
    while True:
        if isinstance(model, wrappers):
            model = model.module
        elif hasattr(model, "_orig_mod"):  # of torch.compile; isinstance with its class would import the compiler
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
    """The parameters that a penalty or a constraint applies to, each once; frozen ones only if `frozen` is set.

    Unless `include` is `all`, these leave out what is no weight (see `is_weight`), the names that the model returns
    from `no_weight_decay()`, and the direction of a weight norm. `at` selects among the rest by the parameter's name
    and the class of the module that owns it; a pattern that ends with a parameter's own name also selects one of two
    axes or more that is not called a weight. Raises SpecError, with
    `name` as the step, if nothing is selected, or if a lazy module has no weights yet.
    """
    known = parameters(model)
    lazy = next((weight for weight in known if is_lazy(weight.value) and (at is None or weight.selected(at))), None)
    if lazy is not None:
        message = f"{lazy.names[0]!r} of a lazy module has no shape yet: run the model once on a batch first"
        raise SpecError(f"loss.{name}.at" if name else "at", message)
    exempted = exempt(model)
    allowed = [
        weight
        for weight in known
        if include == "all"
        or (
            (weight.multiplies or (at is not None and weight.named_by(at)))
            and exempted.isdisjoint(weight.names)
            and not _is_direction(weight)
        )
    ]
    selected = allowed if at is None else [weight for weight in allowed if weight.selected(at)]
    if not selected:
        raise SpecError(f"loss.{name}.at" if name else "at", _nothing_selected(known, allowed, at))
    return [weight for weight in selected if frozen or weight.value.requires_grad]


def _nothing_selected(known: list[Weight], allowed: list[Weight], at: tuple[Selector, ...] | None) -> str:
    if at is None:
        return (
            f"the model has no weights of linear layers, convolutions and the like, only {len(known)} other "
            f"parameters; `at` selects them by name"
        )
    shown = listed(at)
    left_out = [weight.names[0] for weight in known if weight.selected(at)]
    if left_out:
        return (
            f"{shown} selects only biases, parameters of norm layers and embeddings, names in no_weight_decay(), and "
            f"the like, such as {left_out[0]!r}, which are left out; use `include: all` to select them"
        )
    near = nearest_names(at, (name for weight in allowed for name in weight.names))
    return f"{shown} selects no parameter; the nearest are {', '.join(near) or 'none'}"


def total(terms: Iterable[Tensor]) -> Tensor:
    """The sum of scalars that may be on several devices, on the device of the first."""
    tensors = [whole(torch.as_tensor(term)) for term in terms]
    if not tensors:
        return torch.zeros(())
    return torch.stack([tensor.to(tensors[0].device) for tensor in tensors]).sum()


def _rows(weight: Weight) -> Tensor:
    """A weight as a matrix with one row per output unit, which has all weights that multiply the unit's inputs.

    Transposed convolutions have their outputs on the second axis, and their groups on the first.
    """
    value, owner = whole(weight.precise), weight.owners[0]
    if not isinstance(owner, nn.modules.conv._ConvTransposeNd):
        return value.flatten(1)
    return value.unflatten(0, (owner.groups, -1)).transpose(1, 2).flatten(0, 1).flatten(1)


@torch.no_grad()
def _set_rows(weight: Weight, rows: Tensor) -> None:
    value, owner = weight.value, weight.owners[0]
    if isinstance(owner, nn.modules.conv._ConvTransposeNd):
        inputs, outputs = value.shape[0] // owner.groups, value.shape[1]
        rows = rows.view(owner.groups, outputs, inputs, -1).transpose(1, 2)
    write(value, rows.reshape(value.shape))


@torch.no_grad()
def renormalize(selected: Iterable[Weight], limit: float) -> None:
    """Scale the incoming weights of each output unit down, in place, to a Euclidean norm of at most `limit`."""
    for weight in selected:
        _set_rows(weight, torch.renorm(_rows(weight), p=2, dim=0, maxnorm=limit))


@torch.no_grad()
def project(selected: Iterable[Weight]) -> None:
    """Replace each weight, in place, by the nearest matrix with orthonormal rows, or columns if it has more rows.

    It is U V^T of the singular value decomposition, the nearest in the Frobenius norm.
    """
    for weight in selected:
        left, _, right = torch.linalg.svd(_rows(weight), full_matrices=False)
        _set_rows(weight, left @ right)


def gram_distance(weight: Weight, diagonal: bool) -> Tensor:
    """||W W^T - I||^2 of a weight as a matrix, or ||W^T W - I||^2 if it has more rows than columns.

    Without `diagonal` only the elements off the diagonal count, so rows may have any length.
    """
    rows = _rows(weight)
    with torch.autocast(rows.device.type, enabled=False):
        gram = rows @ rows.T if rows.shape[0] <= rows.shape[1] else rows.T @ rows
    difference = gram - torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    if not diagonal:
        difference = difference - torch.diag(torch.diagonal(difference))
    return difference.square().sum()


def _with_method(steps: Iterable[Step], method: str, epoch: float) -> Iterator[Any]:
    for step in steps:
        if callable(getattr(step.transform, method, None)):
            yield (scheduled(step, epoch) if step.schedules else step).transform


def penalty(steps: Iterable[Step], model: nn.Module, epoch: float = 0.0) -> Tensor:
    """The sum of the penalties of a loss section on the weights of a model: a scalar with a gradient.

    Without penalties it is a zero without a gradient. Schedules are evaluated at `epoch`.
    """
    terms = [transform.penalty(unwrapped(model)) for transform in _with_method(steps, "penalty", epoch)]
    if terms:
        return total(terms)
    first = next(model.parameters(), None)
    return torch.zeros((), device=None if first is None else first.device)


@torch.no_grad()
def constrain(steps: Iterable[Step], model: nn.Module, epoch: float = 0.0) -> None:
    """Apply the constraints of a loss section to the weights of a model, in place, after each optimizer step."""
    transforms = [*_with_method(steps, "constrain", epoch)]
    for module in fsdp_modules(unwrapped(model)) if transforms else ():
        module.reshard()  # what is written into weights that are put together for a forward is lost
    for transform in transforms:
        transform.constrain(unwrapped(model))


def check(steps: Iterable[Step], model: nn.Module) -> None:
    """Raise SpecError with every step of a loss section that selects no parameter of a model.

    Steps without a method `weights(model)` are not checked.
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
