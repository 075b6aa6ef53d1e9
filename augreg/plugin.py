"""The manifest that an entry point of the group `augreg.plugins` may name; imports nothing heavy.

    # pyproject.toml of a plugin:          [project.entry-points."augreg.plugins"]
    #                                      rain = "augreg_rain.manifest:PLUGIN"
    PLUGIN = Plugin(transforms={"drops": "augreg_rain.drops:Drops"})       # the step `rain/drops`

An entry point may as well name a module: then its marked classes are the plugin.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["API", "Plugin"]

API = 1
"""The contract between augreg and its plugins; a plugin says which one it was written for."""


@dataclass(frozen=True)
class Plugin:
    """What a plugin brings: `modules` of marked classes, or `transforms`, names to "module:Class" strings.

    Modules are imported to be listed, so name classes one by one where importing is slow.
    """

    api: int = API
    modules: tuple[str, ...] = ()
    transforms: Mapping[str, str] = field(default_factory=dict)
