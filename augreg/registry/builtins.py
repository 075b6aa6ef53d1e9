"""The manifest of the built-in transforms and regularizers: modules that import no array library."""

from __future__ import annotations

import pkgutil
from pathlib import Path

from augreg.registry.plugin import Plugin

__all__ = ["PLUGIN"]

_PACKAGE = Path(__file__).parents[1]
_ROOMS = ("transforms", "transforms.policies", "regularizers")

# The rooms stand above this one, so they are named here and imported only when their steps are looked up.
PLUGIN = Plugin(
    modules=tuple(
        f"augreg.{room}.{module.name}"
        for room in _ROOMS
        for module in pkgutil.iter_modules([str(_PACKAGE / room.replace(".", "/"))])
        if not module.ispkg
    )
)
