"""The forward of a residual block as a list of calls, with the branch of each of its sums set apart.

A block may have several sums, as those of transformers have: y = x + attention(norm1(x)) and y + mlp(norm2(y)). What
torch.fx traces is split: the calls on which only one summand depends are its branch, and all others run for the whole
batch. So a branch can be computed for some rows of the batch, or not at all. `block_graph` raises ValueError with the
reason if that would not be the same computation.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from torch import Tensor, fx, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from augreg.attachment.residual import additions, branch_side, first_to_last, needed

__all__ = ["Addition", "BlockGraph", "Call", "Value", "block_graph"]


class Value(NamedTuple):
    """The result of a call, by its number."""

    number: int


@dataclass(frozen=True)
class Call:
    """One call of the block's forward; arguments that are a `Value` stand for the results of earlier calls."""

    number: int
    kind: str  # of torch.fx: call_module, call_function, call_method or get_attr
    target: Any
    arguments: Any
    keywords: Any

    def __call__(self, block: nn.Module, values: Mapping[int, Any]) -> Any:
        arguments, keywords = filled(self.arguments, values), filled(self.keywords, values)
        if self.kind == "call_module":
            return block.get_submodule(self.target)(*arguments, **keywords)
        if self.kind == "call_method":
            return getattr(arguments[0], self.target)(*arguments[1:], **keywords)
        if self.kind == "get_attr":
            return _attribute(block, self.target)
        return self.target(*arguments, **keywords)


@dataclass(frozen=True)
class Addition:
    """A sum of the block, shortcut + branch.

    `rows` are the values with one row for each sample that the branch starts from, `others` its other inputs, and
    `unknown` those of them that come from arguments of the block and may have rows too. `masks` are attention masks,
    which have none if they have two dimensions. `discarded` are values of the branch that the block returns.
    """

    number: int
    shortcut: Any
    branch: int
    calls: tuple[Call, ...]
    rows: tuple[int, ...]
    others: tuple[int, ...]
    unknown: tuple[int, ...]
    masks: tuple[int, ...]
    discarded: tuple[int, ...]
    attention: bool  # torch's, which takes an input of two dimensions for one sample
    batch_norm: bool
    last: bool


@dataclass(frozen=True)
class BlockGraph:
    """The calls and sums of a block in their order. `inputs` are the numbers of its tensors, the batch first."""

    inputs: tuple[int, ...]
    items: tuple[Call | Addition, ...]
    output: Any
    sequence_first: bool  # whether a module in a branch has the samples in the second dimension

    def branch_names(self) -> str:
        """The first and the last module of each branch, as `norm1..drop_path1, norm2..drop_path2`."""
        names = []
        for item in self.items:
            if isinstance(item, Addition):
                names.append(first_to_last([call.target for call in item.calls if call.kind == "call_module"]))
        return ", ".join(names)


def filled(value: Any, values: Mapping[int, Any]) -> Any:
    """Nested arguments with the results of calls in place of each `Value`."""
    if isinstance(value, Value):
        return values[value.number]
    if isinstance(value, (tuple, list)):  # torch 2.7 compiles no `tuple | list` here
        return type(value)([filled(item, values) for item in value])
    if isinstance(value, dict):
        return {key: filled(item, values) for key, item in value.items()}
    if isinstance(value, slice):
        return slice(*(filled(item, values) for item in (value.start, value.stop, value.step)))
    return value


def block_graph(graph: fx.Graph, block: nn.Module) -> BlockGraph:
    """Split the graph of a block's forward. Raises ValueError with the reason if it cannot be split exactly."""
    _erase_unused(graph)
    number = {node: index for index, node in enumerate(graph.nodes)}
    arguments = {node for node in graph.nodes if node.op == "placeholder"}
    sums = [node for node in additions(graph) if all(_has_rows(side, arguments) for side in node.all_input_nodes)]
    if not sums:
        raise ValueError("its forward adds no two tensors")
    branches = [_Branch(node, graph, block) for node in sums]
    _check_separate(branches)
    inside = {node for branch in branches for node in branch.nodes}
    items: list[Call | Addition] = []
    for node in graph.nodes:
        found = next((branch for branch in branches if branch.sum is node), None)
        if found is not None:
            items.append(found.addition(number, found is branches[-1]))
        elif node.op not in ("placeholder", "output") and node not in inside:
            items.append(_call(node, number))
    return BlockGraph(
        tuple(number[node] for node in graph.nodes if node.op == "placeholder"),
        tuple(items),
        _numbered(graph.output_node().args[0], number),
        any(branch.sequence_first for branch in branches),
    )


