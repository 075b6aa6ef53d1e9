"""What the forward of a module does, as a graph of calls that torch.fx traces."""

from __future__ import annotations

import copy
from types import MethodType
from typing import Any

import torch
from torch import Tensor, fx, nn

__all__ = ["output_module", "trace"]


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
