"""Hooks that pass the output or the input of a module through a layer.

A hook is not a submodule, so the keys of the state_dict do not change. Before each call, the layer gets the training
flag of the hooked module. If the test-time rule is `identity`, the hook does nothing in evaluation. The classes are
defined at module level so that a model with hooks can be copied and pickled. Each hook keeps its own handle: after
unpickling, the handle reserves its id, so that new hooks of the process do not overwrite it.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from augreg.attachment.counting import RunCounter

__all__ = ["CallHook", "InputHook", "OutputHook", "force_call", "with_training"]


def with_training(layer: Any, training: bool) -> Any:
    """The layer, after its training flag is set."""
    if isinstance(layer, nn.Module) and layer.training is not training:
        layer.train(training)
    return layer


class OutputHook:
    """A forward hook that passes the module's output through a layer. With `identity`, only in training."""

    def __init__(self, layer: Any, identity: bool) -> None:
        self.layer, self.identity = layer, identity
        self.runs = RunCounter()
        self.handle: Any = None

    def __call__(self, module: nn.Module, inputs: Any, output: Any) -> Any:
        if self.identity and not module.training:
            return output
        if not isinstance(output, Tensor):
            raise TypeError(
                f"{_class_name(self.layer)} takes the output of a {_class_name(module)}, which must be a tensor; "
                f"got a {_class_name(output)}"
            )
        if module.training:
            self.runs.count()
        return with_training(self.layer, module.training)(output)

    def register(self, module: nn.Module) -> None:
        """Register the hook on the module."""
        self.handle = module.register_forward_hook(self)


class InputHook:
    """A forward pre-hook that passes the module's first input through a layer. With `identity`, only in training."""

    def __init__(self, layer: Any, identity: bool) -> None:
        self.layer, self.identity = layer, identity
        self.runs = RunCounter()
        self.handle: Any = None

    def __call__(self, module: nn.Module, inputs: tuple[Any, ...]) -> Any:
        if self.identity and not module.training:
            return inputs
        if not inputs or not isinstance(inputs[0], Tensor):
            got = f"a {_class_name(inputs[0])}" if inputs else "keyword arguments only"
            raise TypeError(
                f"{_class_name(self.layer)} takes the first positional argument of a {_class_name(module)}, which "
                f"must be a tensor; got {got}"
            )
        if module.training:
            self.runs.count()
        return (with_training(self.layer, module.training)(inputs[0]), *inputs[1:])

    def register(self, module: nn.Module) -> None:
        """Register the hook on the module."""
        self.handle = module.register_forward_pre_hook(self)


class CallHook:
    """A forward pre-hook that counts training calls. It also makes torch call the module, as `force_call` does."""

    def __init__(self) -> None:
        self.runs = RunCounter()

    def __call__(self, module: nn.Module, inputs: Any) -> None:
        if module.training:
            self.runs.count()


def force_call(module: nn.Module, inputs: Any) -> None:
    """A forward pre-hook that does nothing. It makes torch call the module instead of only reading its weights."""


def _class_name(value: Any) -> str:
    return type(value).__name__
