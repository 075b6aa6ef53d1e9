"""Residual blocks: finish(shortcut(x) + branch(x)), and where the three parts of a block are found.

Where the parts of a block come from, in this order:

1. methods of the block itself: `residual_branch(x)`, and where they differ from the plain case `residual_shortcut(x)`
   (x) and `residual_finish(total)` (total);
2. an adapter that was registered for its class: `@adapter(TheirBlock)` above a subclass of `Outline`;
3. its graph, where torch.fx can trace it to one addition between chains of modules and activations, as in
   torchvision's BasicBlock and Bottleneck and in most that people write.
"""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar, cast

import torch
from torch import Tensor, fx, nn

from augreg.attachment.tracing import graph_of

__all__ = ["Chains", "Outline", "adapter", "additions", "outline_of", "takes_more"]


class Outline:
    """The parts of a residual block. Subclass it, write `branch` and what else differs, and register it by `adapter`.

    Each part takes the block and a tensor, and gives a tensor; shortcut and branch must have the same shape.
    """

    def branch(self, block: Any, x: Tensor) -> Tensor:
        """The branch that may be dropped."""
        raise NotImplementedError(f"{type(self).__name__} needs a method branch(self, block, x)")

    def shortcut(self, block: Any, x: Tensor) -> Tensor:
        """What the branch is added to; the input itself by default."""
        return x

    def finish(self, block: Any, total: Tensor) -> Tensor:
        """What is done to the sum; nothing by default."""
        return total


class Methods(Outline):
    """The parts as methods of the block."""

    def branch(self, block: Any, x: Tensor) -> Tensor:
        """`block.residual_branch(x)`."""
        return cast(Tensor, block.residual_branch(x))

    def shortcut(self, block: Any, x: Tensor) -> Tensor:
        """`block.residual_shortcut(x)`, or the input where there is no such method."""
        return cast(Tensor, block.residual_shortcut(x)) if hasattr(block, "residual_shortcut") else x

    def finish(self, block: Any, total: Tensor) -> Tensor:
        """`block.residual_finish(total)`, or the sum where there is no such method."""
        return cast(Tensor, block.residual_finish(total)) if hasattr(block, "residual_finish") else total


class Link(NamedTuple):
    """One call of a chain: a module of the block by name, or a function, with the arguments after the tensor."""

    call: str | Callable[..., Any]
    arguments: tuple[Any, ...] = ()
    keywords: dict[str, Any] = {}  # noqa: RUF012 - never written to

    def __call__(self, block: nn.Module, x: Tensor) -> Tensor:
        function = block.get_submodule(self.call) if isinstance(self.call, str) else self.call
        return cast(Tensor, function(x, *self.arguments, **self.keywords))


class Chains(Outline):
    """The parts as chains of calls, read from a block's graph."""

    def __init__(self, branch: Sequence[Link], shortcut: Sequence[Link], finish: Sequence[Link]) -> None:
        self.links = tuple(branch), tuple(shortcut), tuple(finish)

    def branch(self, block: Any, x: Tensor) -> Tensor:
        """Of the chains that are added, the one that has the weights."""
        return _along(self.links[0], block, x)

    def shortcut(self, block: Any, x: Tensor) -> Tensor:
        """The other one."""
        return _along(self.links[1], block, x)

    def finish(self, block: Any, total: Tensor) -> Tensor:
        """What is behind the addition."""
        return _along(self.links[2], block, total)

    def named(self) -> str:
        """The first and the last module of the branch."""
        names = [link.call for link in self.links[0] if isinstance(link.call, str)]
        return names[0] if len(names) == 1 else f"{names[0]}..{names[-1]}"


def _along(links: Sequence[Link], block: nn.Module, x: Tensor) -> Tensor:
    for link in links:
        x = link(block, x)
    return x


_adapters: dict[type, Outline] = {}
_Outline = TypeVar("_Outline", bound=type[Outline])


def adapter(*blocks: type[nn.Module]) -> Callable[[_Outline], _Outline]:
    """Register an `Outline` for classes of blocks, and for those that derive from them."""

    def register(outline: _Outline) -> _Outline:
        _adapters.update(dict.fromkeys(blocks, outline()))
        return outline

    return register


def outline_of(block: nn.Module) -> Outline | None:
    """The parts of a block, or None where they are not known."""
    if callable(getattr(block, "residual_branch", None)):
        return Methods()
    for cls in type(block).__mro__:
        if cls in _adapters:
            return _adapters[cls]
    return _chains(block)


_ADDS = {operator.add, operator.iadd, torch.add, "add", "add_"}
_ACTIVATIONS = {
    getattr(nn.functional, name)
    for name in (
        "relu",
        "relu_",
        "leaky_relu",
        "elu",
        "gelu",
        "silu",
        "mish",
        "hardswish",
        "softplus",
        "tanh",
        "sigmoid",
    )
} | {torch.relu, torch.relu_, torch.tanh, torch.sigmoid}
_METHODS = {"relu": torch.relu, "relu_": torch.relu_, "tanh": torch.tanh, "sigmoid": torch.sigmoid}


def takes_more(block: nn.Module) -> bool:
    """Whether the forward of a block's class takes more than one argument, given or not."""
    return len(inspect.signature(type(block).forward).parameters) > 2


def _sums(graph: fx.Graph) -> list[fx.Node]:
    """The additions of two tensors."""
    return [
        node
        for node in graph.nodes
        if node.op in ("call_function", "call_method")
        and node.target in _ADDS
        and len(node.args) == 2
        and not node.kwargs
        and all(isinstance(argument, fx.Node) for argument in node.args)
    ]