class _Branch:
    """The nodes of one branch, and what it needs from outside."""

    def __init__(self, sum_node: fx.Node, graph: fx.Graph, block: nn.Module) -> None:
        self.sum, self.graph, self.block = sum_node, graph, block
        sides: list[Any] = list(sum_node.args)
        index = branch_side(sum_node, block)
        if index is None:
            raise ValueError(f"it is not clear which side of {sum_node.name} is the branch")
        self.end, self.shortcut = sides[index], sides[1 - index]
        within = {node for node in needed(self.end) - needed(self.shortcut) if node.op != "placeholder"}
        self.nodes = [node for node in graph.nodes if node in within]
        if not any(node.op == "call_module" for node in self.nodes):
            raise ValueError(f"the branch of {sum_node.name} calls no module")
        self._check_uses(within)
        self._check_in_place(within)
        self._find_inputs(within)
        parts = [part for node in self.nodes for part in _parts(node, block)]
        self.attention = any(isinstance(part, nn.MultiheadAttention) for part in parts)
        self.batch_norm = any(isinstance(part, _BatchNorm) for part in parts)
        self.sequence_first = any(
            isinstance(part, nn.MultiheadAttention | nn.RNNBase) and not part.batch_first for part in parts
        )

    def _check_uses(self, within: set[fx.Node]) -> None:
        """ValueError if a value of the branch is used elsewhere; find those that the block only returns."""
        self.discarded: list[fx.Node] = []
        for node in self.nodes:  # which grows
            for user in node.users:
                if user in within or (node is self.end and user is self.sum):
                    continue
                if user.target is operator.getitem and all(other.op == "output" for other in user.users):
                    within.add(user)
                    self.nodes.append(user)
                elif user.op == "output" and node is not self.end:
                    self.discarded.append(node)
                else:
                    raise ValueError(f"{node.name} of the branch of {self.sum.name} is used outside of it")

    def _check_in_place(self, within: set[fx.Node]) -> None:
        """ValueError if the branch changes what it starts from, or that changes before the sum."""
        for node in self.nodes:
            if _in_place(node, self.block) and _views(next(iter(node.args), None)) - within:
                raise ValueError(f"the branch of {self.sum.name} changes its input in place")
        order = list(self.graph.nodes)
        if self.sum.target in _ADDITIONS_IN_PLACE:  # which becomes a sum out of place
            later = set(order[order.index(self.sum) + 1 :])
            if any(later & node.users.keys() for node in _views(self.sum.args[0])):
                raise ValueError(f"what {self.sum.name} changes in place is used after it")
        for node in order[order.index(self.nodes[0]) : order.index(self.sum)]:
            if node not in within and node.target not in _ADDITIONS_IN_PLACE and _in_place(node, self.block):
                raise ValueError(f"{node.name} works in place between the start of a branch and its sum")

    def _find_inputs(self, within: set[fx.Node]) -> None:
        """Sort what comes from outside; sizes are computed again, since in the branch they are those of its rows."""
        first, *arguments = [node for node in self.graph.nodes if node.op == "placeholder"]
        self.sizes: set[fx.Node] = set()
        self.rows: list[fx.Node] = []
        self.others: list[fx.Node] = []
        self.unknown: list[fx.Node] = []
        self.masks: list[fx.Node] = []
        waiting = [node for inner in self.nodes for node in inner.all_input_nodes]
        seen = set(within)
        while waiting:
            node = waiting.pop(0)
            if node in seen:
                continue
            seen.add(node)
            if _is_size(node):
                self.sizes.add(node)
                waiting += node.all_input_nodes
            elif _has_rows(node, {first}):
                self.rows.append(node)
            elif not _has_rows(node, set(arguments)):
                self.others.append(node)
            else:
                roles = _roles(node, within, self.block)
                if roles <= {"query", "key", "value", "key_padding_mask"}:
                    self.rows.append(node)
                else:
                    (self.masks if roles == {"attn_mask"} else self.unknown).append(node)
        if not self.rows:
            raise ValueError(f"the branch of {self.sum.name} does not depend on the block's first argument")
        self.rows.sort(key=lambda node: not _has_rows(node, {first}))

    def addition(self, number: Mapping[fx.Node, int], last: bool) -> Addition:
        """The sum with its branch."""

        def numbers(nodes: Sequence[fx.Node]) -> tuple[int, ...]:
            return tuple(number[node] for node in nodes)

        inside = self.sizes | set(self.nodes)
        calls = [node for node in self.graph.nodes if node in inside]
        return Addition(
            number[self.sum],
            Value(number[self.shortcut]),
            number[self.end],
            tuple(_call(node, number) for node in calls),
            numbers(self.rows),
            numbers([*self.others, *self.unknown, *self.masks]),
            numbers(self.unknown),
            numbers(self.masks),
            numbers(self.discarded),
            self.attention,
            self.batch_norm,
            last,
        )


def _check_separate(branches: Sequence[_Branch]) -> None:
    """ValueError if a sum is within the branch of another one."""
    for branch in branches:
        for other in branches:
            if branch.sum in other.nodes:
                raise ValueError(f"{branch.sum.name} is a sum within the branch of {other.sum.name}")


