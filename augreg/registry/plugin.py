"""The manifest of a plugin, which an entry point of the group `augreg.plugins` names; imports nothing heavy.

    # pyproject.toml of a plugin:          [project.entry-points."augreg.plugins"]
    #                                      rain = "augreg_rain.manifest:PLUGIN"
    PLUGIN = Plugin(transforms={"drops": "augreg_rain.drops:Drops"})       # the step `rain/drops`

An entry point may also name a module: then the decorated classes of that module are the plugin.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["API", "Plugin"]

API = 1
"""The version of the plugin API; a plugin says which one it was written for."""


@dataclass(frozen=True)
class Plugin:
    """What a plugin contributes: `modules` of decorated classes, or "module:attribute" strings by kind and name.

    Modules are imported when steps are listed, so if that is slow, name the classes one by one. `policies` are tables
    for auto_augment, in any form that it takes; `presets` are files of the package, "package:folder/file.yaml";
    `backends` are mappings of op classes to kernels, and Pillow's kernels are used for the missing ones. In a spec,
    all names start with the namespace: `rain/drops`, `policy: rain/storm`, `from_spec("rain/heavy")`,
    `backend: rain/fast`.
    """

    api: int = API
    modules: tuple[str, ...] = ()
    transforms: Mapping[str, str] = field(default_factory=dict)
    batch_transforms: Mapping[str, str] = field(default_factory=dict)
    regularizers: Mapping[str, str] = field(default_factory=dict)
    policies: Mapping[str, str] = field(default_factory=dict)
    presets: Mapping[str, str] = field(default_factory=dict)
    backends: Mapping[str, str] = field(default_factory=dict)
