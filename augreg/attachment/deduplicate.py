"""Where a rule would mask one tensor twice, or the model's output, and what it leaves alone for that.

A name pattern soon selects a linear layer and the activation behind it, a Sequential and its last child, an
nn.Dropout and all its neighbors, or the layer that gives the logits. Of those one is masked.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import nn

from augreg.attachment.hooks import After
from augreg.attachment.tracing import giver
from augreg.nn.activations import ACTIVATIONS
from augreg.steps.selectors import selects

if TYPE_CHECKING:
    from augreg.attachment.site import Site

__all__ = ["flow", "settle"]

_KEEPING: tuple[type[nn.Module], ...] = (
    *(*ACTIVATIONS, nn.Softmax, nn.LogSoftmax, nn.Identity, nn.Flatten, nn.Unflatten, nn.modules.dropout._DropoutNd),
    *(nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm, nn.LocalResponseNorm, nn.RMSNorm),
)
"""Modules behind which a unit that was set to zero is, more or less, the same unit set to zero."""


def settle(sites: Sequence[Site]) -> None:
    """Leave sites of one rule alone where another of them does the work, and say so in their notes.

    - Beside modules that do already what the rule asks for, in the same parent, only those are set.
    - A layer is left to the norm or activation behind it in its Sequential, a container to what gives its output.
    - What gives the model's output is left where a pattern selects it, and neither its own name nor its type.

    This is for rules that know their kind (`takes_over`) and work on outputs or inputs of modules.
    """
    hooked = [site for site in sites if hasattr(site.transform, "takes_over") and site.hook() is not None]
    givers: dict[str, str | None] = {}
    lines = {site.name: _line(site, givers) for site in hooked}
    for site in hooked:
        kin = [other.name for other in sites if other.own and _parent(other.name) == _parent(site.name)]
        same = [other for other in hooked if other.name in lines[site.name] or site.name in lines[other.name]]
        leaves = [other for other in same if not any(other.module.children())]
        keeper = (leaves or same)[-1]
        if site.own:
            continue
        if kin:
            site.leave(f"left to {', '.join(kin)}")
        elif site is not keeper:
            site.leave(f"left to {keeper.name}")
        elif lines[site.name][-1] == "" and site.name and not _named(site):
            site.leave("left: it gives the model's output; to mask that, name it")


def flow(model: nn.Module, name: str, givers: dict[str, str | None] | None = None) -> list[str]:
    """The modules whose output is this one's, or nearly: it, norms and activations behind it, what it is the end of.

    The last is "", the model itself, where this is the model's output. `givers` keeps what was found for other names.
    """
    known = {} if givers is None else givers
    found = [name]
    while found[-1]:
        onward = _behind(model, found[-1]) or _around(model, found[-1], known)
        if onward is None:
            break
        found.append(onward)
    return found


def _behind(model: nn.Module, name: str) -> str | None:
    """The norm, activation or the like that stands behind a module in its Sequential."""
    parent, _, own = name.rpartition(".")
    row = model.get_submodule(parent)
    names = [child for child, _ in row.named_children()] if isinstance(row, nn.Sequential) else []
    if own not in names[:-1]:
        return None
    behind = names[names.index(own) + 1]
    return ".".join(filter(None, (parent, behind))) if isinstance(row.get_submodule(behind), _KEEPING) else None


def _around(model: nn.Module, name: str, known: dict[str, str | None]) -> str | None:
    """The module around this one that gives what this one gives."""
    parts = name.split(".")
    for depth in range(len(parts) - 1, -1, -1):
        around = ".".join(parts[:depth])
        if around not in known:
            known[around] = giver(model.get_submodule(around), guess=depth == 0)
        if known[around] == ".".join(parts[depth:]):
            return around
    return None


def _line(site: Site, givers: dict[str, str | None]) -> list[str]:
    """The modules that have the tensor which a site masks: as their output, or as their input."""
    if isinstance(site.hook(), After):
        return flow(site.model, site.name, givers)
    found = [site.name]
    while found[-1]:
        parent, _, own = found[-1].rpartition(".")
        row = site.model.get_submodule(parent)
        if not isinstance(row, nn.Sequential) or next(iter(row.named_children()))[0] != own or not parent:
            break
        found.append(parent)
    return found


def _parent(name: str) -> str:
    return name.rpartition(".")[0]


def _named(site: Site) -> bool:
    """Whether a rule selects a module by its very name, or by a type."""
    types = [cls.__name__ for cls in type(site.module).__mro__]
    exact = [selector for selector in site.transform.at if selector.type or "*" not in selector.name]
    return selects(exact, site.name, types)
