"""The registry: a mapping of names to transforms and regularizers, built-in ones and those of plugins.

A registry is a value, not a global. `Registry.installed()` scans the entry points (discovery.py) on its first
call. The name of an entry point is its namespace (`rain/drops`); the built-in steps have an entry point too, named
`augreg`, and no prefix. The error of a plugin that failed is raised only when a spec uses the plugin.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import threading
import typing
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from augreg import lazy
from augreg.errors import PluginError
from augreg.registry.discovery import Contributions, PluginRecord, guarded, load, scan
from augreg.registry.foreign import Call, function_name
from augreg.steps import other_names
from augreg.steps.declare import RULES, Kind, TransformInfo
from augreg.steps.fields import brief, nearest

__all__ = ["PluginRecord", "Registry"]

resources = lazy.module("importlib.resources")


class Registry(Mapping[str, type]):
    """A mapping of names to classes of transforms and regularizers; `add` returns a new registry with one more.

    `plugins` has a record of each plugin; `policies` and `backends` have the "module:attribute" strings of those of
    plugins, by name.
    """

    def __init__(
        self,
        contributions: Contributions,
        plugins: tuple[PluginRecord, ...] = (),
        added: Mapping[str, type] | None = None,
        allowed: frozenset[str] = frozenset(),
    ) -> None:
        """`contributions` come from plugins, `added` are classes by name, `allowed` the functions for `call`."""
        self.plugins = plugins
        self.added = dict(added or {})
        self.allowed = allowed
        self.policies = contributions.policies
        # the compiled backend has a distribution of its own, and is known by its name alone like the built-in ones
        native = contributions.backends.get("native/native")
        self.backends = {**contributions.backends, **({"native": native} if native else {})}
        self._contributions = contributions
        self._targets: dict[str, str | type] = {**contributions.steps, **self.added}
        self._checked = set(self.added)

    @classmethod
    def installed(cls) -> Registry:
        """Everything that is installed, scanned on the first call."""
        return _installed()

    @classmethod
    def refresh(cls) -> Registry:
        """Everything that is installed, scanned again: for notebooks, after a `pip install`."""
        importlib.invalidate_caches()
        _scanned.cache_clear()
        return _installed()

    @property
    def presets(self) -> Mapping[str, Path]:
        """The files of the presets of plugins, by name, without those whose package cannot be imported."""
        paths: dict[str, Path] = {}
        for name, target in self._contributions.presets.items():
            with contextlib.suppress(PluginError):
                paths[name] = _resource(target)
        return paths

    def add(self, transform: type, name: str | None = None) -> Registry:
        """A new registry that also has this class, under its own name or `name`. Raises PluginError on a clash."""
        info = getattr(transform, "__augreg__", None)
        if not isinstance(info, TransformInfo):
            raise PluginError(f"{transform!r} is not a transform: decorate its class with @augreg.transform")
        name = name or info.name
        if name in self._targets:
            raise PluginError(f"there is a transform {name!r} already; add this one as name='mine/{name}'")
        return Registry(self._contributions, self.plugins, {**self.added, name: transform}, self.allowed)

    def allow(self, *functions: Any) -> Registry:
        """A new registry whose specs may `call` these functions, given as objects or as "module:name"."""
        if self.added.get("call", Call) is not Call:
            raise PluginError("another class was added to this registry as 'call'; add it under another name")
        allowed = self.allowed.union(map(function_name, functions))
        return Registry(self._contributions, self.plugins, {**self.added, "call": Call}, allowed)

    def load_errors(self, record: PluginRecord) -> dict[str, str]:
        """Load everything in a plugin; returns the errors by name."""
        errors: dict[str, str] = {}
        for name in record.names if record.error is None else ():
            try:
                if name in self._targets:
                    self[name]
                preset = self._contributions.presets.get(name)
                if preset is not None and not _resource(preset).is_file():
                    errors[name] = f"there is no file {preset}"
                for target in (self.policies.get(name), self.backends.get(name)):
                    if target is not None:
                        load(target)
            except PluginError as error:
                errors[name] = str(error)
        return errors

    def section(self, section: str) -> dict[str, Any]:
        """The classes that can be used in a section of a spec, by name, without those that do not load."""
        classes: dict[str, Any] = {}
        for name in self:
            with contextlib.suppress(PluginError):
                cls: Any = self[name]
                if section in cls.__augreg__.sections:
                    classes[name] = cls
        return classes

    def __getitem__(self, name: str) -> type:
        target = self._targets[name]
        if name in self._checked and isinstance(target, type):
            return target
        cls: type = load(target) if isinstance(target, str) else target
        _check_class(name, cls)
        self._targets[name] = cls
        self._checked.add(name)
        return cls

    def __contains__(self, name: object) -> bool:
        return name in self._targets  # without loading it

    def __iter__(self) -> Iterator[str]:
        # built-in steps first, then each namespace
        return iter(sorted(self._targets, key=lambda name: ("/" in name, name)))

    def __len__(self) -> int:
        return len(self._targets)

    def __repr__(self) -> str:
        return f"Registry({len(self)} names, {len(self.plugins)} plugins)"

    def unknown(self, name: str, kind: str = "transform", known: Iterable[str] | None = None) -> str:
        """The reason that a name is unknown, with the most similar name; for error messages.

        `known` are the names of this kind; without it, those of all steps.
        """
        known = self if known is None else known
        if name == "call":
            return (
                "a spec may only call functions that the program allows: use "
                "from_spec(spec, registry.allow('module:function'))"
            )
        shown = brief(name)
        namespace, hint = name.rpartition("/")[0], nearest(name, known)
        records = [record for record in self.plugins if record.namespace == namespace]
        failed = [record for record in records if record.error]
        if failed and len(failed) == len(records):  # if one of them works, only the name is wrong
            remedy = f" ({failed[0].remedy})" if failed[0].remedy else ""
            return f"no {kind} named {shown}: the plugin {failed[0].distribution} failed: {failed[0].error}{remedy}"
        if namespace and not records:
            missing = f"no plugin {namespace!r} is installed{hint}"
            return f"no {kind} named {shown}: {missing}; its package may be augreg-{namespace}"
        other = other_names.step(name, known) if kind == "transform" else ""
        hint = f"; {other}" if other else hint
        return f"no {kind} named {shown}{hint or '; run `augreg list` to see all names'}"


_scanning = threading.Lock()


def _installed() -> Registry:
    with _scanning:  # threads that start at the same time share one scan
        return _scanned()


@functools.lru_cache(maxsize=1)
def _scanned() -> Registry:
    return Registry(*scan())


def _resource(target: str) -> Path:
    """The path of the file "package:folder/file"."""
    package, _, path = target.partition(":")
    with guarded(f"{target} does not load"):
        return Path(str(resources.files(package))) / path


def _check_class(name: str, cls: Any) -> None:
    """Raise PluginError if a class is none of ours, or if it cannot be described, as lists and schemas do."""
    with guarded(f"{name} cannot be used"):
        info = getattr(cls, "__augreg__", None)
        if not isinstance(cls, type) or not isinstance(info, TransformInfo):
            raise PluginError(f"{name}: {cls!r} is not a class decorated with @augreg.transform or similar")
        if cls.__module__.partition(".")[0] == "augreg":
            return
        from augreg.steps import describe

        if info.kind not in typing.get_args(Kind) or info.rule not in RULES:
            raise PluginError(f"{name}: it says that it is of kind {info.kind!r} and has the rule {info.rule!r}")
        hash(cls)
        describe.summary(cls)
        describe.arguments(cls)
        describe.rule(cls)
        describe.line(name, cls)
