"""Where dropout fits into a model: before its last linear layers, found by running the model once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["DropoutPlace", "dropout_places"]

_FEWEST = 8  # units: dropping some of fewer removes too much
_MANY = 64  # inputs of the model, of which some may be dropped: pixels


@dataclass(frozen=True)
class DropoutPlace:
    """A linear layer whose input can be dropped.

    `units` is the number of its inputs. `layer` names the dropout layer that the model has there already, whose
    probability is `p`; it is "" if there is none. `first`: what it gets are the inputs of the model.
    """

    linear: str
    units: int
    layer: str = ""
    p: float = 0.0
    first: bool = False


def dropout_places(model: nn.Module, run: Callable[[], Any]) -> tuple[DropoutPlace, ...]:
    """The places in the order in which they run. `run` calls the model once; gradients are not recorded.

    These are linear layers that get one row of features for each sample: those of the classifier, not those of
    tokens. Fewer than 8 units are not dropped, nor fewer than 64 inputs of the model itself.
    """
    order: list[tuple[str, nn.Module, bool]] = []
    handles = [_watched(name, module, order) for name, module in model.named_modules() if _is_leaf(module)]
    try:
        with torch.no_grad():
            run()
    finally:
        for handle in handles:
            handle.remove()
    found: list[DropoutPlace] = []
    seen_weights = False
    before: tuple[str, nn.Module] | None = None
    for name, module, flat in order:
        if isinstance(module, nn.Linear):
            if flat and name and module.in_features >= (_FEWEST if seen_weights else _MANY):
                found.append(_place(name, module, before, not seen_weights))
            seen_weights = True
        elif any(parameter.ndim > 1 for parameter in module.parameters(recurse=False)):
            seen_weights = True
            found.clear()  # a convolution or an attention after it: this was not the classifier
        before = name, module
    names = [name for name, _, _ in order]
    return tuple(each for each in found if names.count(each.linear) == 1)  # a layer that runs twice is none


def _is_leaf(module: nn.Module) -> bool:
    return not any(True for _ in module.children())


def _watched(name: str, module: nn.Module, order: list[tuple[str, nn.Module, bool]]) -> Any:
    def note(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        order.append((name, module, bool(inputs) and isinstance(inputs[0], Tensor) and inputs[0].ndim == 2))

    return module.register_forward_pre_hook(note)


def _place(name: str, linear: nn.Linear, before: tuple[str, nn.Module] | None, first: bool) -> DropoutPlace:
    if before is not None and isinstance(before[1], nn.Dropout):
        return DropoutPlace(name, linear.in_features, before[0], before[1].p, first)
    return DropoutPlace(name, linear.in_features, first=first)
