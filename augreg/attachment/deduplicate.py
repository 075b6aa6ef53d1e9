"""Keep one rule from masking the same tensor twice, or the model's output by accident.

A name pattern easily selects a linear layer and the activation after it, a Sequential and its last child, an
nn.Dropout and all its neighbors, or the layer that computes the logits. Only one of them is masked.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import nn

from augreg.attachment.activations import MODULES as ACTIVATIONS
from augreg.attachment.hooks import OutputHook
from augreg.attachment.tracing import output_module
from augreg.steps.selectors import selects

if TYPE_CHECKING:
    from augreg.attachment.site import Site

__all__ = ["output_chain", "selected_exactly", "skip_duplicates"]

_ZERO_KEEPING: tuple[type[nn.Module], ...] = (
    *(*ACTIVATIONS, nn.Softmax, nn.LogSoftmax, nn.Identity, nn.Flatten, nn.Unflatten, nn.modules.dropout._DropoutNd),
    *(nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm, nn.LocalResponseNorm, nn.RMSNorm),
)
"""Modules with (nearly) the same effect whether a unit is masked before them or after them."""


def skip_duplicates(sites: Sequence[Site]) -> None:
    """Skip the sites of one rule where another site of the rule already does the work. The note says which.

    - If `at` selects modules that already do what the rule asks for, only these are set; their siblings are skipped.
    - A layer is skipped if the norm or activation after it in a Sequential is selected too, and a container if the
      module that computes its output is.
    - The module that computes the model's output is skipped, unless `at` has its exact name or its type.

    This applies to rules with a method `takes_over` that hook the outputs or inputs of modules.
    """
    hooked = [site for site in sites if hasattr(site.transform, "takes_over") and site.hook() is not None]
    output_modules: dict[str, str | None] = {}
    chains = {site.name: _chain(site, output_modules) for site in hooked}
    for site in hooked:
        siblings = [other.name for other in sites if other.existing and _parent(other.name) == _parent(site.name)]
        same = [other for other in hooked if other.name in chains[site.name] or site.name in chains[other.name]]
        kept = same[-1]  # in the order of the model: the module that computes a container's output comes after it
        if site.existing:
            continue
        if siblings:
            site.skip(f"skipped: done at {', '.join(siblings)}")
        elif site is not kept:
            site.skip(f"skipped: done at {kept.name}")
        elif chains[site.name][-1] == "" and site.name and not selected_exactly(site):
            site.skip("skipped: it computes the model's output; to mask it, select it by name")


def output_chain(model: nn.Module, name: str, output_modules: dict[str, str | None] | None = None) -> list[str]:
    """The names of the modules with (nearly) the same output as the module `name`, from the inside out.

    These are the module itself, the norms and activations directly after it, and the containers that end with them.
    If it computes the model's output, the last name is "", the model itself. `output_modules` caches what is traced.
    """
    cache = {} if output_modules is None else output_modules
    chain = [name]
    while chain[-1]:
        following = _next_in_sequential(model, chain[-1]) or _container_ending_with(model, chain[-1], cache)
        if following is None:
            break
        chain.append(following)
    return chain


def _next_in_sequential(model: nn.Module, name: str) -> str | None:
    """The norm, activation or the like that directly follows a module in its Sequential."""
    parent, _, child_name = name.rpartition(".")
    container = model.get_submodule(parent)
    names = [child for child, _ in container.named_children()] if isinstance(container, nn.Sequential) else []
    if child_name not in names[:-1]:
        return None
    following = names[names.index(child_name) + 1]
    if not isinstance(container.get_submodule(following), _ZERO_KEEPING):
        return None
    return ".".join(filter(None, (parent, following)))


def _container_ending_with(model: nn.Module, name: str, cache: dict[str, str | None]) -> str | None:
    """The innermost container of a module that has the same output as the module."""
    parts = name.split(".")
    for depth in range(len(parts) - 1, -1, -1):
        container = ".".join(parts[:depth])
        if container not in cache:
            cache[container] = output_module(model.get_submodule(container), guess=depth == 0)
        if cache[container] == ".".join(parts[depth:]):
            return container
    return None


def _chain(site: Site, output_modules: dict[str, str | None]) -> list[str]:
    """The modules that have the masked tensor as their output, or as their input if the site masks inputs."""
    if isinstance(site.hook(), OutputHook):
        return output_chain(site.model, site.name, output_modules)
    chain = [site.name]
    while chain[-1]:
        parent, _, child_name = chain[-1].rpartition(".")
        container = site.model.get_submodule(parent)
        first = isinstance(container, nn.Sequential) and next(iter(container.named_children()))[0] == child_name
        if not first or not parent:
            break
        chain.append(parent)
    return chain


def _parent(name: str) -> str:
    return name.rpartition(".")[0]


def selected_exactly(site: Site) -> bool:
    """Whether a rule selects a module by its exact name or by a type."""
    types = [cls.__name__ for cls in type(site.module).__mro__]
    exact = [selector for selector in site.transform.at if selector.type or "*" not in selector.name]
    return selects(exact, site.name, types)
