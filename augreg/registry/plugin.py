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
    """What a plugin brings: `modules` of marked classes, or names to "module:attribute" strings by kind.

    Modules are imported to be listed, so name things one by one where importing is slow. `policies` are tables for
    auto_augment, in any form that it takes; `presets` are files of the package, "package:folder/file.yaml";
    `backends` are mappings of op kinds to kernels, where Pillow's stand in for what is missing. In a spec all names
    have the namespace in front: `rain/drops`, `policy: rain/storm`, `from_spec("rain/heavy")`, `backend: rain/fast`.
    """

    api: int = API
    modules: tuple[str, ...] = ()
    transforms: Mapping[str, str] = field(default_factory=dict)
    batch_transforms: Mapping[str, str] = field(default_factory=dict)
    regularizers: Mapping[str, str] = field(default_factory=dict)
    policies: Mapping[str, str] = field(default_factory=dict)
    presets: Mapping[str, str] = field(default_factory=dict)
    backends: Mapping[str, str] = field(default_factory=dict)
