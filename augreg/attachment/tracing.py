"""What the forward of a module does, as a graph of calls that torch.fx traces."""

from __future__ import annotations

import copy
import functools
from types import CodeType, FunctionType, MethodType
from typing import Any

import torch
from torch import Tensor, fx, nn

__all__ = ["Graphs", "ModuleTracer", "output_module", "trace", "trace_without_storing", "working_copy"]


class ModuleTracer(fx.Tracer):
    """Traces a module's own forward; each submodule that it calls is one node.

    `stored` are the attributes of the traced copy, and of the modules in it, in which the forward has put a tensor.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stored: list[str] = []

    def trace(self, root: Any, concrete_args: dict[str, Any] | None = None) -> fx.Graph:
        """The graph of a working copy."""
        before = [(tensor, tensor._version) for _, held in _held(root) for tensor in held]
        known = {id(tensor): version for tensor, version in before}
        graph = super().trace(root, concrete_args)
        changed = [
            name
            for name, held in _held(root)
            if any(isinstance(value, fx.Proxy) or known.get(id(value)) != value._version for value in held)
        ]
        self.stored = list(dict.fromkeys(changed))
        return graph

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return True


def trace(module: nn.Module, direct: bool = False) -> fx.Graph | None:
    """The graph of a module's forward in training mode, or None if torch.fx cannot trace it. Changes nothing.

    With `direct`, a submodule whose `forward` is called directly is a node too, as if it were called itself.
    """
    return _traced(module, direct, True)[0]


def _traced(module: nn.Module, direct: bool, training: bool) -> tuple[fx.Graph | None, list[str]]:
    try:
        copied = working_copy(module)
        copied.training = training
        for part in copied.modules() if direct else ():
            if part is not copied:
                vars(part)["forward"] = functools.partial(_call, part)
        tracer = ModuleTracer()
        return tracer.trace(copied), tracer.stored
    except Exception:  # a forward may do anything with the tracer's proxies, and fail in any way
        return None, []


def trace_without_storing(module: nn.Module, training: bool) -> fx.Graph | None:
    """The graph of a forward in training or not; None if it keeps a tensor in an attribute, which no graph does."""
    graph, stored = _traced(module, False, training)
    return None if stored else graph


def _call(module: nn.Module, *inputs: Any, **keywords: Any) -> Any:
    return module(*inputs, **keywords)  # by its `__call__` at that time, which the tracer replaces


def working_copy(module: nn.Module) -> nn.Module:
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
    result: nn.Module = copies[id(module)]
    return result


def _held(root: nn.Module) -> list[tuple[str, list[Any]]]:
    """The attributes of a working copy that hold tensors or proxies, by name, but for its parameters."""
    found = []
    for prefix, part in root.named_modules():
        if isinstance(part, torch.jit.ScriptModule):
            continue
        own = {name: value for name, value in vars(part).items() if name not in _MODULE_STORES}
        for name, value in {**own, **part._buffers}.items():
            held = _tensors(value)
            if held and not name.startswith("_tensor_constant"):  # which torch.fx adds
                found.append((f"{prefix}.{name}" if prefix else name, held))
    return found


_MODULE_STORES = ("_parameters", "_buffers", "_modules")


def _tensors(value: Any) -> list[Any]:
    """The tensors and proxies in nested containers, but for parameters and inference tensors."""
    if isinstance(value, fx.Proxy):
        return [value]
    if isinstance(value, Tensor):
        return [] if isinstance(value, nn.Parameter) or value.is_inference() else [value]
    if isinstance(value, dict):
        return [tensor for item in value.values() for tensor in _tensors(item)]
    return [tensor for item in value for tensor in _tensors(item)] if isinstance(value, list | tuple | set) else []


class Graphs:
    """The graphs of the modules of a model, each traced once, while rules are checked and nothing changes."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, bool], tuple[nn.Module, fx.Graph | None]] = {}

    def of(self, module: nn.Module, direct: bool = False) -> fx.Graph | None:
        """The graph of a module, or None if torch.fx cannot trace it; see `trace`."""
        key = id(module), direct
        if key not in self._known:
            self._known[key] = module, trace(module, direct)  # the module is kept, and so its id
        return self._known[key][1]

    def clear(self) -> None:
        """Forget them."""
        self._known.clear()

    def reader(self, model: nn.Module, name: str, direct: bool) -> str | None:
        """The module that reads the weights of the module `name` and never calls it, or None if there is none.

        So do functions with `self.qkv.weight` as an argument. Torch's attention does it with its `out_proj`. With
        `direct`, a direct call of its `forward` is a call too.
        """
        parts = name.split(".") if name else []
        names = [key for key, value in model.get_submodule(name)._parameters.items() if value is not None]
        for depth in range(len(parts) - 1, -1, -1):
            outer, inner = ".".join(parts[:depth]), ".".join(parts[depth:])
            module = model.get_submodule(outer)
            if isinstance(module, nn.MultiheadAttention):
                return outer if inner == "out_proj" else None
            if type(module).forward in (nn.Module.forward, nn.Sequential.forward):
                continue  # a container, or one that calls what is in it
            cls: Any = type(module)
            if _names_used(cls).isdisjoint(names):
                continue  # tracing takes milliseconds
            graph = self.of(module, direct)
            if graph is None or any(node.op == "call_module" and node.target == inner for node in graph.nodes):
                return None
            weights = {f"{inner}.{key}" for key in names}
            if any(node.op == "get_attr" and node.target in weights for node in graph.nodes):
                return outer
        return None


@functools.lru_cache(maxsize=4096)
def _names_used(cls: Any) -> frozenset[str]:
    """The attributes that the methods of a class use, but for `__init__`, and those of nn.Module."""
    codes = [
        value.__code__
        for base in cls.__mro__[: cls.__mro__.index(nn.Module)]
        for key, value in vars(base).items()
        if isinstance(value, FunctionType) and key != "__init__"
    ]
    names: set[str] = set()
    while codes:
        code = codes.pop()
        names.update(code.co_names)
        codes += [constant for constant in code.co_consts if isinstance(constant, CodeType)]
    return frozenset(names)


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
    node = graph.output_node().args[0]
    while isinstance(node, fx.Node) and node.op in ("call_function", "call_method"):
        node = node.all_input_nodes[0] if len(node.all_input_nodes) == 1 else None
    return str(node.target) if isinstance(node, fx.Node) and node.op == "call_module" else None
