"""Statistics of the output of each layer: does the signal keep its scale, which units are dead or saturated?

With well initialized weights, the outputs of all layers have about the same standard deviation. If the weights are
too small, it shrinks layer by layer; if they are too large, tanh and sigmoid saturate and their gradients vanish.
See X. Glorot and Y. Bengio 2010, and K. He et al. 2015, arXiv 1502.01852.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from augreg.inspect.model_state import evaluating, restoring_buffers
from augreg.inspect.tables import ByLayer, numbered
from augreg.steps.fields import convert_one
from augreg.steps.selectors import At, Selector, around, listed, nearest_names, selects, without_match

__all__ = ["ActivationTable", "LayerActivations", "activations"]


@dataclass(frozen=True)
class LayerActivations:
    """Statistics of the outputs of one layer over a batch. Fractions are between 0 and 1.

    `mean` and `std` are those of the finite values (the standard deviation divides by their number). `zeros` is the
    fraction of exact zeros; `dead` the fraction of units that are zero for the whole batch, where a unit is a channel
    of a feature map or a feature of a vector. `saturated` is the fraction of values at a flat end of the layer's
    function (tanh beyond 0.99, sigmoid within 0.01 of 0 or 1, the bounds of hardtanh, relu6 and similar), None for
    layers without one. `nan` and `inf` are numbers of values.
    """

    name: str
    kind: str
    output: tuple[int, ...]
    mean: float
    std: float
    zeros: float
    dead: float
    saturated: float | None
    nan: int
    inf: int


@dataclass(frozen=True)
class ActivationTable(ByLayer[LayerActivations]):
    """The layers in the order in which they ran; by index, or by name. Prints as a table."""

    def _header(self) -> Sequence[str]:
        return ("layer", "type", "output", "mean", "std", "zeros", "dead", "saturated", "nan", "inf")

    def _rows(self) -> Iterable[Sequence[str]]:
        return map(_row, self.layers)


def _row(layer: LayerActivations) -> tuple[str, ...]:
    fractions = ("-" if each is None else f"{each:.1%}" for each in (layer.zeros, layer.dead, layer.saturated))
    output = "x".join(map(str, layer.output))
    return (
        layer.name,
        layer.kind,
        output,
        f"{layer.mean:.3g}",
        f"{layer.std:.3g}",
        *fractions,
        str(layer.nan),
        str(layer.inf),
    )


def activations(
    model: nn.Module, batch: Any, at: str | Mapping[str, Any] | Sequence[Any] | None = None, training: bool = False
) -> ActivationTable:
    """Run a model once on a batch, and compute statistics of the output of every layer.

    `batch` is the model's argument: a tensor, a tuple of arguments, or a mapping of keyword arguments. `at` selects
    modules as in a spec, by name pattern or type; by default all modules without children. The model runs in eval
    mode or, with `training`, in its current modes; in both cases without gradients. Hooks, modes, buffers and torch's
    generators are restored. A module that runs several times has a row for each run: `relu`, `relu (2)`. Functions
    (`torch.relu`) are not modules, and affect only the outputs of the modules around them. Raises ValueError if no
    module is selected, or no selected module runs.
    """
    chosen = _chosen(model, at)
    layers: list[LayerActivations] = []
    unit = {"dim": 1}  # the dimension of channels; after a linear layer it is the last

    def record(name: str, module: nn.Module, output: Any) -> None:
        if isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d):
            unit["dim"] = -1 if isinstance(module, nn.Linear) else 1
        tensor = output[0] if isinstance(output, tuple | list) and output else output
        if name in chosen and isinstance(tensor, torch.Tensor) and tensor.is_floating_point() and tensor.numel():
            layers.append(_described(numbered(name, layers), module, tensor, unit["dim"]))

    handles = []
    try:
        for name, module in model.named_modules():
            handles.append(module.register_forward_hook(lambda m, args, out, name=name: record(name, m, out)))
        with torch.no_grad(), restoring_buffers(model) if training else evaluating(model):
            if isinstance(batch, Mapping):
                model(**batch)
            else:
                model(*batch) if isinstance(batch, tuple) else model(batch)
    finally:
        for handle in handles:
            handle.remove()
    if not layers:
        raise ValueError(f"none of the selected modules ran: {', '.join(sorted(chosen))}")
    return ActivationTable(tuple(layers))


def _chosen(model: nn.Module, at: Any) -> set[str]:
    if at is None:
        return {name for name, module in model.named_modules() if next(module.children(), None) is None}
    selectors: tuple[Selector, ...] = convert_one(At, at)
    types = {name: [cls.__name__ for cls in type(module).__mro__] for name, module in model.named_modules()}
    errors = without_match(selectors, types.items())
    if errors:
        raise ValueError(errors[0])
    chosen = {
        name
        for name, names in types.items()
        if selects(selectors, name, names, functools.partial(around, name, types))
    }
    if not chosen:
        near = ", ".join(nearest_names(selectors, filter(None, types)))
        raise ValueError(f"no module is {listed(selectors, ' or ')}; the nearest names are {near}")
    return chosen


def _described(name: str, module: nn.Module, output: torch.Tensor, unit_dim: int) -> LayerActivations:
    values = output.detach().double()
    finite = values[torch.isfinite(values)]
    zero = values == 0
    dead = zero.movedim(unit_dim, 0).flatten(1).all(1) if values.ndim > 1 else zero
    return LayerActivations(
        name=name,
        kind=type(module).__name__,
        output=tuple(values.shape[1:]),
        mean=finite.mean().item() if len(finite) else float("nan"),
        std=finite.std(correction=0).item() if len(finite) else float("nan"),
        zeros=zero.double().mean().item(),
        dead=dead.double().mean().item(),
        saturated=_saturated(module, values),
        nan=int(torch.isnan(values).sum()),
        inf=int(torch.isinf(values).sum()),
    )


def _saturated(module: nn.Module, values: torch.Tensor) -> float | None:
    ends = _flat_ends(module)
    if ends is None:
        return None
    low, high = ends
    return ((values <= low) | (values >= high)).double().mean().item()  # type: ignore[no-any-return]


def _flat_ends(module: nn.Module) -> tuple[float, float] | None:
    """The outputs below and above which a layer's function is flat; for relu6, its zeros do not count."""
    match module:
        case nn.Tanh() | nn.Softsign():
            return (-0.99, 0.99)
        case nn.Sigmoid() | nn.Hardsigmoid():
            return (0.01, 0.99)
        case nn.ReLU6():
            return (-float("inf"), 6.0)
        case nn.Hardtanh():
            return (float(module.min_val), float(module.max_val))
    return None
