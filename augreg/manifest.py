"""The manifest of the built-in transforms and regularizers: modules that import no array library."""

from __future__ import annotations

import pkgutil

import augreg.regularizers
import augreg.transforms
from augreg.plugin import Plugin

__all__ = ["PLUGIN"]

PLUGIN = Plugin(
    modules=tuple(
        sorted(
            found.name
            for package in (augreg.transforms, augreg.regularizers)
            for found in pkgutil.iter_modules(package.__path__, f"{package.__name__}.")
        )
    )
)
