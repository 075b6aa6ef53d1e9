"""The forward of a block of one or several sums that does not compute branches dropped by stochastic depth."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from augreg.attachment.attributes import Attributes
from augreg.attachment.block_graph import Addition, BlockGraph, Call, block_graph, filled
from augreg.attachment.foreign_tensors import refuse_proxy
from augreg.attachment.hooks import with_training
from augreg.attachment.nested_tensors import tensors_in
from augreg.attachment.skipping import SkippingForward
from augreg.attachment.tracing_calls import StoresError, trace_call

__all__ = ["BlockGraphs", "SkippingGraph"]


class _Known(NamedTuple):
    """A graph and what it was traced for: arguments that are tensors, the others, and the flags `training`."""

    tensors: list[str]
    fixed: dict[str, Any]
    modes: tuple[bool, ...]
    graph: BlockGraph


class BlockGraphs:
    """The graphs of a block's forward: one for each combination of arguments that are not tensors and of `training`.

    Raises ValueError with the reason if the block has no graph for a call with its first argument alone, in training
    and, if `evaluation` asks for it, in evaluation. A number
    or function that the forward reads from the block is part of the graph, so if one has changed, it is traced again
    (see `Attributes`).
    """

    def __init__(self, block: nn.Module, evaluation: bool = False) -> None:
        parameters = list(inspect.signature(type(block).forward).parameters.values())[1:]
        kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
        named = [parameter for parameter in parameters if parameter.kind in kinds]
        if not named:
            raise ValueError("its forward names no arguments")
        self.names = [parameter.name for parameter in named]
        self.defaults = {p.name: p.default for p in named[1:] if p.default is not p.empty}
        self.known: list[_Known] = []
        self.attributes = Attributes(block)
        required = [name for name in self.names[1:] if name not in self.defaults]
        fixed = dict(self.defaults)
        if "input_dimensions" in required:  # of Swin in transformers, which takes (height, width)
            required.remove("input_dimensions")
            fixed["input_dimensions"] = tuple(getattr(block, "input_resolution", ()))
        modes = _modes(block)
        for training in (True, False)[: 1 + evaluation]:
            same = modes if training == block.training else (training,) * len(modes)
            self._add(block, [self.names[0], *required], fixed, same)

    @property
    def sequence_first(self) -> bool:
        """Whether a module in a branch has the samples in the second dimension."""
        return any(known.graph.sequence_first for known in self.known)

    def branch_names(self) -> str:
        """The first and the last module of each branch."""
        return self.known[0].graph.branch_names()

    def call(
        self, block: nn.Module, inputs: Sequence[Any], keywords: Mapping[str, Any]
    ) -> tuple[BlockGraph, list[Any]]:
        """The graph for the arguments of a call, and the values of its inputs. TypeError if it has none."""
        given = {**self.defaults, **dict(zip(self.names, inputs, strict=False)), **keywords}
        tensors = [name for name, value in given.items() if any(True for _ in tensors_in(value))]
        tensors.sort(key=self._place)
        fixed = {name: value for name, value in given.items() if name not in tensors}
        compiling = torch.compiler.is_compiling()  # which must not trace: then the flag of the block itself decides
        if not compiling and self.attributes.changed(block):
            self.known.clear()
        modes = (block.training,) if compiling else _modes(block)
        for known in self.known:
            if known.tensors == tensors and known.fixed == fixed and known.modes[: len(modes)] == modes:
                return known.graph, [given[name] for name in tensors]
        try:
            if len(inputs) > len(self.names) or tensors[:1] != self.names[:1]:
                raise ValueError("it takes a tensor first")
            if compiling:
                raise ValueError("call it so once before it is compiled")
            graph = self._add(block, tensors, fixed, modes)
        except ValueError as error:
            listed = ", ".join(given)
            raise TypeError(
                f"stochastic depth with skip cannot follow this call of a {type(block).__name__} with the arguments "
                f"{listed}: {error}; attach without skip"
            ) from error
        return graph, [given[name] for name in tensors]

    def _place(self, name: str) -> int:
        return self.names.index(name) if name in self.names else len(self.names)

    def _add(
        self, block: nn.Module, tensors: list[str], fixed: dict[str, Any], modes: tuple[bool, ...]
    ) -> BlockGraph:
        """Trace the forward for these arguments. Raises ValueError with the reason."""
        try:
            graph = self._traced(block, tensors, fixed, modes, buffers=False)
        except ValueError as error:
            if next(block.buffers(), None) is None or isinstance(error, StoresError):
                raise
            try:
                graph = self._traced(block, tensors, fixed, modes, buffers=True)
            except ValueError:
                raise error from None
        self.known.append(_Known(tensors, fixed, modes, graph))
        return graph

    @staticmethod
    def _traced(
        block: nn.Module, tensors: list[str], fixed: dict[str, Any], modes: tuple[bool, ...], buffers: bool
    ) -> BlockGraph:
        try:
            traced = trace_call(block, tensors, fixed, modes, buffers)
        except StoresError:
            raise
        except Exception as error:  # a forward may do anything with the tracer's proxies, and fail in any way
            first = (str(error).splitlines() or [""])[0]
            raise ValueError(f"torch.fx cannot trace its forward ({type(error).__name__}: {first[:120]})") from error
        return block_graph(traced, block)


class SkippingGraph(SkippingForward):
    """A block's forward, as it was traced, with a layer of stochastic depth at each of its sums.

    See `SkippingForward`. The branches are computed and masked as well if the block was called with tensors that may
    have a row for each sample, other than the masks and the memory of torch's attention, in row mode.
    """

    def _forward(self, *inputs: Any, **keywords: Any) -> Any:
        block = self.block
        for value in (*inputs, *keywords.values()):
            refuse_proxy(self.layer, value)
        graph, values = self.parts.call(block, inputs, keywords)
        layer = with_training(self.layer, block.training)
        waits = self._waits()
        known: dict[int, Any] = dict(zip(graph.inputs, values, strict=True))
        total = len(values[0]) if values[0].dim() else 0
        for item in graph.items:
            if isinstance(item, Call):
                known[item.number] = item(block, known)
                continue
            shortcut = filled(item.shortcut, known)
            branch = _Branch(self, item, known)
            rows = [known[number] for number in item.rows]
            by_row = getattr(layer, "mode", "row") == "row" and block.training
            whole = _not_separable(item, known, shortcut, total) if by_row else ""
            if whole and not torch.compiler.is_compiling():
                self.whole = f"all rows computed: {whole}"
            if waits or whole:
                result = shortcut + layer(branch(*rows))
            else:
                probe = _Branch(self, item, known)
                result = self._residual(layer, shortcut, branch, probe, *rows, place=item.number)
            known[item.number] = self._finished(result, shortcut, item.last)
            known.update(branch.discarded)
        return filled(graph.output, known)


class _Branch:
    """One branch in one call of a block."""

    def __init__(self, forward: SkippingForward, addition: Addition, known: Mapping[int, Any]) -> None:
        self.block, self.addition, self.known = forward.block, addition, known
        self.discarded: dict[int, Any] = dict.fromkeys(addition.discarded)  # None where not all rows were computed

    def __call__(self, *rows: Tensor) -> Tensor:
        addition, count = self.addition, rows[0].shape[0]
        single = count == 1 and addition.batch_norm and self.block.training
        if single:  # batch norm refuses one value for each channel
            rows = tuple(torch.cat([value, value]) for value in rows)
        values: dict[int, Any] = {number: self.known[number] for number in addition.others}
        values.update(zip(addition.rows, rows, strict=True))
        for call in addition.calls:
            values[call.number] = call(self.block, values)
        output: Tensor = values[addition.branch][:1] if single else values[addition.branch]
        if output.shape[0] != count:
            raise RuntimeError(
                f"a branch of this {type(self.block).__name__} returned {output.shape[0]} rows for {count}: it does "
                f"not treat rows as separate samples; attach stochastic depth without skip"
            )
        if all(value is self.known[number] for number, value in zip(addition.rows, rows, strict=True)):
            self.discarded = {number: values[number] for number in addition.discarded}
        return output


def _not_separable(addition: Addition, known: Mapping[int, Any], shortcut: Tensor, total: int) -> str:
    """Why the first dimension of what a branch starts from may not be that of the samples; "" if it is."""
    starts = [shortcut, *(known[number] for number in addition.rows)]
    if any(value.dim() == 0 or len(value) != total for value in starts):
        return "a branch starts from a tensor that has not one row for each sample"
    if addition.attention and shortcut.dim() != 3:
        return "the input has no dimension of samples"
    if any(known[number] is not None and known[number].dim() != 2 for number in addition.masks):
        return "the attention mask may have rows for each sample"
    for tensor in [tensor for number in addition.unknown for tensor in tensors_in(known[number])]:
        if _may_have_rows(tensor, total):
            return f"an argument of shape {tuple(tensor.shape)} may have rows for each of {total} samples"
    return ""


def _may_have_rows(tensor: Tensor, total: int) -> bool:
    """Whether the first dimension of a tensor may be that of `total` samples, or of several heads for each."""
    if total <= 1 or tensor.dim() == 0:
        return False
    return bool(tensor.shape[0] == total or (tensor.dim() > 2 and tensor.shape[0] % total == 0))


def _modes(block: nn.Module) -> tuple[bool, ...]:
    return tuple(part.training for part in block.modules())
