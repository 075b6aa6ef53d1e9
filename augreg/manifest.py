"""The manifest of the built-in transforms: every module in augreg/transforms, which import no array library."""

from __future__ import annotations

import pkgutil

import augreg.transforms
from augreg.plugin import Plugin

__all__ = ["PLUGIN"]

PLUGIN = Plugin(
    modules=tuple(
        sorted(found.name for found in pkgutil.iter_modules(augreg.transforms.__path__, "augreg.transforms."))
    )
)
