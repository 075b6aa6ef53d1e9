"""The graph of one call of a module's forward, for its arguments, as torch.fx traces it."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import fx, nn
from torch.nn import functional

from augreg.attachment.tracing import ModuleTracer, working_copy

__all__ = ["StoresError", "trace_call"]


class StoresError(ValueError):
    """Raised for a forward that keeps a tensor in an attribute: its graph would not do so."""


class _CallTracer(ModuleTracer):
    """Traces one call: the arguments `tensors` are proxies, and those of `fixed` have these values."""

    def __init__(self, tensors: Sequence[str], fixed: Mapping[str, Any], buffers: bool) -> None:
        super().__init__()
        self.proxy_buffer_attributes = buffers
        self.tensors, self.fixed = tensors, fixed

    def create_args_for_root(self, root_fn: Any, *options: Any, **more: Any) -> tuple[Any, list[Any]]:
        proxies = [self.create_proxy("placeholder", name, (), {}) for name in self.tensors]

        def call(root: nn.Module, *values: Any) -> Any:
            return root_fn(root, **dict(zip(self.tensors, values, strict=True)), **self.fixed)

        return call, [self.root, *proxies]


def trace_call(
    module: nn.Module, tensors: Sequence[str], fixed: Mapping[str, Any], modes: Sequence[bool], buffers: bool = False
) -> fx.Graph:
    """The graph of one call of a module's forward, with placeholders named `tensors`.

    The other arguments have the values `fixed`, and the flags `training` of the module and the modules in it, in the
    order of `modules()`, are `modes`. With `buffers`, what is computed from buffers is in the graph, as it is for
    parameters; a forward that looks into them cannot be traced so. A layer of transformers that checkpoints its own
    forward is traced without that. Raises what the forward raises if torch.fx cannot trace it, and StoresError if it
    keeps a tensor.
    """
    copied = working_copy(module)
    for part, training in zip(copied.modules(), modes, strict=True):
        if not isinstance(part, torch.jit.ScriptModule):  # which is not a copy
            part.training = training
    if hasattr(copied, "gradient_checkpointing"):
        copied.gradient_checkpointing = False
    tracer = _CallTracer(tensors, fixed, buffers)
    with _traceable_functions():
        graph = tracer.trace(copied)
    if tracer.stored:
        raise StoresError(f"its forward stores {', '.join(f'`{name}`' for name in tracer.stored)}")
    return graph


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
