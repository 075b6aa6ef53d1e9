"""The strategies of augreg.testing over everything that is installed, and what they are drawn from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

from augreg.registry.registry import Registry
from augreg.testing.argument_strategies import SECTIONS, Catalog, arguments_from, reads, values
from augreg.testing.strategies import images, specs

__all__ = [
    "CLASSES",
    "CONTAINERS",
    "EVERY",
    "LEAVES",
    "OTHERS",
    "REGISTRY",
    "arguments",
    "images",
    "previews",
    "reads",
    "specs",
    "values",
]

REGISTRY = Registry.installed()
_CATALOG = Catalog(REGISTRY)
CLASSES: Mapping[str, Any] = _CATALOG.sections["image"]
OTHERS: Mapping[str, Mapping[str, Any]] = {name: _CATALOG.sections[name] for name in SECTIONS if name != "image"}
EVERY: Mapping[str, Any] = _CATALOG.every
LEAVES = _CATALOG.leaves()
CONTAINERS = _CATALOG.containers()
previews = _CATALOG.previews


def arguments(name: str) -> st.SearchStrategy[dict[str, Any]]:
    """Arguments that a transform or a regularizer takes, by its name."""
    return arguments_from(_CATALOG, name)
