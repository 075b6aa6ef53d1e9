"""Hooks that pass the output or the input of a module through a layer.

A hook is not a submodule, so the keys of the state_dict do not change. Before each call, the layer gets the training
flag of the hooked module. If the test-time rule is `identity`, the hook does nothing in evaluation. The classes are
defined at module level so that a model with hooks can be copied and pickled. Each hook keeps its own handle: after
unpickling, the handle reserves its id, so that new hooks of the process do not overwrite it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from augreg.attachment.counting import RunCounter
from augreg.attachment.foreign_tensors import Unscriptable, refuse_proxy, through

__all__ = ["CallHook", "InputHook", "OutputHook", "force_call", "with_training"]


def _in_training(module: nn.Module) -> bool:
    """The module's training flag, but False for quantized layers, whose flag torch leaves on."""
    return module.training and (torch.compiler.is_compiling() or ".quantized." not in type(module).__module__)


def with_training(layer: Any, training: bool) -> Any:
    """The layer, after its training flag is set."""
    if isinstance(layer, nn.Module) and layer.training is not training:
        layer.train(training)
    return layer


class _LayerHook(Unscriptable):
    """A hook that passes a tensor through a layer. With `identity`, only in training.

    What the layer cannot take raises TypeError, or if `lenient` is left as it is: `left` then says why.
    """

    def __init__(self, layer: Any, identity: bool, lenient: bool = False) -> None:
        self.layer, self.identity, self.lenient = layer, identity, lenient
        self.left = ""
        self.runs = RunCounter()
        self.handle: Any = None

    def remove(self) -> None:
        """Remove the hook. Where other code has moved it, as quantization does, it stays and does nothing."""
        self.handle.remove()
        self.layer = None


class OutputHook(_LayerHook):
    """A forward hook that passes the module's output through a layer."""

    def __call__(self, module: nn.Module, inputs: Any, output: Any) -> Any:
        training = _in_training(module)
        if self.layer is None or (self.identity and not training):
            return output
        refuse_proxy(self.layer, output)
        if self.lenient and (reason := unfit(self.layer, output)):
            if not torch.compiler.is_compiling():
                self.left = f"its output {reason}"
            return output
        if not isinstance(output, Tensor):
            raise TypeError(
                f"{_class_name(self.layer)} takes the output of a {_class_name(module)}, which must be a tensor; "
                f"got a {_class_name(output)}"
            )
        if training:
            self.runs.count()
        return through(with_training(self.layer, training), output, training)

    def register(self, module: nn.Module) -> None:
        """Register the hook on the module."""
        self.handle = module.register_forward_hook(self)


class InputHook(_LayerHook):
    """A forward pre-hook that passes the module's first input through a layer."""

    def __call__(self, module: nn.Module, inputs: tuple[Any, ...]) -> Any:
        training = _in_training(module)
        if self.layer is None or (self.identity and not training):
            return inputs
        first = inputs[0] if inputs else None
        refuse_proxy(self.layer, first)
        if self.lenient and (reason := unfit(self.layer, first) if inputs else "is a keyword argument"):
            if not torch.compiler.is_compiling():
                self.left = f"its input {reason}"
            return inputs
        if not isinstance(first, Tensor):
            got = f"a {_class_name(inputs[0])}" if inputs else "keyword arguments only"
            raise TypeError(
                f"{_class_name(self.layer)} takes the first positional argument of a {_class_name(module)}, which "
                f"must be a tensor; got {got}"
            )
        if training:
            self.runs.count()
        return (through(with_training(self.layer, training), first, training), *inputs[1:])

    def register(self, module: nn.Module) -> None:
        """Register the hook on the module."""
        self.handle = module.register_forward_pre_hook(self)


class CallHook(Unscriptable):
    """A forward pre-hook that counts training calls. It also makes torch call the module, as `force_call` does."""

    def __init__(self) -> None:
        self.runs = RunCounter()

    def __call__(self, module: nn.Module, inputs: Any) -> None:
        if module.training:
            self.runs.count()


def force_call(module: nn.Module, inputs: Any) -> None:
    """A forward pre-hook that does nothing. It makes torch call the module instead of only reading its weights."""


def unfit(layer: Any, value: Any) -> str:
    """Why a layer cannot take a value: no tensor, no floats, or too few or many dimensions. "" if it can."""
    if not isinstance(value, Tensor):
        return f"is a {_class_name(value)}"
    if not value.is_floating_point() and type(layer).__module__.startswith("augreg."):
        return f"is of {value.dtype}"
    low, high = getattr(layer, "least_dimensions", 0), getattr(layer, "most_dimensions", 1 << 10)
    if not value.is_nested and not low <= value.dim() <= high:
        return f"has {value.dim()} dimensions"
    return ""


def _class_name(value: Any) -> str:
    return type(value).__name__
