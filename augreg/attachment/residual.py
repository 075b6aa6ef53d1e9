"""The parts of a residual block, finish(shortcut(x) + branch(x)), and where they come from.

The parts of a block are found in this order:

1. methods of the block: `residual_branch(x)`, and optionally `residual_shortcut(x)` (default: x) and
   `residual_finish(total)` (default: total);
2. an adapter registered for its class: `@adapter(TheirBlock)` on a subclass of `ResidualParts`;
3. its graph, if torch.fx traces it to one addition of two chains of modules and activations, as in torchvision's
   BasicBlock and Bottleneck and most hand-written blocks.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar, cast

import torch
from torch import Tensor, fx, nn
from torch.nn.parameter import is_lazy

from augreg.attachment.activations import FUNCTIONS, METHODS
from augreg.attachment.tracing import Graphs, trace, trace_without_storing
from augreg.loss.penalties import parameters
from augreg.steps.signatures import parameter_names

__all__ = [
    "ResidualParts",
    "TracedParts",
    "adapter",
    "additions",
    "branch_outputs",
    "branch_side",
    "first_to_last",
    "has_no_shortcut",
    "needed",
    "residual_parts",
    "takes_several_inputs",
]


class ResidualParts:
    """The parts of a residual block. To write an adapter, subclass it, define `branch`, and register it by `adapter`.

    Each part takes the block and a tensor and returns a tensor. Shortcut and branch must have the same shape.
    """

    def branch(self, block: Any, x: Tensor) -> Tensor:
        """The branch that may be dropped."""
        raise NotImplementedError(f"{type(self).__name__} needs a method branch(self, block, x)")

    def shortcut(self, block: Any, x: Tensor) -> Tensor:
        """The tensor that the branch is added to; by default the input."""
        return x

    def finish(self, block: Any, total: Tensor) -> Tensor:
        """The output for the sum; by default the sum."""
        return total


class MethodParts(ResidualParts):
    """The parts as methods of the block."""

    def branch(self, block: Any, x: Tensor) -> Tensor:
        """`block.residual_branch(x)`."""
        return cast(Tensor, block.residual_branch(x))

    def shortcut(self, block: Any, x: Tensor) -> Tensor:
        """`block.residual_shortcut(x)`, or the input if there is no such method."""
        return cast(Tensor, block.residual_shortcut(x)) if hasattr(block, "residual_shortcut") else x

    def finish(self, block: Any, total: Tensor) -> Tensor:
        """`block.residual_finish(total)`, or the sum if there is no such method."""
        return cast(Tensor, block.residual_finish(total)) if hasattr(block, "residual_finish") else total


class ChainCall(NamedTuple):
    """One call in a chain: a submodule of the block by name, or a function; and its arguments after the tensor."""

    target: str | Callable[..., Any]
    arguments: tuple[Any, ...] = ()
    keywords: dict[str, Any] = {}  # noqa: RUF012 - never written to


class TracedParts(ResidualParts):
    """The parts as chains of calls, read from the graph of a block."""

    def __init__(
        self, branch: Sequence[ChainCall], shortcut: Sequence[ChainCall], finish: Sequence[ChainCall]
    ) -> None:
        self.chains = tuple(branch), tuple(shortcut), tuple(finish)

    def branch(self, block: Any, x: Tensor) -> Tensor:
        """The summand with the weights."""
        return _run(self.chains[0], block, x)

    def shortcut(self, block: Any, x: Tensor) -> Tensor:
        """The other summand."""
        return _run(self.chains[1], block, x)

    def finish(self, block: Any, total: Tensor) -> Tensor:
        """The calls after the addition."""
        return _run(self.chains[2], block, total)

    def branch_name(self) -> str:
        """The names of the first and the last module of the branch, as `conv1..bn2`."""
        return first_to_last([call.target for call in self.chains[0] if isinstance(call.target, str)])


def first_to_last(names: Sequence[str]) -> str:
    """The first and the last name, as `conv1..bn2`; the only one by itself."""
    return names[0] if len(names) == 1 else f"{names[0]}..{names[-1]}"


def _run(chain: Sequence[ChainCall], block: nn.Module, x: Tensor) -> Tensor:
    for target, arguments, keywords in chain:  # not a method of the tuple: torch before 2.8 does not compile that
        function = block.get_submodule(target) if isinstance(target, str) else target
        x = cast(Tensor, function(x, *arguments, **keywords))
    return x


_adapters: dict[type, ResidualParts] = {}
_Parts = TypeVar("_Parts", bound=type[ResidualParts])


def adapter(*blocks: type[nn.Module]) -> Callable[[_Parts], _Parts]:
    """Class decorator that registers a `ResidualParts` for classes of blocks and their subclasses."""

    def register(parts: _Parts) -> _Parts:
        _adapters.update(dict.fromkeys(blocks, parts()))
        return parts

    return register


def residual_parts(block: nn.Module) -> ResidualParts | None:
    """The parts of a block, or None if they are not known."""
    if callable(getattr(block, "residual_branch", None)):
        return MethodParts()
    for cls in type(block).__mro__:
        if cls in _adapters:
            return _adapters[cls]
    return _traced_parts(block)


def has_no_shortcut(block: nn.Module, graphs: Graphs) -> bool:
    """Whether a block is known to add nothing to its branch, as the blocks of a MobileNet that change the shape.

    It is known if its forward is a chain: nothing in its graph depends on its input in two ways, except for gates,
    which multiply.
    """
    if callable(getattr(block, "residual_branch", None)) or any(cls in _adapters for cls in type(block).__mro__):
        return False
    if type(block).__module__.startswith("torch.nn.") and not any(block.children()):
        return True  # one layer, which torch.fx may not be able to trace
    graph = graphs.of(block)
    if graph is None:
        return False
    dependent: set[fx.Node] = set()
    for node in graph.nodes:
        sources = dependent.intersection(node.all_input_nodes)
        if len(sources) > 1 and node.target not in _PRODUCTS:
            return False
        if sources or node.op == "placeholder":
            dependent.add(node)
    return True


_PRODUCTS = {operator.mul, operator.imul, torch.mul, "mul", "mul_"}
_ADDITIONS = {operator.add, operator.iadd, torch.add, "add", "add_"}


def takes_several_inputs(block: nn.Module) -> bool:
    """Whether the forward of a block's class has more than one parameter besides self, optional ones included."""
    return len(parameter_names(type(block).forward)) > 2


