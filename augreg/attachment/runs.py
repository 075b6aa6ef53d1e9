"""How often what was attached has run in training, and a warning for rules that have no effect.

A rule has no effect if the model never calls the module: a function reads its weights, as in `F.linear(x,
self.qkv.weight)`, or its `forward` is called directly, or nothing uses it. After the first training pass:

- the weights of a module take part in the output, but the module was not called: it is named at once;
- no module of a rule has run, and their parents' graphs show that no input changes that: the same;
- no module of a rule has run, and it is not known why: it is named after `PATIENCE` training passes, since a forward
  may use its parts in turn, or drop blocks by chance.

Compiled code counts nothing, and then nothing is said.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from torch import nn

from augreg.attachment.counting import RunCounter
from augreg.attachment.nested_tensors import tensors_in
from augreg.attachment.tracing import trace

if TYPE_CHECKING:
    from augreg.attachment.site import Site

__all__ = ["PATIENCE", "runs", "without_effect"]

PATIENCE = 100  # training passes of a model before a rule that has not run is named without a proof


def runs(site: Site) -> int | None:
    """How often the layers of a site ran in training; None if that is not counted."""
    counters = [action.runs for action in site.actions if action.runs is not None]
    calls = max((counter.calls for counter in counters), default=None)
    return None if calls == 0 and RunCounter.compiled else calls


def without_effect(model: nn.Module, rules: Iterable[list[Site]], output: Any, passes: int) -> list[str]:
    """One sentence for each rule, given as its sites, or site of a rule that has had no effect so far.

    `output` is what the model returned in its training pass number `passes`, counted from 1. Modules in evaluation
    mode are not meant to run.
    """
    found = []
    idle = [[site for site in sites if runs(site) == 0 and site.module.training] for sites in rules]
    used = _in_graph(output) - _tied(model) if passes == 1 and any(idle) else frozenset()
    for sites, silent in zip(rules, idle, strict=True):
        none_ran = bool(silent) and not any(runs(site) for site in sites)
        for site in silent:
            if left := site.left():
                found += [f"{_called(site)}: {left}"] if none_ran and passes == 1 else []
            elif any(id(parameter) in used for parameter in _parameters(site)):
                found.append(f"{_called(site)}: its weights are used, but the module is never called")
            elif none_ran and passes == 1 and _is_never_called(model, site.name):
                found.append(f"{_called(site)}: the model's forward never calls the module")
            elif none_ran and passes == PATIENCE:
                found.append(f"{_called(site)}: the module was not called in {PATIENCE} training passes")
    return found


def _called(site: Site) -> str:
    return f"{site.rule} at {site.name or 'the model'} ({site.type})"


def _parameters(site: Site) -> Iterator[nn.Parameter]:
    """The parameters of the modules whose call a site's actions wait for, and of what is in them."""
    for action in site.actions:
        module = getattr(action, "module", None)
        if action.runs is not None and isinstance(module, nn.Module):
            yield from module.parameters()


def _tied(model: nn.Module) -> set[int]:
    """The ids of the parameters that several modules own: their use does not tell which module was to be called."""
    owned = Counter(id(value) for module in model.modules() for value in module._parameters.values())
    return {key for key, count in owned.items() if count > 1}


def _in_graph(output: Any) -> frozenset[int]:
    """The ids of the parameters that the tensors of an output depend on."""
    waiting = [tensor.grad_fn for tensor in tensors_in(output) if tensor.grad_fn is not None]
    seen = set(waiting)
    found = set()
    while waiting:
        node = waiting.pop()
        if hasattr(node, "variable"):
            found.add(id(node.variable))
        following = {other for other, _ in node.next_functions if other is not None} - seen
        seen |= following
        waiting += following
    return frozenset(found)


def _is_never_called(model: nn.Module, name: str) -> bool:
    """Whether the forwards of all modules around a module can be traced, and none of them calls it."""
    parts = name.split(".")
    for depth in range(len(parts)):
        around = model.get_submodule(".".join(parts[:depth]))
        if type(around).forward is nn.Module.forward and "forward" not in vars(around):
            continue  # a container, whose modules are called from further out
        graph = trace(around)
        target = ".".join(parts[depth:])
        if graph is None or any(node.op == "call_module" and node.target == target for node in graph.nodes):
            return False
    return True