def _chain(end: Any, starts: Sequence[fx.Node]) -> tuple[list[Link], fx.Node] | None:
    """The calls that lead from one of `starts` to `end`, and which it was; None where it is no plain chain."""
    links: list[Link] = []
    node = end
    while node not in starts:
        rest = tuple(node.args[1:])
        plain = all(not isinstance(value, fx.Node) for value in (*rest, *node.kwargs.values()))
        if not node.args or not isinstance(node.args[0], fx.Node) or not plain:
            return None
        if node.op == "call_module":
            call: Any = node.target
        elif node.op == "call_function" and node.target in _ACTIVATIONS:
            call = node.target
        elif node.op == "call_method" and node.target in _METHODS:
            call = _METHODS[node.target]
        else:
            return None
        links.append(Link(call, rest, dict(node.kwargs)))
        node = node.args[0]
    return links[::-1], node


def _chains(block: nn.Module) -> Chains | None:
    """The outline of a block whose graph is one addition between chains."""
    graph = graph_of(block)
    sums = _sums(graph) if graph is not None else []
    if graph is None or len(sums) != 1:
        return None
    inputs = [node for node in graph.nodes if node.op == "placeholder" and node.users]
    output = next(node for node in graph.nodes if node.op == "output").args[0]
    if len(inputs) != 1 or not isinstance(output, fx.Node):
        return None
    sides = [_chain(side, inputs) for side in sums[0].args]
    finish = _chain(output, [*sums, *inputs])
    if finish is None or finish[1] is not sums[0] or sides[0] is None or sides[1] is None:
        return None
    first = _branch([[link.call for link in side[0] if isinstance(link.call, str)] for side in sides if side], block)
    if first is None:
        return None
    branch, shortcut = sides[first][0], sides[1 - first][0]  # type: ignore[index]
    links = [*branch, *shortcut, *finish[0]]
    # a call that two chains share would be done twice, and one that none has would be lost
    whole = sum(isinstance(link.call, str) for link in links) == sum(node.op == "call_module" for node in graph.nodes)
    if not whole or any(_writes(block, chain) for chain in (branch, shortcut)):
        return None
    return Chains(branch, shortcut, finish[0])


def _branch(sides: Sequence[Sequence[str]], block: nn.Module) -> int | None:
    """Which of the two sides of an addition, given as names of modules, is the branch; None where it is not clear.

    The branch has the weights: the shortcut has one layer with weights at most, a projection, and fewer than the
    branch. Where neither has any, the shortcut is the side that computes nothing.
    """
    weights = [sum(_weighty(block.get_submodule(name)) for name in side) for side in sides]
    works = [any(_computes(block.get_submodule(name)) for name in side) for side in sides]
    if weights[0] != weights[1]:
        return weights.index(max(weights)) if min(weights) <= 1 else None
    return works.index(True) if works[0] != works[1] else None


def _weighty(module: nn.Module) -> int:
    """How many layers with weights a module is made of: with a matrix or more, which norms do not have."""
    lazy = nn.parameter.UninitializedParameter
    return sum(
        any(isinstance(p, lazy) or p.ndim > 1 for p in part._parameters.values() if p is not None)
        for part in module.modules()
    )


def _computes(module: nn.Module) -> bool:
    """Whether a module does something: an Identity and an empty Sequential do not."""
    return any(
        not isinstance(part, nn.Identity | nn.Sequential) for part in module.modules() if not any(part.children())
    )


def _writes(block: nn.Module, chain: Sequence[Link]) -> bool:
    """Whether a chain begins by writing into the block's input, which the other one reads."""
    if not chain:
        return False
    first = chain[0]
    if isinstance(first.call, str):
        return bool(getattr(block.get_submodule(first.call), "inplace", False))
    return getattr(first.call, "__name__", "").endswith("_") or bool(first.keywords.get("inplace"))


def additions(block: nn.Module, layer: Any = None) -> list[str]:
    """The names of the modules whose outputs are the branches of a block's additions; [] where they are not known.

    Raises ValueError for one of torch's transformer layers whose samples are not the rows that `layer` drops.
    """
    for cls, ends in _TRANSFORMERS.items():
        if type(block).forward is cls.forward:
            drawn = getattr(layer, "mode", getattr(layer, "per", "batch"))
            if drawn != "batch" and not block.self_attn.batch_first:
                raise ValueError("its samples are in the second dimension; build it with batch_first=True")
            return list(ends)
    graph = graph_of(block)
    found = []
    for node in _sums(graph) if graph is not None else ():
        sides = cast(Sequence[fx.Node], node.args)
        before = [_modules_before(side) for side in sides]
        own = [[str(call.target) for call in mine - others] for mine, others in (before, before[::-1])]
        first = _branch(own, block)
        branch = sides[first or 0]
        calls = sum(other.op == "call_module" and other.target == branch.target for other in graph.nodes)  # type: ignore[union-attr]
        if first is None or branch.op != "call_module" or calls != 1:
            return []
        found.append(str(branch.target))
    return found


_TRANSFORMERS: dict[type[nn.Module], tuple[str, ...]] = {
    nn.TransformerEncoderLayer: ("dropout1", "dropout2"),
    nn.TransformerDecoderLayer: ("dropout1", "dropout2", "dropout3"),
}
"""Torch's layers, which no trace follows, with the modules at the ends of their branches."""


def _modules_before(node: fx.Node) -> set[fx.Node]:
    """The calls of modules that a node comes from, itself included."""
    seen: set[fx.Node] = set()
    stack = [node]
    while stack:
        here = stack.pop()
        if here not in seen:
            seen.add(here)
            stack += here.all_input_nodes
    return {here for here in seen if here.op == "call_module"}
