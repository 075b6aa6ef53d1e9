"""The strategies of augreg.testing over everything that is installed, and what they are drawn from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

from augreg.registry.registry import Registry
from augreg.testing.argument_strategies import SECTIONS, Stock, arguments_from, reads, values
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
_STOCK = Stock(REGISTRY)
CLASSES: Mapping[str, Any] = _STOCK.sections["image"]
OTHERS: Mapping[str, Mapping[str, Any]] = {name: _STOCK.sections[name] for name in SECTIONS if name != "image"}
EVERY: Mapping[str, Any] = _STOCK.every
LEAVES = _STOCK.leaves()
CONTAINERS = _STOCK.containers()
previews = _STOCK.previews


def arguments(name: str) -> st.SearchStrategy[dict[str, Any]]:
    """Arguments that a transform or a regularizer takes, by its name."""
    return arguments_from(_STOCK, name)
