"""Hooks that put a layer behind or before a module of somebody else's model.

A hook is not a submodule, so no key of the state_dict changes. It asks the module that it sits on whether it is
training. Where the test-time rule is `identity` it does nothing in evaluation; else the layer is told by its `train`.
The classes are module-level, so that a model with hooks can be copied and pickled; a hook keeps its own handle, which
keeps the ids of hooks apart in the process that loads it.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

__all__ = ["After", "Before", "be_called", "in_step"]


def in_step(layer: Any, training: bool) -> Any:
    """The layer, with the training flag of the module that it works for."""
    if isinstance(layer, nn.Module) and layer.training is not training:
        layer.train(training)
    return layer


class After:
    """A forward hook: the module's output goes through a layer."""

    def __init__(self, layer: Any, identity: bool) -> None:
        """`identity` says that evaluation does without the layer."""
        self.layer, self.identity = layer, identity
        self.handle: Any = None

    def __call__(self, module: nn.Module, inputs: Any, output: Any) -> Any:
        if self.identity and not module.training:
            return output
        if not isinstance(output, Tensor):
            raise TypeError(
                f"{_named(self.layer)} behind a {_named(module)} needs one tensor, got a {_named(output)}"
            )
        return in_step(self.layer, module.training)(output)

    def register(self, module: nn.Module) -> None:
        """Take its place behind the module."""
        self.handle = module.register_forward_hook(self)


class Before:
    """A forward pre-hook: the module's first input goes through a layer."""

    def __init__(self, layer: Any, identity: bool) -> None:
        """`identity` says that evaluation does without the layer."""
        self.layer, self.identity = layer, identity
        self.handle: Any = None

    def __call__(self, module: nn.Module, inputs: tuple[Any, ...]) -> Any:
        if self.identity and not module.training:
            return inputs
        if not inputs or not isinstance(inputs[0], Tensor):
            got = f"a {_named(inputs[0])}" if inputs else "keywords only"
            raise TypeError(
                f"{_named(self.layer)} before a {_named(module)} needs a tensor as first argument, got {got}"
            )
        return (in_step(self.layer, module.training)(inputs[0]), *inputs[1:])

    def register(self, module: nn.Module) -> None:
        """Take its place before the module."""
        self.handle = module.register_forward_pre_hook(self)


def be_called(module: nn.Module, inputs: Any) -> None:
    """A forward pre-hook that does nothing: it is there so that the module is called, and not read."""


def _named(thing: Any) -> str:
    return type(thing).__name__
