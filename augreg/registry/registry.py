"""The registry: names to transforms and regularizers, ours and those of plugins, found through entry points.

A registry is a value, not a global. `Registry.installed()` scans the entry points (discovery.py) on its first
call; an entry point's name is its namespace (`rain/drops`), and the built-ins come through the same door under the
name `augreg`, which means no prefix. A plugin that failed is raised only when a spec names it.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.resources
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from augreg.errors import PluginError
from augreg.registry.discovery import ANYTHING, Brought, PluginRecord, load, scan
from augreg.steps.fields import nearest

__all__ = ["PluginRecord", "Registry"]


class Registry(Mapping[str, type]):
    """Names to classes of transforms and regularizers. A Mapping; `add` returns a new registry with one class more.

    `plugins` are the records of what was found; `policies`, `presets` and `backends` are what plugins bring besides.
    """

    def __init__(
        self,
        brought: Brought,
        plugins: tuple[PluginRecord, ...] = (),
        added: Mapping[str, type] | None = None,
        allowed: frozenset[str] = frozenset(),
    ) -> None:
        """`brought` is what plugins bring, `added` are classes given by hand, `allowed` functions to `call`."""
        self.plugins = plugins
        self.added = dict(added or {})
        self.allowed = allowed
        self._brought = brought
        self._targets: dict[str, str | type] = {**brought.steps, **self.added}

    @classmethod
    def installed(cls) -> Registry:
        """Everything that is installed, scanned on the first call."""
        return _installed()

    @classmethod
    def refresh(cls) -> Registry:
        """Everything that is installed, scanned anew: for notebooks, after a `pip install`."""
        importlib.invalidate_caches()
        _scanned.cache_clear()
        return _installed()

    @property
    def policies(self) -> Mapping[str, str]:
        """The policies of plugins, by name."""
        return self._brought.policies

    @property
    def backends(self) -> Mapping[str, str]:
        """The backends of plugins, by name."""
        return self._brought.backends

    @property
    def presets(self) -> Mapping[str, Path]:
        """The presets of plugins, by name; those whose package does not import are left out."""
        found: dict[str, Path] = {}
        for name, target in self._brought.presets.items():
            with contextlib.suppress(PluginError):
                found[name] = _resource(target)
        return found

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
        return Registry(self._brought, self.plugins, {**self.added, name: transform}, self.allowed)

    def allow(self, *functions: Any) -> Registry:
        """A new registry whose specs may `call` these functions, given as such or as "module:name"."""
        from augreg.registry.foreign import Call, function_name

        if self.added.get("call", Call) is not Call:
            raise PluginError("this registry has another class added as 'call'; add that one under another name")
        allowed = self.allowed.union(map(function_name, functions))
        return Registry(self._brought, self.plugins, {**self.added, "call": Call}, allowed)

    def broken(self, record: PluginRecord) -> dict[str, str]:
        """What a plugin names and does not have, and why: everything that it brings is loaded."""
        found: dict[str, str] = {}
        for name in record.names if record.error is None else ():
            try:
                if name in self._targets:
                    self[name]
                if name in self._brought.presets and not _resource(self._brought.presets[name]).is_file():
                    found[name] = f"there is no file {self._brought.presets[name]}"
                for target in (self.policies.get(name), self.backends.get(name)):
                    if target is not None:
                        load(target)
            except PluginError as error:
                found[name] = str(error)
        return found

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
        found = load(target)
        if getattr(found, "__augreg__", None) is None:
            raise PluginError(f"{name}: {target} is not a class marked by @augreg.transform or its like")
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
        return f"Registry({len(self)} names, {len(self.plugins)} plugins)"

    def unknown(self, name: str, kind: str = "transform", known: Iterable[str] | None = None) -> str:
        """Why nothing of this kind has this name, and the nearest name; for error messages.

        `known` are the names of the kind; without it, those of all steps.
        """
        known = self if known is None else known
        if name == "call":
            return "a spec alone can call no function: give from_spec(spec, registry.allow('module:function'))"
        namespace, hint = name.rpartition("/")[0], nearest(name, known)
        records = [record for record in self.plugins if record.namespace == namespace]
        failed = [record for record in records if record.error]
        if failed and len(failed) == len(records):  # where one is well, the name is just not there
            remedy = f" ({failed[0].remedy})" if failed[0].remedy else ""
            return f"no {kind} named {name!r}: the plugin {failed[0].distribution} failed: {failed[0].error}{remedy}"
        if namespace and not records:
            missing = f"no plugin {namespace!r} is installed{hint}"
            return f"no {kind} named {name!r}: {missing}; one might be called augreg-{namespace}"
        return f"no {kind} named {name!r}{hint or '; `augreg list` names them all'}"


_scanning = threading.Lock()


def _installed() -> Registry:
    with _scanning:  # threads that are first at once share one scan
        return _scanned()


@functools.lru_cache(maxsize=1)
def _scanned() -> Registry:
    return Registry(*scan())


def _resource(target: str) -> Path:
    """The file that "package:folder/file" means."""
    package, _, path = target.partition(":")
    try:
        return Path(str(importlib.resources.files(package))) / path
    except ANYTHING as error:
        raise PluginError(f"{target} does not load: {type(error).__name__}: {error}") from error