def additions(graph: fx.Graph) -> list[fx.Node]:
    """The additions of two tensors."""
    return [
        node
        for node in graph.nodes
        if node.op in ("call_function", "call_method")
        and node.target in _ADDITIONS
        and len(node.args) == 2
        and not node.kwargs
        and all(isinstance(argument, fx.Node) for argument in node.args)
    ]


def _chain(end: Any, starts: Sequence[fx.Node]) -> tuple[list[ChainCall], fx.Node] | None:
    """The calls that lead from one of `starts` to `end`, and that start; None unless they form a plain chain."""
    calls: list[ChainCall] = []
    node = end
    while node not in starts:
        rest = tuple(node.args[1:])
        plain = all(not isinstance(value, fx.Node) for value in (*rest, *node.kwargs.values()))
        if not node.args or not isinstance(node.args[0], fx.Node) or not plain:
            return None
        if node.op == "call_module":
            target: Any = node.target
        elif node.op == "call_function" and node.target in FUNCTIONS:
            target = node.target
        elif node.op == "call_method" and node.target in METHODS:
            target = METHODS[node.target]
        else:
            return None
        calls.append(ChainCall(target, rest, dict(node.kwargs)))
        node = node.args[0]
    return calls[::-1], node


def _traced_parts(block: nn.Module) -> TracedParts | None:
    """The parts of a block whose graph is one addition of two chains, the same in training and in evaluation."""
    parts = _parts_in(block, training=True)
    if parts is None:
        return None
    other = _parts_in(block, training=False)
    return parts if other is not None and other.chains == parts.chains else None


def _parts_in(block: nn.Module, training: bool) -> TracedParts | None:
    """The parts of a block as it runs in training or in evaluation."""
    graph = trace_without_storing(block, training)
    sums = additions(graph) if graph is not None else []
    if graph is None or len(sums) != 1:
        return None
    inputs = [node for node in graph.nodes if node.op == "placeholder" and node.users]
    output = graph.output_node().args[0]
    if len(inputs) != 1 or not isinstance(output, fx.Node):
        return None
    sides = [_chain(side, inputs) for side in sums[0].args]
    finish = _chain(output, [*sums, *inputs])
    if finish is None or finish[1] is not sums[0] or sides[0] is None or sides[1] is None:
        return None
    names = [[call.target for call in side[0] if isinstance(call.target, str)] for side in sides if side]
    index = _branch_index(names, block)
    if index is None:
        return None
    branch, shortcut = sides[index][0], sides[1 - index][0]  # type: ignore[index]
    calls = [*branch, *shortcut, *finish[0]]
    # a call shared by two chains would run twice, and a call in no chain would be lost
    once = sum(isinstance(call.target, str) for call in calls) == sum(n.op == "call_module" for n in graph.nodes)
    if not once or any(_writes_into_input(block, chain) for chain in (branch, shortcut)):
        return None
    return TracedParts(branch, shortcut, finish[0])


