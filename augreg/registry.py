"""The registry: names to transforms and regularizers, ours and those of plugins, found through entry points.

A registry is a value, not a global. `Registry.installed()` scans the entry points of the group
`augreg.plugins` once; an entry point's name is its namespace (`rain/drops`), and the built-ins come through the
same door under the name `augreg`, which means no prefix. A plugin that does not load becomes a record with its
error: it disturbs no other, and is raised only when a spec names it.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

from augreg.errors import PluginError
from augreg.fields import nearest
from augreg.plugin import API, Plugin

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = ["GROUP", "PluginRecord", "Registry"]

GROUP = "augreg.plugins"
_OWN = "augreg"


@dataclass(frozen=True)
class PluginRecord:
    """A plugin as it was found: who brings it, what it has, and why it failed if it did."""

    namespace: str
    distribution: str
    version: str
    names: tuple[str, ...] = ()
    error: str | None = None


class Registry(Mapping[str, type]):
    """Names to transform classes. A Mapping; `add` returns a new registry with one class more."""

    def __init__(
        self,
        targets: Mapping[str, str | type],
        plugins: tuple[PluginRecord, ...] = (),
        added: Mapping[str, type] | None = None,
    ) -> None:
        """`targets` are classes or "module:Class" strings by name; `added` are classes given by hand."""
        self.plugins = plugins
        self.added = dict(added or {})
        self._targets: dict[str, str | type] = {**targets, **self.added}

    @classmethod
    def installed(cls) -> Registry:
        """Everything that is installed, scanned on the first call."""
        return _installed()

    def add(self, transform: type, name: str | None = None) -> Registry:
        """A new registry that also has this class, under its own name or `name`. Raises PluginError on a clash."""
        mark = getattr(transform, "__augreg__", None)
        if mark is None:
            raise PluginError(
                f"{transform!r} is not a transform: mark its class with @augreg.transform(name, kind=..)"
            )
        name = name or mark.name
        if name in self._targets:
            raise PluginError(f"there is a transform {name!r} already; add this one as name='mine/{name}'")
        return Registry(self._targets, self.plugins, {**self.added, name: transform})

    def section(self, section: str) -> dict[str, Any]:
        """The classes that may stand in a section of a spec, by name; those that do not load are left out."""
        found: dict[str, Any] = {}
        for name in self:
            with contextlib.suppress(PluginError):
                cls: Any = self[name]
                if section in cls.__augreg__.sections:
                    found[name] = cls
        return found

    def __getitem__(self, name: str) -> type:
        target = self._targets[name]
        if isinstance(target, type):
            return target
        found = _load(target)
        if getattr(found, "__augreg__", None) is None:
            raise PluginError(f"{name}: {target} is not a class marked by @augreg.transform")
        self._targets[name] = found
        return found  # type: ignore[no-any-return]

    def __contains__(self, name: object) -> bool:
        return name in self._targets  # without loading it

    def __iter__(self) -> Iterator[str]:
        # built-ins first, then each namespace in turn
        return iter(sorted(self._targets, key=lambda name: ("/" in name, name)))

    def __len__(self) -> int:
        return len(self._targets)

    def __repr__(self) -> str:
        return f"Registry({len(self)} transforms, {len(self.plugins)} plugins)"

    def unknown(self, name: str) -> str:
        """Why there is no transform of this name, and the nearest one; for error messages."""
        namespace = name.rpartition("/")[0]
        for record in self.plugins:
            if record.namespace == namespace and record.error:
                return f"no transform named {name!r}: the plugin {record.distribution} failed: {record.error}"
        if namespace and not any(record.namespace == namespace for record in self.plugins):
            return f"no transform named {name!r}: no plugin {namespace!r} is installed{nearest(name, self)}"
        return f"no transform named {name!r}{nearest(name, self) or '; `augreg list` names them all'}"


@functools.lru_cache(maxsize=1)
def _installed() -> Registry:
    from importlib.metadata import entry_points  # 40 ms that importing augreg should not cost

    found: dict[str, list[EntryPoint]] = {}
    for point in entry_points(group=GROUP):
        claims = found.setdefault(point.name, [])
        if all(point.value != other.value for other in claims):  # an editable install can be seen twice
            claims.append(point)
    if _OWN not in found:
        raise PluginError("augreg itself is not installed in this environment: run `pip install -e .` in its folder")
    targets: dict[str, str | type] = {}
    records: list[PluginRecord] = []
    for point in list(found[_OWN]):
        if point.dist is not None and point.dist.name != _OWN:
            found[_OWN].remove(point)
            taken = f"the namespace {_OWN!r} is augreg's own; this plugin needs another name for its entry point"
            records.append(PluginRecord(_OWN, point.dist.name, point.dist.version, error=taken))
    for namespace, points in sorted(found.items(), key=lambda item: (item[0] != _OWN, item[0])):
        record, brought = _read(namespace, points)
        records.append(record)
        targets.update(brought)
    return Registry(targets, tuple(records))


def _read(namespace: str, points: list[EntryPoint]) -> tuple[PluginRecord, dict[str, str | type]]:
    origins = [(point.dist.name, point.dist.version) if point.dist else ("?", "?") for point in points]
    name, version = origins[0]
    if len(points) > 1:
        both = " and ".join(sorted(f"{owner} {number}" for owner, number in origins))
        return PluginRecord(namespace, name, version, error=f"{both} both claim the namespace {namespace!r}"), {}
    try:
        targets = _targets(points[0].load())
    except Exception as error:
        if namespace == _OWN:
            raise
        return PluginRecord(namespace, name, version, error=f"{type(error).__name__}: {error}"), {}
    prefix = "" if namespace == _OWN else f"{namespace}/"
    brought = {prefix + key: value for key, value in targets.items()}
    return PluginRecord(namespace, name, version, tuple(sorted(brought))), brought


def _targets(plugin: Any) -> dict[str, str | type]:
    if isinstance(plugin, ModuleType):
        return dict(_marked(plugin))
    if not isinstance(plugin, Plugin):
        raise PluginError(f"expected a module or an augreg.plugin.Plugin, got {plugin!r}")
    if plugin.api != API:
        raise PluginError(f"it was written for plugin contract {plugin.api}; this augreg speaks {API}")
    targets: dict[str, str | type] = dict(plugin.transforms)
    for name in plugin.modules:
        targets.update(_marked(importlib.import_module(name)))
    return targets


def _marked(module: ModuleType) -> dict[str, type]:
    """The marked classes that this module defines (not those it imports)."""
    marked = (value for value in vars(module).values() if isinstance(value, type) and "__augreg__" in vars(value))
    return {vars(cls)["__augreg__"].name: cls for cls in marked if cls.__module__ == module.__name__}


def _load(target: str) -> Any:
    module, _, attribute = target.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except Exception as error:  # whatever a plugin does when it is imported
        raise PluginError(f"{target} does not load: {type(error).__name__}: {error}") from error
