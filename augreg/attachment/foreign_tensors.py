"""Tensors that are no plain tensors: nested ones, and the proxies with which torch.fx traces a model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx

__all__ = ["Unscriptable", "refuse_proxy", "through"]


def through(function: Callable[[Tensor], Tensor], value: Tensor, training: bool) -> Tensor:
    """The function of a tensor; of a nested one, sample by sample.

    nn.TransformerEncoder makes nested tensors of a padded batch in evaluation, and they have no shape. Raises
    TypeError for one in training, where a function may draw one mask for the whole batch.
    """
    if not value.is_nested:
        return function(value)
    if training:
        raise TypeError(
            f"{type(function).__name__} takes no nested tensors in training: pass padded ones, with a mask"
        )
    parts = [function(part.unsqueeze(0)).squeeze(0) for part in value.unbind()]
    return torch.nested.as_nested_tensor(parts, layout=value.layout)


def refuse_proxy(layer: Any, value: Any) -> None:
    """TypeError if torch.fx is tracing: a graph would keep one decision of the layer for ever."""
    if isinstance(value, fx.Proxy):
        raise TypeError(
            f"torch.fx cannot trace {type(layer).__name__}: attach after tracing, or detach first; torch.export "
            f"takes a model in evaluation as it is"
        )


class Unscriptable:
    """A callable that torch.jit.script cannot compile, and whose error says so.

    Torch asks a hook for its `__name__` and a forward for its `__globals__`. Others that ask are told AttributeError,
    as for any object without them.
    """

    @property
    def __name__(self) -> str:
        raise AttributeError(self._reason())

    @property
    def __globals__(self) -> Any:
        raise AttributeError(self._reason())

    def _reason(self) -> str:
        return (
            f"regularizers are attached to this model ({type(self).__name__}), and torch.jit.script cannot compile "
            f"them: detach() first, or use torch.jit.trace or torch.export"
        )