def _branch_index(sides: Sequence[Sequence[str]], block: nn.Module) -> int | None:
    """Which side of an addition (given as names of modules) is the branch, 0 or 1; None if it is not clear.

    The branch has more layers with weights than the shortcut, which has at most one, a projection. If neither side
    has weights, the shortcut is the side that computes nothing.
    """
    weights = [sum(_layers_with_weights(block.get_submodule(name)) for name in side) for side in sides]
    computes = [any(_computes(block.get_submodule(name)) for name in side) for side in sides]
    if weights[0] != weights[1]:
        return weights.index(max(weights)) if min(weights) <= 1 else None
    return computes.index(True) if computes[0] != computes[1] else None


def _layers_with_weights(module: nn.Module) -> int:
    """How many layers of a module have a weight that multiplies, which norms and layer scales do not have."""
    weights = [weight for weight in parameters(module) if is_lazy(weight.value) or weight.multiplies]
    return len({id(owner) for weight in weights for owner in weight.owners})


def _computes(module: nn.Module) -> bool:
    """Whether a module computes anything: an Identity and an empty Sequential do not."""
    return any(
        not isinstance(part, nn.Identity | nn.Sequential) for part in module.modules() if not any(part.children())
    )


def _writes_into_input(block: nn.Module, chain: Sequence[ChainCall]) -> bool:
    """Whether the first call of a chain works in place, and so changes the input of the other chain."""
    if not chain:
        return False
    first = chain[0]
    if isinstance(first.target, str):
        return bool(getattr(block.get_submodule(first.target), "inplace", False))
    return getattr(first.target, "__name__", "").endswith("_") or bool(first.keywords.get("inplace"))


def branch_outputs(block: nn.Module, layer: Any = None) -> list[str]:
    """The modules that compute the branches of a block's additions, by name; [] if they are not known.

    Raises ValueError for a transformer layer of torch that is not batch first, if `layer` drops rows.
    """
    for cls, ends in _TRANSFORMERS.items():
        if type(block).forward is cls.forward:
            mode = getattr(layer, "mode", getattr(layer, "per", "batch"))
            if mode != "batch" and not block.self_attn.batch_first:
                raise ValueError("its samples are in the second dimension; build it with batch_first=True")
            return list(ends)
    graph = trace(block)
    names = []
    for node in additions(graph) if graph is not None else ():
        index = branch_side(node, block)
        branch = cast(Sequence[fx.Node], node.args)[index or 0]
        calls = sum(other.op == "call_module" and other.target == branch.target for other in graph.nodes)  # type: ignore[union-attr]
        if index is None or branch.op != "call_module" or calls != 1:
            return []
        names.append(str(branch.target))
    return names


_TRANSFORMERS: dict[type[nn.Module], tuple[str, ...]] = {
    nn.TransformerEncoderLayer: ("dropout1", "dropout2"),
    nn.TransformerDecoderLayer: ("dropout1", "dropout2", "dropout3"),
}
"""Torch's transformer layers, which torch.fx cannot trace, with the last module of each of their branches."""


def branch_side(addition: fx.Node, block: nn.Module) -> int | None:
    """Which summand of an addition is the branch, 0 or 1, by the modules that only one needs; None if unclear."""
    one, other = (
        {node for node in needed(side) if node.op == "call_module"} for side in cast(Sequence[fx.Node], addition.args)
    )
    return _branch_index([[str(call.target) for call in calls] for calls in (one - other, other - one)], block)


def needed(node: fx.Node) -> set[fx.Node]:
    """The nodes that a node depends on, itself included."""
    waiting, seen = [node], set()
    while waiting:
        current = waiting.pop()
        if current not in seen:
            seen.add(current)
            waiting += current.all_input_nodes
    return seen
