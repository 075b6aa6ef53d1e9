"""What the forward of a module does, module by module, as torch.fx traces it."""

from __future__ import annotations

import copy
from types import MethodType
from typing import Any

import torch
from torch import Tensor, fx, nn

__all__ = ["giver", "graph_of"]


class _Flat(fx.Tracer):
    """Traces a module's own forward, with every module in it as one node."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return True


def graph_of(module: nn.Module) -> fx.Graph | None:
    """What a module does while training; None where torch.fx cannot trace it. The module itself is left alone."""
    try:
        working_copy = _stand_in(module)
        working_copy.training = True
        return _Flat().trace(working_copy)
    except Exception:  # whatever a forward does with a tracer's proxies: then its graph is not known
        return None


def _stand_in(module: nn.Module) -> nn.Module:
    """The module again, with the same parameters, but with dictionaries, lists and buffers of its own.

    A forward may keep what it computes, count its calls or append to a list; the tracer's proxies must not stay in
    the model.
    """
    parts = [part for part in module.modules() if not isinstance(part, torch.jit.ScriptModule)]
    twins: dict[int, Any] = {id(part): part.__new__(type(part)) for part in parts}

    def own(value: Any) -> Any:
        if id(value) in twins:
            return twins[id(value)]
        if isinstance(value, MethodType) and id(value.__self__) in twins:
            return MethodType(value.__func__, twins[id(value.__self__)])
        if isinstance(value, Tensor) and not isinstance(value, nn.Parameter):
            return twins.setdefault(id(value), value.detach().clone())
        if isinstance(value, dict):
            twin = copy.copy(value)
            twin.update((key, own(item)) for key, item in value.items())
            return twin
        if isinstance(value, list):
            return [own(item) for item in value]
        return copy.copy(value) if isinstance(value, set) else value

    for part in parts:
        vars(twins[id(part)]).update((key, own(value)) for key, value in vars(part).items())
    twin: nn.Module = twins[id(module)]
    return twin


def giver(module: nn.Module, guess: bool = False) -> str | None:
    """The name of the module within this one whose output, perhaps through functions, is this one's.

    None where it is not known. With `guess` it is the last child of a module that cannot be traced.
    """
    children: list[str] = [name for name, _ in module.named_children()]
    if not children:
        return None
    if type(module).forward is nn.Sequential.forward:
        return children[-1]
    graph = graph_of(module)
    if graph is None:
        return children[-1] if guess else None
    node = next(node for node in graph.nodes if node.op == "output").args[0]
    while isinstance(node, fx.Node) and node.op in ("call_function", "call_method"):
        node = node.all_input_nodes[0] if len(node.all_input_nodes) == 1 else None
    return str(node.target) if isinstance(node, fx.Node) and node.op == "call_module" else None
