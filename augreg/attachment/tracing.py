"""What the forward of a module does, as a graph of calls that torch.fx traces."""

from __future__ import annotations

import contextlib
import copy
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MethodType
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

__all__ = ["output_module", "trace", "trace_call"]


class _ModuleTracer(fx.Tracer):
    """Traces a module's own forward; each submodule that it calls is one node."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return True


def trace(module: nn.Module) -> fx.Graph | None:
    """The graph of a module's forward in training mode, or None if torch.fx cannot trace it. Changes nothing."""
    try:
        working_copy = _working_copy(module)
        working_copy.training = True
        return _ModuleTracer().trace(working_copy)
    except Exception:  # a forward may do anything with the tracer's proxies, and fail in any way
        return None


class _CallTracer(_ModuleTracer):
    """Traces one call: the arguments `tensors` are proxies, and those of `fixed` have these values."""

    def __init__(self, tensors: Sequence[str], fixed: Mapping[str, Any]) -> None:
        super().__init__()
        self.tensors, self.fixed = tensors, fixed

    def create_args_for_root(self, root_fn: Any, *options: Any, **more: Any) -> tuple[Any, list[Any]]:
        proxies = [self.create_proxy("placeholder", name, (), {}) for name in self.tensors]

        def call(root: nn.Module, *values: Any) -> Any:
            return root_fn(root, **dict(zip(self.tensors, values, strict=True)), **self.fixed)

        return call, [self.root, *proxies]


def trace_call(module: nn.Module, tensors: Sequence[str], fixed: Mapping[str, Any]) -> fx.Graph:
    """The graph of one call of a module's forward in training mode, with placeholders named `tensors`.

    The other arguments have the values `fixed`. A layer of transformers that checkpoints its own forward is traced
    without that. Raises what the forward raises if torch.fx cannot trace it.
    """
    working_copy = _working_copy(module)
    working_copy.training = True
    if hasattr(working_copy, "gradient_checkpointing"):
        working_copy.gradient_checkpointing = False
    with _traceable_functions():
        return _CallTracer(tensors, fixed).trace(working_copy)


_FUNCTIONS = {torch: ("arange", "empty", "full", "ones", "zeros"), functional: ("_canonical_mask", "_none_or_dtype")}
"""Functions that torch.fx cannot trace by itself, since they take numbers, or look into masks."""


@contextlib.contextmanager
def _traceable_functions() -> Iterator[None]:
    """A context in which torch.fx traces `_FUNCTIONS`, and torch's transformer layers take their plain path."""

    def traceable(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(*arguments: Any, **keywords: Any) -> Any:
            for value in (*arguments, *keywords.values()):
                if isinstance(value, fx.Proxy):
                    return value.tracer.create_proxy("call_function", function, arguments, keywords)
            return function(*arguments, **keywords)

        return call

    before = [(owner, name, getattr(owner, name)) for owner, names in _FUNCTIONS.items() for name in names]
    fast_path = torch.backends.mha.get_fastpath_enabled()
    try:
        torch.backends.mha.set_fastpath_enabled(False)
        for owner, name, function in before:
            setattr(owner, name, traceable(function))
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast_path)
        for owner, name, function in before:
            setattr(owner, name, function)


def _working_copy(module: nn.Module) -> nn.Module:
    """A copy that shares the parameters of the module, but not its dictionaries, lists and buffers.

    A forward may store intermediate results, count its calls or append to a list. The tracer's proxies must not end
    up in the original.
    """
    parts = [part for part in module.modules() if not isinstance(part, torch.jit.ScriptModule)]
    copies: dict[int, Any] = {id(part): part.__new__(type(part)) for part in parts}

    def copied(value: Any) -> Any:
        if id(value) in copies:
            return copies[id(value)]
        if isinstance(value, MethodType) and id(value.__self__) in copies:
            return MethodType(value.__func__, copies[id(value.__self__)])
        if isinstance(value, Tensor) and not isinstance(value, nn.Parameter):
            return copies.setdefault(id(value), value.detach().clone())
        if isinstance(value, dict):
            result = copy.copy(value)
            result.update((key, copied(item)) for key, item in value.items())
            return result
        if isinstance(value, list):
            return [copied(item) for item in value]
        return copy.copy(value) if isinstance(value, set) else value

    for part in parts:
        vars(copies[id(part)]).update((key, copied(value)) for key, value in vars(part).items())
    working_copy: nn.Module = copies[id(module)]
    return working_copy


def output_module(module: nn.Module, guess: bool = False) -> str | None:
    """The name of the submodule that computes the module's output, except for functions of one tensor after it.

    None if it is not known. With `guess`, a module that cannot be traced is assumed to end with its last child.
    """
    children: list[str] = [name for name, _ in module.named_children()]
    if not children:
        return None
    if type(module).forward is nn.Sequential.forward:
        return children[-1]
    graph = trace(module)
    if graph is None:
        return children[-1] if guess else None
    node = next(node for node in graph.nodes if node.op == "output").args[0]
    while isinstance(node, fx.Node) and node.op in ("call_function", "call_method"):
        node = node.all_input_nodes[0] if len(node.all_input_nodes) == 1 else None
    return str(node.target) if isinstance(node, fx.Node) and node.op == "call_module" else None
