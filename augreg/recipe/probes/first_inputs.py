"""The size of what the first layer of a model gets: are the inputs normalized?"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

__all__ = ["FirstInputs"]


class FirstInputs:
    """A context that records the root mean square of what the first layer with a weight matrix or filters gets."""

    def __init__(self, model: nn.Module) -> None:
        self.layers = [each for each in model.modules() if _multiplies(each)]
        self.scale = 0.0
        self._seen = False

    def __enter__(self) -> None:
        self.handles = [each.register_forward_pre_hook(self._note) for each in self.layers]

    def __exit__(self, *error: object) -> None:
        for handle in self.handles:
            handle.remove()

    def _note(self, layer: nn.Module, inputs: tuple[Any, ...]) -> None:
        if not self._seen and inputs and isinstance(inputs[0], Tensor) and inputs[0].is_floating_point():
            self._seen = True
            self.scale = float(inputs[0].float().square().mean().sqrt())


def _multiplies(layer: nn.Module) -> bool:
    own = layer.named_parameters(recurse=False)
    some = any("weight" in name and parameter.ndim >= 2 for name, parameter in own)
    return some and not isinstance(layer, nn.Embedding | nn.EmbeddingBag)