def _erase_unused(graph: fx.Graph) -> None:
    """Erase the calls without effect whose results are not used, such as the parts of a tuple."""
    for node in reversed(list(graph.nodes)):
        if not node.users and (node.op == "get_attr" or (node.op in _CALLS and not _writes(node))):
            graph.erase_node(node)


_CALLS = ("call_function", "call_method")
_ADDITIONS_IN_PLACE = (operator.iadd, "add_")
_IN_PLACE = {
    *(operator.iadd, operator.isub, operator.imul, operator.imatmul, operator.itruediv, operator.ifloordiv),
    *(operator.imod, operator.ipow, operator.iand, operator.ior, operator.ixor, operator.setitem),
}
_VIEWS = {
    *("contiguous", "expand", "flatten", "getitem", "movedim", "permute", "reshape", "squeeze", "swapaxes"),
    *("transpose", "unflatten", "unsqueeze", "view"),
}


def _name(node: fx.Node) -> str:
    return node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")


def _writes(node: fx.Node) -> bool:
    """Whether a function or method changes its first argument."""
    if node.target in _IN_PLACE or "out" in node.kwargs:
        return True
    return bool(node.kwargs.get("inplace")) or (_name(node).endswith("_") and not _name(node).endswith("__"))


def _in_place(node: fx.Node, block: nn.Module) -> bool:
    if node.op == "call_module":
        return bool(getattr(block.get_submodule(str(node.target)), "inplace", False))
    return node.op in _CALLS and _writes(node)


def _views(node: Any) -> set[fx.Node]:
    """A node and those that it may be a view of."""
    found: set[fx.Node] = set()
    while isinstance(node, fx.Node):
        found.add(node)
        node = node.args[0] if node.op in _CALLS and _name(node) in _VIEWS else None
    return found


def _is_size(node: fx.Node) -> bool:
    """Whether a node is a property of a tensor, such as its shape, or is computed from such."""
    if node.op == "call_method":
        return node.target in ("dim", "ndimension", "numel", "size")
    if node.op != "call_function":
        return False
    if node.target is getattr:
        return node.args[1] in ("device", "dtype", "ndim", "shape")
    if node.target is functional._none_or_dtype:
        return True
    plain = getattr(node.target, "__module__", "") in ("_operator", "builtins", "math", "operator")
    return plain and bool(node.all_input_nodes) and all(map(_is_size, node.all_input_nodes))


def _has_rows(node: fx.Node, arguments: set[fx.Node]) -> bool:
    """Whether a value depends on the elements of one of these arguments, and not only on their sizes."""
    waiting, seen = [node], set()
    while waiting:
        current = waiting.pop()
        if current in arguments:
            return True
        if current not in seen and not _is_size(current):
            seen.add(current)
            waiting += current.all_input_nodes
    return False


_ATTENTION = ("query", "key", "value", "key_padding_mask", "need_weights", "attn_mask")  # in the order of its forward


def _roles(node: fx.Node, within: set[fx.Node], block: nn.Module) -> set[str]:
    """What a value is for torch's attention in a branch, by the names of its arguments; `other` for all else."""
    found: set[str] = set()
    for user in node.users:
        if user not in within or _is_size(user):
            continue
        if user.target is functional._canonical_mask:
            found |= _roles(user, within, block)
        elif any(isinstance(part, nn.MultiheadAttention) for part in _parts(user, block)[:1]):
            given = {**dict(zip(_ATTENTION, user.args, strict=False)), **user.kwargs}
            found |= {name for name, value in given.items() if value is node}
        else:
            found.add("other")
    return found


def _parts(node: fx.Node, block: nn.Module) -> list[nn.Module]:
    """The module that a node calls, and those in it."""
    return list(block.get_submodule(str(node.target)).modules()) if node.op == "call_module" else []


def _call(node: fx.Node, number: Mapping[fx.Node, int]) -> Call:
    if node.op == "get_attr" and str(node.target).startswith("_tensor_constant"):
        raise ValueError("its forward makes a tensor that torch.fx takes for a constant")
    return Call(number[node], node.op, node.target, _numbered(node.args, number), _numbered(node.kwargs, number))


def _numbered(value: Any, number: Mapping[fx.Node, int]) -> Any:
    """Nested arguments with a `Value` in place of each node, in plain tuples, lists and dictionaries."""
    if isinstance(value, fx.Node):
        return Value(number[value])
    if isinstance(value, tuple):
        return tuple(_numbered(item, number) for item in value)
    if isinstance(value, list):
        return [_numbered(item, number) for item in value]
    if isinstance(value, dict):
        return {key: _numbered(item, number) for key, item in value.items()}
    if isinstance(value, slice):
        return slice(*(_numbered(item, number) for item in (value.start, value.stop, value.step)))
    if isinstance(value, Tensor):
        raise ValueError("its forward makes a tensor that torch.fx takes for a constant")
    return value


def _attribute(block: nn.Module, name: str) -> Any:
    owner, _, attribute = name.rpartition(".")
    return getattr(block.get_submodule(owner), attribute)
