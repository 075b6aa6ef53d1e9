"""The manifest of the built-in transforms and regularizers: modules that import no array library."""

from __future__ import annotations

import pkgutil
from pathlib import Path

from augreg.registry.plugin import Plugin

__all__ = ["PLUGIN"]

_ROOT = Path(__file__).parents[1]
_PACKAGES = ("transforms", "transforms.policies", "regularizers")

# These packages import from this one, so they are named here and imported only when their steps are looked up.
PLUGIN = Plugin(
    modules=tuple(
        f"augreg.{package}.{module.name}"
        for package in _PACKAGES
        for module in pkgutil.iter_modules([str(_ROOT / package.replace(".", "/"))])
        if not module.ispkg
    )
)
